"""Reads the TOML file of a sweep, and refuses what no sweep can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .points import GIVEN, INT8, MOST_TIMESTEPS, TERNARY, Point, grid, neuron_of, pruning_of

REQUIRED = object()
LARGEST_FILE = 2**20  # bytes
LARGEST_NUMBER = 2**53  # beyond it integers are no floats
MOST_POINTS = 100_000  # of a grid: nobody trains as many
Check = Callable[[str, Any], Any]  # (name in the file, value) -> the value, checked


@dataclass(frozen=True)
class Config:
    """A checked configuration.

    settings: by section and key, defaults filled in; only what JSON can hold.
    points: the grid, in order.
    folder: of the TOML file, from which its paths start.
    """

    settings: Mapping[str, Mapping[str, Any]]
    points: tuple[Point, ...]
    folder: Path


def read_config(path: Path) -> Config:
    """Raises: OSError or ValueError, naming the file, the rule and the value; ImportError where tomli is missing."""
    toml = load_toml()
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise ValueError(f"A sweep must have at most {LARGEST_FILE:,} bytes.")
        settings = check_document(toml.loads(text.decode()))
    except RecursionError as error:
        raise ValueError(f"{path}: the tables must not be nested that deep.") from error
    except (toml.TOMLDecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return Config(settings, grid({key: settings["grid"][key] for key in GRID}), path.resolve().parent)


def load_toml() -> ModuleType:
    """tomllib, or tomli where Python is older than 3.11."""
    try:
        import tomllib
    except ImportError:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise ImportError(
                "Reading TOML needs Python 3.11, or tomli. Install it with: pip install 'keras-ternary-spike[sweep]'"
            ) from error
    return tomllib


def check_document(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings by section, defaults filled in."""
    check_keys("a section", document, SECTIONS)
    tables = {section: document.get(section, {}) for section in SECTIONS}
    for section, table in tables.items():
        if not isinstance(table, Mapping):
            raise ValueError(f"`{section}` must be a table: [{section}]. Received: {table!r}")
    settings = {section: check_section(section, tables[section], keys) for section, keys in SECTIONS.items()}
    check_source(settings["data"])
    settings["grid"]["seed"] = seeds(settings)
    check_neurons(settings)
    points = math.prod(len(values) for values in settings["grid"].values())
    if points > MOST_POINTS:
        raise ValueError(f"[grid] must have at most {MOST_POINTS:,} points. Received: {points:,}")
    check_epochs(settings)
    return settings


def check_section(section: str, table: Mapping[str, Any], keys: Mapping[str, tuple[Check, Any]]) -> dict[str, Any]:
    check_keys(f"a key of [{section}]", table, keys)
    settings = {}
    for key, (check, default) in keys.items():
        if key not in table and default is REQUIRED:
            raise ValueError(f"[{section}] must have the key `{key}`. Received: {', '.join(table) or 'no key'}")
        settings[key] = check(f"{section}.{key}", table[key]) if key in table else default
    return settings


