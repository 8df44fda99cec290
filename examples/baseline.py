"""What TensorFlow's own converter makes of the same model, and how fast files run side by side."""

from __future__ import annotations

import contextlib
import functools
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

from datasets import Dataset

KERAS, OURS = "Keras float32", "this package int8"
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


def compare(model: keras.Model, tflite_bytes: bytes, data: Dataset) -> dict[str, dict[str, float]]:
    """One row for Keras, the stock converter's two files and ours: accuracy, agreement, latency_ms, bytes.

    accuracy: share of the test images with the right class; agreement: with the class Keras finds.
    latency_ms: median for one image, on one thread but for Keras.
    bytes: of the file; for Keras, of its float32 weights.
    """
    images, labels = data.test_images, data.test_labels
    files = {
        "stock TFLite float32": convert_float32(model),
        "stock TFLite int8": convert_int8(model, data.train_images),
        OURS: tflite_bytes,
    }
    found = {KERAS: model.predict(images, verbose=0).argmax(-1)}
    found |= {name: predict(content, images).argmax(-1) for name, content in files.items()}
    milliseconds = time_calls({KERAS: keras_call(model, images[0])} | file_calls(files, images[0]))
    sizes = {KERAS: 4 * model.count_params()} | {name: len(content) for name, content in files.items()}
    return {
        name: {
            "accuracy": float(np.mean(classes == labels)),
            "agreement": float(np.mean(classes == found[KERAS])),
            "latency_ms": latency(milliseconds[name]).median,
            "bytes": sizes[name],
        }
        for name, classes in found.items()
    }


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The rows of `compare` as text."""
    lines = [f"{'':22}{'accuracy':>10}{'as Keras':>10}{'latency':>13}{'size':>14}"]
    for name, row in rows.items():
        lines.append(
            f"{name:22}{row['accuracy']:10.2%}{row['agreement']:10.2%}"
            f"{row['latency_ms']:10.3f} ms{row['bytes']:8,d} bytes"
        )
    return "\n".join(lines)


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


def file_calls(files: Mapping[str, bytes], image: np.ndarray) -> dict[str, Callable[[], object]]:
    """For each file, a function that runs it on one image."""
    calls = {}
    for name, tflite_bytes in files.items():
        interpreter = interpreter_of(tflite_bytes)
        source = interpreter.get_input_details()[0]
        interpreter.set_tensor(source["index"], quantized(image[None], source))
        calls[name] = interpreter.invoke
    return calls


def keras_call(model: keras.Model, image: np.ndarray) -> Callable[[], object]:
    """A function that runs a model on one image, traced as `predict` does."""
    images = tf.constant(image[None])
    return functools.partial(tf.function(model), images, training=False)


def time_calls(calls: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS) -> dict[str, np.ndarray]:
    """Times functions in turns, so that a slow moment of the machine falls on all of them.

    Returns: milliseconds a call, `(rounds,)` for each function.
    """
    repeats = {name: max(1, int(BLOCK_SECONDS / _seconds(call, 3))) for name, call in calls.items()}
    times = {name: np.zeros(rounds) for name in calls}
    for turn in range(rounds):
        for name, call in calls.items():
            times[name][turn] = 1000 * _seconds(call, repeats[name]) / repeats[name]
    return times


def latency(milliseconds: np.ndarray) -> Latency:
    """Median and quartiles of what `time_calls` measured, or of the ratios of two of its arrays."""
    low, median, high = np.percentile(milliseconds, (25, 50, 75))
    return Latency(float(median), float(low), float(high))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what the block prints, native code included, off the screen; shows it if the block raises."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as log, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(log.fileno(), 2)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except BaseException:
            sys.stderr.flush()
            log.seek(0)
            os.write(saved, log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def _converter(model: keras.Model) -> tf.lite.TFLiteConverter:
    images = keras.Input(batch_shape=(1, *model.input_shape[1:]))
    with quiet():
        return tf.lite.TFLiteConverter.from_keras_model(keras.Model(images, model(images)))


def _convert(converter: tf.lite.TFLiteConverter) -> bytes:
    with quiet():
        return converter.convert()


def _seconds(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start
