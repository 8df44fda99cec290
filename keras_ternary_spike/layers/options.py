"""What the constructors of neurons take: every option once, with its type and its default.

The classes order as dataclasses do: fields of later bases come first, and what is by name only comes last.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Concatenate, ParamSpec, get_args

import keras
import numpy as np
from keras import constraints, initializers, regularizers

from ..messages import listed
from ..neuron.dynamics import Reset
from ..neuron.memory import MemoryKind
from ..neuron.sequence import DECAY, THRESHOLD
from ..neuron.surrogate import Surrogate
from .parameters import AmplitudeSharing, Sharing

READOUT_DECAY = 0.9  # of a membrane that is read, as in snnTorch's tutorials


@dataclass(frozen=True, eq=False, kw_only=True)
class KerasOptions:
    """Of any Keras layer."""

    name: str | None = None
    dtype: Any = None
    trainable: bool = True
    activity_regularizer: Any = None


@dataclass(frozen=True, eq=False)
class NeuronOptions:
    """Of all neurons; `TernaryLIF` says what they mean."""

    decay: float | Fraction | Sequence[float] | np.ndarray = DECAY
    threshold: float | Sequence[float] | np.ndarray = THRESHOLD
    trainable_amplitude: bool = True
    amplitude_per: AmplitudeSharing = "layer"
    surrogate: Surrogate | str | dict[str, Any] | None = "rectangular"
    reset: Reset = "zero"
    detach_reset: bool = False
    amplitude_initializer: Any = "ones"
    amplitude_regularizer: Any = None
    amplitude_constraint: Any = None
    _: dataclasses.KW_ONLY
    trainable_threshold: bool = False
    threshold_per: Sharing = "layer"
    trainable_decay: bool = False
    decay_per: Sharing = "layer"
    snap_decay: bool = False
    reset_amount: float = 1.0
    separate_bumps: bool = False


@dataclass(frozen=True, eq=False)
class CellOptions(KerasOptions, NeuronOptions):
    """Of `TernaryLIFCell`."""


@dataclass(frozen=True, eq=False)
class RNNOptions(KerasOptions):
    """Of `keras.layers.RNN`, every timestep returned by default."""

    return_sequences: bool = True
    _: dataclasses.KW_ONLY
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False


@dataclass(frozen=True, eq=False)
class LIFOptions(RNNOptions, NeuronOptions):
    """Of `TernaryLIF`."""

    _: dataclasses.KW_ONLY
    spike_regularizer: Any = None


@dataclass(frozen=True, eq=False)
class LeakOptions:
    """Of integrators that do not fire; `LeakyIntegrator` says what they mean."""

    decay: float | Fraction | Sequence[float] | np.ndarray = READOUT_DECAY
    _: dataclasses.KW_ONLY
    trainable_decay: bool = False
    decay_per: Sharing = "layer"
    snap_decay: bool = False


@dataclass(frozen=True, eq=False)
class IntegratorCellOptions(KerasOptions, LeakOptions):
    """Of `LeakyIntegratorCell`."""


@dataclass(frozen=True, eq=False)
class IntegratorOptions(RNNOptions, LeakOptions):
    """Of `LeakyIntegrator`."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Of neurons with several levels."""

    levels: int
    _: dataclasses.KW_ONLY
    signed: bool = True
    dead_zone: float = 1.0


@dataclass(frozen=True, eq=False)
class MultiLevelCellOptions(CellOptions, Levels):
    """Of `MultiLevelLIFCell`."""


@dataclass(frozen=True, eq=False)
class MultiLevelOptions(LIFOptions, Levels):
    """Of `MultiLevelLIF`."""


@dataclass(frozen=True, eq=False)
class Complement:
    """Of complemented neurons."""

    memory: MemoryKind = "static"


@dataclass(frozen=True, eq=False)
class ComplementedCellOptions(CellOptions, Complement):
    """Of `ComplementedTernaryLIFCell`."""


@dataclass(frozen=True, eq=False)
class ComplementedOptions(LIFOptions, Complement):
    """Of `ComplementedTernaryLIF`."""


