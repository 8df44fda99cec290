"""Networks in NIR, the exchange format of neuromorphic libraries, which keeps time continuous."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..layers.lif import BinaryLIF
from . import channels_last as build
from .channels_last import Value, per_channel
from .torch_modules import pair

DT = 1e-4  # seconds; what snnTorch, SpikingJelly and others write


def from_nir(graph: Any, *, timesteps: int, dt: float = DT, static: bool = False, average: bool = True) -> keras.Model:
    """A NIR graph as a Keras model, its neurons in steps of `dt`.

        decay = 1 - dt / tau        threshold = v_threshold / gain, gain = r * dt / tau, of IF r * dt

    NIR fires above the threshold, this package at it: spikes differ where a membrane is exactly that.

    Args:
        graph: a `nir.NIRGraph`, or the path of a .nir file. Nodes: Input, Output, Conv2d, Linear, Affine, LIF, IF,
            LI, I, AvgPool2d, SumPool2d, Flatten. Values that meet at a node are added.
        timesteps: Integer >= 1.
        dt: Float > 0, seconds of a timestep. Default: 1e-4.
        static, average: as in `from_spikingjelly`.

    Returns:
        A `keras.Model`, not compiled; inputs have their channels last.

    Raises:
        ValueError: naming the node that cannot be taken over exactly: of another kind, a leak or reset to other than 0,
            a time constant below dt, numbers for each pixel, a loop.
        ImportError: if `nir` is not installed.
    """
    nir = library()
    if not 0 < dt < float("inf"):
        raise ValueError(f"`dt` must be positive and finite. Received: dt={dt}")
    graph = nir.read(graph) if isinstance(graph, str | Path) else graph
    entry_name, exit_name = _only(graph, nir.Input), _only(graph, nir.Output)
    shape = next(iter(graph.nodes[entry_name].input_type.values()))
    entry, value = build.sequence_input(shape, timesteps, static=static)
    found = {entry_name: value}
    for name in _order(graph)[1:]:
        sources = [found[source] for source, target in graph.edges if target == name]
        if not sources:
            raise ValueError(f"Node {name!r} has no input. Remove it.")
        value = sources[0] if len(sources) == 1 else build.added(sources, f"{_plain(name)}_sum")
        found[name] = value if name == exit_name else _value(graph.nodes[name], value, name, dt)
    return build.model_of(entry, found[exit_name], average=average)


def library() -> Any:
    try:
        import nir
    except ImportError as error:
        raise ImportError("NIR needs its package: pip install 'keras-ternary-spike[nir]'") from error
    return nir


def _only(graph: Any, kind: type) -> str:
    names = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise ValueError(f"A graph must have one {kind.__name__}. Received: {names}")
    return names[0]


def _order(graph: Any) -> list[str]:
    """Names of nodes, each behind its sources."""
    sources: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for source, target in graph.edges:
        sources[target].add(source)
    try:
        return [*TopologicalSorter(sources).static_order()]
    except CycleError as error:
        raise ValueError(f"A graph must have no loops. Received: {' -> '.join(error.args[1])}") from error


def _value(node: Any, value: Value, name: str, dt: float) -> Value:
    kind = type(node).__name__
    if kind not in NODES:
        raise ValueError(
            f"Cannot import node {name!r} ({kind}). Known: Input, Output, {', '.join(NODES)}. "
            "Replace it by one of them."
        )
    return NODES[kind](node, value, _plain(name), dt)


def _plain(name: str) -> str:
    return name.replace(".", "_").replace("/", "_")


def _conv2d(node: Any, value: Value, name: str, dt: float) -> Value:
    padding = node.padding if isinstance(node.padding, str) else _pair(node.padding)
    geometry = {"strides": _pair(node.stride), "padding": padding, "dilation": _pair(node.dilation)}
    return build.convolution(value, name, weight=node.weight, bias=node.bias, groups=int(node.groups), **geometry)


def _dense(node: Any, value: Value, name: str, dt: float) -> Value:
    return build.linear(value, name, weight=node.weight, bias=getattr(node, "bias", None))


def _average_pool(node: Any, value: Value, name: str, dt: float) -> Value:
    return _pool(node, value, name, "average")


def _sum_pool(node: Any, value: Value, name: str, dt: float) -> Value:
    return _pool(node, value, name, "sum")


def _pool(node: Any, value: Value, name: str, kind: str) -> Value:
    if _pair(node.padding) != (0, 0):
        raise ValueError(f"Node {name!r} must pool without padding. Received: padding={node.padding}")
    return build.pooling(value, name, kind, size=_pair(node.kernel_size), strides=_pair(node.stride))


def _flatten(node: Any, value: Value, name: str, dt: float) -> Value:
    size = next(iter(node.output_type.values()))
    if size is not None and len(size) != 1:
        raise ValueError(f"Node {name!r} must flatten all features. Received: an output of shape {tuple(size)}")
    return build.flatten(value, name)


def _check_leak(node: Any, name: str, dt: float) -> None:
    if np.any(node.tau < dt):
        raise ValueError(f"Time constants of {name!r} must be at least dt={dt}. Received: {float(np.min(node.tau))}")
    if np.any(node.v_leak):
        raise ValueError(f"Node {name!r} must leak towards 0. Received: v_leak={float(np.max(np.abs(node.v_leak)))}")


def _leaky_integrator(node: Any, value: Value, name: str, dt: float) -> Value:
    _check_leak(node, name, dt)
    decay = per_channel(value, 1 - dt / node.tau, "tau", name)
    return build.integrator(value, name, decay=decay, gain=per_channel(value, node.r * dt / node.tau, "r", name))


def _integrator(node: Any, value: Value, name: str, dt: float) -> Value:
    return build.integrator(value, name, decay=1.0, gain=per_channel(value, node.r * dt, "r", name))


def _lif(node: Any, value: Value, name: str, dt: float) -> Value:
    _check_leak(node, name, dt)
    return _neuron(node, value, name, decay=1 - dt / node.tau, gain=node.r * dt / node.tau)


def _integrate_and_fire(node: Any, value: Value, name: str, dt: float) -> Value:
    return _neuron(node, value, name, decay=1.0, gain=node.r * dt)


def _neuron(node: Any, value: Value, name: str, *, decay: Any, gain: Any) -> Value:
    if np.any(node.v_reset):
        raise ValueError(f"Node {name!r} must reset to 0. Received: v_reset={float(np.max(np.abs(node.v_reset)))}")
    if np.any(gain <= 0) or np.any(node.v_threshold <= 0):
        raise ValueError(f"Node {name!r} must have positive r and v_threshold.")
    layer = BinaryLIF(
        decay=per_channel(value, decay, "tau", name),
        threshold=per_channel(value, node.v_threshold / gain, "v_threshold", name),
        reset="zero",
        trainable_amplitude=False,
        name=name,
    )
    return Value(layer(value.tensor), value.shape, value.order)


def _pair(sizes: Any) -> tuple[int, int]:
    sizes = np.asarray(sizes).tolist()
    return tuple(int(size) for size in pair(sizes))


NODES: Mapping[str, Callable[[Any, Value, str, float], Value]] = {
    "Conv2d": _conv2d,
    "Linear": _dense,
    "Affine": _dense,
    "LIF": _lif,
    "IF": _integrate_and_fire,
    "LI": _leaky_integrator,
    "I": _integrator,
    "AvgPool2d": _average_pool,
    "SumPool2d": _sum_pool,
    "Flatten": _flatten,
}
