"""One point from training to its numbers: accuracy, time, RAM, flash and arithmetic."""

from __future__ import annotations

import gzip
import time
from typing import Any

import keras
import numpy as np

from ..costs.nonzero_additions import nonzero_additions
from ..costs.operation_counts import count_operations, measure
from ..exporter import export_tflite
from ..program.samples import quantize_input
from ..program.schedule import peak_bytes
from ..runtimes import implementations as runtimes
from ..runtimes.predictor import load
from ..runtimes.timing import call_latency, idle_call, time_ratio
from ..tflite import flatbuffer
from ..tflite.contents import contents
from ..user_files import user_code
from .config import Config
from .data import Data
from .folder import Folder
from .network import build_network
from .points import RELU, Point
from .relu import multiply_accumulates, predict_int8, stock_int8
from .training import train

ACTIVITY_SAMPLES = 16  # images on which spikes are counted
ARENA, PEAK = "arena of TFLite Micro", "most activations alive at once, computed"


def ram_source() -> str:
    """What the column of RAM holds on this machine."""
    return ARENA if "tflm" in runtimes.installed() else PEAK


def run_point(point: Point, config: Config, data: Data, folder: Folder) -> dict[str, Any]:
    """Trains, exports and measures a point, and writes its .tflite file.

    Returns:
        Its result, see `measured`; {"error": text} if it cannot be trained or exported, which is a result too.
    """
    start = time.monotonic()
    low, high = config.settings["data"]["input_range"]
    try:
        model = build_network(point, config, data)
        with user_code(f"Training {config.settings['network']['name']!r}", passing=(ValueError,)):
            train(model, point, config, data)
        relu = point.neuron == RELU
        tflite_bytes = stock_int8(model, data) if relu else export_tflite(model, input_range=(low, high))
    except ValueError as error:
        return {"error": " ".join(str(error).split())}
    trained = time.monotonic() - start
    folder.write_model(point, tflite_bytes)
    samples = config.settings["measure"]["samples"]
    images, labels = data.test_images[:samples], data.test_labels[:samples]
    reference = folder.reference(tflite_bytes)
    found = measured_relu(tflite_bytes, images, labels) if relu else measured(tflite_bytes, images, labels)
    found |= measured_file(tflite_bytes, reference)
    return {"keras_accuracy": keras_accuracy(model, images, labels), **found, "training_seconds": trained}


def keras_accuracy(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """In [0, 1]."""
    return float(np.mean(model.predict(images, verbose=0).argmax(axis=-1) == labels))


def measured_file(tflite_bytes: bytes, reference: bytes) -> dict[str, Any]:
    """The numbers of anybody's file.

    latency_ratio, _low, _high: of its time to the reference file's, in turns on one XNNPACK thread, median and
    quartiles. reference_ms: the reference file's time at that moment. ram_bytes: see `ram_source`.
    """
    ratio = time_ratio(tflite_bytes, reference)
    return {
        "latency_ratio": ratio.median,
        "latency_ratio_low": ratio.low,
        "latency_ratio_high": ratio.high,
        "reference_ms": call_latency(idle_call(reference)).median_ms,
        "ram_bytes": ram(tflite_bytes),
        "flash_bytes": len(tflite_bytes),
        "gzip_bytes": len(gzip.compress(tflite_bytes, mtime=0)),
        "operators": len(contents(tflite_bytes).operators),
    }


def measured(tflite_bytes: bytes, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """The numbers of a spiking file.

    accuracy: in [0, 1], of `images`. additions, multiplications: see `count_operations`; additions_measured: those not
    of 0; additions_nonzero: those whose weight is not 0 either.
    """
    program = flatbuffer.read(tflite_bytes)
    traced = program.trace(quantize_input(program, images[:ACTIVITY_SAMPLES]))
    total = count_operations(program, measure(program, traced)).total
    return {
        "accuracy": float(np.mean(load(tflite_bytes).predict(images).argmax(axis=-1) == labels)),
        "test_images": len(images),
        "additions": total.additions,
        "additions_measured": total.additions_measured or 0.0,
        "additions_nonzero": nonzero_additions(program, traced),
        "multiplications": total.multiply_accumulates + total.rescalings,
    }


def measured_relu(tflite_bytes: bytes, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """As `measured`, of a file of TensorFlow's converter: it multiplies wherever it adds: no additions alone."""
    return {
        "accuracy": float(np.mean(predict_int8(tflite_bytes, images).argmax(axis=-1) == labels)),
        "test_images": len(images),
        "multiplications": multiply_accumulates(tflite_bytes),
    }


def ram(tflite_bytes: bytes) -> int:
    """Bytes, see `ram_source`."""
    if ram_source() == ARENA:
        return runtimes.arena_bytes(tflite_bytes)
    return peak_bytes(flatbuffer.read(tflite_bytes))
