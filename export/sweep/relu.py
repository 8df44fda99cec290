"""The same network with ReLU: an int8 file of TensorFlow's own converter, run and counted."""

from __future__ import annotations

import contextlib
import io
import math
import warnings

import keras
import numpy as np

from ..runtimes.implementations import litert
from ..tflite.contents import contents
from .data import Data

CALIBRATION_IMAGES = 200


def stock_int8(model: keras.Model, data: Data) -> bytes:
    """The converter's full-integer file, int8 in and out, calibrated on the first training images."""
    import tensorflow as tf

    images = keras.Input(batch_shape=(1, *model.input_shape[1:]))
    # It tells of its progress on standard output.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(images, model(images)))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        calibration = data.train_images[:CALIBRATION_IMAGES]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()


def predict_int8(tflite_bytes: bytes, images: np.ndarray) -> np.ndarray:
    """The outputs of an int8 file for float images, as integers, `(samples, classes)`."""
    interpreter = litert(tflite_bytes)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    integers = np.clip(np.rint(images / scale) + zero_point, -128, 127).astype(np.int8)
    outputs = []
    for image in integers:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0])
    return np.stack(outputs)


def multiply_accumulates(tflite_bytes: bytes) -> int:
    """Of all convolutions and matrix products of anybody's file, for one call."""
    total = 0
    for operator in contents(tflite_bytes).operators:
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            total += math.prod(operator.outputs[0].shape[:3]) * math.prod(operator.inputs[1].shape)
        elif operator.kind == "FULLY_CONNECTED":
            total += math.prod(operator.inputs[0].shape[:-1]) * math.prod(operator.inputs[1].shape)
    return total
