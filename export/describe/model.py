"""A Keras model as a Network: every layer's numbers in float64, paddings spelt out, dropout and softmax gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from keras_ternary_spike.exact import ExactInput
from keras_ternary_spike.layers.overrides import as_functional, check_call
from keras_ternary_spike.layers.trace import Call, Trace, trace

from ..network import nodes
from ..network.nodes import Network, Node
from ..network.surgery import fresh_name, without_unread
from .class_outputs import LEFT_OUT, final_activation
from .rules.merging import MERGES, merge
from .rules.options import check_options
from .rules.rectifying import RECTIFIERS, rectified, rectifies
from .rules.refused import ANOTHER, NOT_EXPORTED, OPERATIONS, SPIKES
from .rules.spiking import last_state
from .rules.table import RULES
from .signature import input_names, output_names, stable_name
from .time_axis import check_time, count_timesteps, is_endless, temporal_inputs

NOTES = {
    "softmax": "softmax left out: the file's outputs are logits",
    "sigmoid": "sigmoid left out: the file's outputs are logits, above 0 where it is above 1/2",
}


def describe(
    model: keras.Model, *, unknown: int | None = None, averages: bool = False, calls: Trace | None = None
) -> Network:
    """The Network of a Sequential or functional model, or of a subclass whose `call` is made of layers.

    Weights and moving statistics become float64 arrays; "same" padding becomes pixels (TensorFlow's rule); dropout
    and noise disappear; a softmax or sigmoid at the end is left out, with a note. Inputs and outputs come in Keras's
    order. (A functional model has no cycles: Keras builds it layer behind layer.)

    Args:
        model: Built Keras model.
        unknown: How many timesteps stand for an unknown number of them, `keras.Input((None, *features))`, where nothing
            averages over them. Default: None, they must be known.
        averages: Whether something may average over an unknown number: then it is the mean of `unknown` timesteps.
        calls: Its trace. Default: None, it is traced.

    Raises:
        ValueError: naming the layer, for anything the exporter does not support: a layer type or activation, a layer
            never built, unknown sizes, different timesteps, NaN or infinity in a weight, an amplitude of 0.
    """
    model = as_functional(model)
    calls = trace(model) if calls is None else calls
    for call in calls.calls:  # a layer that is refused before the operations that Keras makes of it, as of Masking
        _check_not_refused(call.layer)
    temporal = temporal_inputs(calls)
    endless = is_endless(calls, temporal)
    timesteps = count_timesteps(calls, temporal, unknown, averages=averages)
    network = Network(name=model.name, nodes=(), outputs=(), timesteps=timesteps, endless=endless)
    values: list[str] = []
    for index, call in enumerate(calls.calls):
        if isinstance(call.layer, keras.layers.InputLayer):
            node = _input(network, call, temporal=index in temporal)
            network = _extended(network, (replace(node, range=_trained_range(calls, index)),))
        else:
            network = _with_call(network, calls, index, values)
        values.append(network.outputs[0])
    outputs, names = tuple(values[index] for index in calls.outputs), (input_names(model), output_names(model))
    return without_unread(replace(network, outputs=outputs, input_names=names[0], output_names=names[1]))


def _with_call(network: Network, calls: Trace, index: int, values: list[str]) -> Network:
    """`network` with the nodes of one call behind it; its output is then the value of that call.

    values: names of the nodes that hold the values of the calls before.
    """
    call = calls.calls[index]
    sources = [network[values[source]] for source in call.sources]
    _check_layer(call, sources)
    if call.state_of is not None:
        name = fresh_name(network, f"{call.layer.name}_state")
        return _extended(network, last_state(call.layer, name, network[values[call.state_of]], sources[0]))
    if type(call.layer) in MERGES:
        added = merge(call.layer, fresh_name(network, call.layer.name), sources, per_timestep=call.per_timestep)
        return _extended(network, added)
    check_time(call, sources[0])
    notes = _check_activation(calls, index)
    added = RULES[type(call.layer)].build(call.layer, fresh_name(network, call.layer.name), sources[0])
    if rectifies(call.layer):
        added = (*added, rectified(call.layer, f"{call.layer.name}_relu", added[-1]))
    network = _extended(network, added or (sources[0],), notes)
    if 0 in network[network.outputs[0]].shape or min(network[network.outputs[0]].shape) < 0:
        raise ValueError(f"Layer {call.layer.name!r} leaves no pixel. Received: input of shape {sources[0].shape}.")
    return network


def _extended(network: Network, added: tuple[Node, ...], notes: tuple[str, ...] = ()) -> Network:
    new = tuple(node for node in added if node not in network.nodes)
    if len(new) > 1:
        new = _named(network, new)
        added = new
    notes = tuple(dict.fromkeys((*network.notes, *notes)))
    return replace(network, nodes=(*network.nodes, *new), outputs=(added[-1].name,), notes=notes)


def _named(network: Network, added: tuple[Node, ...]) -> tuple[Node, ...]:
    """`added` under names that no layer of the user's has yet."""
    renamed: list[Node] = []
    names: dict[str, str] = {}
    for node in added:
        names[node.name] = fresh_name(network, node.name)
        inputs = tuple(names.get(name, name) for name in node.inputs)
        renamed.append(replace(node, name=names[node.name], inputs=inputs))
    return tuple(renamed)


def _input(network: Network, call: Call, *, temporal: bool) -> nodes.Input:
    layer = call.layer
    shape = tuple(layer.batch_shape[2 if temporal else 1 :])
    if None in shape:
        raise ValueError(
            f"Every size of the input must be known. Received: shape {tuple(layer.batch_shape)} of {layer.name!r}. "
            f"Build the model on keras.Input with fixed sizes."
        )
    return nodes.Input(name=fresh_name(network, stable_name(layer.name)), shape=shape, temporal=temporal)


def _trained_range(calls: Trace, index: int) -> tuple[float, float] | None:
    """The range that a model trained on integers has for an input; None for any other model."""
    readers = (calls.calls[reader].layer for reader in calls.readers(index))
    return next((reader.input_range for reader in readers if isinstance(reader, ExactInput)), None)


def _check_layer(call: Call, sources: list[Node]) -> None:
    layer, kind = call.layer, type(call.layer)
    _check_one_value(call)
    if not isinstance(layer, keras.layers.Layer):
        way_out = OPERATIONS.get(kind.__name__, "Compute it with layers, or before the network.")
        raise ValueError(f"Cannot export {layer.name!r}, the operation {kind.__name__}. {way_out}")
    if kind not in RULES and kind not in MERGES:
        raise ValueError(f"Cannot export layer {layer.name!r} ({kind.__name__}). {ANOTHER}")
    if not layer.built:
        raise ValueError(f"Layer {layer.name!r} was never built. Call the model on data, or give it keras.Input.")
    check_call(layer)
    _check_numbers(layer)
    check_options(layer, (RULES | MERGES)[kind])
    if len(sources) != 1 and kind not in MERGES:
        raise ValueError(
            f"A layer must read one value, without mask or initial state. Received: {len(sources)} at {layer.name!r}."
        )


def _check_not_refused(layer: Any) -> None:
    if type(layer) in NOT_EXPORTED:
        raise ValueError(f"Cannot export layer {layer.name!r} ({type(layer).__name__}). {NOT_EXPORTED[type(layer)]}")


def _check_one_value(call: Call) -> None:
    """Every value of a layer must be one that its rule describes."""
    if call.values > 1:
        raise ValueError(
            f"A layer must give one value to be exported. Received: layer {call.layer.name!r} "
            f"({type(call.layer).__name__}) with {call.values}. Use layers that give one value each."
        )


def _check_numbers(layer: Any) -> None:
    """A layer must compute with the numbers that it stores, and in floating point."""
    if not keras.backend.is_float_dtype(layer.compute_dtype):
        raise ValueError(
            f"Layers must compute in floating point: numbers are cut off else. Received: layer {layer.name!r} "
            f"with dtype={layer.compute_dtype!r}. Build it with a float dtype, such as 'float32'."
        )
    mode = getattr(layer, "quantization_mode", None)
    if mode is not None:
        raise ValueError(
            f"Weights must be stored as the numbers that the layer computes with. Received: layer {layer.name!r}, "
            f"quantized by Keras ({mode}). Export the model as it was before; export makes integers of its own."
        )


def _check_activation(calls: Trace, index: int) -> tuple[str, ...]:
    """The note on a function left out at the end; none where there is none. Raises ValueError for any other."""
    layer = calls.calls[index].layer
    activation = final_activation(layer)
    if activation is keras.activations.linear or activation in RECTIFIERS:
        return ()
    if activation in LEFT_OUT and _is_last(calls, index):
        return (NOTES[LEFT_OUT[activation]],)
    raise ValueError(
        f"Beside spikes there is no other activation than relu and relu6; softmax may stand at the very end, or "
        f"sigmoid. Received: activation {getattr(activation, '__name__', activation)!r} in layer {layer.name!r}. "
        f"{SPIKES}"
    )


def _is_last(calls: Trace, index: int) -> bool:
    """Whether only linear Activations or nothing lies between the value of a call and the outputs."""
    readers = calls.readers(index)
    return all(_is_linear(calls.calls[reader].layer) and _is_last(calls, reader) for reader in readers)


def _is_linear(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.linear
