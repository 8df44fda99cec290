"""What TensorFlow's own converter makes of the same model, and how fast files run side by side."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

CALIBRATION_SAMPLES = 200
ROUNDS = 40
BLOCK_SECONDS = 0.01  # each round times one block of calls that takes about this long


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one call: the median of all rounds, and their quartiles."""

    median: float
    low: float
    high: float


def convert_float32(model: keras.Model) -> bytes:
    """The stock converter's float32 file, for a batch of one."""
    return _convert(_converter(model))


def convert_int8(model: keras.Model, images: np.ndarray) -> bytes:
    """The stock converter's full-integer file (int8 in and out), calibrated on the first 200 images."""
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images[:CALIBRATION_SAMPLES])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return _convert(converter)


def predict(tflite_bytes: bytes, images: np.ndarray) -> np.ndarray:
    """Runs a file on float images, one at a time. Returns: its outputs as floats, `(samples, classes)`."""
    interpreter = interpreter_of(tflite_bytes)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for image in quantized(images, source):
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0])
    scale, zero_point = target["quantization"]
    outputs = np.stack(outputs)
    return scale * (outputs.astype("float32") - zero_point) if scale else outputs


def quantized(images: np.ndarray, detail: Mapping) -> np.ndarray:
    """Images in the type of a file's input; `detail` is one of `get_input_details()`."""
    scale, zero_point = detail["quantization"]
    if not scale:
        return images.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(images / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def interpreter_of(tflite_bytes: bytes) -> Interpreter:
    """LiteRT with XNNPACK, its default, on one thread."""
    with quiet():
        interpreter = Interpreter(model_content=tflite_bytes, num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


def time_files(
    files: Mapping[str, bytes], image: np.ndarray, *, rounds: int = ROUNDS
) -> dict[str, np.ndarray]:
    """Times one image on every file, in turns. Returns: milliseconds a call, `(rounds,)` for each file."""
    calls = {}
    for name, tflite_bytes in files.items():
        interpreter = interpreter_of(tflite_bytes)
        source = interpreter.get_input_details()[0]
        interpreter.set_tensor(source["index"], quantized(image[None], source))
        calls[name] = interpreter.invoke
    return time_calls(calls, rounds=rounds)


def time_calls(calls: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS) -> dict[str, np.ndarray]:
    """As `time_files`, for functions: a slow moment of the machine then falls on all of them."""
    repeats = {name: max(1, int(BLOCK_SECONDS / _seconds(call, 3))) for name, call in calls.items()}
    times = {name: np.zeros(rounds) for name in calls}
    for turn in range(rounds):
        for name, call in calls.items():
            times[name][turn] = 1000 * _seconds(call, repeats[name]) / repeats[name]
    return times


def latency(milliseconds: np.ndarray) -> Latency:
    """Median and quartiles of what `time_files` measured; also good for ratios of two of its arrays."""
    low, median, high = np.percentile(milliseconds, (25, 50, 75))
    return Latency(float(median), float(low), float(high))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what native code writes to stderr off the screen, unless the block raises."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as log, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(log.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            if failed:
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace"))


def _converter(model: keras.Model) -> tf.lite.TFLiteConverter:
    signature = tf.TensorSpec((1, *model.input_shape[1:]), "float32")
    function = tf.function(lambda images: model(images, training=False)).get_concrete_function(signature)
    with quiet():
        return tf.lite.TFLiteConverter.from_concrete_functions([function], model)


def _convert(converter: tf.lite.TFLiteConverter) -> bytes:
    with quiet():
        return converter.convert()


def _seconds(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start
