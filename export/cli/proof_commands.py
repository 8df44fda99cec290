"""The commands on files that exist already: `verify`, `certify` and `run`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..user_files import check_output, import_module, write_together
from .arguments import check_samples_file, check_source, check_suffix, file_parser
from .export_command import HTML, add_also, add_modules, certificate_files, certificate_paths, load_model, load_samples

if TYPE_CHECKING:
    import keras
    import numpy as np

    from ..program.samples import Samples

NOT_EXACT = "The runtimes do not agree on this file. The report shows where."


def verify_file(arguments: Sequence[str]) -> None:
    """Prints the report on a file. Raises: ValueError if it is not exact."""
    parser = proof_parser("verify", "Run a .tflite file on every runtime and compare every value.")
    options = parser.parse_args(arguments)
    model, tflite_bytes, samples = given(options)
    from ..certificate.certificate import compare

    report, _ = compare(model, tflite_bytes, samples, also=options.also)
    print(report)
    if not report.exact:
        raise ValueError(NOT_EXACT)


def certify_file(arguments: Sequence[str]) -> None:
    """Writes the certificate of a file, whatever it says. Raises: ValueError if it is not exact and proven."""
    options = certify_parser().parse_args(arguments)
    for path in certificate_paths(options.output):
        check_output(path, options.model)
    check_suffix(options.output, *HTML)
    if options.target is not None:
        from ..targets.check import check_target

        check_target(options.target)
    model, tflite_bytes, samples = given(options)
    from ..certificate.certificate import certify

    asked = {"target": options.target, "also": options.also, "file": options.model.name}
    certificate = certify(model, tflite_bytes, samples, **asked)
    print(certificate.report)
    files = certificate_files(certificate, options.output)
    write_together(files)
    for path, data in files.items():
        print(f"{path}: {len(data):,} bytes")
    if not certificate.exact:
        raise ValueError("The file is not exact, or not all of it is proven. The certificate says what.")


def run_file(arguments: Sequence[str]) -> None:
    """Prints a file's outputs for samples, a line each, or writes them as an .npz file."""
    options = run_parser().parse_args(arguments)
    if options.output is not None:
        check_output(options.output, options.samples)
        check_suffix(options.output, ".npz")
    check_files(options)
    tflite_bytes, samples = options.model.read_bytes(), samples_for(options.model, options.samples)
    outputs = run(tflite_bytes, samples)
    if options.output is None:
        print(table(outputs))
    else:
        data = npz(outputs)
        write_together({options.output: data})
        print(f"{options.output}: {len(data):,} bytes")


def proof_parser(command: str, description: str) -> argparse.ArgumentParser:
    result = file_parser(command, description)
    add_samples(result)
    result.add_argument("--model", dest="keras_model", type=Path, metavar="MODEL.keras", help="compare with it, too")
    add_modules(result)
    add_also(result)
    return result


def certify_parser() -> argparse.ArgumentParser:
    result = proof_parser("certify", "Prove a .tflite file, and write the proof as a page and as JSON beside it.")
    result.add_argument("-o", "--output", type=Path, required=True, metavar="CERT.html", help="the page to write")
    result.add_argument("--target", metavar="TARGET", help="ask whether this target runs it, such as ethos-u55-128")
    return result


def run_parser() -> argparse.ArgumentParser:
    result = file_parser("run", "Run a .tflite file on samples, in the units of the Keras model.")
    add_samples(result)
    result.add_argument("-o", "--output", type=Path, metavar="OUTPUTS.npz", help="write the outputs instead of text")
    return result


def add_samples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--samples",
        type=Path,
        required=True,
        metavar="SAMPLES.npz",
        help="what to run the file on (for several inputs: an array for each, by name)",
    )


def given(options: argparse.Namespace) -> tuple[keras.Model | None, bytes, Samples]:
    """The Keras model if there is one, the file and its samples."""
    check_files(options)
    if options.keras_model is not None:
        check_source(options.keras_model, ".keras")
    samples = samples_for(options.model, options.samples)
    for module in options.modules:
        import_module(module)
    model = None if options.keras_model is None else load_model(options.keras_model)
    return model, options.model.read_bytes(), samples


def check_files(options: argparse.Namespace) -> None:
    check_source(options.model, ".tflite")
    check_samples_file(options.samples)


def samples_for(model: Path, samples: Path) -> Samples:
    """The samples of a .tflite file: an array, or one for each of several inputs that are no states."""
    from ..program.samples import sample_tensors
    from ..tflite import flatbuffer

    return load_samples(samples, several=len(sample_tensors(flatbuffer.read(model.read_bytes()))) > 1)


def run(tflite_bytes: bytes, samples: Samples) -> dict[str, np.ndarray]:
    """Outputs by name, `(samples, *output shape)`; of the step form those of the last timestep."""
    from ..program.step_form import is_step
    from ..runtimes.predictor import load
    from ..tflite import flatbuffer

    program = flatbuffer.read(tflite_bytes)
    if is_step(program):
        return run_steps(tflite_bytes, samples)
    outputs = load(tflite_bytes).predict(samples)
    return dict(outputs) if isinstance(outputs, Mapping) else {next(iter(program.named_outputs)): outputs}


def run_steps(tflite_bytes: bytes, samples: Samples) -> dict[str, np.ndarray]:
    """As `run`, for a file of the step form: every sample a stream of its own."""
    import numpy as np

    from ..certificate.certificate import is_sequence, unrolled
    from ..program.names import STATE_OUT, is_state
    from ..program.samples import check_samples, count_samples
    from ..runtimes.step_runner import StepRunner

    runner = StepRunner(tflite_bytes)
    sequence = is_sequence(runner.program, samples)
    arrays = check_samples(unrolled(runner.program, samples), samples)
    found = []
    for sample in range(count_samples(arrays)):
        values = {name: array[sample] for name, array in arrays.items()}
        found.append(runner.run(values if sequence else [values] * runner.program.facts.timesteps))
    if isinstance(found[0], Mapping):
        return {name: np.stack([outputs[name] for outputs in found]) for name in found[0]}
    name = next(name for name in runner.program.named_outputs if not is_state(name, STATE_OUT))
    return {name: np.stack(found)}


def table(outputs: Mapping[str, np.ndarray]) -> str:
    """A line for every sample: its number and the output's values, tab-separated, below a line of what they are."""
    blocks = []
    for name, values in outputs.items():
        rows = values.reshape(len(values), -1)
        lines = ("\t".join([str(sample), *(f"{value:.9g}" for value in row)]) for sample, row in enumerate(rows))
        blocks.append("\n".join([f"sample\t{name} {values.shape[1:]}", *lines]))
    return "\n\n".join(blocks)


def npz(outputs: Mapping[str, np.ndarray]) -> bytes:
    """The outputs as an .npz file."""
    import io

    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **outputs)
    return buffer.getvalue()
