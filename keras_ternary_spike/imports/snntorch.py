"""Networks of snnTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ..layers.lif import LIF, BinaryLIF
from ..layers.presets import preset
from .channels_last import Value, per_channel
from .torch_modules import array, model_from


def from_snntorch(
    module: Any, input_shape: Sequence[int], *, timesteps: int, static: bool = False, average: bool = True
) -> keras.Model:
    """A trained snnTorch network as a Keras model with the same weights and dynamics.

    As `from_spikingjelly`, whose arguments these are, with neurons `Leaky(init_hidden=True)`, their learned beta and
    threshold included. snnTorch fires above the threshold, this package at it: spikes differ where a membrane is it.
    Its subtraction takes the threshold off one timestep later, behind the leak: threshold / beta before it.
    `spike_grad` is a function that tells nothing of itself: training goes on with snnTorch's default, ATan(alpha=2).

    Args:
        module: a `torch.nn.Sequential`, or any module without loops over time: torch.nn's Conv2d, Linear, BatchNorm,
            MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), Flatten and Dropout, and `snntorch.Leaky(init_hidden=True)`.
        input_shape, timesteps, static, average: as in `from_spikingjelly`.

    Returns:
        A `keras.Model`, not compiled, of spikes: the sums of the last layer's are what snnTorch's losses count.

    Raises:
        ValueError: naming the layer or operation that cannot be taken over exactly, and the way out.
        ImportError: if torch is not installed.
    """
    options = {"timesteps": timesteps, "static": static, "average": average}
    return model_from(module, input_shape, neurons={"Leaky": neuron}, **options)


def neuron(module: Any, value: Value, name: str) -> LIF:
    """The spiking layer of a Leaky."""
    _check(module, name)
    decay = per_channel(value, np.clip(array(module.beta), 0.0, 1.0), "beta", name)
    threshold = per_channel(value, array(module.threshold), "threshold", name)
    return BinaryLIF(
        decay=decay,
        threshold=threshold,
        surrogate=preset("snntorch")["surrogate"],
        detach_reset=True,
        trainable_amplitude=False,
        amplitude_initializer=keras.initializers.Constant(_factor(module, name)),
        name=name,
        **_reset(module, decay, name),
    )


def _check(module: Any, name: str) -> None:
    if not module.init_hidden:
        raise ValueError(
            f"Layer {name!r} (Leaky) must keep its own state, as in a Sequential. Received: init_hidden=False. Build "
            "the network with init_hidden=True and load the same state dict."
        )
    for option in ("inhibition", "state_quant", "output"):
        if getattr(module, option):
            raise ValueError(f"Layer {name!r} (Leaky) must have no {option}. Received: {option}=True")


def _factor(module: Any, name: str) -> float:
    factor = np.unique(array(module.graded_spikes_factor)) if hasattr(module.graded_spikes_factor, "detach") else [1.0]
    if len(factor) != 1:
        raise ValueError(f"Layer {name!r} (Leaky) must have one graded_spikes_factor. Received: {len(factor)}")
    return float(factor[0])


def _reset(module: Any, decay: float | np.ndarray, name: str) -> dict[str, Any]:
    mechanism = {0: "subtract", 1: "zero", 2: "none"}[int(module.reset_mechanism_val)]
    if mechanism != "subtract":
        return {"reset": mechanism}
    if not module.reset_delay:
        raise ValueError(
            f"Layer {name!r} (Leaky) must subtract with a delay, or reset to zero. Received: reset_delay=False, which "
            "takes the threshold off twice where a membrane lies beyond two of them."
        )
    if np.ndim(decay) or not decay > 0:
        raise ValueError(
            f"Layer {name!r} (Leaky) must have one beta above 0 where it subtracts. Received: beta={decay}"
        )
    return {"reset": "subtract", "reset_amount": 1.0 / decay}
