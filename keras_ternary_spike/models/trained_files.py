"""Trained networks that come with the package: a Keras model, its exported file, and a card that says what they do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

TRAINED = Path(__file__).parent / "trained"
PRETRAINED = tuple(sorted(path.stem for path in TRAINED.glob("*.json")))


@dataclass(frozen=True)
class Card:
    """What a trained file is, does and costs; all of it is printed by the command.

    data: the set that it was trained on, as `load_images` names it. neurons: in words.
    accuracy: of the file, on all `test_images`. keras_accuracy: of the Keras model, on the same.
    bytes: of the file.
    additions, multiply_accumulates: weights that meet a spike, and those that meet a pixel, a level, a sum of spikes or
        a number behind a ReLU, zeros left out; mean of the first test images.
    instructions: of this package's C on an emulated Cortex-M4 with DSP, mean of the first test images.
    seed, command: which write the files anew; another processor may sum floats in another order.
    sha256: of the two files, by suffix.
    versions: of the packages that trained it.
    """

    name: str
    data: str
    neurons: str
    timesteps: int
    test_images: int
    accuracy: float
    keras_accuracy: float
    bytes: int
    additions: int
    multiply_accumulates: int
    instructions: int
    seed: int
    command: str
    sha256: Mapping[str, str]
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, object]:
        """As it stands in the JSON file."""
        return asdict(self)

    def __str__(self) -> str:
        rows = {
            "data": self.data,
            "neurons": f"{self.neurons}, {self.timesteps} timestep{'s' * (self.timesteps > 1)}",
            "accuracy": f"{self.accuracy:.2%} of {self.test_images:,} test images; Keras {self.keras_accuracy:.2%}",
            "file": f"{self.bytes:,} bytes",
            "arithmetic": f"{self.additions:,} additions, {self.multiply_accumulates:,} multiply-accumulates an image",
            "Cortex-M4": f"{self.instructions:,} instructions an image",
            "seed": str(self.seed),
            "command": self.command,
            **{f"sha256 {suffix}": digest for suffix, digest in self.sha256.items()},
            "trained by": ", ".join(f"{name} {version}" for name, version in self.versions.items()),
        }
        width = max(map(len, rows))
        return "\n".join([self.name, *(f"  {key:{width}}  {text}" for key, text in rows.items())])


@dataclass(frozen=True)
class Pretrained:
    """A trained network. model: not compiled. tflite_bytes: what `load` and a board take."""

    model: keras.Model
    tflite_bytes: bytes
    card: Card


def pretrained(name: str) -> Pretrained:
    """Loads a trained network that comes with the package.

    Args:
        name: one of PRETRAINED: a set of images and a kind of neuron, such as "digits_ternary".

    Raises:
        ValueError: for another name.

    Example:
        >>> print(pretrained("digits_ternary").card.test_images)
        450
    """
    if name not in PRETRAINED:
        raise ValueError(f"`name` must be one of {', '.join(PRETRAINED)}. Received: name={name!r}")
    return read_pretrained(TRAINED, name)


def read_pretrained(folder: Path, name: str) -> Pretrained:
    """A trained network of any folder: its .keras, .tflite and .json."""
    card = Card(**json.loads((folder / f"{name}.json").read_text()))
    model = keras.saving.load_model(folder / f"{name}.keras", compile=False)
    return Pretrained(model, (folder / f"{name}.tflite").read_bytes(), card)
