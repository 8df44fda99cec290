"""A trained network of ReLUs becomes one of spikes: weights copied, one scale a layer from samples."""

from __future__ import annotations

import operator
from typing import Any

import keras

from ..layers.lif import BinaryLIF, MultiLevelLIF, TernaryLIF
from ..layers.trace import trace
from ..neuron.dynamics import MAX_LEVELS
from ..training.batches import batches
from .activations import Place, places
from .biases import move_biases
from .checks import check_layers, check_samples
from .graph import rebuilt
from .scales import activations_on, least_error_scale, percentile_scale

LEVELS = 7  # at one timestep
BATCH = 64


def convert(
    model: keras.Model,
    samples: Any,
    *,
    timesteps: int = 1,
    levels: int | None = None,
    percentile: float | None = None,
    correct_biases: bool = True,
) -> keras.Model:
    """A trained network of ReLUs as a spiking network with the same weights, to be exported or trained further.

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
        percentile: Float in (0, 100]: `scale` is what so many percent of a layer's activations other than 0 do not
            exceed. Default: None, the scale whose steps are nearest to the activations, in least squares.
        correct_biases: Boolean. Whether biases are moved until every channel of spikes has the mean of its activation
            on the samples, layer by layer (after [Li et al., 2021](https://arxiv.org/abs/2106.06984)): rounding and
            clipping shift it. False: every weight is that of `model`. Default: True.

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
    if percentile is not None and not 0 < percentile <= 100:
        raise ValueError(f"`percentile` must lie in (0, 100]. Received: percentile={percentile}")
    calls = trace(model)
    check_layers(calls, model.name)
    parts = list(batches(model, samples, BATCH))
    check_samples(model, parts)
    found = places(calls, behind_maxima=timesteps > 1)
    seen = activations_on(model, calls, found, parts)
    scales = {
        place.name: _scale(seen[place.name].values, place, timesteps * levels, percentile) for place in found.values()
    }

    def neurons(place: Place, current: Any) -> Any:
        return _neurons(place, scales[place.name], timesteps, levels)(current)

    spiking = rebuilt(model, calls, found, neurons, timesteps=timesteps)
    if correct_biases:
        move_biases(spiking, calls, found, seen, parts)
    return spiking.model


def _integer(name: str, value: Any, most: int | None = None) -> int:
    known = hasattr(value, "__index__") and not isinstance(value, bool) and value >= 1
    if not known or (most is not None and value > most):
        limits = "an integer of at least 1" if most is None else f"an integer from 1 to {most}"
        raise ValueError(f"`{name}` must be {limits}. Received: {name}={value!r}")
    return operator.index(value)


def _scale(values: Any, place: Place, steps: int, percentile: float | None) -> float:
    if percentile is None:
        return least_error_scale(values, place.activation, steps)
    return percentile_scale(values, place.activation, percentile)


def _neurons(place: Place, scale: float, timesteps: int, levels: int) -> keras.layers.Layer:
    options: dict[str, Any] = {
        "name": place.name,
        "threshold": scale / (2 * levels),
        "amplitude_initializer": keras.initializers.Constant(scale / levels),
        "trainable_threshold": timesteps == 1,
    }
    if timesteps > 1:
        options |= {"decay": 1.0, "reset": "subtract", "reset_amount": 2.0}
    signed = place.activation.signed
    if levels == 1:
        return (TernaryLIF if signed else BinaryLIF)(**options)
    return MultiLevelLIF(levels, signed=signed, **options)
