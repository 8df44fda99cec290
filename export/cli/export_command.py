"""The command that exports: a .keras file in, a .tflite file and its proof out."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_ternary_spike import __version__

from ..program.program import IO
from ..user_files import check_output, import_module, write_together
from .arguments import ANOTHER_FORMAT, check_samples_file, check_source, check_suffix, command_parser
from .keras_file import check_keras_file
from .ranges import add_ranges, given_range, spelled_out

if TYPE_CHECKING:
    import keras

    from ..certificate.certificate import Certificate
    from ..program.samples import Samples


def export(arguments: Sequence[str]) -> None:
    """Exports a .keras file, checks and verifies it if asked to, and writes the .tflite file last."""
    options = export_options(arguments)
    check_output(options.output, options.model)
    check_suffix(options.output, ".tflite")
    from ..targets.check import check_target

    if options.target is not None:
        check_target(options.target)
    check_source(options.model, ".keras")
    if options.verify is not None:
        check_samples_file(options.verify)
    # Above: what is wrong in a moment. Below: the seconds that TensorFlow and the model take.
    from .. import export_tflite

    for module in options.modules:
        import_module(module)
    model = load_model(options.model)
    samples = None if options.verify is None else load_samples(options.verify, several=len(model.inputs) > 1)
    chosen_for = None if options.nearest else samples
    tflite_bytes = export_tflite(
        model,
        input_range=given_range(options.input_range, options.input_ranges),
        output_range=given_range(options.output_range, options.output_ranges),
        form=options.form,
        window=options.window,
        batch=options.batch,
        io=options.io,
        target=options.target,
        samples=chosen_for,
    )
    files = {options.output: tflite_bytes}
    if options.certificate is not None:
        files |= certify_or_fail(model, tflite_bytes, samples, options)
    elif samples is not None:
        verify_or_fail(model, tflite_bytes, samples, options.also)
    write_together(files)
    for path, data in files.items():
        print(f"{path}: {len(data):,} bytes")


def export_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `export`, checked as far as they can be before any work is done."""
    parser = export_parser()
    options = parser.parse_args(spelled_out(arguments))
    if options.certificate is None:
        return options
    if options.verify is None:
        parser.error("--certificate needs samples to run the file on: add --samples SAMPLES.npz")
    if options.certificate.suffix not in HTML:
        parser.error(f"--certificate must be an .html file, its .json comes beside it. Received: {options.certificate}")
    for path in certificate_paths(options.certificate):
        check_output(path, options.model)
        if path.resolve() == options.output.resolve():
            parser.error(f"--certificate and --output must be different files. Received: {path} for both")
    return options


def certificate_files(certificate: Certificate, html: Path) -> dict[Path, bytes]:
    """What to write where: the page, and the same as JSON beside it."""
    page, data = certificate_paths(html)
    return {page: certificate.to_html().encode(), data: certificate.to_json().encode()}


def certificate_paths(html: Path) -> tuple[Path, Path]:
    """The page, and the same as JSON beside it."""
    return html, html.with_suffix(".json")


def export_parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "", "Export a trained spiking Keras model as an exact int8 TFLite file.", epilog=OTHER_COMMANDS
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("model", type=Path, help="the Keras model, a .keras file")
    add_modules(parser)
    add_file_options(parser.add_argument_group("the file"))
    add_proof_options(parser.add_argument_group("samples and proof"))
    return parser


def add_modules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module that registers your own Keras classes, before loading (may be repeated)",
    )


def add_file_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-o", "--output", type=Path, required=True, help="the .tflite file to write")
    add_network_options(group)
    add_ends(group)
    group.add_argument(
        "--target",
        metavar="TARGET",
        help="write a file that runs wholly on this target, such as litert, cortex-m or ethos-u55-128, in the "
        "operators that it computes fastest (default: any target)",
    )


def add_ends(group: argparse._ArgumentGroup) -> None:
    """What a call of the file takes and gives."""
    group.add_argument(
        "--batch",
        type=batch,
        default=1,
        metavar="SAMPLES",
        help="how many samples a call of the file takes, or any for a file that can be resized (default: 1)",
    )
    group.add_argument(
        "--io",
        choices=IO,
        default="int8",
        help="what the file takes and gives: float32 for programs that know no int8, such as LiteRT.js (default: int8)",
    )


def batch(text: str) -> int | None:
    """A number of samples; None of "any". Raises: ValueError, which argparse turns into its own."""
    return None if text == "any" else int(text)


