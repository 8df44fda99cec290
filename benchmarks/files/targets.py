"""What each target makes of one network at 1, 2 and 4 timesteps: the table of docs/targets.md.

python -m benchmarks.files.targets
"""

from __future__ import annotations

import argparse

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import keras

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
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(setting.describe(), end="\n\n")
    print(setting.table([HEADER, *(row(timesteps) for timesteps in TIMESTEPS)]))


if __name__ == "__main__":
    main()
