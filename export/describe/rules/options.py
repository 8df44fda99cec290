"""Which options of a layer its rule reads: what a rule does not know of must not change what it describes."""

from __future__ import annotations

import inspect
from typing import Any

from .rule import Rule

# Of every layer: names, where weights start, and what training alone looks at.
NO_PART = {"name", "trainable", "dtype", "autocast", "activity_regularizer"}
NO_PART_ENDINGS = ("_initializer", "_regularizer", "_constraint")


def check_options(layer: Any, rule: Rule) -> None:
    """Raises ValueError, by name, for an option that the layer's rule neither honours nor may ignore.

    An option that the rule has never heard of, as of a later Keras, may stay at its default.
    """
    for option, value in layer.get_config().items():
        if not is_known(option, rule) and not _is_default(type(layer), option, value):
            raise ValueError(
                f"Only options that the exporter knows can be exported. Received: layer {layer.name!r} "
                f"({type(layer).__name__}) with {option}={value!r}. Leave {option!r} at its default, or compute the "
                "same with other layers."
            )


def is_known(option: str, rule: Rule) -> bool:
    """Whether `rule` honours an option of its layer's config, or it plays no part in inference."""
    return option in rule.honours | rule.ignores | NO_PART or option.endswith(NO_PART_ENDINGS)


def _is_default(kind: type, option: str, value: Any) -> bool:
    for owner in kind.__mro__:
        parameter = inspect.signature(owner.__init__).parameters.get(option)
        if parameter is not None and parameter.default is not inspect.Parameter.empty:
            return bool(value == parameter.default)
    return False
