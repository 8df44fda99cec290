"""What each target makes of one network at 1, 2 and 4 timesteps, and Vela's cycles of many beside ReLU's.

    python -m benchmarks.files.targets
    python -m benchmarks.files.targets --networks keyword_spotter resnet8

The second table is Vela's estimate for one accelerator: the cycles of the file that TensorFlow's converter writes of
the network with ReLU, and those of the spiking files, in times of it.
"""

from __future__ import annotations

import argparse

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


CYCLES_HEADER = ("network", "ReLU", *(f"T={count}" for count in TIMESTEPS), "CPU operators", "SRAM, ReLU and T=2")
CALIBRATION_IMAGES = 4


def cycles_row(name: str) -> tuple[str, ...]:
    """Of one network of the zoo: Vela's cycles with ReLU, and those of the spiking files in times of them."""
    images = zoo.images(name, CALIBRATION_IMAGES).astype("float32")
    relu = check(baseline.convert_int8(zoo.with_relu(name), images), target=ESTIMATED).facts
    files = (export_tflite(zoo.randomized(name, timesteps=count)) for count in TIMESTEPS)
    reports = [check(tflite_bytes, target=ESTIMATED) for tflite_bytes in files]
    ratios = (f"{report.facts['cycles'] / relu['cycles']:.2f}" for report in reports)
    on_cpu = sum(len(report.refused) for report in reports)
    sram = f"{relu['sram_bytes']:,} and {reports[1].facts['sram_bytes']:,} bytes"
    return name, f"{relu['cycles']:,}", *ratios, str(on_cpu), sram


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
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    print(setting.table([HEADER, *(row(timesteps) for timesteps in TIMESTEPS)]), end="\n\n")
    print(setting.table([CYCLES_HEADER, *(cycles_row(name) for name in arguments.networks)]))


if __name__ == "__main__":
    main()
