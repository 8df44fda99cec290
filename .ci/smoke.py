"""What an installed wheel must do on any Python: be imported, train a step, export a small network, find it exact."""

import importlib
import pkgutil
import platform
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_ternary_spike
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_c, export_tflite, load, verify

for module in pkgutil.walk_packages(keras_ternary_spike.__path__, "keras_ternary_spike."):
    if not module.name.endswith(("__main__", "backend.torch")):  # the one would run, the other needs PyTorch
        importlib.import_module(module.name)

images = np.random.default_rng(0).random((16, 8, 8, 1), "float32")
labels = np.arange(16) % 4
layers = [PerTimestep(keras.layers.Conv2D(4, 3)), TernaryLIF(), PerTimestep(keras.layers.Flatten())]
ends = [PerTimestep(keras.layers.Dense(4)), TimeAverage()]
model = keras.Sequential([keras.Input((8, 8, 1)), DirectEncoding(2), *layers, *ends])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, verbose=0)

tflite_bytes = export_tflite(model)
assert verify(model, tflite_bytes, images).exact
assert load(tflite_bytes).predict(images).shape == (16, 4)
with tempfile.TemporaryDirectory() as folder:
    export_c(tflite_bytes, folder, name="tiny")
    assert (Path(folder) / "tiny.h").exists()  # kernels and templates are in the wheel, too
print(f"Python {platform.python_version()}: {len(tflite_bytes):,} bytes, exact, by {keras_ternary_spike.__file__}")
