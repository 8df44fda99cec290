"""What Keras models compute, and in float64: spikes can be compared exactly then, outputs to the last digits."""

import keras
import numpy as np

from keras_ternary_spike import BinaryLIF, TernaryLIF


def computed(model, samples):
    """As `model.predict(samples)`, without compiling a function first, which takes longer than one call."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(samples, training=False))


def in_float64(build):
    """What build() returns, with float64 as the policy of every layer that it makes."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(previous)


def neurons(model):
    return [layer for layer in model.layers if isinstance(layer, TernaryLIF | BinaryLIF)]


def spikes_and_output(model, samples):
    """Output / amplitude of every neuron layer by name, and the model's output."""
    spiking = neurons(model)
    outputs = [layer.output for layer in spiking] + [model.outputs[0]]
    samples = samples if isinstance(samples, list) else [samples]  # as `model.inputs` are
    *spikes, output = computed(keras.Model(model.inputs, outputs), samples)
    amplitudes = [float(layer.amplitude.numpy()) for layer in spiking]
    named = zip(spiking, spikes, amplitudes, strict=True)
    return {layer.name: np.rint(spike / amplitude) for layer, spike, amplitude in named}, output
