"""A Keras model of binary neurons as a NIR graph, as far as NIR can say what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from keras import ops

from ..layers.lif import LIF, BinaryLIF
from ..layers.time_axis import DirectEncoding, TimeAverage
from ..layers.trace import Call, trace
from .nir import DT, library

PASSED = (DirectEncoding, TimeAverage, keras.layers.Dropout, keras.layers.SpatialDropout2D)
WAY_OUT = (
    "NIR has neither ternary and graded spikes nor soft resets: keep the Keras model, or train BinaryLIF(reset='zero')."
)


@dataclass(frozen=True)
class _Source:
    """The value of a call in the graph.

    nodes: whose sum it is. shape: (channels, height, width) or (features,). factor: amplitude that the next kernels
    take in. padding: pixels that the next convolution adds. places: of flattened features, (height, width, channels).
    """

    nodes: tuple[str, ...]
    shape: tuple[int, ...]
    factor: float = 1.0
    padding: tuple[int, int] = (0, 0)
    places: tuple[int, ...] | None = None


@dataclass
class _Graph:
    """Nodes and edges so far."""

    nir: Any
    dt: float
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, node: Any, sources: tuple[str, ...]) -> tuple[str]:
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return (name,)


def to_nir(model: keras.Model, *, dt: float = DT) -> Any:
    """A NIR graph with the weights and dynamics of a model of binary neurons; channels come first in it.

    Batch normalization and amplitudes go into the kernels beside them, in float32. DirectEncoding, a mean over time at
    the end and dropout are left out, since NIR has no timesteps: what runs the graph repeats inputs and takes means.

    Args:
        model: with Conv2D, Dense, BatchNormalization, AveragePooling2D, GlobalAveragePooling2D, ZeroPadding2D, Flatten,
            Add, and BinaryLIF(reset="zero").
        dt: Float > 0, seconds of a timestep. Default: 1e-4.

    Returns:
        A `nir.NIRGraph`; `nir.write(path, graph)` saves it.

    Raises:
        ValueError: naming the layer that NIR cannot describe exactly, and the way out.
        ImportError: if `nir` is not installed.
    """
    if not 0 < dt < float("inf"):
        raise ValueError(f"`dt` must be positive and finite. Received: dt={dt}")
    graph, traced = _Graph(library(), dt), trace(model)
    if len(traced.outputs) != 1 or len(model.inputs) != 1:
        raise ValueError(f"The model must have one input and one output. Received: {model.name!r}")
    found: list[_Source] = []
    for index, call in enumerate(traced.calls):
        readers = [traced.calls[reader] for reader in traced.readers(index)]
        found.append(_source(graph, call, [found[source] for source in call.sources], readers))
    last = found[traced.outputs[0]]
    if last.factor != 1 or last.padding != (0, 0) or last.places is not None:
        raise ValueError(
            "The model must end in a Dense layer or in neurons of amplitude 1: NIR has no scale of spikes."
        )
    graph.add("output", graph.nir.Output({"output": np.array(last.shape)}), last.nodes)
    return graph.nir.NIRGraph(graph.nodes, graph.edges)


def _source(graph: _Graph, call: Call, sources: list[_Source], readers: list[Call]) -> _Source:
    layer = call.layer
    if isinstance(layer, keras.layers.InputLayer):
        static = any(isinstance(reader.layer, DirectEncoding) for reader in readers)
        *places, channels = layer.batch_shape[1 if static else 2 :]
        shape = (channels, *places)
        return _Source(graph.add("input", graph.nir.Input({"input": np.array(shape)}), ()), shape)
    if isinstance(layer, PASSED):
        return sources[0]
    if isinstance(layer, keras.layers.Add):
        return _added(layer, sources)
    for kind, write in WRITERS.items():
        if isinstance(layer, kind):
            source = sources[0]
            if source.padding != (0, 0) and kind is not keras.layers.Conv2D:
                raise ValueError(f"ZeroPadding2D in front of {layer.name!r} must be in front of a Conv2D.")
            return write(graph, layer, source)
    raise ValueError(f"NIR cannot describe layer {layer.name!r} ({type(layer).__name__}). {WAY_OUT}")


def _added(layer: Any, sources: list[_Source]) -> _Source:
    nodes = tuple(name for source in sources for name in source.nodes)
    first = replace(sources[0], nodes=())
    if len({*nodes}) < len(nodes) or any(replace(source, nodes=()) != first for source in sources):
        raise ValueError(f"Values added by {layer.name!r} must be different ones of the same shape and amplitude.")
    return replace(sources[0], nodes=nodes)


def _conv2d(graph: _Graph, layer: Any, source: _Source) -> _Source:
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    padding: Any = source.padding
    if layer.padding == "same":
        reach = [step * (side - 1) for step, side in zip(dilation, layer.kernel_size, strict=True)]
        if strides != (1, 1) or any(pixels % 2 for pixels in reach) or source.padding != (0, 0):
            raise ValueError(
                f'padding="same" of {layer.name!r} is uneven, which NIR cannot say. Use ZeroPadding2D and "valid".'
            )
        padding = tuple(pixels // 2 for pixels in reach)
    elif layer.padding != "valid":
        raise ValueError(f'padding={layer.padding!r} of {layer.name!r} must be "valid" or "same".')
    kernel, bias = _weights(layer)
    node = graph.nir.Conv2d(
        input_shape=source.shape[1:],
        weight=kernel.transpose(3, 2, 0, 1) * np.float32(source.factor),
        stride=strides,
        padding=padding,
        dilation=dilation,
        groups=layer.groups,
        bias=bias,
    )
    *places, channels = layer.compute_output_shape((1, *_padded(source), source.shape[0]))[1:]
    return _Source(graph.add(layer.name, node, source.nodes), (channels, *places))


def _padded(source: _Source) -> tuple[int, ...]:
    return tuple(size + 2 * pixels for size, pixels in zip(source.shape[1:], source.padding, strict=True))


def _dense(graph: _Graph, layer: Any, source: _Source) -> _Source:
    if len(source.shape) != 1:
        raise ValueError(f"Dense layer {layer.name!r} must read features. Put a Flatten in front of it.")
    kernel, bias = _weights(layer)
    kernel = kernel.T * np.float32(source.factor)
    if source.places is not None:
        kernel = kernel.reshape(-1, *source.places).transpose(0, 3, 1, 2).reshape(len(kernel), -1)
    return _Source(graph.add(layer.name, graph.nir.Affine(kernel, bias), source.nodes), (len(kernel),))


def _weights(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a layer that computes nothing but them."""
    if layer.activation is not keras.activations.linear:
        raise ValueError(f"Layer {layer.name!r} must have no activation. Put a BinaryLIF behind it.")
    kernel = ops.convert_to_numpy(layer.kernel)
    return kernel, ops.convert_to_numpy(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1], np.float32)


