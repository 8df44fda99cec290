"""One point from training to its numbers: accuracy, time, RAM, flash and arithmetic."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np

from ..costs.nonzero_additions import nonzero_additions
from ..costs.operation_counts import count_operations, measure
from ..costs.sizes import memory
from ..exporter import export_tflite
from ..program.program import Program
from ..program.samples import quantize_input
from ..program.schedule import peak_bytes
from ..runtimes import implementations as runtimes
from ..runtimes import timing
from ..runtimes.predictor import load
from ..runtimes.timing import time_ratio
from ..tflite import flatbuffer
from ..user_files import user_code
from .config import Config
from .data import Data
from .folder import Folder
from .network import build_network
from .points import Point
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
        tflite_bytes = export_tflite(model, input_range=(low, high))
    except ValueError as error:
        return {"error": " ".join(str(error).split())}
    trained = time.monotonic() - start
    folder.write_model(point, tflite_bytes)
    samples = config.settings["measure"]["samples"]
    images, labels = data.test_images[:samples], data.test_labels[:samples]
    found = measured(tflite_bytes, images, labels, folder.reference(tflite_bytes))
    return {"keras_accuracy": keras_accuracy(model, images, labels), **found, "training_seconds": trained}


def keras_accuracy(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """In [0, 1]."""
    return float(np.mean(model.predict(images, verbose=0).argmax(axis=-1) == labels))


def measured(tflite_bytes: bytes, images: np.ndarray, labels: np.ndarray, reference: bytes) -> dict[str, Any]:
    """The numbers of a file.

    accuracy: in [0, 1], of `images`. latency_ratio, _low, _high: of its time to the reference file's, in turns on one
    XNNPACK thread, median and quartiles. reference_ms: the reference file's time at that moment.
    ram_bytes: see `ram_source`. additions, multiplications: see `count_operations`; additions_measured: those not of 0;
    additions_nonzero: those whose weight is not 0 either.
    """
    program = flatbuffer.read(tflite_bytes)
    ratio = time_ratio(tflite_bytes, reference)
    sizes = memory(program, tflite_bytes, None)
    traced = program.trace(quantize_input(program, images[:ACTIVITY_SAMPLES]))
    total = count_operations(program, measure(program, traced)).total
    return {
        "accuracy": float(np.mean(load(tflite_bytes).predict(images).argmax(axis=-1) == labels)),
        "test_images": len(images),
        "latency_ratio": ratio.median,
        "latency_ratio_low": ratio.low,
        "latency_ratio_high": ratio.high,
        "reference_ms": reference_ms(reference),
        "ram_bytes": ram(program, tflite_bytes),
        "flash_bytes": sizes.file,
        "gzip_bytes": sizes.gzip,
        "additions": total.additions,
        "additions_measured": total.additions_measured or 0.0,
        "additions_nonzero": nonzero_additions(program, traced),
        "multiplications": total.multiply_accumulates + total.rescalings,
        "operators": total.operators,
    }


def reference_ms(reference: bytes) -> float:
    """Milliseconds of one call of the reference file, median."""
    program = flatbuffer.read(reference)
    return timing.latency(reference, np.zeros(program.tensors[program.inputs[0]].shape[1:], np.int8)).median_ms


def ram(program: Program, tflite_bytes: bytes) -> int:
    """Bytes, see `ram_source`."""
    return runtimes.arena_bytes(tflite_bytes) if ram_source() == ARENA else peak_bytes(program)
