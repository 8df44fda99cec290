"""Smaller kernels, trained with tensorflow-model-optimization's engine in Keras 3's own `fit`.

    Prune(schedule, pattern=None | (2, 4) | "channel")   weights, or whole channels, of exactly 0
    Cluster(levels)                                      at most so many values a kernel
    TernaryKernels()                                     -s, 0 and s in every channel
    sparsity(model)                                      the share of zeros of each kernel
    ConstantSparsity, PolynomialDecay                    tensorflow-model-optimization's schedules

tensorflow-model-optimization is imported on first use, and `tf.keras` stays what it was. (To import it by hand first
would turn an unused `tf.keras` into Keras 2.)
"""

from typing import Any

import keras as keras  # before any file of the room: see registration.py

from .cluster import Cluster as Cluster
from .kernels import sparsity as sparsity
from .prune import Prune as Prune
from .ternary import TernaryKernels as TernaryKernels
from .toolkit import load_tfmot

_SCHEDULES = ("ConstantSparsity", "PolynomialDecay")
__all__ = ["Cluster", "ConstantSparsity", "PolynomialDecay", "Prune", "TernaryKernels", "sparsity"]


def __getattr__(name: str) -> Any:
    if name not in _SCHEDULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(load_tfmot("python.core.sparsity.keras.pruning_schedule"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
