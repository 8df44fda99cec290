"""One point from training to its numbers: accuracy, time, RAM, flash and arithmetic."""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Trained:
    """A point's file and what is known of it wherever it was trained; without a file the reason, as "error"."""

    tflite_bytes: bytes | None
    found: Mapping[str, Any]


def finish_point(point: Point, trained: Trained, folder: Folder) -> dict[str, Any]:
    """Writes a point's .tflite file, and measures it on this machine, beside the folder's reference.

    Returns:
        The point's result: see `measured` and `measured_file`; {"error": text} if it could not be trained or exported,
        which is a result too.
    """
    if trained.tflite_bytes is None:
        return dict(trained.found)
    folder.write_model(point, trained.tflite_bytes)
    return {**trained.found, **measured_file(trained.tflite_bytes, folder.reference(trained.tflite_bytes))}


def train_point(point: Point, config: Config, data: Data) -> Trained:
    """Trains and exports a point, and measures what does not depend on the machine."""
    start = time.monotonic()
    low, high = config.settings["data"]["input_range"]
    try:
        model = build_network(point, config, data)
        with user_code(f"Training {config.settings['network']['name']!r}", passing=(ValueError,)):
            train(model, point, config, data)
        relu = point.neuron == RELU
        tflite_bytes = stock_int8(model, data) if relu else export_tflite(model, input_range=(low, high))
    except ValueError as error:
        return Trained(None, {"error": " ".join(str(error).split())})
    spent = time.monotonic() - start
    samples = config.settings["measure"]["samples"]
    images, labels = data.test_images[:samples], data.test_labels[:samples]
    found = measured_relu(tflite_bytes, images, labels) if relu else measured(tflite_bytes, images, labels)
    accuracy = keras_accuracy(model, images, labels)
    return Trained(tflite_bytes, {"keras_accuracy": accuracy, **found, "training_seconds": spent})


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
