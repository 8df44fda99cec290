"""Which values of a Keras model have a time axis, and what layers may do with it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_ternary_spike import TimeAverage
from keras_ternary_spike.layers.trace import Call, Trace

from ..network.nodes import Node
from .rules.rule import BEGINNING, ENDING, POINTWISE, SEQUENTIAL
from .rules.table import time_of


def temporal_inputs(calls: Trace) -> set[int]:
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
        time = _time(call)
        needs_time = time in (SEQUENTIAL, ENDING) or call.per_timestep
        for source in call.widest:
            if not temporal[source] and (needs_time or has_time):
                lacking |= origins[source]
        above = {index} if not call.sources else set().union(*(origins[source] for source in call.widest))
        origins.append(set() if time in (BEGINNING, ENDING) else above)
        temporal.append(time != ENDING and (time == BEGINNING or needs_time or has_time))
    return lacking - found


def _time(call: Call) -> str:
    """What a call makes of a time axis: neurons that return the last timestep alone end it, and so do last states."""
    whole = getattr(call.layer, "return_sequences", True) and call.state_of is None
    return time_of(call.layer) if whole else ENDING


def count_timesteps(calls: Trace, temporal: set[int], unknown: int | None, *, averages: bool = False) -> int:
    """The length of the time axis, from the DirectEncoding layers and the temporal inputs; 1 without any.

    unknown: what stands for a length of None, where nothing averages over it, or `averages`.
    """
    found: dict[str, Any] = {}
    for index, call in enumerate(calls.calls):
        if time_of(call.layer) == BEGINNING:
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
            _check_unknown(calls, name, unknown, averages=averages)
        elif timesteps < 1:
            raise ValueError(f"There must be at least one timestep. Received: {timesteps} from {name!r}.")
    timesteps = next(iter(found.values()), 1)
    return unknown if timesteps is None else timesteps


def is_endless(calls: Trace, temporal: set[int]) -> bool:
    """Whether the number of timesteps is unknown."""
    return any(calls.calls[index].layer.batch_shape[1] is None for index in temporal)


def _check_unknown(calls: Trace, name: str, unknown: int | None, *, averages: bool) -> None:
    means = [call.layer.name for call in calls.calls if isinstance(call.layer, TimeAverage)]
    if unknown is None or (means and not averages):
        why = f", over which {means[0]!r} averages" if means else ""
        way_out = ', or export with form="step"' + (" and window=..., the timesteps to average over" if means else "")
        raise ValueError(
            f"The number of timesteps must be known. Received: None from {name!r}{why}. Build the model on "
            f"keras.Input((timesteps, *features)){way_out}."
        )


def check_time(call: Call, source: Node) -> None:
    """A layer sees one timestep at a time, or it is one that makes, uses or removes the time axis."""
    layer, time = call.layer, time_of(call.layer)
    if call.per_timestep and not source.temporal:
        raise ValueError(f"PerTimestep needs a time axis. Received: layer {layer.name!r} on {source.name!r}, without.")
    if time in (SEQUENTIAL, ENDING):
        if not source.temporal or call.per_timestep:
            raise ValueError(
                f"{type(layer).__name__} needs a sequence (batch, timesteps, *features). Received: layer "
                f"{layer.name!r} on {source.name!r}, without time axis. Put DirectEncoding in front."
            )
    elif time == BEGINNING and source.temporal:
        raise ValueError(f"DirectEncoding needs a value without time axis. Received: layer {layer.name!r}.")
    elif source.temporal and not call.per_timestep and time != POINTWISE:
        raise ValueError(
            f"{type(layer).__name__} would mix timesteps. Received: layer {layer.name!r} on a sequence. "
            f"{_out_of_mixing(layer, source)}"
        )
    if isinstance(layer, keras.layers.BatchNormalization):
        _check_axis(call, source)


def _out_of_mixing(layer: Any, source: Node) -> str:
    """What to do instead of reading all timesteps at once."""
    if isinstance(layer, keras.layers.GlobalAveragePooling1D) and len(source.shape) == 1:
        return "For the mean over time use TimeAverage(), which computes the same."
    if isinstance(layer, keras.layers.GlobalMaxPooling1D) and len(source.shape) == 1:
        return "For the maximum over time use TimeMax(), which computes the same."
    return f"Wrap it: PerTimestep({type(layer).__name__}(...))."


def _check_axis(call: Call, source: Node) -> None:
    rank = 1 + len(source.shape) + (source.temporal and not call.per_timestep)
    axes = np.atleast_1d(call.layer.axis)
    if len(axes) != 1 or axes[0] % rank != rank - 1:
        raise ValueError(
            f"`axis` must be the last one, the channels. Received: axis={call.layer.axis} in layer "
            f"{call.layer.name!r}. Use axis=-1."
        )
