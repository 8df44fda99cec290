"""The networks of a sweep: one of `keras_ternary_spike.models`, or a function of the user's."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_ternary_spike import BinaryLIF, MultiLevelLIF, TernaryLIF
from keras_ternary_spike.models import NETWORKS

from ..user_files import import_module, user_code
from .config import Config
from .data import Data
from .points import GIVEN, RELU, Point, neuron_of

KNOWN = {network.__name__: network for network in NETWORKS}
NEURONS = {neuron.__name__: neuron for neuron in (TernaryLIF, BinaryLIF, MultiLevelLIF)}


def check_network(config: Config, data: Data) -> None:
    """Builds the first network of every neuron, and asks for what the grid needs installed, before any training.

    Raises:
        ValueError: the network cannot be built, or not for this data.
        ImportError: naming the extra to install, where points are to be compressed.
    """
    for point in {point.neuron: point for point in reversed(config.points)}.values():
        build_network(point, config, data)
    if any(point.neuron == RELU for point in config.points) and importlib.util.find_spec("tflite_micro") is None:
        raise ImportError("RAM of ReLU networks needs tflite-micro: pip install 'keras-ternary-spike[sweep]'")
    if any(point.compressed for point in config.points):
        from keras_ternary_spike.compression.toolkit import load_tfmot

        load_tfmot("python.core.sparsity.keras.pruning_schedule")


def build_network(point: Point, config: Config, data: Data) -> keras.Model:
    """Images `(batch, *shape)` in, logits `(batch, classes)` out, untrained, seeded."""
    settings = config.settings["network"]
    build, shape = builder(settings["name"]), data.train_images.shape[1:]
    keras.backend.clear_session()
    keras.utils.set_random_seed(point.seed)
    ours = (ValueError,) if settings["name"] in KNOWN else ()
    try:
        with user_code(f"The network {settings['name']!r}", passing=(TypeError, *ours)):
            model = build(shape, data.classes, **arguments(point, settings))
    except TypeError as error:
        raise ValueError(
            f"The network {settings['name']!r} must take (input_shape, classes, timesteps=, decay=, width=), "
            f"`network.options` and, where the grid has neurons, neuron=. Received: {error}"
        ) from error
    outputs = getattr(model, "output_shape", None)
    if outputs != (None, data.classes):
        raise ValueError(
            f"The network {settings['name']!r} must return a Keras model with logits `(batch, classes)`, here "
            f"{(None, data.classes)}. Received: {outputs if outputs else model!r}"
        )
    return model


def arguments(point: Point, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of the network's function. One of the user's is given the neuron's word as it stands."""
    values = {"timesteps": point.timesteps, "decay": point.decay, "width": point.width}
    options = network_options(settings)
    if point.neuron == GIVEN:
        return {**options, **values}
    if settings["name"] not in KNOWN:
        return {**options, **values, "neuron": point.neuron}
    if point.neuron == RELU:  # which has no options of a neuron
        return {"timesteps": point.timesteps, "width": point.width, "neuron": keras.layers.ReLU}
    return {**options, **values, **neuron_options(point.neuron)}


def neuron_options(word: str) -> dict[str, Any]:
    """The class of a neuron's word, and its levels."""
    kind, levels = neuron_of(word)
    if kind in ("levels", "positive"):
        return {"neuron": MultiLevelLIF, "levels": levels, "signed": kind == "levels"}
    return {"neuron": TernaryLIF if kind == "ternary" else BinaryLIF}


def network_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the network; of one of ours with the class of a neuron for its name."""
    options = dict(settings["options"])
    if settings["name"] in KNOWN and isinstance(options.get("neuron"), str):
        if options["neuron"] not in NEURONS:
            raise ValueError(
                f"`network.options.neuron` must be one of {', '.join(NEURONS)}. Received: {options['neuron']!r}"
            )
        options["neuron"] = NEURONS[options["neuron"]]
    return options


def builder(name: str) -> Callable[..., Any]:
    """A name from `keras_ternary_spike.models`, or "module:function". Raises: ValueError naming both."""
    if name in KNOWN:
        return KNOWN[name]
    module, separator, function = name.partition(":")
    if not (separator and module and function):
        raise ValueError(
            f'`network.name` must be one of {", ".join(KNOWN)}, or "module:function" of your own. Received: {name!r}'
        )
    found = getattr(import_module(module), function, None)
    if not callable(found):
        raise ValueError(f"`network.name` must be a function of its module. Received: {name!r}")
    return found
