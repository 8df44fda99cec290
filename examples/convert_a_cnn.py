"""A ReLU network becomes a spiking one: train, convert, train on, export.

    python examples/convert_a_cnn.py

Handwritten digits of 8x8 pixels; less than a minute.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import datasets
from keras_ternary_spike import convert
from keras_ternary_spike.export import export_tflite, load, verify

EPOCHS, FURTHER_EPOCHS = 15, 2
LOSS = "sparse_categorical_crossentropy"
SAMPLES = 300  # from which convert reads how large activations become


def build():
    """An ordinary CNN: nothing in it knows of spikes."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv1"),
            layers.BatchNormalization(name="norm1"),
            layers.ReLU(name="relu1"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )


def train(model, data, epochs, learning_rate):
    model.compile(keras.optimizers.Adam(learning_rate), LOSS)
    model.fit(data.train_images, data.train_labels, batch_size=32, epochs=epochs, verbose=0)


def accuracy(probabilities, data):
    return f"{np.mean(probabilities.argmax(axis=-1) == data.test_labels):.1%}"


def main():
    keras.utils.set_random_seed(0)
    data = datasets.load("digits")
    relu = build()
    train(relu, data, EPOCHS, 5e-3)
    print("ReLU", accuracy(relu.predict(data.test_images, verbose=0), data))

    for title, options in (("7 levels, one timestep", {"levels": 7}), ("binary, 4 timesteps", {"timesteps": 4})):
        spiking = convert(relu, data.train_images[:SAMPLES], **options)
        before = accuracy(spiking.predict(data.test_images, verbose=0), data)
        train(spiking, data, FURTHER_EPOCHS, 1e-3)
        tflite_bytes = export_tflite(spiking)
        exact = verify(spiking, tflite_bytes, data.test_images[:50]).exact
        after = accuracy(load(tflite_bytes).predict(data.test_images), data)
        print(
            f"{title}: {before}, trained on {after} in {len(tflite_bytes):,} bytes, {'EXACT' if exact else 'differs'}"
        )


if __name__ == "__main__":
    main()
