"""What a window, a look, an event and a neuron cost on Cortex-M: fitted to QEMU's counts of the C of `export_c`.

    python -m benchmarks.boards.event_costs             the table of training/instructions.py in the core: minutes

    instructions of a layer = pixel * P + look * L + event * E + event_block * E * B + pixel_block * P * B

P: output pixels, of all timesteps. L: what lies under their windows: words of 16 spikes or marks of levels, or numbers
of an image. E: of those the spikes or levels that are not 0. B: output channels over 16, rounded up. Fitted by least
squares of relative errors, no cost below 0, over networks of several shapes, alphabets and firing rates; of an image
everything is an event. In front of a depthwise layer E counts every tap that a spike meets.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import keras
import numpy as np
from keras import layers

from benchmarks.boards import emulator, engine
from keras_ternary_spike import DirectEncoding, MultiLevelLIF, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.costs.operation_counts import count_operations, measure
from keras_ternary_spike.export.tflite import flatbuffer

BOARDS = ("m3", "m4", "m7")
BLOCK = 16
NAMES = ("pixel", "look", "event", "event_block", "pixel_block")
KINDS = ("image", "spikes", "levels", "depthwise", "depthwise_levels")
DEPTHWISE = 0  # as channels: those of the layer in front
# Image, and of every layer channels, kernel and strides.
SHAPES: Sequence[tuple[tuple[int, int, int], Sequence[tuple[int, int, int]]]] = (
    ((20, 20, 3), ((16, 3, 1), (32, 3, 2), (32, 3, 1), (64, 3, 2))),
    ((14, 14, 1), ((24, 3, 1), (48, 1, 1), (16, 3, 1), (96, 1, 1))),
    ((12, 12, 8), ((64, 3, 2), (40, 3, 1), (64, 5, 2))),
    ((16, 16, 2), ((32, 3, 1), (DEPTHWISE, 3, 1), (32, 1, 1), (DEPTHWISE, 3, 1), (64, 1, 1))),
)
THRESHOLDS = (0.6, 1.0, 1.6)
NEURONS = {
    "ternary": lambda threshold, name: TernaryLIF(threshold=threshold, name=name),
    "graded": lambda threshold, name: MultiLevelLIF(4, signed=False, threshold=threshold / 2, name=name),
}
CASES = (("ternary", 1), ("ternary", 2), ("graded", 1))


@dataclass(frozen=True)
class Row:
    """A layer of one run. features: in the order of NAMES."""

    kind: str
    features: tuple[float, ...]
    instructions: int


def network(shape, spec, timesteps: int, neuron: str, threshold: float) -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input(shape)
    x = DirectEncoding(timesteps)(image)
    for number, (channels, size, strides) in enumerate(spec, start=1):
        options = {"strides": strides, "padding": "same", "name": f"conv{number}"}
        if channels == DEPTHWISE:
            linear = layers.DepthwiseConv2D(size, depthwise_initializer="he_normal", **options)
        else:
            linear = layers.Conv2D(channels, size, kernel_initializer="he_normal", **options)
        x = NEURONS[neuron](threshold, f"neuron{number}")(PerTimestep(linear, name=f"conv{number}_wrap")(x))
    x = PerTimestep(layers.Dense(4))(PerTimestep(layers.Flatten())(x))
    return keras.Model(image, TimeAverage()(x))


def runs() -> Iterator[tuple[bytes, np.ndarray, Sequence[tuple[int, int, int]], tuple[str, int]]]:
    rng = np.random.default_rng(0)
    for shape, spec in SHAPES:
        inputs = rng.integers(-128, 128, (1, *shape), np.int8)
        for neuron, timesteps in CASES:
            for threshold in THRESHOLDS:
                model = network(shape, spec, timesteps, neuron, threshold)
                yield export_tflite(model, output_range=(-9, 9)), inputs, spec, (neuron, timesteps)


def rows_of(board: emulator.Board, content: bytes, inputs: np.ndarray, spec, case: tuple[str, int]) -> Iterator[Row]:
    program = flatbuffer.read(content)
    counts = count_operations(program, measure(program, program.trace(inputs)))
    met = {one.layer: one for one in counts.layers}
    steps = layer_steps(engine.run(board, content, inputs.reshape(1, -1), steps=True).steps)
    neuron, timesteps = case
    height, before = inputs.shape[1], inputs.shape[-1]
    for number, (channels, size, strides) in enumerate(spec, start=1):
        height = -(-height // strides)
        pixels = height**2 * (timesteps if number > 1 else 1)
        depthwise, found = channels == DEPTHWISE, met[f"conv{number}"]
        channels = channels or before
        blocks = -(-channels // BLOCK)
        looks = pixels * size**2 * (before if number == 1 else -(-before // BLOCK))
        asked = found.multiply_accumulates if number == 1 else found.additions_measured
        events = asked / (1 if depthwise else channels)
        event_blocks = 0.0 if depthwise else events * blocks
        kind = kind_of(number, neuron, depthwise=depthwise)
        own = 0 if kind == "image" else events  # of an image everything is looked at and is an event
        yield Row(kind, (pixels, looks, own, event_blocks, pixels * blocks), steps[number])
        before = channels


def kind_of(number: int, neuron: str, *, depthwise: bool) -> str:
    """One of KINDS: what layer number `number` reads, and whether it is a depthwise one."""
    if number == 1:
        return "image"
    read = "spikes" if neuron == "ternary" else "levels"
    return {"spikes": "depthwise", "levels": "depthwise_levels"}[read] if depthwise else read


def layer_steps(steps: Mapping[str, int]) -> dict[int, int]:
    """Instructions by layer number: what belongs to one layer adds up."""
    found: dict[int, int] = {}
    for note, count in steps.items():
        if (match := re.match(r"(?:neuron|conv)(\d)", note)) is not None:
            found[int(match[1])] = found.get(int(match[1]), 0) + count
    return found


def fit(rows: Sequence[Row]) -> np.ndarray:
    """Costs of at least 0: columns that would be below are left out, one after the other."""
    counts = np.array([row.instructions for row in rows], float)
    features = np.array([row.features for row in rows]) / counts[:, None]
    used = [column for column in range(len(NAMES)) if np.any(features[:, column])]
    while True:
        costs = np.zeros(len(NAMES))
        costs[used] = np.linalg.lstsq(features[:, used], np.ones(len(rows)), rcond=None)[0]
        if costs.min() >= 0:
            return costs
        used.remove(int(costs.argmin()))


def errors(rows: Sequence[Row], costs: np.ndarray) -> np.ndarray:
    """Relative, of every layer."""
    return np.array([np.dot(row.features, costs) / row.instructions - 1 for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", nargs="+", choices=emulator.BOARDS, default=BOARDS, metavar="BOARD")
    arguments = parser.parse_args()
    print(setting.describe(), *emulator.versions(), sep="\n", end="\n\n")
    files = list(runs())
    table = [("core", "layer behind", *NAMES, "layers", "mean error", "largest")]
    for name in arguments.boards:
        board = emulator.BOARDS[name]
        found = [row for content, *rest in files for row in rows_of(board, content, *rest)]
        for kind in KINDS:
            rows = [row for row in found if row.kind == kind]
            costs = fit(rows)
            off = 100 * np.abs(errors(rows, costs))
            numbers = (f"{cost:.3g}" for cost in costs)
            table.append((board.core, kind, *numbers, str(len(rows)), f"{off.mean():.1f} %", f"{off.max():.0f} %"))
    print(setting.table(table))


if __name__ == "__main__":
    main()
