"""Grids of values that no neuron bounds: the network's outputs, and values between two linear layers."""

from __future__ import annotations

import math

import numpy as np

from ...network import nodes
from ...program.builder import Builder
from ...program.grid import INT8_MAX, INT8_MIN, Grid, float32
from ...program.names import Name
from .linear import Target, emit_linear

MARGIN = 2.0  # real images reach further than synthetic ones
PROBE_SAMPLES = (4, 64)  # at least, at most
PROBE_WORK = 2**34  # multiply-accumulates to spend on synthetic inputs: a second or two


def worst_case_grid(node: nodes.Linear, source: Grid) -> Grid:
    """Holds every value that `node` can compute from any input on `source`."""
    kernel = np.abs(node.kernel).reshape(-1, len(node.bias)) if node.kernel.ndim != 4 else _fan_in(node)
    worst = kernel.sum(axis=0) * source.bound * source.scale + np.abs(node.bias)
    return Grid(float32(max(worst.max(), np.finfo(np.float32).tiny) / INT8_MAX))


def _fan_in(node: nodes.Linear) -> np.ndarray:
    """|kernel| as (inputs per output, channels), for convolutions and depthwise convolutions alike."""
    height, width, *rest = node.kernel.shape
    shape = (-1, len(node.bias)) if rest[1] == len(node.bias) else (height * width, len(node.bias))
    return np.abs(node.kernel).reshape(shape)


def logit_grid(node: nodes.Linear, samples: np.ndarray, source: Grid) -> Grid:
    """Holds twice the largest output over `samples`, but no more than can occur.

    samples: int8 inputs of `node`, `(samples, *shape)`.
    """
    grid = worst_case_grid(node, source)
    for _ in range(2):  # the second look is at the resolution that the first one found
        reached = _largest_output(node, samples, source, grid) * grid.scale
        grid = Grid(float32(min(grid.scale, MARGIN * (reached + grid.scale) / INT8_MAX)))
    return grid


def _largest_output(node: nodes.Linear, samples: np.ndarray, source: Grid, grid: Grid) -> int:
    builder = Builder()
    tensor = builder.activation("samples", samples.shape[1:], source)
    output = emit_linear(builder, node, tensor, Name("outputs"), source=source, target=Target(grid))
    values = builder.program("probe", (tensor,), (output,)).run(samples)
    return int(np.abs(values.astype(np.int32)).max())


def probe(builder: Builder, inputs: tuple[int, ...], tensors: tuple[int, ...]) -> np.ndarray:
    """Values of `tensors` on synthetic inputs, all timesteps stacked: int8 `(samples, *shape)`.

    inputs: the inputs of the program so far; each gets noise of its own.
    """
    samples = int(np.clip(PROBE_WORK // max(work(builder), 1), *PROBE_SAMPLES))
    feeds = {
        builder.tensors[index].name: probe_inputs(builder.shape(index), samples, seed)
        for seed, index in enumerate(inputs)
    }
    names = {builder.tensors[index].name for index in tensors}
    values = feeds | builder.program("probe", inputs, tensors).trace(feeds, keep=names - set(feeds))
    return np.concatenate([values[name] for name in sorted(names)])


def work(builder: Builder) -> int:
    """Multiply-accumulates of the linear operators so far, for one sample."""
    total = 0
    for operator in builder.operators:
        kernel = builder.tensors[operator.inputs[1]] if len(operator.inputs) > 2 else None
        if kernel is not None and kernel.data is not None and kernel.dtype == "int8":
            total += kernel.data.size * math.prod(builder.shape(operator.output)[:-1])
    return total


def probe_inputs(shape: tuple[int, ...], samples: int, seed: int = 0) -> np.ndarray:
    """int8 noise of many spatial frequencies and contrasts, `(samples, *shape)`.

    The last axis holds channels; the two before it, if any, are smoothed over blocks of 1, 2, 4, ... pixels.
    """
    rng = np.random.default_rng(seed)
    return np.stack([_probe(rng, shape, 2 ** (sample % 4)) for sample in range(samples)])


def _probe(rng: np.random.Generator, shape: tuple[int, ...], block: int) -> np.ndarray:
    field = rng.random(shape)
    if len(shape) >= 3:
        coarse = rng.random((*shape[:-3], -(-shape[-3] // block), -(-shape[-2] // block), shape[-1]))
        field = coarse.repeat(block, axis=-3).repeat(block, axis=-2)[..., : shape[-3], : shape[-2], :]
    exponent = rng.choice([0.25, 1.0, 4.0])  # mostly bright, balanced, mostly dark
    return np.rint(INT8_MIN + (INT8_MAX - INT8_MIN) * field**exponent).astype(np.int8)
