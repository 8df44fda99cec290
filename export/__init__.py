"""From a trained Keras model to exact int8 TFLite.

    export_tflite(model) -> bytes      the file
    fold(model) -> keras.Model         the same network with spikes in {-1, 0, 1}
    quantize_aware(model) -> keras.Model   the file's integers in Keras, for fine-tuning
    load(tflite_bytes) -> Predictor    runs the file on float samples
    verify(model, tflite_bytes, samples) -> Report
    check(tflite_bytes, target="ethos-u55-128") -> TargetReport
    certify(model, tflite_bytes, samples) -> Certificate

Names are imported on first use: `load` needs neither Keras nor TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .aware import quantize_aware as quantize_aware
    from .certificate import Certificate as Certificate
    from .certificate import certify as certify
    from .exporter import export_tflite as export_tflite
    from .exporter import fold as fold
    from .predictor import Predictor as Predictor
    from .predictor import load as load
    from .program import Program as Program
    from .report import Report as Report
    from .stepping import StepRunner as StepRunner
    from .target_report import TargetReport as TargetReport
    from .targets import check as check
    from .verification import verify as verify

_MODULES = {
    "Certificate": "certificate",
    "Predictor": "predictor",
    "Program": "program",
    "Report": "report",
    "StepRunner": "stepping",
    "TargetReport": "target_report",
    "certify": "certificate",
    "check": "targets",
    "export_tflite": "exporter",
    "fold": "exporter",
    "load": "predictor",
    "quantize_aware": "aware",
    "verify": "verification",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