def check_keys(what: str, table: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        raise ValueError(f"{what[:1].upper()}{what[1:]} must be one of {', '.join(known)}. Received: {unknown[0]!r}")


def check_source(data: Mapping[str, Any]) -> None:
    if (data["file"] is None) == (data["name"] is None):
        received = ", ".join(key for key in ("file", "name") if data[key] is not None) or "neither"
        raise ValueError(f'[data] must have `file`, an .npz file, or `name` = "digits", not both. Received: {received}')


def check_neurons(settings: Mapping[str, Mapping[str, Any]]) -> None:
    twice = [key for key in ("neuron", "levels", "signed") if key in settings["network"]["options"]]
    if settings["grid"]["neuron"] != [GIVEN] and twice:
        raise ValueError(f"`grid.neuron` says which neurons there are. Received: `network.options.{twice[0]}`, too")


def check_epochs(settings: Mapping[str, Mapping[str, Any]]) -> None:
    lists, epochs = settings["grid"], settings["training"]["epochs"]
    if epochs < 2 and TERNARY in lists["kernel_bits"] and any(lists["pruning"]):
        raise ValueError(
            "`training.epochs` must be at least 2 where the grid has pruned ternary kernels: they are pruned in the "
            f"first half, ternary in the second. Received: {epochs}"
        )


def text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` must be a text. Received: {value!r}")
    return value


def dataset(name: str, value: Any) -> str:
    if value != "digits":
        raise ValueError(f'`{name}` must be "digits"; for your own data give `file`, an .npz file. Received: {value!r}')
    return value


def table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"`{name}` must be a table of keyword arguments. Received: {value!r}")
    return dict(value)


def count(least: int, most: int = LARGEST_NUMBER) -> Check:
    """An integer from `least` to `most`."""
    range_text = f"of at least {least}" if most == LARGEST_NUMBER else f"from {least} to {most}"

    def check(name: str, value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"`{name}` must be an integer {range_text}. Received: {value!r}")
        return value

    return check


def number(rule: str, holds: Callable[[float], bool]) -> Check:
    """A finite number, as a float, for which `holds` is true."""

    def check(name: str, value: Any) -> float:
        if type(value) not in (int, float) or not abs(value) <= LARGEST_NUMBER or not holds(value):
            raise ValueError(f"`{name}` must be a number {rule}. Received: {value!r}")
        return float(value)

    return check


def number_range(name: str, value: Any) -> list[float]:
    found = value if isinstance(value, list) else []
    numbers = all(type(bound) in (int, float) and abs(bound) <= LARGEST_NUMBER for bound in found)
    if not numbers or len(found) != 2 or not found[0] < found[1]:
        raise ValueError(f"`{name}` must be [low, high] with low < high. Received: {value!r}")
    return [float(bound) for bound in value]


def pruning(name: str, value: Any) -> float | str:
    if type(value) not in (int, float, str):
        raise ValueError(f"`{name}` must hold numbers and texts. Received: {value!r}")
    pruning_of(value)
    return value if isinstance(value, str) else float(value)


def kernel_bits(name: str, value: Any) -> int | str:
    if type(value) in (int, str) and value in (INT8, TERNARY):
        return value
    raise ValueError(
        f'`{name}` must be {INT8} or "{TERNARY}": TFLite kernels are int8, and ternary ones are stored in it. '
        f"Received: {value!r}"
    )


def neuron(name: str, value: Any) -> str:
    neuron_of(text(name, value))
    return value


def seeds(settings: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """Those of [grid], or the one of [training]; 0 where neither gives any."""
    one, several = settings["training"]["seed"], settings["grid"]["seed"]
    if one is not None and several is not None:
        raise ValueError(f"Seeds must be given once. Received: `training.seed` = {one} and `grid.seed` = {several}")
    return several or [one or 0]


def list_of(check: Check) -> Check:
    """A list of at least one value, each checked, none twice."""

    def check_list(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise ValueError(f"`{name}` must be a list of at least one value. Received: {value!r}")
        values = [check(name, item) for item in value]
        if len(set(values)) < len(values):
            raise ValueError(f"`{name}` must hold every value once. Received: {value!r}")
        return values

    return check_list


GRID: Mapping[str, tuple[Check, Any]] = {
    "timesteps": (list_of(count(1, MOST_TIMESTEPS)), [2]),
    "decay": (list_of(number("in [0, 1]", lambda value: 0 <= value <= 1)), [0.25]),
    "width": (list_of(number("above 0", lambda value: value > 0)), [1.0]),
    "pruning": (list_of(pruning), [0.0]),
    "kernel_bits": (list_of(kernel_bits), [INT8]),
    "neuron": (list_of(neuron), [GIVEN]),
    "seed": (list_of(count(0)), None),
}
SECTIONS: Mapping[str, Mapping[str, tuple[Check, Any]]] = {
    "data": {"file": (text, None), "name": (dataset, None), "input_range": (number_range, [0.0, 1.0])},
    "network": {"name": (text, REQUIRED), "options": (table, {})},
    "training": {
        "epochs": (count(1), REQUIRED),
        "batch_size": (count(1), 128),
        "learning_rate": (number("above 0", lambda value: value > 0), 4e-3),
        "seed": (count(0), None),
    },
    "grid": GRID,
    "measure": {"samples": (count(1), None)},
}
