"""Draws what a trained network does inside: membranes and thresholds, spikes, firing maps, entropy of each layer.

    python examples/look_inside.py                                   the digits of `make demo`, trained where missing
    python examples/look_inside.py --model my.keras --samples my.npy

Writes membranes.png, spikes.png, firing_maps.png and information.png into runs/inside/.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import datasets
import train_and_export as example
from keras_ternary_spike import inside

SAMPLES = 32
FIGURES = {
    "membranes": inside.draw_membranes,
    "spikes": inside.draw_raster,
    "firing_maps": inside.draw_firing_maps,
    "information": inside.draw_information,
}


def trained_digits():
    """The network of `make demo`, and test images."""
    data = datasets.load("digits")
    file = Path("runs/digits/model.keras")
    if file.exists():
        return keras.models.load_model(file), data.test_images[:SAMPLES]
    keras.utils.set_random_seed(0)
    shape, filters = data.train_images.shape[1:], example.FILTERS["digits"]
    model = example.build(shape, data.classes, filters=filters, timesteps=example.TIMESTEPS)
    example.train(model, data, epochs=example.EPOCHS["digits"])
    return model, data.test_images[:SAMPLES]


def main(arguments):
    if arguments.model:
        model, samples = keras.models.load_model(arguments.model), np.load(arguments.samples)[:SAMPLES]
    else:
        model, samples = trained_digits()
    recordings = inside.record(model, samples)
    for name, recording in recordings.items():
        shares = ", ".join(f"{level:+d} {share:.1%}" for level, share in recording.shares.items())
        print(f"{name:12} {shares}: {recording.bits:.2f} of {recording.most_bits:.2f} bits")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        draw(recordings).savefig(arguments.output / f"{name}.png", dpi=80)
    print(f"Written to {arguments.output}: {', '.join(f'{name}.png' for name in FIGURES)}")


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a .keras file with spiking layers")
    parser.add_argument("--samples", type=Path, help="its samples, .npy")
    parser.add_argument("--output", type=Path, default=Path("runs/inside"))
    arguments = parser.parse_args()
    if (arguments.model is None) != (arguments.samples is None):
        parser.error("--model and --samples belong together")
    return arguments


if __name__ == "__main__":
    main(command_line())
