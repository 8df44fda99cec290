"""Ternary spiking layers for Keras.

Importing this package imports neither Keras nor TensorFlow: names and rooms resolve on first use. As soon as Keras is
imported, before or after this package, all of its names are, so that `keras.saving.load_model` finds the classes.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .registration import when_keras_is_imported

if TYPE_CHECKING:
    from . import compression as compression
    from . import data as data
    from . import exact as exact
    from . import export as export
    from . import imports as imports
    from . import inside as inside
    from . import models as models
    from .conversion.convert import convert as convert
    from .layers.batch_normalization import BatchNormalization as BatchNormalization
    from .layers.complemented import ComplementedTernaryLIF as ComplementedTernaryLIF
    from .layers.complemented import ComplementedTernaryLIFCell as ComplementedTernaryLIFCell
    from .layers.leaky_integrator import LeakyIntegrator as LeakyIntegrator
    from .layers.leaky_integrator import LeakyIntegratorCell as LeakyIntegratorCell
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
    from .layers.time_axis import LastTimestep as LastTimestep
    from .layers.time_axis import PerTimestep as PerTimestep
    from .layers.time_axis import RecentTimesteps as RecentTimesteps
    from .layers.time_axis import TimeAverage as TimeAverage
    from .layers.time_axis import TimeMax as TimeMax
    from .losses.distillation import DistillationLoss as DistillationLoss
    from .losses.distillation import distillation_targets as distillation_targets
    from .losses.over_time import EarlyExitLoss as EarlyExitLoss
    from .losses.over_time import MetricOfMean as MetricOfMean
    from .losses.over_time import PerTimestepLoss as PerTimestepLoss
    from .losses.over_time import TemporalEfficientTraining as TemporalEfficientTraining
    from .neuron.dynamics import Dynamics as Dynamics
    from .neuron.sequence import lif_sequence as lif_sequence
    from .neuron.sequence import lif_step as lif_step
    from .neuron.surrogate import ATan as ATan
    from .neuron.surrogate import FastSigmoid as FastSigmoid
    from .neuron.surrogate import Rectangular as Rectangular
    from .neuron.surrogate import Sigmoid as Sigmoid
    from .neuron.surrogate import Surrogate as Surrogate
    from .neuron.surrogate import Triangular as Triangular
    from .training.adaptation import adapt_amplitudes as adapt_amplitudes
    from .training.firing_rate import FiringRate as FiringRate
    from .training.health import Health as Health
    from .training.health import NeuronHealth as NeuronHealth
    from .training.health import measure_health as measure_health
    from .training.spike_budget import SpikeBudget as SpikeBudget
    from .training.unfold import unfold as unfold

__version__ = "0.1.0"

_NAMES = {
    "conversion.convert": ("convert",),
    "layers.batch_normalization": ("BatchNormalization",),
    "layers.complemented": ("ComplementedTernaryLIF", "ComplementedTernaryLIFCell"),
    "layers.leaky_integrator": ("LeakyIntegrator", "LeakyIntegratorCell"),
    "layers.lif": ("BinaryLIF", "MultiLevelLIF", "TernaryLIF"),
    "layers.lif_cell": ("BinaryLIFCell", "MultiLevelLIFCell", "TernaryLIFCell"),
    "layers.normalization": (
        "TemporalEffectiveBatchNormalization",
        "ThresholdDependentBatchNormalization",
        "TimestepAffine",
    ),
    "layers.spike_regularizers": (
        "FiringRateTarget",
        "MembraneCentring",
        "SpikeRegularizer",
        "SynapticOperationBudget",
        "TemporalMembranePotential",
    ),
    "layers.time_axis": ("DirectEncoding", "LastTimestep", "PerTimestep", "RecentTimesteps", "TimeAverage", "TimeMax"),
    "losses.distillation": ("DistillationLoss", "distillation_targets"),
    "losses.over_time": ("EarlyExitLoss", "MetricOfMean", "PerTimestepLoss", "TemporalEfficientTraining"),
    "neuron.dynamics": ("Dynamics",),
    "neuron.sequence": ("lif_sequence", "lif_step"),
    "neuron.surrogate": ("ATan", "FastSigmoid", "Rectangular", "Sigmoid", "Surrogate", "Triangular"),
    "training.adaptation": ("adapt_amplitudes",),
    "training.firing_rate": ("FiringRate",),
    "training.health": ("Health", "NeuronHealth", "measure_health"),
    "training.spike_budget": ("SpikeBudget",),
    "training.unfold": ("unfold",),
}
_ROOMS = ("compression", "data", "exact", "export", "imports", "inside", "models")
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_MODULES]


def _load() -> None:
    """Import all names, and the layers of `exact`: a model to be loaded may hold any."""
    for name, module in _MODULES.items():
        globals()[name] = getattr(importlib.import_module(f".{module}", __name__), name)
    importlib.import_module(".exact", __name__)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _load()
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})


when_keras_is_imported(_load)
