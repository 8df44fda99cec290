"""What every contestant of steps.py computes: two networks, one neuron, one batch of random images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KERAS = ("keras_ternary_spike", "keras_relu", "keras_plain")
TORCH = ("spikingjelly", "snntorch", "torch_loop")
FILTERS, STRIDES = (32, 64, 64, 128), (1, 2, 1, 2)
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # of ResNet-20: channels, strides of the first of two blocks
SHAPES = {"4conv": (28, 28, 1), "resnet20": (32, 32, 3)}
WIDTHS = {"4conv": FILTERS[-1], "resnet20": STAGES[-1][0]}  # channels that reach the classifier
CLASSES, DECAY, THRESHOLD = 10, 0.25, 0.5


@dataclass(frozen=True)
class Task:
    """name: of the contestant. network: of SHAPES. layout, compiled: of PyTorch alone."""

    name: str
    network: str
    timesteps: int
    batch: int
    layout: str
    compiled: bool

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Images `(batch, height, width, channels)` in [0, 1) and their classes."""
        rng = np.random.default_rng(0)
        return rng.random((self.batch, *SHAPES[self.network]), "float32"), rng.integers(0, CLASSES, self.batch)
