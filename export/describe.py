"""A Keras model as a Network: every layer's numbers in float64, paddings spelt out, dropout and softmax gone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_ternary_spike import (
    BinaryLIF,
    DirectEncoding,
    TemporalEffectiveBatchNormalization,
    TernaryLIF,
    ThresholdDependentBatchNormalization,
    TimeAverage,
    TimestepAffine,
)

from .graph import fresh_name
from .merges import MERGES, merge
from .network import Input, Network, Node
from .rules import RULES
from .trace import Call, Trace, trace

MAX_TIMESTEPS = 16
NEURONS = (TernaryLIF, BinaryLIF, keras.layers.RNN)
# These read whole sequences.
SEQUENTIAL = (
    *(*NEURONS, TimeAverage, TimestepAffine),
    *(ThresholdDependentBatchNormalization, TemporalEffectiveBatchNormalization),
)
# These treat the time axis as one more batch axis, so they need no PerTimestep.
POINTWISE = (
    *(keras.layers.Rescaling, keras.layers.Normalization, keras.layers.BatchNormalization, keras.layers.Dense),
    *(keras.layers.Dropout, keras.layers.GaussianDropout, keras.layers.GaussianNoise),
    *(keras.layers.Activation, keras.layers.Softmax),
)
SOFTMAX_NOTE = "softmax left out: the file's outputs are logits"


def describe(model: keras.Model) -> Network:
    """The Network of a Sequential or functional model.

    Weights and moving statistics become float64 arrays; "same" padding becomes pixels (TensorFlow's rule); dropout
    and noise disappear; a softmax at the end is left out, with a note.

    Raises:
        ValueError: naming the layer, for anything the exporter does not support: a layer type or activation, a layer
            never built, unknown sizes, NaN or infinity in a weight, an amplitude of 0, several inputs or outputs.
    """
    calls = trace(model)
    _check_single(model, calls)
    network = Network(name=model.name, nodes=(), outputs=(), timesteps=_timesteps(calls))
    values: list[str] = []
    for index, call in enumerate(calls.calls):
        network = _with_call(network, calls, index, [network[values[source]] for source in call.sources])
        values.append(network.outputs[0])
    return network


def _with_call(network: Network, calls: Trace, index: int, sources: list[Node]) -> Network:
    """`network` with the nodes of one call behind it; its output is then the value of that call."""
    call = calls.calls[index]
    if isinstance(call.layer, keras.layers.InputLayer):
        return _extended(network, (_input(calls, index),))
    _check_layer(call, sources)
    if type(call.layer) in MERGES:
        nodes = merge(call.layer, fresh_name(network, call.layer.name), sources, per_timestep=call.per_timestep)
        return _extended(network, nodes)
    _check_time(call, sources[0])
    notes = _check_activation(calls, index)
    nodes = RULES[type(call.layer)](call.layer, fresh_name(network, call.layer.name), sources[0])
    network = _extended(network, nodes or (sources[0],), notes)
    if 0 in network[network.outputs[0]].shape or min(network[network.outputs[0]].shape) < 0:
        raise ValueError(f"Layer {call.layer.name!r} leaves no pixel. Received: input of shape {sources[0].shape}.")
    return network


def _extended(network: Network, nodes: tuple[Node, ...], notes: tuple[str, ...] = ()) -> Network:
    new = tuple(node for node in nodes if node not in network.nodes)
    if len(new) > 1:
        new = _named(network, new)
        nodes = new
    return Network(
        name=network.name,
        nodes=(*network.nodes, *new),
        outputs=(nodes[-1].name,),
        timesteps=network.timesteps,
        notes=(*network.notes, *notes),
    )


def _named(network: Network, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """`nodes` under names that no layer of the user's has yet."""
    renamed: list[Node] = []
    names: dict[str, str] = {}
    for node in nodes:
        names[node.name] = fresh_name(network, node.name)
        inputs = tuple(names.get(name, name) for name in node.inputs)
        renamed.append(replace(node, name=names[node.name], inputs=inputs))
    return tuple(renamed)


def _input(calls: Trace, index: int) -> Input:
    layer = calls.calls[index].layer
    temporal = _is_temporal(calls, index)
    shape = tuple(layer.batch_shape[2 if temporal else 1 :])
    if None in shape:
        raise ValueError(
            f"Every size of the input must be known. Received: shape {tuple(layer.batch_shape)} of {layer.name!r}. "
            f"Build the model on keras.Input with fixed sizes."
        )
    # Keras counts the inputs it names itself, and again when a file is loaded: the same model, another name.
    name = "input" if re.fullmatch(r"(input_layer|keras_tensor)(_\d+)?", layer.name) else layer.name
    return Input(name=name, shape=shape, temporal=temporal)


def _is_temporal(calls: Trace, index: int) -> bool:
    """Whether an input has a time axis: a reader needs one that no DirectEncoding has made."""
    return index in _temporal_inputs(calls)


def _temporal_inputs(calls: Trace) -> set[int]:
    """Indices of the inputs with a time axis: those alone behind a call that needs one."""
    temporal: list[bool] = []
    origins: list[set[int]] = []  # the inputs that the value of a call without time axis comes from
    found: set[int] = set()
    for index, call in enumerate(calls.calls):
        above = [source for source in call.sources if not temporal[source]]
        origins.append(set().union(*(origins[source] for source in above)) if call.sources else {index})
        has_time = len(above) < len(call.sources) or isinstance(call.layer, DirectEncoding)
        if not has_time and (isinstance(call.layer, SEQUENTIAL) or call.per_timestep):
            found |= origins[index]
            has_time = True
        temporal.append(has_time and not isinstance(call.layer, TimeAverage))
    return found


def _timesteps(calls: Trace) -> int:
    """The length of the time axis, from the DirectEncoding layers and the temporal inputs; 1 without any."""
    found: dict[str, Any] = {}
    for index, call in enumerate(calls.calls):
        if isinstance(call.layer, DirectEncoding):
            found[call.layer.name] = call.layer.timesteps
        elif isinstance(call.layer, keras.layers.InputLayer) and _is_temporal(calls, index):
            found[call.layer.name] = call.layer.batch_shape[1]
    if len(set(found.values())) > 1:
        raise ValueError(f"All timesteps of a model must be equal. Received: {found}")
    for name, timesteps in found.items():
        if timesteps is None:
            raise ValueError(
                f"The number of timesteps must be known. Received: None from {name!r}. Build the model on "
                f"keras.Input((timesteps, *features))."
            )
        if not 1 <= timesteps <= MAX_TIMESTEPS:
            raise ValueError(f"Timesteps must be 1 to {MAX_TIMESTEPS}. Received: {timesteps} from {name!r}.")
    return next(iter(found.values()), 1)


def _check_single(model: keras.Model, calls: Trace) -> None:
    inputs = sum(isinstance(call.layer, keras.layers.InputLayer) for call in calls.calls)
    for what, count in (("input", inputs), ("output", len(calls.outputs))):
        if count != 1:
            raise ValueError(f"A model must have one {what}. Received: {count} {what}s in {model.name!r}.")


def _check_layer(call: Call, sources: list[Node]) -> None:
    layer, kind = call.layer, type(call.layer)
    if kind not in RULES and kind not in MERGES:
        supported = ", ".join(sorted(rule.__name__ for rule in (*RULES, *MERGES)))
        raise ValueError(f"Cannot export layer {layer.name!r} ({kind.__name__}). Supported: {supported}, PerTimestep.")
    if not layer.built:
        raise ValueError(f"Layer {layer.name!r} was never built. Call the model on data, or give it keras.Input.")
    if len(sources) != 1 and kind not in MERGES:
        raise ValueError(
            f"A layer must read one value, without mask or initial state. Received: {len(sources)} at {layer.name!r}."
        )


def _check_time(call: Call, source: Node) -> None:
    """A layer sees one timestep at a time, or it is one that makes, uses or removes the time axis."""
    layer = call.layer
    if call.per_timestep and not source.temporal:
        raise ValueError(f"PerTimestep needs a time axis. Received: layer {layer.name!r} on {source.name!r}, without.")
    if isinstance(layer, SEQUENTIAL):
        if not source.temporal or call.per_timestep:
            raise ValueError(
                f"{type(layer).__name__} needs a sequence (batch, timesteps, *features). Received: layer "
                f"{layer.name!r} on {source.name!r}, without time axis. Put DirectEncoding in front."
            )
    elif isinstance(layer, DirectEncoding) and source.temporal:
        raise ValueError(f"DirectEncoding needs a value without time axis. Received: layer {layer.name!r}.")
    elif source.temporal and not call.per_timestep and not isinstance(layer, POINTWISE):
        raise ValueError(
            f"{type(layer).__name__} would mix timesteps. Received: layer {layer.name!r} on a sequence. Wrap it: "
            f"PerTimestep({type(layer).__name__}(...))."
        )
    if isinstance(layer, keras.layers.BatchNormalization):
        _check_axis(call, source)


def _check_axis(call: Call, source: Node) -> None:
    rank = 1 + len(source.shape) + (source.temporal and not call.per_timestep)
    axes = np.atleast_1d(call.layer.axis)
    if len(axes) != 1 or axes[0] % rank != rank - 1:
        raise ValueError(
            f"`axis` must be the last one, the channels. Received: axis={call.layer.axis} in layer "
            f"{call.layer.name!r}. Use axis=-1."
        )


def _check_activation(calls: Trace, index: int) -> tuple[str, ...]:
    """The note on a softmax at the end; none where there is no activation. Raises ValueError for any other."""
    layer = calls.calls[index].layer
    linear, softmax = keras.activations.linear, keras.activations.softmax
    activation = softmax if isinstance(layer, keras.layers.Softmax) else getattr(layer, "activation", linear)
    if activation is linear:
        return ()
    if activation is softmax and _is_last(calls, index):
        return (SOFTMAX_NOTE,)
    raise ValueError(
        f"Between spikes there is no other activation; softmax may stand at the very end. Received: activation "
        f"{getattr(activation, '__name__', activation)!r} in layer {layer.name!r}. Use TernaryLIF or BinaryLIF."
    )


def _is_last(calls: Trace, index: int) -> bool:
    """Whether only a linear Activation or nothing lies between the value of a call and the output."""
    readers = calls.readers(index)
    if any(not isinstance(calls.calls[reader].layer, keras.layers.Activation) for reader in readers):
        return False
    return all(calls.calls[reader].layer.activation is keras.activations.linear for reader in readers)
