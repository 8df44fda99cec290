"""tensorflow-model-optimization beside Keras 3: imported late, and with nothing changed for anyone else.

Its import sets TF_USE_LEGACY_KERAS=1, and TensorFlow reads that when `tf.keras` is first used: from then on `tf.keras`
would be Keras 2.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from types import ModuleType

import keras

PACKAGE = "tensorflow_model_optimization"
# Its import wants Keras 2, though nothing here runs on that, and distutils, which is setuptools' from Python 3.12.
NEEDED = (PACKAGE, "tf_keras", "distutils")
TENSORFLOWS = ("tensorflow", "tensorflow.compat.v1", "tensorflow.compat.v2")
LEGACY = "TF_USE_LEGACY_KERAS"


def load_tfmot(module: str) -> ModuleType:
    """A module of tensorflow-model-optimization, such as "python.core.sparsity.keras.pruning_impl".

    Raises:
        ImportError: naming what to install.
        RuntimeError: where Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"Compression needs Keras on TensorFlow. Received: the backend {keras.backend.backend()!r}. Set "
            "KERAS_BACKEND=tensorflow before Keras is imported, and compress the saved model there."
        )
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"Compression needs {', '.join(NEEDED)}. Missing: {', '.join(missing)}. Install them with: "
            "pip install 'keras-ternary-spike[compression]'"
        )
    with keras_as_found():
        return importlib.import_module(f"{PACKAGE}.{module}")


@contextlib.contextmanager
def keras_as_found() -> Iterator[None]:
    """Whatever is imported within, `tf.keras` and TF_USE_LEGACY_KERAS are afterwards what they were before."""
    found = os.environ.get(LEGACY)
    for name in TENSORFLOWS:
        dir(importlib.import_module(name).keras)  # what has been looked at once stays the Keras it is
    try:
        yield
    finally:
        os.environ.pop(LEGACY, None)
        if found is not None:
            os.environ[LEGACY] = found
