"""Real networks at full size on every runtime and on Ethos-U: how many int8 values differ, what stays on the CPU.

    python -m benchmarks.files.networks
    python -m benchmarks.files.networks --networks resnet19 unet --quick
    python -m benchmarks.files.networks --results runs/networks.jsonl      goes on where it was stopped
    python -m benchmarks.files.networks --export resnet19                  only time, memory and hash of exporting

Every network meets every number of timesteps, decay and threshold; over six networks every two of these values meet.
Weights are drawn as training could leave them: negative batch-norm gammas, amplitudes from 0.3 to 1.2. Wanted: 0
differing values, 0 operators on the CPU; ResNet-19 exported in 10 s and 2 GB, the same bytes in two processes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
from benchmarks.files import zoo
from keras_ternary_spike.export import check, export_tflite, verify

NETWORKS = ("resnet19", "resnet20", "ms_resnet", "vgg", "keyword_spotter", "unet", "tiny")
TIMESTEPS = (1, 2, 3, 4, 8)
DECAYS = (0.0, 0.1, 0.25, 0.5, 0.9, 1.0)
THRESHOLDS = (0.3, 0.5, 1.0, zoo.PER_CHANNEL)
QUICK = {"timesteps": 2, "decay": 0.25, "threshold": 0.5}
ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
SAMPLES = {"resnet20": 2, "unet": 4, "keyword_spotter": 16, "tiny": 16}  # of the others 1: TFLite Micro is slow
FULL = 8  # times as many
HEADER = (
    f"{'network':15}{'T':>3}{'decay':>7}  {'threshold':12}{'samples':>8}{'operators':>11}  {'differing int8 values':26}"
    f"{'on the CPU':17}{'seconds':>8}"
)


def settings(name: str) -> Iterator[dict[str, object]]:
    """Six settings of one network. Those of six neighbours in NETWORKS hold every pair of values."""
    index = NETWORKS.index(name)
    for row, decay in enumerate(DECAYS):
        yield {
            "timesteps": TIMESTEPS[(row + 2 * index) % len(TIMESTEPS)],
            "decay": decay,
            "threshold": THRESHOLDS[(row + index) % len(THRESHOLDS)],
        }


def examine(name: str, options: Mapping[str, object], samples: int, targets: Sequence[str]) -> dict[str, object]:
    """Exports one network, runs it on random images everywhere, and compiles it for every target."""
    start = time.perf_counter()
    tflite_bytes = export_tflite(zoo.randomized(name, **options))
    report = verify(None, tflite_bytes, zoo.images(name, samples))
    return {
        "network": name,
        **options,
        "samples": samples,
        "operators": sum(report.operators.values()),
        "compared": {key: comparison.values + comparison.output_values for key, comparison in report.runtimes.items()},
        "differing": {
            key: comparison.differing + comparison.output_differing for key, comparison in report.runtimes.items()
        },
        "on_cpu": {target: len(check(tflite_bytes, target=target).refused) for target in targets},
        "seconds": time.perf_counter() - start,
    }


def line(found: Mapping[str, object]) -> str:
    """One run as text, under HEADER."""
    differing, compared = (sum(found[key].values()) for key in ("differing", "compared"))
    on_cpu = " ".join(map(str, found["on_cpu"].values())) or "not asked"
    return (
        f"{found['network']:15}{found['timesteps']:3}{found['decay']:7}  {found['threshold']!s:12}{found['samples']:8}"
        f"{found['operators']:11}  {f'{differing:,} of {compared:,}':26}{on_cpu:17}{found['seconds']:8.0f}"
    )


def totals(runs: Sequence[Mapping[str, object]]) -> str:
    """By runtime: values compared and differing; by target: operators on the CPU."""
    compared, differing, on_cpu, asked = Counter(), Counter(), Counter(), Counter()
    for run in runs:
        compared.update(run["compared"])
        differing.update(run["differing"])
        on_cpu.update(run["on_cpu"])
        asked.update(run["on_cpu"].keys())
    rows = [("runtime", "compared with Program.run", "differing")]
    rows += [(name, f"{count:,}", f"{differing[name]:,}") for name, count in compared.items()]
    rows += [("all", f"{compared.total():,}", f"{differing.total():,}")]
    targets = [("target", "files", "operators on the CPU")]
    targets += [(name, str(asked[name]), str(on_cpu[name])) for name in asked]
    return f"{len(runs)} files\n\n{setting.table(rows)}\n\n{setting.table(targets)}"


def run_all(arguments: argparse.Namespace) -> None:
    """Prints one line a run, the totals at the end; every network once before any of them a second time."""
    done = [json.loads(text) for text in _lines(arguments.results)]
    print(HEADER)
    plans = [[QUICK] if arguments.quick else list(settings(name)) for name in arguments.networks]
    runs = []
    for options in zip(*plans, strict=True):
        for name, chosen in zip(arguments.networks, options, strict=True):
            found = next((run for run in done if run | {"network": name, **chosen} == run), None)
            if found is None:
                found = attempt(name, chosen, arguments)
                note(found, arguments.results)
            print(found if isinstance(found, str) else line(found), flush=True)
            runs += [] if isinstance(found, str) else [found]
    print(f"\n{totals(runs)}")


def note(found: Mapping[str, object] | str, path: Path | None) -> None:
    """Appends one run to the file of results."""
    if path is not None and not isinstance(found, str):
        with path.open("a") as file:
            file.write(json.dumps(found) + "\n")


def attempt(name: str, options: Mapping[str, object], arguments: argparse.Namespace) -> dict[str, object] | str:
    """What `examine` finds, or why the exporter refuses."""
    samples = SAMPLES.get(name, 1) * (FULL if arguments.full else 1)
    try:
        return examine(name, options, samples, arguments.targets)
    except ValueError as error:
        return f"{name} {options}: refused, {error}"


def _lines(path: Path | None) -> list[str]:
    return path.read_text().splitlines() if path and path.exists() else []


def export_alone(name: str) -> None:
    """Prints as JSON what exporting one network costs in this process."""
    model = zoo.randomized(name, **QUICK)
    before = _peak_bytes()
    start = time.perf_counter()
    tflite_bytes = export_tflite(model)
    seconds = time.perf_counter() - start
    sha256 = hashlib.sha256(tflite_bytes).hexdigest()
    facts = {"weights": model.count_params(), "seconds": seconds, "before": before, "peak": _peak_bytes()}
    print(json.dumps({**facts, "file": len(tflite_bytes), "sha256": sha256}))


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def export_row(name: str) -> tuple[str, ...]:
    """Time and memory of exporting one network, in two processes."""
    command = [sys.executable, "-m", __spec__.name, "--export-alone", name]
    texts = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    one, two = (json.loads(text.splitlines()[-1]) for text in texts)
    return (
        name,
        f"{one['weights']:,}",
        f"{one['seconds']:.1f} and {two['seconds']:.1f} s",
        f"{one['peak'] / 1e9:.2f} GB ({one['before'] / 1e9:.2f} before)",
        f"{one['file']:,}",
        "the same" if one["sha256"] == two["sha256"] else "DIFFERENT",
        one["sha256"][:12],
    )


EXPORT_HEADER = ("network", "parameters", "export, two processes", "peak memory", "file", "bytes", "SHA-256")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--targets", nargs="*", default=ACCELERATORS, metavar="TARGET", help="default: three Ethos-U")
    parser.add_argument("--quick", action="store_true", help="one setting of each network instead of six")
    parser.add_argument("--full", action="store_true", help=f"{FULL} times as many images")
    parser.add_argument("--results", type=Path, help="a file to note every run in, and not to repeat those in it")
    parser.add_argument("--export", nargs="*", choices=NETWORKS, metavar="NAME", help="only export these, in processes")
    parser.add_argument("--export-alone", choices=NETWORKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.export_alone:
        export_alone(arguments.export_alone)
        return
    print(setting.describe(), end="\n\n")
    print(setting.table([EXPORT_HEADER, *map(export_row, arguments.export or arguments.networks)]), end="\n\n")
    if arguments.export is None:
        run_all(arguments)


if __name__ == "__main__":
    main()
