"""Trains a small network and writes its weights: python parallel_training.py <how> <file.npz>. Run by the tests.

how: "single", or on two replicas "mirrored" (TensorFlow, two virtual devices of one process), "workers" (TensorFlow,
two processes, TF_CONFIG says which this is) or "data_parallel" (JAX, two virtual devices).
"""

import contextlib
import os
import sys
from pathlib import Path

import keras
import numpy as np

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage

HOW, FILE = sys.argv[1:]


def distribution():
    """The scope in which to build the model."""
    if HOW == "data_parallel":
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"  # JAX reads it at its first use
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=["cpu:0", "cpu:1"]))
    if HOW == "mirrored":
        import tensorflow as tf

        device = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
    if HOW == "workers":
        sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
        import train_distributed

        return train_distributed.make_strategy().scope()
    return contextlib.nullcontext()


def build():
    model = keras.Sequential([keras.Input((6, 6, 1)), DirectEncoding(timesteps=3)])
    model.add(PerTimestep(keras.layers.Conv2D(4, 3, padding="same")))
    model.add(TernaryLIF(amplitude_per="channel"))
    for layer in (PerTimestep(keras.layers.Flatten()), PerTimestep(keras.layers.Dense(3)), TimeAverage()):
        model.add(layer)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


scope = distribution()
keras.utils.set_random_seed(0)
with scope:
    model = build()
rng = np.random.default_rng(0)
images, labels = rng.random((64, 6, 6, 1), "float32"), rng.integers(0, 3, 64)
data = {"x": images, "y": labels, "batch_size": 16}
if HOW in ("mirrored", "workers"):
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = {"x": tf.data.Dataset.from_tensor_slices((images, labels)).batch(16).with_options(options)}
model.fit(**data, epochs=2, shuffle=False, verbose=0)
np.savez(FILE, *model.get_weights())
