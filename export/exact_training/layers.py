"""A Network and what was decided for it, as Keras layers that compute its integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import exact

from ..describe.assemble import SEQUENCE, SINGLE
from ..describe.rules.exact import check_exact
from ..network import nodes
from ..network.nodes import NO_PADDING, Node
from ..network.queries import count_bound, repeated
from ..padding import same_padding
from ..program.grid import BINARY_SPIKE, INT8_MAX, Grid
from ..quantize.current_grids import effective_decay
from ..quantize.emit.context import fused_neuron
from ..quantize.emit.linear import integer_weights
from ..quantize.integer_neuron import step
from .decisions import DTYPE, Decisions, Layers


def exact_layers(decisions: Decisions, node: Node) -> Layers:
    """Layers for a node that reads one value, in order; those of `SEQUENCES` see all timesteps, the others one.

    Raises:
        ValueError: for what has no exact layer, or sums that float32 cannot count.
    """
    if type(node) in EXACT:
        return EXACT[type(node)](decisions, node)
    if type(node) in SEQUENCE:
        return SEQUENCE[type(node)](decisions.folded, node, DTYPE)
    return SINGLE[type(node)](node, decisions.folded[node.inputs[0]], DTYPE)


def exact_add(decisions: Decisions, node: nodes.Add) -> exact.ExactAdd:
    """A spike beside a current is worth a unit of 2 * threshold."""
    quiet_steps = decisions.quiet_steps(node.name)
    unit = 1 if quiet_steps is None else round(1 / step(quiet_steps))
    spikes = (count_bound(decisions.folded, decisions.folded[name]) is not None for name in node.inputs)
    return exact.ExactAdd([unit if bare else 1 for bare in spikes], name=node.name, dtype=DTYPE)


def exact_input(decisions: Decisions, node: nodes.Input) -> exact.ExactInput:
    grid, input_range = decisions.grid(node.name), decisions.context.input_ranges[node.name]
    name = f"{node.name}_integers"
    return exact.ExactInput(input_range, grid.scale, grid.zero_point, name=name, dtype=DTYPE)


def _lif(decisions: Decisions, node: nodes.LIF) -> Layers:
    quiet_steps = decisions.quiet_steps(node.inputs[0])
    source = repeated(decisions.folded, node.inputs[0])
    spikes = Grid(1.0, low=-node.levels if node.signed else 0, high=node.levels)
    fused = decisions.grid(node.inputs[0]) == spikes != BINARY_SPIKE
    fires_only = fused and not isinstance(source, nodes.Add)
    options = {"signed": node.signed, "levels": node.levels, "fires_only": fires_only}
    options |= {"name": node.name, "dtype": DTYPE}
    return [(exact.ExactLIF(str(effective_decay(decisions.folded, node)), quiet_steps, **options), [])]


def _sum_pool(decisions: Decisions, node: nodes.SumPool) -> Layers:
    return [(exact.ExactSumPooling2D(node.size, node.strides, name=node.name, dtype=DTYPE), [])]


def _time_sum(decisions: Decisions, node: nodes.TimeSum) -> Layers:
    return [(exact.ExactTimeSum(name=node.name, dtype=DTYPE), [])]


def _affine(decisions: Decisions, node: nodes.Affine) -> Layers:
    """A shortcut's factor, an offset behind the input, or the output's scale."""
    quiet_steps = decisions.quiet_steps(node.name)
    if quiet_steps is not None:
        steps = np.floor(np.atleast_1d(node.scale) / step(quiet_steps) + 0.5).astype(int).tolist()
        return [(exact.ExactShortcut(steps, step(quiet_steps), name=node.name, dtype=DTYPE), [])]
    source = decisions.folded[node.inputs[0]]
    if isinstance(source, nodes.Input) and np.all(node.scale == 1):
        return [(_shift(decisions, node, float(node.offset.flat[0])), [])]
    sign = float(np.sign(node.scale.flat[0]))
    return [(keras.layers.Rescaling(sign * decisions.grid(node.name).scale, name=node.name, dtype=DTYPE), [])]


def _shift(decisions: Decisions, node: nodes.Affine, offset: float) -> exact.ExactShift:
    before, after = decisions.grid(node.inputs[0]), decisions.grid(node.name)
    if before.scale != after.scale:
        raise ValueError(
            f"An offset behind an input must be the only reader of that input. Received: layer {node.name!r} with "
            f"offset={offset:g}, beside others. Use the same Rescaling for all of them."
        )
    return exact.ExactShift(before.zero_point - after.zero_point, offset, name=node.name, dtype=DTYPE)


def linear(kind: type[exact.ExactLinear], **options: Any) -> Callable[[Decisions, Node], Layers]:
    """options: of the layer, each a function of the node and of the Node that it reads."""

    def layers(decisions: Decisions, node: nodes.Linear) -> Layers:
        emitted = decisions.context.network[node.name]
        source, target = decisions.grid(emitted.inputs[0]), decisions.grid(node.name)
        weights = integer_weights(emitted, source, target)
        runs = emitted.kernel.size // node.kernel.size  # a Dense behind a sum that was cut repeats its kernel
        quiet_steps, fires = decisions.quiet_steps(node.name), fused_neuron(decisions.context, emitted) is not None
        check_exact(node.name, weights.kernel.astype(np.float64), weights.bias, source.bound)
        layer = kind(
            multipliers=[str(multiplier) for multiplier in weights.multipliers],
            input_scale=source.scale,
            output_scale=target.scale,
            output_zero_point=target.zero_point,
            input_bound=source.bound * runs,
            rounded=not fires,
            reach=None if fires or quiet_steps is None else max(2 * quiet_steps + 1, INT8_MAX),
            masked=bool(np.any(node.kernel == 0)),
            name=node.name,
            dtype=DTYPE,
            **{name: option(node, decisions.folded[node.inputs[0]]) for name, option in options.items()},
        )
        return [(layer, _weights(layer, node, weights.kernel[: len(weights.kernel) // runs], weights.bias))]

    return layers


def _size(node: Node, source: Node) -> tuple[int, int]:
    return node.kernel.shape[:2]


def _strides(node: Node, source: Node) -> tuple[int, int]:
    return node.strides


def _keras_padding(node: nodes.Conv | nodes.DepthwiseConv, source: Node) -> str | nodes.Padding:
    axes = zip(source.shape[:2], node.kernel.shape[:2], node.strides, node.dilation, strict=True)
    if node.padding == NO_PADDING:
        return "valid"
    return "same" if node.padding == tuple(same_padding(*axis) for axis in axes) else node.padding


WINDOW = {
    "kernel_size": _size,
    "strides": _strides,
    "dilation_rate": lambda node, source: node.dilation,
    "padding": _keras_padding,
}

LINEARS: Mapping[type[Node], Callable[[Decisions, Any], Layers]] = {
    nodes.Dense: linear(exact.ExactDense),
    nodes.Conv: linear(exact.ExactConv2D, **WINDOW),
    nodes.DepthwiseConv: linear(exact.ExactDepthwiseConv2D, **WINDOW),
    nodes.ConvTranspose: linear(
        exact.ExactConv2DTranspose,
        kernel_size=_size,
        strides=_strides,
        cropping=lambda node, source: node.cropping,
    ),
}


EXACT: Mapping[type[Node], Callable[[Decisions, Any], Layers]] = {
    **LINEARS,
    nodes.LIF: _lif,
    nodes.SumPool: _sum_pool,
    nodes.TimeSum: _time_sum,
    nodes.Affine: _affine,
}
SEQUENCES = (*SEQUENCE, nodes.Affine)


def _weights(layer: exact.ExactLinear, node: nodes.Linear, kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Float32 weights of `node` that the layer rounds to these integers, and where kernel numbers may differ from 0."""
    kernel_rounding, bias_rounding = layer.roundings(node.kernel.shape)
    values = [
        rounding_to(kernel.reshape(node.kernel.shape), node.kernel, kernel_rounding),
        rounding_to(bias, node.bias, bias_rounding),
    ]
    return [*values, (node.kernel != 0).astype(np.float32)] if layer.masked else values


def rounding_to(integers: np.ndarray, weights: np.ndarray, rounding: Any) -> np.ndarray:
    """`weights` in float32; where that is rounded elsewhere than in float64, the middle of the step."""
    weights, steps = weights.astype(np.float32), integers / rounding.step
    middle = (steps / rounding.inverse).astype(np.float32)
    return np.where(np.rint(weights * rounding.inverse) == steps, weights, middle)
