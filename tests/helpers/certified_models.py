"""The model that proofs and certificates are about: spiking convolutions of several kinds."""

import keras

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage


def build(timesteps=3, decays=(0.25, 0.25, 0.0), neuron=TernaryLIF):
    """Unless `decays` says otherwise: a layer with a constant current, one with a changing one, one without state."""
    keras.utils.set_random_seed(0)
    layers, model = keras.layers, keras.Sequential([keras.Input((6, 6, 1)), DirectEncoding(timesteps)], name="three")
    for index, decay in enumerate(decays):
        model.add(
            PerTimestep(layers.Conv2D(4, 3, padding="same", kernel_initializer="he_normal", name=f"conv_{index}"))
        )
        model.add(neuron(decay=decay, name=f"lif_{index}"))
    for layer in (PerTimestep(layers.Flatten()), PerTimestep(layers.Dense(5, name="classes")), TimeAverage()):
        model.add(layer)
    return model
