"""Grids of values that no neuron bounds: the network's outputs, and values between two linear layers.

An output's grid holds, in this order: the range that is known of it, given or found on samples; everything that any
input can bring, where the output is one number; twice what noise brings, where it is several and that is finer. A
single number has no neighbours to be compared with: there every saturation is an error. In each case it holds what one
step of one input brings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...network import nodes
from ...network.linear_algebra import factors
from ...program.builder import Builder
from ...program.grid import INT8_MAX, INT8_MIN, Grid, float32, input_grid, with_zero
from ...program.names import Name
from ..input_ranges import Range
from ..weights import DENOMINATOR
from .linear import Emission, emit_linear, integer_weights

WIDENINGS = 4  # each for the steps that rounding added; one is enough but for kernels of a few steps
MARGIN = 2.0  # real images reach further than synthetic ones
PROBE_SAMPLES = (4, 64)  # at least, at most
PROBE_WORK = 2**34  # multiply-accumulates to spend on synthetic inputs: a second or two


@dataclass(frozen=True)
class OutputGrid:
    """The grid of an output. guessed: real samples may reach further."""

    grid: Grid
    guessed: bool = False


def output_grid(node: nodes.Linear, source: Grid, known: Range | None, probe: Callable[[], np.ndarray]) -> OutputGrid:
    """Of a linear node whose value leaves the network.

    known: (low, high), in real units. probe: gives int8 inputs of `node` for noise, `(samples, *shape)`.
    """
    if known is not None:
        widening = max(1.0, least_scale(node, source) / input_grid(*known).scale)
        return OutputGrid(input_grid(*(end * widening for end in known)))
    if node.shape[-1] == 1:
        return OutputGrid(proven_grid(node, source))
    grid = logit_grid(node, probe(), source)
    return OutputGrid(grid, guessed=grid.scale < worst_case_grid(node, source).scale)


def proven_grid(node: nodes.Linear, source: Grid) -> Grid:
    """Holds every value that `node`, with its integers, can compute from any input on `source`."""
    low, high = real_range(node, source)
    for _ in range(WIDENINGS):  # rounded kernels may reach a few steps further
        grid = input_grid(low, high)
        reached = integer_range(node, source, grid)
        if grid.low <= reached[0] and reached[1] <= grid.high:
            break
        low, high = min(low, reached[0] * grid.scale), max(high, reached[1] * grid.scale)
    return grid


def factor_grid(node: nodes.Linear, source: Grid) -> Grid:
    """Of an input with a factor and an offset per channel: what it can reach, and the factor without rounding.

    Where all factors are alike the step is a little coarser, so that the input's is n / DENOMINATOR of it, the
    multiplier that `quantize_weights` finds for kernels of one magnitude.
    """
    grid, sizes = proven_grid(node, source), np.abs(factors(node))
    numerator = math.floor(DENOMINATOR * (ratio := sizes.max() * source.scale / grid.scale))
    if np.ptp(sizes) or numerator <= DENOMINATOR // 2:
        return grid
    return replace(grid, scale=float32(grid.scale * ratio * DENOMINATOR / numerator))


def real_range(node: nodes.Linear, source: Grid) -> Range:
    """(smallest, largest) value over all channels, every input at its worst."""
    low, high = _extremes(_columns(node, node.kernel) * source.scale, source)
    low, high = float((low + node.bias).min()), float((high + node.bias).max())
    return (low, high) if low < 0 or high > 0 else (0.0, 1.0)  # all 0: any grid


def integer_range(node: nodes.Linear, source: Grid, target: Grid) -> tuple[int, int]:
    """As `real_range` of the rounded kernel, in steps of `target`, before anything saturates."""
    weights = integer_weights(node, source, target)
    multiplier = np.array([float(multiplier) for multiplier in weights.multipliers])
    low, high = _extremes(_columns(node, weights.kernel.astype(np.float64)), source)
    low, high = (np.rint((end + weights.bias) * multiplier) for end in (low, high))
    return int(low.min()), int(high.max())


def _extremes(kernel: np.ndarray, source: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest sum of each column times integers of `source`, or 0 where images are padded."""
    source, above, below = with_zero(source), np.maximum(kernel, 0).sum(axis=0), np.minimum(kernel, 0).sum(axis=0)
    return above * source.low + below * source.high, above * source.high + below * source.low