def add_network_options(group: argparse._ArgumentGroup) -> None:
    """What `export_tflite` has to know of a Keras model."""
    add_ranges(
        group,
        "input",
        "range of the samples in the units of the model's inputs, or int8 for samples that are the file's integers "
        "(default: what the first layers tell, else 0 1)",
        "the same for one of several inputs, by name; then give it for each of them",
    )
    add_ranges(
        group,
        "output",
        "range of the numbers that the model gives (default: from the samples, else see docs/exact-integers.md)",
        "the same for one of several outputs, by name",
    )
    group.add_argument(
        "--form",
        choices=("unrolled", "step"),
        default="unrolled",
        help="all timesteps in one call, or one a call with the states as inputs and outputs (default: unrolled)",
    )
    group.add_argument(
        "--window",
        type=int,
        metavar="TIMESTEPS",
        help="with --form step: averages are of the last so many timesteps, without end (default: all since the reset)",
    )


def add_proof_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--verify",
        "--samples",
        type=Path,
        metavar="SAMPLES.npz",
        help="round the kernels for these samples, run the file on them on every runtime, print the report, and write "
        "only an exact file (for several inputs: an array for each, by name)",
    )
    group.add_argument(
        "--round-to-nearest",
        dest="nearest",
        action="store_true",
        help="round every weight to the nearest integer, whatever the samples",
    )
    add_also(group)
    group.add_argument(
        "--certificate",
        type=Path,
        metavar="CERT.html",
        help="write the proof of the file as a page, and CERT.json beside it (needs --samples)",
    )


def add_also(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--also",
        action="append",
        choices=("c",),
        default=[],
        help="run the file's C code on the samples too, compiled on this machine (see c-code)",
    )


def load_model(path: Path) -> keras.Model:
    """Loads a .keras file. Raises: ValueError or OSError, naming the file and the way out."""
    with open(path, "rb"):
        pass  # the system's own words for a file that cannot be opened
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a whole .keras file. {ANOTHER_FORMAT['.keras']}")
    check_keras_file(path)
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # of a damaged file Keras, TensorFlow and the user's own classes raise anything
        reason = str(error).split("\n")[0] or type(error).__name__
        raise ValueError(
            f"Cannot load {path}: {reason} If the model has classes of your own, register them with "
            "keras.saving.register_keras_serializable and name their module with --import MODULE. "
            "Otherwise the file is damaged: save it again."
        ) from error


def given_network(options: argparse.Namespace) -> tuple[keras.Model | bytes, dict[str, object]]:
    """What is to be written in another form: a model with its options for `export_tflite`, or a file without any."""
    if options.model.suffix == ".tflite":
        return options.model.read_bytes(), {}
    chosen = {
        "input_range": given_range(options.input_range, options.input_ranges),
        "output_range": given_range(options.output_range, options.output_ranges),
        "form": options.form,
    }
    return load_model(options.model), chosen


def load_samples(path: Path, *, several: bool) -> Samples:
    """The array named "samples" of an .npz file, or its only one; for a model of several inputs all arrays by name."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = list(arrays)
            if several:
                return {name: arrays[name] for name in names}
            if "samples" not in names and len(names) != 1:
                raise ValueError(f"one array must be named 'samples'. Received: {', '.join(names) or 'no array'}.")
            return arrays["samples" if "samples" in names else names[0]]
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"Cannot read samples from {path}: {error}") from error


def verify_or_fail(model: keras.Model, tflite_bytes: bytes, samples: Samples, also: Sequence[str] = ()) -> None:
    """Prints the report. Raises: ValueError if the runtimes disagree."""
    from .. import verify

    report = verify(model, tflite_bytes, samples, also=also)
    print(report)
    if not report.exact:
        raise ValueError(DISAGREE)


def certify_or_fail(
    model: keras.Model, tflite_bytes: bytes, samples: Samples, options: argparse.Namespace
) -> dict[Path, bytes]:
    """Prints the report. Returns the certificate's files. Raises: ValueError unless the file is exact and proven."""
    from .. import certify

    asked = {"target": options.target, "also": options.also, "file": options.output.name}
    certificate = certify(model, tflite_bytes, samples, **asked)
    print(certificate.report)
    if not certificate.report.exact:
        raise ValueError(DISAGREE)
    unproven = [proof.layer for proof in certificate.proofs if not proof.holds]
    if unproven:
        raise ValueError(f"Every spiking layer must be proven on all operands. Received: {', '.join(unproven)} not.")
    return certificate_files(certificate, options.certificate)


HTML = (".html", ".htm")
OTHER_COMMANDS = """Other commands, each with its own --help: verify, certify, run, inspect, check and c-array for
.tflite files; c-code, onnx and web for either kind of file; import for networks of other libraries; sweep for a
grid of networks."""
# A certificate lies beside the file that it is of: of one that is withheld there is none, and what stood there stays.
DISAGREE = "The runtimes do not agree on this file, so nothing was written. The report shows where."
