"""A PyTorch module as a Keras model: its graph by torch.fx, torch.nn's layers, neurons of the library's own file."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ..layers.lif import LIF
from . import channels_last as build
from .channels_last import Value

Neuron = Callable[[Any, Value, str], LIF]
Readout = Callable[[Any, Value, str], Value]
SKIPPED = ("Dropout", "Dropout2d", "Identity")
LIBRARIES = ("torch.nn.", "spikingjelly.", "snntorch.")


def model_from(
    module: Any,
    input_shape: Sequence[int],
    *,
    neurons: Mapping[str, Neuron],
    readouts: Mapping[str, Readout] | None = None,
    timesteps: int,
    static: bool,
    average: bool,
) -> keras.Model:
    """A Keras model of a PyTorch module.

    Args:
        module: a `torch.nn.Module` of layers known here; its forward may add, join and flatten.
        input_shape: (channels, height, width) or (features,), without batch and timesteps.
        neurons: by the name of a class, what makes the spiking layer of one of its modules.
        readouts: by the name of a class, what makes of a value the membranes of one that never fires. Default: none.
        timesteps, static, average: as in `from_spikingjelly`.

    Raises:
        ValueError: naming what is not known.
    """
    entry, value = build.sequence_input(input_shape, timesteps, static=static)
    return build.model_of(entry, _Walk(module, neurons, readouts or {}).result(value), average=average)


class _Walk:
    """The graph of a module, node after node."""

    def __init__(self, module: Any, neurons: Mapping[str, Neuron], readouts: Mapping[str, Readout]) -> None:
        self.module, self.neurons, self.layers = module, neurons, {**LAYERS, **readouts}
        self.calls: dict[str, int] = {}

    def result(self, value: Value) -> Value:
        found: dict[Any, Any] = {}
        for node in _graph(self.module).nodes:
            if node.op == "placeholder":
                if found:
                    raise ValueError(f"A module must have one input. Received: a second one, {node.target!r}")
                found[node] = value
            elif node.op == "output":
                return self._only(node.args[0], found)
            else:
                found[node] = self._value(node, found)
        raise ValueError("A module must return its output.")

    def _only(self, node: Any, found: Mapping[Any, Any]) -> Value:
        if node not in found:
            raise ValueError(f"A module must return one tensor. Received: {node}")
        return found[node]

    def _value(self, node: Any, found: Mapping[Any, Any]) -> Value:
        if node.op == "call_module":
            if len(node.args) != 1 or node.kwargs:
                raise ValueError(f"Layer {node.target!r} must be called with one tensor. Received: {node.args}")
            return self._layer(self.module.get_submodule(node.target), found[node.args[0]], self._name(node.target))
        if node.op in ("call_function", "call_method"):
            return _operation(node, found)
        raise ValueError(f"A module's own tensors are not known. Received: {node.target!r}. Use a Linear or Conv2d.")

    def _name(self, path: str) -> str:
        """Of a layer: its path; a number behind it where it is called again."""
        self.calls[path] = self.calls.get(path, 0) + 1
        name = path.replace(".", "_")
        return name if self.calls[path] == 1 else f"{name}_{self.calls[path]}"

    def _layer(self, module: Any, value: Value, name: str) -> Value:
        kind = type(module).__name__
        if kind in CONTAINERS:
            for child, part in module.named_children():
                value = self._layer(part, value, f"{name}_{child}")
            return value
        if not f"{type(module).__module__}.".startswith(LIBRARIES) or kind not in {*self.layers, *self.neurons}:
            known = ", ".join(sorted({*self.layers, *self.neurons}))
            raise ValueError(
                f"Cannot import layer {name!r} ({kind}): nothing is known of it. Known: {known}. Replace it by one of "
                "them and train again."
            )
        if module._forward_hooks or module._forward_pre_hooks:
            raise ValueError(f"Layer {name!r} ({kind}) must have no hooks: they change what it computes. Remove them.")
        if not value.sequence:
            raise ValueError(
                f"Layer {name!r} ({kind}) must have timesteps to read. Remove `decode` of what is in front."
            )
        if kind in self.neurons:
            tensor = self.neurons[kind](module, value, name)(value.tensor)
            return Value(tensor, value.shape, value.order)
        return self.layers[kind](module, value, name)


def _graph(module: Any) -> Any:
    from torch import fx, nn

    class Tracer(fx.Tracer):
        """Layers of libraries are leaves: their graphs, with states and loops over time, are known here."""

        def is_leaf_module(self, leaf: nn.Module, name: str) -> bool:
            return type(leaf) is not nn.Sequential and f"{type(leaf).__module__}.".startswith(LIBRARIES)

    try:
        return Tracer().trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise ValueError(
            f"The forward of {type(module).__name__} cannot be followed: {error}. Let it call layers without loops "
            "over time and without states of its own: multi-step layers in SpikingJelly, init_hidden=True in snnTorch."
        ) from error


def _operation(node: Any, found: Mapping[Any, Any]) -> Value:
    """A function or method between layers."""
    import torch

    name, values = node.name, [found[argument] for argument in _nodes(node)]
    if node.target in (operator.add, operator.iadd, torch.add, "add", "add_"):
        if len(values) != 2 or node.kwargs:
            raise ValueError(f"Only tensors are added. Received: {node.format_node()}")
        return build.added(values, name)
    if node.target in (torch.cat, torch.concat):
        return build.joined(values, name)
    if node.target in (torch.flatten, "flatten"):
        return build.flatten(values[0], name)
    target = getattr(node.target, "__name__", node.target)
    raise ValueError(
        f"Cannot import the operation {target!r} ({node.format_node()}). Known between layers: +, torch.cat, "
        "torch.flatten. Means over time: average=True, or False and TimeAverage of your own."
    )


def _nodes(node: Any) -> list[Any]:
    first = node.args[0]
    tensors = first if isinstance(first, list | tuple) else [part for part in node.args if hasattr(part, "op")]
    return list(tensors)


def _conv2d(module: Any, value: Value, name: str) -> Value:
    if module.padding_mode != "zeros":
        raise ValueError(f"Layer {name!r} must pad with zeros. Received: padding_mode={module.padding_mode!r}")
    padding = module.padding if isinstance(module.padding, str) else tuple(module.padding)
    return build.convolution(
        value,
        name,
        weight=array(module.weight),
        bias=array(module.bias),
        strides=tuple(module.stride),
        padding=padding,
        dilation=tuple(module.dilation),
        groups=module.groups,
    )


def _linear(module: Any, value: Value, name: str) -> Value:
    return build.linear(value, name, weight=array(module.weight), bias=array(module.bias))


def _batch_norm(module: Any, value: Value, name: str) -> Value:
    if module.running_mean is None:
        raise ValueError(f"Layer {name!r} must have moving statistics. Received: track_running_stats=False")
    statistics = {"mean": array(module.running_mean), "variance": array(module.running_var)}
    scale = {"gamma": array(module.weight), "beta": array(module.bias)}
    return build.normalization(value, name, **scale, **statistics, epsilon=module.eps)


def _flatten(module: Any, value: Value, name: str) -> Value:
    if (module.start_dim, module.end_dim) not in ((1, -1), (2, -1)):
        raise ValueError(f"Layer {name!r} must flatten all features. Received: {module}")
    return build.flatten(value, name)


def _max_pool(module: Any, value: Value, name: str) -> Value:
    if pair(module.padding) != (0, 0) or pair(module.dilation) != (1, 1) or module.ceil_mode:
        raise ValueError(f"Layer {name!r} must pool without padding, dilation and ceil_mode. Received: {module}")
    return build.pooling(value, name, "max", size=pair(module.kernel_size), strides=pair(module.stride))


def _average_pool(module: Any, value: Value, name: str) -> Value:
    if pair(module.padding) != (0, 0) or module.ceil_mode or module.divisor_override:
        raise ValueError(
            f"Layer {name!r} must pool without padding, ceil_mode and divisor_override. Received: {module}"
        )
    return build.pooling(value, name, "average", size=pair(module.kernel_size), strides=pair(module.stride))


def _adaptive_pool(module: Any, value: Value, name: str) -> Value:
    if pair(module.output_size) != (1, 1):
        raise ValueError(f"Layer {name!r} must pool to 1x1. Received: output_size={module.output_size}")
    return build.global_average(value, name)


LAYERS: Mapping[str, Callable[[Any, Value, str], Value]] = {
    "Conv2d": _conv2d,
    "Linear": _linear,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "Flatten": _flatten,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _average_pool,
    "AdaptiveAvgPool2d": _adaptive_pool,
    **dict.fromkeys(SKIPPED, lambda module, value, name: value),
}
CONTAINERS = ("Sequential", "MultiStepContainer", "SeqToANNContainer", "StepModeContainer")


def array(tensor: Any) -> np.ndarray | None:
    return None if tensor is None else tensor.detach().cpu().numpy()


def pair(sizes: Any) -> tuple[int, int]:
    return (sizes, sizes) if isinstance(sizes, int) else tuple(sizes)
