"""The rows of the paper's tables: data, network, timesteps, neuron, and the settings published for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras

from keras_ternary_spike import BinaryLIF, MultiLevelLIF, TernaryLIF, models
from keras_ternary_spike.data import augmentation
from keras_ternary_spike.data.auto_augment import auto_augment

# The numbers of the code released by the paper's authors: it fires at half of V_th = 1.
NEURON = {"decay": 0.25, "threshold": 0.5, "surrogate": "rectangular", "reset": "zero"}
LEVELS = 4
SMALL_TIMESTEPS = 2  # at most, of a dry run
ALPHABETS: dict[str, tuple[type[keras.layers.Layer], dict[str, Any]]] = {
    "binary": (BinaryLIF, {**NEURON, "trainable_amplitude": False}),
    "ternary": (TernaryLIF, {**NEURON, "trainable_amplitude": False}),
    "trainable": (TernaryLIF, {**NEURON, "trainable_amplitude": True}),
    "graded": (MultiLevelLIF, {**NEURON, "levels": LEVELS, "signed": False, "trainable_threshold": True}),
}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD whose rate falls to 0 as a cosine, on the cross-entropy of the mean logits.

    weight_decay is added to the gradient of kernels and of the classifier's bias: not of norms, nor of amplitudes.
    augmentations: of images of so many pixels a side; made when asked for, after the strategy.
    """

    epochs: int
    batch_size: int
    augmentations: Callable[[int], tuple[augmentation.Augmentation, ...]]
    source: str
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4


SMALL_IMAGES = Recipe(
    400,
    128,
    lambda size: (augmentation.padded_crop(4), augmentation.flip(), auto_augment, augmentation.cutout(size // 2)),
    "the same authors' MPBN code for CIFAR",
)
LARGE_IMAGES = Recipe(
    320,
    320,
    lambda size: (augmentation.random_resized_crop(size), augmentation.flip()),
    "the training script released for the paper",
)
EVENTS = Recipe(
    400,
    128,
    lambda size: (augmentation.flip_events, augmentation.roll_events(5)),
    "augmentation: MPBN code for CIFAR10-DVS; all else as for CIFAR, for want of published settings",
)


@dataclass(frozen=True)
class Source:
    """Data of a row. shape: of a sample, without timesteps; small_shape: of the dry run's made images."""

    shape: tuple[int, int, int]
    small_shape: tuple[int, int, int]
    classes: int
    recipe: Recipe
    events: bool = False


SOURCES = {
    "cifar10": Source((32, 32, 3), (16, 16, 3), 10, SMALL_IMAGES),
    "cifar100": Source((32, 32, 3), (16, 16, 3), 100, SMALL_IMAGES),
    "imagenet": Source((224, 224, 3), (32, 32, 3), 1000, LARGE_IMAGES),
    "cifar10_dvs": Source((48, 48, 1), (16, 16, 1), 10, EVENTS, events=True),
}
NETWORKS: dict[str, Callable[..., keras.Model]] = {
    name: getattr(models, name) for name in ("resnet20", "resnet19", "resnet18", "resnet34")
}


@dataclass(frozen=True)
class Row:
    """One row. reported: accuracy in percent at second hand (the paper's tables are pictures), None where unknown."""

    data: str
    network: str
    timesteps: int
    alphabet: str
    reported: float | None = None

    @property
    def name(self) -> str:
        return f"{self.data}-{self.network}-t{self.timesteps}-{self.alphabet}"

    @property
    def source(self) -> Source:
        return SOURCES[self.data]

    def shown(self, *, small: bool = False) -> int:
        """Timesteps."""
        return min(self.timesteps, SMALL_TIMESTEPS) if small else self.timesteps

    def input_shape(self, *, small: bool = False) -> tuple[int, ...]:
        """`(height, width, channels)`, of events with the timesteps in front."""
        shape = self.source.small_shape if small else self.source.shape
        return (self.shown(small=small), *shape) if self.source.events else shape

    def build(self, *, width: float = 1.0, small: bool = False) -> keras.Model:
        neuron, options = ALPHABETS[self.alphabet]
        return NETWORKS[self.network](
            self.input_shape(small=small),
            self.source.classes,
            timesteps=self.shown(small=small),
            width=width,
            neuron=neuron,
            **options,
        )


TIMESTEPS = (
    *(("cifar10", "resnet20", (2, 4)), ("cifar10", "resnet19", (1, 2))),
    *(("cifar100", "resnet20", (2, 4)), ("cifar100", "resnet19", (1, 2))),
    *(("imagenet", "resnet18", (4,)), ("imagenet", "resnet34", (4,))),
    *(("cifar10_dvs", "resnet20", (10,)), ("cifar10_dvs", "resnet19", (10,))),
)
SECOND_HAND = {"cifar10-resnet19-t2-trainable": 95.80, "cifar100-resnet19-t2-trainable": 80.20}


def _rows() -> list[Row]:
    """Graded spikes of images take one timestep: that is what they are for."""
    rows = []
    for data, network, all_timesteps in TIMESTEPS:
        rows += [
            Row(data, network, timesteps, alphabet)
            for timesteps in all_timesteps
            for alphabet in ("binary", "ternary", "trainable")
        ]
        rows.append(Row(data, network, all_timesteps[0] if SOURCES[data].events else 1, "graded"))
    return [replace(row, reported=SECOND_HAND.get(row.name)) for row in rows]


ROWS = {row.name: row for row in _rows()}
