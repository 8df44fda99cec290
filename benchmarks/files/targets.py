"""What each target makes of one network at 1, 2 and 4 timesteps, and Vela's cycles of many beside ReLU's.

    python -m benchmarks.files.targets
    python -m benchmarks.files.targets --networks keyword_spotter resnet8
    python -m benchmarks.files.targets --keep rows.json

The second table is Vela's estimate for one accelerator: the cycles of the file that TensorFlow's converter writes of
the network with ReLU, and those of the spiking files, in times of it. A network takes half a minute to five minutes;
--keep holds its row in a file as soon as it is found, and asks Vela only for those that the file does not hold.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import keras

import baseline
from benchmarks.files import zoo
from keras_ternary_spike import models
from keras_ternary_spike.export import check, export_tflite
from keras_ternary_spike.export.targets.check import TARGETS
from keras_ternary_spike.export.tflite import flatbuffer

TIMESTEPS = (1, 2, 4)
ESTIMATED = "ethos-u55-128"
HEADER = (
    "timesteps",
    "operators",
    "XNNPACK partitions",
    "arena, TFLite Micro",
    "CPU operators, Vela",
    "cycles",
    "time",
)


CYCLES_HEADER = (
    *("network", "ReLU", "T=1", "T=2", "T=2, for any target", "T=4", "T=4, for any target", "CPU operators"),
    "SRAM, ReLU, T=2 and for any target",
)
CALIBRATION_IMAGES = 4
compiled = functools.cache(functools.partial(check, target=ESTIMATED))  # often a file for any target is the NPU's, too


def cycles_rows(names: Sequence[str], kept: Path | None) -> Iterator[tuple[str, ...]]:
    """Of networks of the zoo; those in the file `kept` are read, the others written there."""
    rows = json.loads(kept.read_text()) if kept and kept.exists() else {}
    for name in names:
        if name not in rows:
            rows[name] = cycles_row(name)
            if kept:
                kept.write_text(json.dumps(rows, indent=1))
        yield tuple(rows[name])


def cycles_row(name: str) -> tuple[str, ...]:
    """Of one network of the zoo: Vela's cycles with ReLU, and those of the spiking files in times of them."""
    images = zoo.images(name, CALIBRATION_IMAGES).astype("float32")
    relu = compiled(baseline.convert_int8(zoo.with_relu(name), images)).facts
    reports = {}
    for count in TIMESTEPS:
        model = zoo.randomized(name, timesteps=count)
        for target in (ESTIMATED, None) if count > 1 else (ESTIMATED,):
            reports[count, target] = compiled(export_tflite(model, target=target))
    ratios = (f"{report.facts['cycles'] / relu['cycles']:.2f}" for report in reports.values())
    on_cpu = sum(len(report.refused) for report in reports.values())
    sram = (facts["sram_bytes"] for facts in (relu, reports[2, ESTIMATED].facts, reports[2, None].facts))
    return name, f"{relu['cycles']:,}", *ratios, str(on_cpu), ", ".join(f"{count:,}" for count in sram)


def row(timesteps: int) -> tuple[str, ...]:
    keras.utils.set_random_seed(0)
    tflite_bytes = export_tflite(models.tiny((28, 28, 1), 10, timesteps=timesteps))
    vela = {name: check(tflite_bytes, target=name) for name in TARGETS if name.startswith("ethos")}
    on_cpu = sum(len(report.refused) for report in vela.values())
    facts = vela[ESTIMATED].facts
    litert, tflm = (check(tflite_bytes, target=name).facts for name in ("litert", "tflm"))
    return (
        str(timesteps),
        str(len(flatbuffer.read(tflite_bytes).operators)),
        str(litert["partitions"]),
        f"{tflm['arena_bytes']:,} bytes",
        f"{on_cpu} on {len(vela)} accelerators",
        f"{facts['cycles']:,.0f}",
        f"{facts['milliseconds']:.3f} ms",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", choices=zoo.INPUTS, default=zoo.INPUTS, metavar="NAME")
    parser.add_argument("--keep", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    print(setting.table([HEADER, *(row(timesteps) for timesteps in TIMESTEPS)]), end="\n\n")
    print(setting.table([CYCLES_HEADER, *cycles_rows(arguments.networks, arguments.keep)]))


if __name__ == "__main__":
    main()