def worst_case_grid(node: nodes.Linear, source: Grid) -> Grid:
    """Holds every value that `node` can compute from any input on `source`."""
    worst = np.abs(_columns(node, node.kernel)).sum(axis=0) * source.bound * source.scale + np.abs(node.bias)
    return Grid(float32(max(worst.max(), np.finfo(np.float32).tiny) / INT8_MAX))


def _columns(node: nodes.Linear, kernel: np.ndarray) -> np.ndarray:
    """The kernel of a node as (inputs per output, channels), for convolutions and depthwise convolutions alike."""
    taps = math.prod(kernel.shape[:2]) if isinstance(node, nodes.DepthwiseConv) else -1
    return kernel.reshape(taps, len(node.bias))


def logit_grid(node: nodes.Linear, samples: np.ndarray, source: Grid) -> Grid:
    """Holds twice the largest output over `samples`, but no more than can occur.

    samples: int8 inputs of `node`, `(samples, *shape)`.
    """
    grid = worst_case_grid(node, source)
    if not np.ptp(samples):  # of a network that is silent on noise it tells nothing
        return grid
    for _ in range(2):  # the second look is at the resolution that the first one found
        reached = _largest_output(node, samples, source, grid) * grid.scale
        grid = Grid(float32(min(grid.scale, MARGIN * (reached + grid.scale) / INT8_MAX)))
    return Grid(float32(max(grid.scale, least_scale(node, source))))


def least_scale(node: nodes.Linear, source: Grid) -> float:
    """Of a grid that holds what one step of one input brings."""
    return float(np.abs(node.kernel).max()) * source.scale / INT8_MAX


def _largest_output(node: nodes.Linear, samples: np.ndarray, source: Grid, grid: Grid) -> int:
    builder = Builder()
    tensor = builder.activation("samples", samples.shape[1:], source)
    output = emit_linear(builder, node, tensor, Name("outputs"), source=source, emission=Emission(grid))
    values = builder.program("probe", (tensor,), (output,)).run(samples)
    return int(np.abs(values.astype(np.int32)).max())


def probe(builder: Builder, inputs: tuple[int, ...], tensors: tuple[int, ...]) -> np.ndarray:
    """Values of `tensors` on synthetic inputs, all timesteps stacked: int8 `(samples, *shape)`.

    inputs: the inputs of the program so far; each gets noise of its own.
    """
    values = _probed(builder, inputs, tensors)
    return np.concatenate([values[name] for name in sorted(values)])


def probe_frames(builder: Builder, inputs: tuple[int, ...], tensors: tuple[int, ...]) -> list[np.ndarray]:
    """As `probe`, timestep by timestep: one array for each of `tensors`."""
    values = _probed(builder, inputs, tensors)
    return [values[builder.tensors[index].name] for index in tensors]


def _probed(builder: Builder, inputs: tuple[int, ...], tensors: tuple[int, ...]) -> dict[str, np.ndarray]:
    samples = int(np.clip(PROBE_WORK // max(multiply_accumulates(builder), 1), *PROBE_SAMPLES))
    feeds = {
        builder.tensors[index].name: probe_inputs(builder.shape(index), samples, seed)
        for seed, index in enumerate(inputs)
    }
    names = {builder.tensors[index].name for index in tensors}
    values = feeds | builder.program("probe", inputs, tensors).trace(feeds, keep=names - set(feeds))
    return {name: values[name] for name in names}


def multiply_accumulates(builder: Builder) -> int:
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
