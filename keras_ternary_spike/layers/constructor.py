"""Constructors that take the fields of a dataclass, for users, `help()`, editors and type checkers alike."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, get_type_hints

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
    hints, kinds = get_type_hints(options), inspect.Parameter
    fields = inspect.signature(options).parameters.values()
    return [
        kinds("self", kinds.POSITIONAL_OR_KEYWORD),
        *(field.replace(annotation=hints[field.name]) for field in fields),
        kinds("kwargs", kinds.VAR_KEYWORD, annotation=Any),
    ]
