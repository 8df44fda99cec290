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
    from .layers.batch_normalization import BatchNormalization as BatchNormalization
    from .layers.complemented import ComplementedTernaryLIF as ComplementedTernaryLIF
    from .layers.complemented import ComplementedTernaryLIFCell as ComplementedTernaryLIFCell
    from .layers.lif import BinaryLIF as BinaryLIF
    from .layers.lif import MultiLevelLIF as MultiLevelLIF
    from .layers.lif import TernaryLIF as TernaryLIF
    from .layers.lif_cell import BinaryLIFCell as BinaryLIFCell
    from .layers.lif_cell import MultiLevelLIFCell as MultiLevelLIFCell
    from .layers.lif_cell import TernaryLIFCell as TernaryLIFCell
    from .layers.normalization import TemporalEffectiveBatchNormalization as TemporalEffectiveBatchNormalization
    from .layers.normalization import ThresholdDependentBatchNormalization as ThresholdDependentBatchNormalization
    from .layers.normalization import TimestepAffine as TimestepAffine
    from .layers.spike_regularizers import FiringRateTarget as FiringRateTarget
    from .layers.spike_regularizers import MembraneCentring as MembraneCentring
    from .layers.spike_regularizers import SpikeRegularizer as SpikeRegularizer
    from .layers.spike_regularizers import SynapticOperationBudget as SynapticOperationBudget
    from .layers.spike_regularizers import TemporalMembranePotential as TemporalMembranePotential
    from .layers.time_axis import DirectEncoding as DirectEncoding
    from .layers.time_axis import PerTimestep as PerTimestep
    from .layers.time_axis import TimeAverage as TimeAverage
    from .neuron.surrogate import ATan as ATan
    from .neuron.surrogate import FastSigmoid as FastSigmoid
    from .neuron.surrogate import Rectangular as Rectangular
    from .neuron.surrogate import Sigmoid as Sigmoid
    from .neuron.surrogate import Triangular as Triangular
    from .training.adaptation import adapt_amplitudes as adapt_amplitudes
    from .training.firing_rate import FiringRate as FiringRate
    from .training.health import Health as Health
    from .training.health import NeuronHealth as NeuronHealth
    from .training.health import measure_health as measure_health

__version__ = "0.1.0"

_MODULES = {
    "TernaryLIF": "layers.lif",
    "BinaryLIF": "layers.lif",
    "MultiLevelLIF": "layers.lif",
    "TernaryLIFCell": "layers.lif_cell",
    "BinaryLIFCell": "layers.lif_cell",
    "MultiLevelLIFCell": "layers.lif_cell",
    "ComplementedTernaryLIF": "layers.complemented",
    "ComplementedTernaryLIFCell": "layers.complemented",
    "DirectEncoding": "layers.time_axis",
    "PerTimestep": "layers.time_axis",
    "TimeAverage": "layers.time_axis",
    "BatchNormalization": "layers.batch_normalization",
    "ThresholdDependentBatchNormalization": "layers.normalization",
    "TemporalEffectiveBatchNormalization": "layers.normalization",
    "TimestepAffine": "layers.normalization",
    "SpikeRegularizer": "layers.spike_regularizers",
    "FiringRateTarget": "layers.spike_regularizers",
    "SynapticOperationBudget": "layers.spike_regularizers",
    "MembraneCentring": "layers.spike_regularizers",
    "TemporalMembranePotential": "layers.spike_regularizers",
    "FiringRate": "training.firing_rate",
    "NeuronHealth": "training.health",
    "Health": "training.health",
    "measure_health": "training.health",
    "adapt_amplitudes": "training.adaptation",
    "Rectangular": "neuron.surrogate",
    "Triangular": "neuron.surrogate",
    "ATan": "neuron.surrogate",
    "Sigmoid": "neuron.surrogate",
    "FastSigmoid": "neuron.surrogate",
}

_INNER = (
    "neuron.sequence",
    "neuron.equations",
    "neuron.dynamics",
    "layers.lif",
    "layers.lif_cell",
    "neuron.masking",
    "neuron.memory",
    "layers.parameters",
)
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
