"""Keras finds the classes of this package by name, whatever is imported first.

`keras.saving.load_model` looks a class up in a registry, which it enters when its module is imported; Keras does not
import the module by itself. But importing this package is to stay light, without Keras. So all modules with such
classes are imported when Keras is: at once where it is there already, else right behind it, by an import hook.

The import of Keras may be one that a file of ours begins with, and the file is then half-imported as the hook runs. So
every room of the package imports Keras in its `__init__`, before any of its files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = "keras_ternary_spike"  # under which Keras registers the classes
KERAS = "keras"


def when_keras_is_imported(load: Callable[[], None]) -> None:
    """Call `load` once: now, or behind the import of Keras."""
    if KERAS in sys.modules:
        load()
    else:
        sys.meta_path.insert(0, _Finder(load))


class _Finder:
    """Finds Keras by all other finders, with a loader that calls `load` behind it. Finds nothing else."""

    def __init__(self, load: Callable[[], None]) -> None:
        self._load = load

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != KERAS:
            return None
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = self._followed_by_load(spec.loader.exec_module)
        return spec

    def _followed_by_load(self, execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def exec_module(module: ModuleType) -> None:
            execute(module)
            # Only now: others may have looked for Keras without importing it.
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                self._load()

        return exec_module
