"""What can be converted: every layer by its name, and the samples, before any work."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..layers.lif import LIF
from ..layers.lif_cell import LIFCell
from ..layers.overrides import check_call
from ..layers.time_axis import DirectEncoding, TimeAverage
from ..layers.trace import Call, Trace
from .activations import AT_THE_END, activation_of, function_of

LEAST_SAMPLES = 16

# One frame of their input gives one frame of their output.
LINEAR = (
    *(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
    *(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D, keras.layers.Dense),
    *(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose),
    *(keras.layers.BatchNormalization, keras.layers.Normalization, keras.layers.Rescaling),
)
POOLS = (
    *(keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.AveragePooling1D),
    *(keras.layers.AveragePooling2D, keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D),
    *(keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D),
)
SHAPES = (
    *(keras.layers.Flatten, keras.layers.Reshape, keras.layers.Permute),
    *(keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.Cropping1D, keras.layers.Cropping2D),
    *(keras.layers.UpSampling1D, keras.layers.UpSampling2D),
)
TRAINING = (
    *(keras.layers.Dropout, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.Identity),
    *(keras.layers.GaussianNoise, keras.layers.GaussianDropout, keras.layers.ActivityRegularization),
    *(keras.layers.RandomFlip, keras.layers.RandomRotation, keras.layers.RandomTranslation, keras.layers.RandomZoom),
    *(keras.layers.RandomContrast, keras.layers.RandomBrightness),
)
MERGES = (keras.layers.Add, keras.layers.Subtract, keras.layers.Average, keras.layers.Concatenate)
ACTIVATIONS = (keras.layers.ReLU, keras.layers.Activation, keras.layers.Softmax)
SUPPORTED = (*LINEAR, *POOLS, *SHAPES, *TRAINING, *MERGES, *ACTIVATIONS)

OTHER_RECTIFIERS = (keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.ELU)
TIMED = (LIF, LIFCell, DirectEncoding, TimeAverage)


def check_layers(calls: Trace, name: str) -> None:
    """Raises ValueError, naming the layer, the rule and the way out, for what neurons cannot stand for."""
    for call in calls.calls:
        _check_spikes(call, name)
    for index, call in enumerate(calls.calls):
        if not isinstance(call.layer, keras.layers.InputLayer):
            _check_layer(call)
            _check_activation(calls, index)
    if all(activation_of(call.layer) is None for call in calls.calls):
        raise ValueError(
            f"`convert` takes a network with ReLUs, whose places neurons take. Received: {name!r} without one. "
            "A network without them is linear: train it with spiking layers, see keras_ternary_spike.models."
        )


def _check_spikes(call: Call, name: str) -> None:
    spikes = isinstance(getattr(call.layer, "cell", call.layer), TIMED) or isinstance(call.layer, TIMED)
    if spikes:
        raise ValueError(
            f"`convert` takes a network that does not spike yet. Received: {name!r} with layer {call.layer.name!r} "
            f"({type(call.layer).__name__}). Graded spikes of one timestep become several by unfold(model); a network "
            "of ReLUs and spikes is exported as it is."
        )


def _check_layer(call: Call) -> None:
    layer, kind = call.layer, type(call.layer)
    if call.per_timestep or isinstance(layer, keras.layers.RNN):
        raise ValueError(
            f"`convert` makes the time axis itself. Received: layer {layer.name!r} ({kind.__name__}), which has one. "
            "Convert the network of one frame."
        )
    if kind in OTHER_RECTIFIERS:
        raise ValueError(
            f"Cannot convert layer {layer.name!r} ({kind.__name__}): spikes stand for ReLU, clipped or not. Train with "
            "ReLU() in its place."
        )
    if kind not in SUPPORTED:
        supported = ", ".join(sorted(kind.__name__ for kind in (*LINEAR, *POOLS, *SHAPES, *MERGES, *ACTIVATIONS)))
        raise ValueError(f"Cannot convert layer {layer.name!r} ({kind.__name__}). Supported: {supported}.")
    check_call(layer)
    if kind is keras.layers.ReLU and (layer.negative_slope or layer.threshold):
        raise ValueError(
            f"A ReLU must be 0 up to 0 and rise from there. Received: layer {layer.name!r} with "
            f"negative_slope={layer.negative_slope}, threshold={layer.threshold}. Train with both 0."
        )
    if kind is keras.layers.Concatenate and layer.axis not in (-1, max(call.ranks, default=0) - 1):
        raise ValueError(
            f"Concatenate works along the channels, the last axis. Received: axis={layer.axis} in layer "
            f"{layer.name!r}. Use axis=-1."
        )


def _check_activation(calls: Trace, index: int) -> None:
    layer = calls.calls[index].layer
    function = function_of(layer)
    if function is keras.activations.linear or activation_of(layer) is not None:
        return
    if function in AT_THE_END and not calls.readers(index):
        return
    raise ValueError(
        "Neurons take the place of relu, relu6 and hard_tanh; softmax or sigmoid may stand at the very end. Received: "
        f"activation {getattr(function, '__name__', function)!r} in layer {layer.name!r}. Train with relu in its place."
    )


def check_samples(model: keras.Model, parts: list[Any]) -> None:
    """Raises ValueError for samples that are few, of another shape than the model's inputs, or not finite.

    parts: batches as the model takes them.
    """
    wanted = [tuple(x.shape[1:]) for x in model.inputs]
    batches = [[np.asarray(array) for array in keras.tree.flatten(part)] for part in parts]
    for arrays in batches:
        shapes = [array.shape[1:] for array in arrays]
        if len(shapes) != len(wanted) or not all(map(_fits, shapes, wanted)):
            raise ValueError(
                f"`samples` must have the shapes of the model's inputs, {_listed(wanted)}, behind the batch axis. "
                f"Received: {_listed(shapes)}."
            )
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("`samples` must be finite. Received: NaN or infinity.")
    count = sum(len(arrays[0]) for arrays in batches)
    if count < LEAST_SAMPLES:
        raise ValueError(
            f"`samples` must hold at least {LEAST_SAMPLES} inputs, from which the ranges of the activations are read; "
            f"some hundred are better. Received: {count}."
        )


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(size in (None, found) for size, found in zip(wanted, shape, strict=True))


def _listed(shapes: list[Any]) -> str:
    return " and ".join(map(str, shapes))
