"""Ternary spiking layers for Keras.

Importing this package imports neither Keras nor TensorFlow: names resolve on first use. As soon as Keras is
imported, before or after this package, all of them are, so that `keras.saving.load_model` finds the classes.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from .activity import FiringRateTarget as FiringRateTarget
    from .activity import MembraneCentring as MembraneCentring
    from .activity import SpikeRegularizer as SpikeRegularizer
    from .activity import SynapticOperationBudget as SynapticOperationBudget
    from .activity import TemporalMembranePotential as TemporalMembranePotential
    from .adaptation import adapt_amplitudes as adapt_amplitudes
    from .batch_normalization import BatchNormalization as BatchNormalization
    from .cell import BinaryLIFCell as BinaryLIFCell
    from .cell import MultiLevelLIFCell as MultiLevelLIFCell
    from .cell import TernaryLIFCell as TernaryLIFCell
    from .complemented import ComplementedTernaryLIF as ComplementedTernaryLIF
    from .complemented import ComplementedTernaryLIFCell as ComplementedTernaryLIFCell
    from .firing_rate import FiringRate as FiringRate
    from .health import Health as Health
    from .health import NeuronHealth as NeuronHealth
    from .health import measure_health as measure_health
    from .layer import BinaryLIF as BinaryLIF
    from .layer import MultiLevelLIF as MultiLevelLIF
    from .layer import TernaryLIF as TernaryLIF
    from .normalization import TemporalEffectiveBatchNormalization as TemporalEffectiveBatchNormalization
    from .normalization import ThresholdDependentBatchNormalization as ThresholdDependentBatchNormalization
    from .normalization import TimestepAffine as TimestepAffine
    from .surrogate import ATan as ATan
    from .surrogate import FastSigmoid as FastSigmoid
    from .surrogate import Rectangular as Rectangular
    from .surrogate import Sigmoid as Sigmoid
    from .surrogate import Triangular as Triangular
    from .timesteps import DirectEncoding as DirectEncoding
    from .timesteps import PerTimestep as PerTimestep
    from .timesteps import TimeAverage as TimeAverage

__version__ = "0.1.0"

_MODULES = {
    "TernaryLIF": "layer",
    "BinaryLIF": "layer",
    "MultiLevelLIF": "layer",
    "TernaryLIFCell": "cell",
    "BinaryLIFCell": "cell",
    "MultiLevelLIFCell": "cell",
    "ComplementedTernaryLIF": "complemented",
    "ComplementedTernaryLIFCell": "complemented",
    "DirectEncoding": "timesteps",
    "PerTimestep": "timesteps",
    "TimeAverage": "timesteps",
    "BatchNormalization": "batch_normalization",
    "ThresholdDependentBatchNormalization": "normalization",
    "TemporalEffectiveBatchNormalization": "normalization",
    "TimestepAffine": "normalization",
    "SpikeRegularizer": "activity",
    "FiringRateTarget": "activity",
    "SynapticOperationBudget": "activity",
    "MembraneCentring": "activity",
    "TemporalMembranePotential": "activity",
    "FiringRate": "firing_rate",
    "NeuronHealth": "health",
    "Health": "health",
    "measure_health": "health",
    "adapt_amplitudes": "adaptation",
    "Rectangular": "surrogate",
    "Triangular": "surrogate",
    "ATan": "surrogate",
    "Sigmoid": "surrogate",
    "FastSigmoid": "surrogate",
}

_INNER = ("dynamics", "equations", "firing", "lif", "lif_cell", "mask", "memory", "parameters")
_SOURCES = {f"{__name__}.{module}" for module in (*_MODULES.values(), *_INNER)}  # they import names from each other
_imported: set[str] = set()  # Keras and sources, once their import is over

__all__ = ["__version__", *_MODULES]


def _resolve() -> None:
    """Import all of them: a model to be loaded may hold any."""
    for name, module in _MODULES.items():
        globals()[name] = getattr(importlib.import_module(f".{module}", __name__), name)
    importlib.import_module(".exact", __name__)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _resolve()
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@wrapt.when_imported("keras")
def _register(module: ModuleType) -> None:
    """Resolve the names, unless one of our modules imports Keras and is not done: it comes here too when it is."""
    _imported.add(module.__name__)
    half_imported = _SOURCES & sys.modules.keys() - _imported
    if "keras" in _imported and not half_imported:
        _resolve()


for _source in _SOURCES:
    wrapt.register_post_import_hook(_register, _source)