Options = ParamSpec("Options")


def takes(
    options: Callable[Options, Any],
) -> Callable[[Callable[[Any, Any, dict[str, Any]], None]], Callable[Concatenate[Any, Options], None]]:
    """Makes a constructor `(self, options, others)` one that takes the options themselves.

    others: what `options` has no field for, by name: Keras knows it, or refuses it.
    """
    parameters = _parameters(options)

    def decorate(constructor: Callable[[Any, Any, dict[str, Any]], None]) -> Callable[Concatenate[Any, Options], None]:
        @functools.wraps(constructor)
        def __init__(self: Any, *args: Options.args, **kwargs: Options.kwargs) -> None:
            given = dict(signature.bind(self, *args, **kwargs).arguments)
            others = given.pop("kwargs", {})
            del given["self"]
            constructor(self, options(**given), others)

        signature = inspect.Signature(parameters, return_annotation=None)
        __init__.__signature__ = signature
        __init__.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        del __init__.__annotations__["self"], __init__.__wrapped__
        return __init__

    return decorate


def _parameters(options: Callable[..., Any]) -> list[inspect.Parameter]:
    """self, the fields with their types resolved, and **kwargs."""
    kinds = inspect.Parameter
    # Not get_type_hints, for which KW_ONLY is no type before Python 3.11.
    fields = inspect.signature(options, eval_str=True).parameters.values()
    return [
        kinds("self", kinds.POSITIONAL_OR_KEYWORD),
        *fields,
        kinds("kwargs", kinds.VAR_KEYWORD, annotation=Any),
    ]


def part(options: Any, kind: type) -> dict[str, Any]:
    """Those of the options that are of a kind, by name."""
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(kind)}


def of_cell(options: LIFOptions | IntegratorOptions, cell_class: type) -> dict[str, Any]:
    """Those of a layer's options that its cell takes, by name; its trainability and activity are the layer's."""
    names = inspect.signature(cell_class).parameters.keys() & {field.name for field in dataclasses.fields(options)}
    own = names - {field.name for field in dataclasses.fields(KerasOptions)}
    return {name: getattr(options, name) for name in (*own, "dtype")}


def resolved(options: CellOptions, **values: Any) -> CellOptions:
    """With Keras's objects for their names, and other values in place of some.

    Raises:
        ValueError: if amplitude_per is not known.
    """
    if options.amplitude_per not in get_args(AmplitudeSharing):
        known = listed(get_args(AmplitudeSharing))
        raise ValueError(f"`amplitude_per` must be {known}. Received: amplitude_per={options.amplitude_per!r}")
    return dataclasses.replace(
        options,
        amplitude_initializer=initializers.get(options.amplitude_initializer),
        amplitude_regularizer=regularizers.get(options.amplitude_regularizer),
        amplitude_constraint=constraints.get(options.amplitude_constraint),
        **values,
    )


def config(options: CellOptions) -> dict[str, Any]:
    """The neuron's options, once resolved, as a config holds them."""
    return {name: WRITTEN.get(name, _as_it_is)(value) for name, value in part(options, NeuronOptions).items()}


def option(name: str) -> property:
    """One of a cell's options as it uses it, by Keras's habit an attribute; to be read, not set."""
    return property(lambda cell: getattr(cell._used, name))


def shown(layer: keras.layers.Layer, options: Any) -> str:
    """As Keras writes a layer, with the options that are not at their defaults."""
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    changed = {name: value for name, value in given.items() if name != "name" and not _same(value, defaults[name])}
    texts = [f"name={layer.name}", *(f"{name}={value!r}" for name, value in changed.items()), f"built={layer.built}"]
    return f"<{type(layer).__name__} {', '.join(texts)}>"


def _same(value: Any, default: Any) -> bool:
    return np.shape(value) == np.shape(default) and bool(np.all(value == default))


def _as_it_is(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


WRITTEN = {
    "surrogate": keras.saving.serialize_keras_object,
    "amplitude_initializer": initializers.serialize,
    "amplitude_regularizer": regularizers.serialize,
    "amplitude_constraint": constraints.serialize,
}