def _normalization(graph: _Graph, layer: Any, source: _Source) -> _Source:
    """Into the kernel in front."""
    (name,) = source.nodes if len(source.nodes) == 1 else ("",)
    node = graph.nodes.get(name)
    if not isinstance(node, graph.nir.Conv2d | graph.nir.Affine) or any(start == name for start, _ in graph.edges):
        raise ValueError(f"Batch normalization {layer.name!r} must be right behind a Conv2D or Dense of its own.")
    mean, variance = (ops.convert_to_numpy(weight) for weight in (layer.moving_mean, layer.moving_variance))
    factor = (1.0 if layer.gamma is None else ops.convert_to_numpy(layer.gamma)) / np.sqrt(variance + layer.epsilon)
    beta = 0.0 if layer.beta is None else ops.convert_to_numpy(layer.beta)
    node.weight = (node.weight * factor.reshape(-1, *[1] * (node.weight.ndim - 1))).astype(np.float32)
    node.bias = ((node.bias - mean) * factor + beta).astype(np.float32)
    return source


def _neuron(graph: _Graph, layer: Any, source: _Source) -> _Source:
    if not isinstance(layer, BinaryLIF) or layer.cell.dynamics.reset != "zero":
        raise ValueError(f"NIR cannot describe layer {layer.name!r} ({type(layer).__name__}). {WAY_OUT}")
    amplitude = np.unique(ops.convert_to_numpy(layer.amplitude))
    if len(amplitude) != 1:
        raise ValueError(f"Layer {layer.name!r} must have one amplitude for NIR. Received: {len(amplitude)}")
    decay, threshold = (_everywhere(number, source.shape) for number in (layer.decay, layer.threshold))
    if np.all(decay == 1):
        node = graph.nir.IF(np.full_like(threshold, 1 / graph.dt), threshold)
    elif np.any(decay == 1):
        raise ValueError(f"Decays of layer {layer.name!r} must all be 1, or none of them.")
    else:
        tau = graph.dt / (1 - decay)
        node = graph.nir.LIF(tau, tau / graph.dt, np.zeros_like(threshold), threshold)
    return replace(source, nodes=graph.add(layer.name, node, source.nodes), factor=float(amplitude[0]))


