"""Networks as the trainer over timesteps reads them: their layers, their weights in its order, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np


@dataclass(frozen=True)
class Layer:
    """A convolution of the network, or a mean over strides x strides pixels, and what stands behind it.

    source, addend: numbers from 1, 0 the image or none. convolution, neuron: names in the Keras model, None without;
    of strides 1 without a convolution neurons on the sum that the source is.
    """

    convolution: str | None
    neuron: str | None
    source: int
    strides: int = 1
    addend: int = 0


def described(model: keras.Model, layers: Sequence[Layer]) -> str:
    """The network as the trainer reads it."""
    rows, channels = [], [model.input_shape[-1]]
    for layer in layers:
        shape = kernel_of(model, layer).shape if layer.convolution else (0, 0, 0, channels[layer.source])
        channels.append(shape[-1])
        normed, fires = int(norm_of(model, layer) is not None), int(layer.neuron is not None)
        rows.append((layer.source, shape[0], layer.strides, shape[-1], normed, layer.addend, fires))
    return ";".join(",".join(map(str, row)) for row in rows)


def arrays(model: keras.Model, layers: Sequence[Layer], amplitude: float | None = None) -> Iterator[np.ndarray]:
    """Its weights in the trainer's order: of each layer the kernel, the normalization's, an amplitude a channel.

    amplitude: of all neurons; None: their own, of ReLU 1.
    """
    channels = [model.input_shape[-1]]
    for layer in layers:
        channels.append(channels[layer.source])
        if layer.convolution:
            yield kernel_of(model, layer)
            channels[-1] = kernel_of(model, layer).shape[-1]
        if (norm := norm_of(model, layer)) is not None:
            yield from norm.get_weights()
        if layer.neuron is not None:
            own = getattr(model.get_layer(layer.neuron), "amplitude", 1.0) if amplitude is None else amplitude
            yield np.broadcast_to(np.asarray(own, "float32"), channels[-1])
    yield from model.get_layer("classifier").get_weights()


def kernel_of(model: keras.Model, layer: Layer) -> np.ndarray:
    return model.get_layer(layer.convolution).get_weights()[0]


def norm_of(model: keras.Model, layer: Layer) -> keras.layers.Layer | None:
    """The normalization behind its convolution."""
    names = {each.name for each in model.layers}
    name = f"{layer.convolution}_norm"
    return model.get_layer(name) if name in names else None


def written(values: Sequence[np.ndarray]) -> np.ndarray:
    """As the trainer reads them: one behind the other."""
    return np.concatenate([np.ravel(array) for array in values]).astype("float32")


def taken(weights: np.ndarray, like: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the trainer has written, apart: arrays of the shapes of others."""
    places = np.cumsum([array.size for array in like])
    if places[-1] != weights.size:
        raise ValueError(f"The network has {places[-1]} weights. Received: {weights.size}")
    return [part.reshape(array.shape) for part, array in zip(np.split(weights, places[:-1]), like, strict=True)]


def set_weights(model: keras.Model, layers: Sequence[Layer], values: Sequence[np.ndarray]) -> None:
    """Those of `arrays` into a model of the same layers; amplitudes stay as the model's neurons have them."""
    left = iter(values)
    for layer in layers:
        if layer.convolution:
            model.get_layer(layer.convolution).set_weights([next(left)])
        if (norm := norm_of(model, layer)) is not None:
            norm.set_weights([next(left) for _ in range(4)])
        if layer.neuron is not None:
            next(left)
    model.get_layer("classifier").set_weights(list(left))


def amplitudes(layers: Sequence[Layer], model: keras.Model, values: Sequence[np.ndarray]) -> dict[str, float]:
    """Of each neuron, where its channels share one."""
    found, left = {}, iter(values)
    for layer in layers:
        for _ in range((layer.convolution is not None) + 4 * (norm_of(model, layer) is not None)):
            next(left)
        if layer.neuron is not None:
            found[layer.neuron] = float(next(left)[0])
    return found
