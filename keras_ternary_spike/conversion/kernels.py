"""Kernels that make of spikes the currents that a ReLU network makes of its activations, without labels."""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..layers.trace import Trace
from .graph import Rebuilt

KINDS = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D)
MOST_INPUTS = 4096  # of an output: the time that the equations take is the cube of it
PULL = 1e-2  # towards the weights as they are, in the mean square of an input
ROWS = 4096  # outputs of a channel that are kept of a batch
MOST_VALUES = 2**25  # inputs of outputs that are in memory


@dataclass(frozen=True)
class Moments:
    """Sums over outputs, of their inputs with a 1 behind them: `(inputs + 1, inputs + 1)`, `(inputs + 1, channels)`."""

    squares: np.ndarray
    missing: np.ndarray

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.squares + other.squares, self.missing + other.missing)


def fit_kernel(spiking: Rebuilt, floats: Rebuilt, calls: Trace, index: int, parts: list[Any]) -> None:
    """Moves kernel and bias of call `index`, if it is a convolution or Dense layer that alone reads spikes.

    Of the mean over time of the spikes they are to make what the ReLU network has there: in least squares on the
    samples, held back by the squared distance from the weights as they are. What layers in front lose is made up for
    as far as their spikes still tell it.

    floats: the ReLU network, of the same calls.
    """
    call = calls.calls[index]
    copy = spiking.copies.get(id(call.layer))
    if not _is_to_fit(spiking, calls, index, copy):
        return
    source, original = call.sources[0], floats.copies[id(call.layer)]
    means = (spikes.mean(1) for spikes in spiking.run(source, parts))
    batches = zip(floats.run(source, parts), means, strict=True)
    moments = (_moments(copy, mean, _array(original(wanted)) - _array(copy(mean))) for wanted, mean in batches)
    _move(copy, functools.reduce(operator.add, moments))


def _is_to_fit(spiking: Rebuilt, calls: Trace, index: int, layer: Any) -> bool:
    """Layers with other kernels, and those that read no spikes or are called twice, stay as they are."""
    if type(layer) not in KINDS or calls.shared(index) or getattr(layer, "groups", 1) > 1:
        return False
    timed = spiking.values[calls.calls[index].sources[0]].timed
    return timed and math.prod(layer.kernel.shape[:-1]) <= MOST_INPUTS


def _moments(layer: Any, x: np.ndarray, missing: np.ndarray) -> Moments:
    """Of at most ROWS outputs of every channel, at random ones, seeded.

    x: what the layer reads. missing: what its outputs are short of.
    """
    opened, rng = _opened(layer, x.shape), np.random.default_rng(0)
    inputs, channels = opened.kernel.shape[-1], missing.shape[-1]
    pieces = min(len(x), -(-missing.size // channels * inputs // MOST_VALUES))
    squares, products = np.zeros((inputs + 1, inputs + 1)), np.zeros((inputs + 1, channels))
    for some, short in zip(np.array_split(x, pieces), np.array_split(missing, pieces), strict=True):
        rows, short = _array(opened(some)).reshape(-1, inputs), short.reshape(-1, channels)
        picked = rng.permutation(len(rows))[: ROWS // pieces]
        rows = np.pad(rows[picked].astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)
        squares, products = squares + rows.T @ rows, products + rows.T @ short[picked]
    return Moments(squares, products)


def _opened(layer: Any, shape: tuple[int, ...]) -> Any:
    """A layer that gives, for every output, all inputs that the kernel weighs, in the kernel's order."""
    *window, _ = layer.kernel.shape
    inputs = math.prod(window)
    size = "units" if isinstance(layer, keras.layers.Dense) else "filters"
    opened = type(layer).from_config(layer.get_config() | {size: inputs, "use_bias": False})
    opened.build(shape)
    opened.set_weights([np.eye(inputs).reshape(*window, inputs)])
    return opened


def _move(layer: Any, moments: Moments) -> None:
    """The bias is not held back. A layer without one leaves its part to a normalization behind it."""
    inputs = len(moments.squares) - 1
    pull = PULL * np.trace(moments.squares[:-1, :-1]) / inputs
    if pull > 0:  # something fires
        moved = np.linalg.solve(moments.squares + np.diag([*[pull] * inputs, 0.0]), moments.missing)
        layer.kernel.assign_add(moved[:-1].reshape(layer.kernel.shape))
        if layer.use_bias:
            layer.bias.assign_add(moved[-1])


def _array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)