def _everywhere(number: Any, shape: tuple[int, ...]) -> np.ndarray:
    """One number for each neuron, `shape`."""
    number = np.asarray(ops.convert_to_numpy(number), np.float64)
    return np.broadcast_to(number.reshape(-1, *[1] * (len(shape) - 1)), shape).copy()


def _pool(graph: _Graph, layer: Any, source: _Source) -> _Source:
    if layer.padding != "valid":
        raise ValueError(f'Pooling {layer.name!r} must have padding="valid" for NIR. Received: {layer.padding!r}')
    size, strides = (np.array(numbers) for numbers in (layer.pool_size, layer.strides))
    *places, channels = layer.compute_output_shape((1, *source.shape[1:], source.shape[0]))[1:]
    node = graph.nir.AvgPool2d(size, strides, np.zeros(2, int))
    return replace(source, nodes=graph.add(layer.name, node, source.nodes), shape=(channels, *places))


def _global_pool(graph: _Graph, layer: Any, source: _Source) -> _Source:
    node = graph.nir.AvgPool2d(np.array(source.shape[1:]), np.array(source.shape[1:]), np.zeros(2, int))
    pooled = graph.add(layer.name, node, source.nodes)
    shape = (source.shape[0], 1, 1)
    if layer.keepdims:
        return replace(source, nodes=pooled, shape=shape)
    flat = graph.add(f"{layer.name}_flat", graph.nir.Flatten({"input": np.array(shape)}, 0), pooled)
    return replace(source, nodes=flat, shape=(source.shape[0],))


def _padding(graph: _Graph, layer: Any, source: _Source) -> _Source:
    (top, bottom), (left, right) = layer.padding
    if top != bottom or left != right:
        raise ValueError(f"ZeroPadding2D {layer.name!r} must be even for NIR. Received: padding={layer.padding}")
    return replace(source, padding=(top, left))


def _flatten(graph: _Graph, layer: Any, source: _Source) -> _Source:
    if len(source.shape) == 1:
        return source
    node = graph.nir.Flatten({"input": np.array(source.shape)}, 0)
    places = (*source.shape[1:], source.shape[0])
    flat = (int(np.prod(source.shape)),)
    return replace(source, nodes=graph.add(layer.name, node, source.nodes), shape=flat, places=places)


WRITERS: Mapping[type, Callable[[_Graph, Any, _Source], _Source]] = {
    keras.layers.Conv2D: _conv2d,
    keras.layers.Dense: _dense,
    keras.layers.BatchNormalization: _normalization,
    LIF: _neuron,
    keras.layers.AveragePooling2D: _pool,
    keras.layers.GlobalAveragePooling2D: _global_pool,
    keras.layers.ZeroPadding2D: _padding,
    keras.layers.Flatten: _flatten,
}
