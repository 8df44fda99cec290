"""A trained network of ReLUs becomes one of spikes: weights copied, scales and corrections from samples."""

from __future__ import annotations

import operator
from typing import Any, Literal, get_args

import keras
import numpy as np

from ..layers.lif import BinaryLIF, MultiLevelLIF, TernaryLIF
from ..layers.trace import trace
from ..messages import listed
from ..neuron.dynamics import MAX_LEVELS
from ..training.batches import batches
from .activations import Place, places
from .biases import move_bias
from .checks import check_layers, check_samples
from .graph import rebuilt
from .kernels import fit_kernel
from .scales import activations_on, least_error_scale, percentile_scale, positive

LEVELS = 7  # at one timestep
BATCH = 64
ScaleSharing = Literal["channel", "layer"]
Correction = Literal["kernels", "biases"]


def convert(
    model: keras.Model,
    samples: Any,
    *,
    timesteps: int = 1,
    levels: int | None = None,
    scale_per: ScaleSharing = "channel",
    percentile: float | None = None,
    correct: Correction | None = "kernels",
) -> keras.Model:
    """A trained network of ReLUs as a spiking network with about the same weights, to be exported or trained further.

    Every relu, relu6, `ReLU(max_value)` and hard_tanh becomes neurons that, of a current which is the same at all
    timesteps, fire in sum

        sum over t of spike[t] = clip(round(timesteps * levels * current / scale), 0, timesteps * levels)

    (signed for hard_tanh: TernaryLIF), each spike worth scale / levels of the current, and the mean over time is the
    activation in timesteps * levels steps. They integrate without a leak, fire from half a step on and take off a
    whole one: decay=1, reset="subtract", reset_amount=2, threshold=scale / (2 * levels). At one timestep that is the
    quantized activation itself, in every layer. Over several, layers behind the first see currents that are not the
    same at all timesteps: their sums differ by some spikes.

    Args:
        model: built Sequential or functional model, trained, without spikes. It stays as it is.
        samples: inputs as the model takes them, some hundred, or batches of them, as for `fit`; labels are not used.
        timesteps: Integer >= 1. Default: 1.
        levels: Integer from 1 to 127, the largest spike; 1 gives binary (signed: ternary) ones. Default: 7 at one
            timestep, 1 over several.
        scale_per: "channel" or "layer": whose activations share a scale. Kernels take up those of channels, also in
            files, but for what moves channels between neurons and the next kernel, as Reshape may. Default: "channel".
        percentile: Float in (0, 100]: `scale` is what so many percent of the activations other than 0 do not exceed.
            Default: None, the scale whose steps are nearest to the activations, in least squares.
        correct: "kernels" (and biases), "biases", or None, which copies every weight as it is. Layer by layer, so that
            each sees what the spikes in front of it became: kernels of Dense, Conv1D and Conv2D layers are fit again,
            in least squares, to make of them what the ReLU network has there; biases are moved until every channel of
            spikes has the mean of its activation (after [Li et al., 2021](https://arxiv.org/abs/2106.06984)). Default:
            "kernels".

    Returns:
        A functional model with its own weights. Layers keep their names; neurons have that of a ReLU layer, or
        "conv_neuron" where layer "conv" has an activation. Inputs and outputs come as before; outputs are means over
        time, in front of a final softmax or sigmoid.

    Raises:
        ValueError: naming the layer and the way out, for layers and activations that spikes cannot stand for; for a
            model that spikes already; if there are few samples, or they do not fit the model.

    Example:
        >>> spiking = convert(model, train_images[:500], timesteps=4)

    References: [Bu et al., 2023](https://arxiv.org/abs/2303.04347), whose membrane starts at half a threshold, which is
    reset_amount=2 here; [Esser et al., 2020](https://arxiv.org/abs/1902.08153) for the trained step of graded spikes.
    """
    timesteps = _integer("timesteps", timesteps)
    levels = _integer("levels", levels if levels is not None else LEVELS if timesteps == 1 else 1, MAX_LEVELS)
    _check_choice("scale_per", scale_per, get_args(ScaleSharing))
    _check_choice("correct", correct, (*get_args(Correction), None))
    if percentile is not None and not 0 < percentile <= 100:
        raise ValueError(f"`percentile` must lie in (0, 100]. Received: percentile={percentile}")
    calls = trace(model)
    check_layers(calls, model.name)
    parts = list(batches(model, samples, BATCH))
    check_samples(model, parts)
    found = places(calls, behind_maxima=timesteps > 1)
    floats = rebuilt(model, calls, found, lambda place, x: place.activation.layer()(x), timesteps=None)
    seen = activations_on(floats, found, parts)

    def fired(place: Place, current: Any) -> Any:
        scales = _scales(seen[place.name].values, timesteps * levels, percentile, own=scale_per == "channel")
        return _fired(current, place, positive(scales, place.activation), timesteps, levels)

    spiking = rebuilt(model, calls, found, fired, timesteps=timesteps)
    for index in range(len(calls.calls) if correct else 0):  # so that later ones see what earlier ones became
        if correct == "kernels":
            fit_kernel(spiking, floats, calls, index, parts)
        if index in found:
            move_bias(spiking, calls, index, seen[found[index].name], parts)
    return spiking.model


def _check_choice(name: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        raise ValueError(f"`{name}` must be {listed(known)}. Received: {name}={value!r}")


def _integer(name: str, value: Any, most: int | None = None) -> int:
    known = hasattr(value, "__index__") and not isinstance(value, bool) and value >= 1
    if not known or (most is not None and value > most):
        limits = "an integer of at least 1" if most is None else f"an integer from 1 to {most}"
        raise ValueError(f"`{name}` must be {limits}. Received: {name}={value!r}")
    return operator.index(value)


def _scales(values: np.ndarray, steps: int, percentile: float | None, *, own: bool) -> np.ndarray:
    """Of every channel; all the same unless each has its `own`."""
    columns = values if own else values.reshape(-1, 1)
    scales = least_error_scale(columns, steps) if percentile is None else percentile_scale(columns, percentile)
    return np.broadcast_to(scales, values.shape[1:])


def _neurons(place: Place, scales: np.ndarray, timesteps: int, levels: int) -> keras.layers.Layer:
    options: dict[str, Any] = {
        "name": place.name,
        "threshold": scales / (2 * levels),
        "amplitude_per": "channel",
        "trainable_threshold": timesteps == 1,
        "threshold_per": "channel",
    }
    if timesteps > 1:
        options |= {"decay": 1.0, "reset": "subtract", "reset_amount": 2.0}
    signed = place.activation.signed
    if levels == 1:
        return (TernaryLIF if signed else BinaryLIF)(**options)
    return MultiLevelLIF(levels, signed=signed, **options)


def _fired(current: Any, place: Place, scales: np.ndarray, timesteps: int, levels: int) -> Any:
    neurons = _neurons(place, scales, timesteps, levels)
    spikes = neurons(current)
    neurons.amplitude.assign(scales / levels)
    return spikes
