"""From a trained Keras model to exact int8 TFLite.

    export_tflite(model) -> bytes      the file
    fold(model) -> keras.Model         the same network with spikes in {-1, 0, 1}
    quantize_aware(model) -> keras.Model   the file's integers in Keras, for fine-tuning
    load(tflite_bytes) -> Predictor    runs the file on float samples
    verify(model, tflite_bytes, samples) -> Report
    check(tflite_bytes, target="ethos-u55-128") -> TargetReport
    certify(model, tflite_bytes, samples) -> Certificate
    export_c(model_or_tflite, folder)  the same integers as C99
    export_onnx(model_or_tflite) -> bytes   the same integers as an ONNX file
    export_web(model_or_tflite, folder)   the same integers in the browser
    energy(tflite_bytes, samples) -> Energy   joules by named tables, bits a spike
    flash(tflite_bytes) -> Flash       bytes: as it is, with gzip, as Vela encodes it

Names are imported on first use: `load` needs neither Keras nor TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .c_code.export_c import export_c as export_c
    from .certificate.certificate import Certificate as Certificate
    from .certificate.certificate import certify as certify
    from .costs.energy import energy as energy
    from .costs.sizes import Flash as Flash
    from .costs.sizes import flash as flash
    from .exact_training.quantize_aware import quantize_aware as quantize_aware
    from .exporter import export_tflite as export_tflite
    from .exporter import fold as fold
    from .onnx.export_onnx import export_onnx as export_onnx
    from .program.program import Program as Program
    from .runtimes.predictor import Predictor as Predictor
    from .runtimes.predictor import load as load
    from .runtimes.step_runner import StepRunner as StepRunner
    from .targets.check import check as check
    from .targets.report import TargetReport as TargetReport
    from .verification.report import Report as Report
    from .verification.verify import verify as verify
    from .web.export_web import export_web as export_web

_MODULES = {
    "Certificate": "certificate.certificate",
    "Flash": "costs.sizes",
    "Predictor": "runtimes.predictor",
    "Program": "program.program",
    "Report": "verification.report",
    "StepRunner": "runtimes.step_runner",
    "TargetReport": "targets.report",
    "certify": "certificate.certificate",
    "check": "targets.check",
    "energy": "costs.energy",
    "export_c": "c_code.export_c",
    "export_onnx": "onnx.export_onnx",
    "export_tflite": "exporter",
    "export_web": "web.export_web",
    "flash": "costs.sizes",
    "fold": "exporter",
    "load": "runtimes.predictor",
    "quantize_aware": "exact_training.quantize_aware",
    "verify": "verification.verify",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
