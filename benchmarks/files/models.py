"""The networks of keras_ternary_spike.models: weights, multiply-accumulates, and the size of the exported file.

python -m benchmarks.files.models --timesteps 2 --models tiny keyword_spotter
"""

from __future__ import annotations

import argparse

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import keras

from keras_ternary_spike import models
from keras_ternary_spike.export import export_tflite

TIMESTEPS = 2
IMAGENET = ((224, 224, 3), 1000)
CIFAR = ((32, 32, 3), 10)
INPUTS = {
    "resnet19": CIFAR,
    "resnet20": CIFAR,
    "resnet18": IMAGENET,
    "resnet34": IMAGENET,
    "ms_resnet": CIFAR,
    "vgg": CIFAR,
    "resnet8": CIFAR,
    "keyword_spotter": ((49, 10, 1), 12),
    "visual_wake_words": ((96, 96, 3), 2),
    "wake_word": ((30, 1, 40), 3),
    "tiny": ((28, 28, 1), 10),
}
HEADER = ("network", "input", "classes", "weights", "MACs a timestep", "of these once an image")


def row(name: str, timesteps: int) -> tuple[str, ...]:
    """One line of the table: the network at full width, untrained."""
    shape, classes = INPUTS[name]
    keras.utils.set_random_seed(0)  # sizes depend a little on weights: channels of one scale share it
    model = getattr(models, name)(shape, classes, timesteps=timesteps)
    counts = models.count_operations(model)
    size = "x".join(map(str, shape))
    numbers = (classes, counts.weights, counts.per_timestep, counts.constant)
    return (name, size, *(f"{number:,}" for number in numbers), exported(model))


def exported(model: keras.Model) -> str:
    """The number of bytes of the exported file, or why the exporter refuses."""
    try:
        return f"{len(export_tflite(model)):,}"
    except ValueError as error:
        return f"refused: {error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=TIMESTEPS)
    parser.add_argument("--models", nargs="+", choices=list(INPUTS), default=list(INPUTS), metavar="NAME")
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    header = (*HEADER, f"file in bytes, {arguments.timesteps} timesteps")
    print(setting.table([header, *(row(name, arguments.timesteps) for name in arguments.models)]))


if __name__ == "__main__":
    main()
