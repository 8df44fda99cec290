"""A Keras model as a Network: every layer's numbers in float64, paddings spelt out, dropout and softmax gone."""

from __future__ import annotations

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
from keras_ternary_spike.exact import ExactInput, ExactLIF, ExactOutput, ExactShift, ExactShortcut

from .graph import fresh_name, prune
from .merges import MERGES, merge
from .network import Input, Network, Node
from .rules import RULES
from .signature import input_names, output_names, stable_name
from .trace import Call, Trace, trace

MAX_TIMESTEPS = 16
NEURONS = (TernaryLIF, BinaryLIF, keras.layers.RNN, ExactLIF)
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
    *(ExactInput, ExactShift, ExactShortcut, ExactOutput),
)
SOFTMAX_NOTE = "softmax left out: the file's outputs are logits"


def describe(model: keras.Model) -> Network:
    """The Network of a Sequential or functional model.

    Weights and moving statistics become float64 arrays; "same" padding becomes pixels (TensorFlow's rule); dropout
    and noise disappear; a softmax at the end is left out, with a note. Inputs and outputs come in Keras's order. (A
    functional model has no cycles: Keras builds it layer behind layer.)

    Raises:
        ValueError: naming the layer, for anything the exporter does not support: a layer type or activation, a layer
            never built, unknown sizes, different timesteps, NaN or infinity in a weight, an amplitude of 0.
    """
    calls = trace(model)
    temporal = _temporal_inputs(calls)
    network = Network(name=model.name, nodes=(), outputs=(), timesteps=_timesteps(calls, temporal))
    values: list[str] = []
    for index, call in enumerate(calls.calls):
        if isinstance(call.layer, keras.layers.InputLayer):
            node = _input(network, call, temporal=index in temporal)
            network = _extended(network, (replace(node, range=_trained_range(calls, index)),))
        else:
            network = _with_call(network, calls, index, [network[values[source]] for source in call.sources])
        values.append(network.outputs[0])
    outputs, names = tuple(values[index] for index in calls.outputs), (input_names(model), output_names(model))
    return prune(replace(network, outputs=outputs, input_names=names[0], output_names=names[1]))


def _with_call(network: Network, calls: Trace, index: int, sources: list[Node]) -> Network:
    """`network` with the nodes of one call behind it; its output is then the value of that call."""
    call = calls.calls[index]
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
    notes = tuple(dict.fromkeys((*network.notes, *notes)))
    return replace(network, nodes=(*network.nodes, *new), outputs=(nodes[-1].name,), notes=notes)


def _named(network: Network, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """`nodes` under names that no layer of the user's has yet."""
    renamed: list[Node] = []
    names: dict[str, str] = {}
    for node in nodes:
        names[node.name] = fresh_name(network, node.name)
        inputs = tuple(names.get(name, name) for name in node.inputs)
        renamed.append(replace(node, name=names[node.name], inputs=inputs))
    return tuple(renamed)


def _input(network: Network, call: Call, *, temporal: bool) -> Input:
    layer = call.layer
    shape = tuple(layer.batch_shape[2 if temporal else 1 :])
    if None in shape:
        raise ValueError(
            f"Every size of the input must be known. Received: shape {tuple(layer.batch_shape)} of {layer.name!r}. "
            f"Build the model on keras.Input with fixed sizes."
        )
    return Input(name=fresh_name(network, stable_name(layer.name)), shape=shape, temporal=temporal)


def _trained_range(calls: Trace, index: int) -> tuple[float, float] | None:
    """The range that a model trained on integers has for an input; None for any other model."""
    readers = (calls.calls[reader].layer for reader in calls.readers(index))
    return next((reader.input_range for reader in readers if isinstance(reader, ExactInput)), None)


def _temporal_inputs(calls: Trace) -> set[int]:
    """Indices of the inputs with a time axis: a reader needs one, and no DirectEncoding makes it."""
    found: set[int] = set()
    while more := _lacking_time(calls, found):
        found |= more
    return found


def _lacking_time(calls: Trace, found: set[int]) -> set[int]:
    """The inputs that must have a time axis too if those in `found` have one."""
    temporal: list[bool] = []
    origins: list[set[int]] = []  # the inputs that give a value its time axis, if it has one
    lacking: set[int] = set()
    for index, call in enumerate(calls.calls):
        has_time = index in found or any(temporal[source] for source in call.sources)
        needs_time = isinstance(call.layer, SEQUENTIAL) or call.per_timestep
        for source in call.widest:
            if not temporal[source] and (needs_time or has_time):
                lacking |= origins[source]
        ends_time = isinstance(call.layer, DirectEncoding | TimeAverage)
        above = {index} if not call.sources else set().union(*(origins[source] for source in call.widest))
        origins.append(set() if ends_time else above)
        made = isinstance(call.layer, DirectEncoding) or needs_time or has_time
        temporal.append(made and not isinstance(call.layer, TimeAverage))
    return lacking - found


def _timesteps(calls: Trace, temporal: set[int]) -> int:
    """The length of the time axis, from the DirectEncoding layers and the temporal inputs; 1 without any."""
    found: dict[str, Any] = {}
    for index, call in enumerate(calls.calls):
        if isinstance(call.layer, DirectEncoding):
            found[call.layer.name] = call.layer.timesteps
        elif index in temporal:
            found[call.layer.name] = call.layer.batch_shape[1]
    if len(set(found.values())) > 1:
        raise ValueError(
            f"All timesteps of a model must be equal, on both sides of a shortcut and at every output. Received: "
            f"{found}. Use one number for all, or export the parts as models of their own."
        )
    for name, timesteps in found.items():
        if timesteps is None:
            raise ValueError(
                f"The number of timesteps must be known. Received: None from {name!r}. Build the model on "
                f"keras.Input((timesteps, *features))."
            )
        if not 1 <= timesteps <= MAX_TIMESTEPS:
            raise ValueError(f"Timesteps must be 1 to {MAX_TIMESTEPS}. Received: {timesteps} from {name!r}.")
    return next(iter(found.values()), 1)


def _check_layer(call: Call, sources: list[Node]) -> None:
    layer, kind = call.layer, type(call.layer)
    if kind not in RULES and kind not in MERGES:
        supported = ", ".join(sorted({rule.__name__ for rule in (*RULES, *MERGES)}))
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
    """Whether only linear Activations or nothing lies between the value of a call and the outputs."""
    readers = calls.readers(index)
    return all(_is_linear(calls.calls[reader].layer) and _is_last(calls, reader) for reader in readers)


def _is_linear(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.linear
