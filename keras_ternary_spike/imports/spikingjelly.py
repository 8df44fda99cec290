"""Networks of SpikingJelly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from ..layers.lif import LIF, BinaryLIF, TernaryLIF
from ..layers.time_axis import LastTimestep, TimeAverage, TimeMax
from ..neuron.surrogate import ATan, Sigmoid, Surrogate
from . import channels_last as build
from .channels_last import Value
from .torch_modules import array, model_from

KINDS = {
    "IFNode": BinaryLIF,
    "LIFNode": BinaryLIF,
    "ParametricLIFNode": BinaryLIF,
    "TernaryIFNode": TernaryLIF,
    "TernaryLIFNode": TernaryLIF,
}
INTEGRATORS = ("NonSpikingIFNode", "NonSpikingLIFNode")
DECODED = {"mean-mem": TimeAverage, "last_mem": LastTimestep, "max-mem": TimeMax}


def from_spikingjelly(
    module: Any, input_shape: Sequence[int], *, timesteps: int, static: bool = False, average: bool = True
) -> keras.Model:
    """A trained SpikingJelly network as a Keras model with the same weights and dynamics.

    Kernels move their channels behind height and width, so do inputs: `(batch, timesteps, height, width, channels)`.
    Behind a Flatten, weights are put in the order of those. `v_threshold`, `tau`, `decay_input` and `v_reset` become
    threshold, decay and reset: with decay_input=True membranes are those of the library times tau. Surrogates go along
    where this package has them (Sigmoid, ATan); others become `Sigmoid` with its alpha, which matters to training only.

    Args:
        module: a `torch.nn.Module` of SpikingJelly's or torch's Conv2d, Linear, BatchNorm, MaxPool2d, AvgPool2d,
            AdaptiveAvgPool2d(1), Flatten and Dropout, and of IFNode, LIFNode, ParametricLIFNode, TernaryIFNode,
            TernaryLIFNode, NonSpikingIFNode and NonSpikingLIFNode, which end it if they decode. Its forward may add,
            join (torch.cat) and flatten.
        input_shape: (channels, height, width) or (features,), without batch and timesteps.
        timesteps: Integer >= 1.
        static: whether the model takes one image, which it repeats at every timestep. Default: False, a sequence.
        average: whether the model ends in the mean over time, which SpikingJelly's users take outside of the network.
            Default: True.

    Returns:
        A `keras.Model`, not compiled.

    Raises:
        ValueError: naming the layer or operation that cannot be taken over exactly, and the way out.
        ImportError: if torch is not installed.

    Example:

    >>> net.load_state_dict(torch.load("checkpoint.pt", weights_only=True))  # doctest: +SKIP
    >>> model = from_spikingjelly(net, (1, 28, 28), timesteps=4, static=True)  # doctest: +SKIP
    """
    kinds = dict.fromkeys(KINDS, neuron)
    options = {"timesteps": timesteps, "static": static, "average": average}
    readouts = dict.fromkeys(INTEGRATORS, integrator)
    return model_from(module, input_shape, neurons=kinds, readouts=readouts, **options)


def neuron(module: Any, value: Value, name: str) -> LIF:
    """The spiking layer of a node."""
    kind = type(module).__name__
    reset = module.v_reset
    if reset not in (None, 0.0):
        raise ValueError(f"Layer {name!r} ({kind}) must reset to 0 or by subtraction. Received: v_reset={reset}")
    decay, gain = _leak(module)
    # The library's membrane is gain times ours: it scales currents, we scale the threshold.
    return KINDS[kind](
        decay=decay,
        threshold=module.v_threshold / gain,
        reset="subtract" if reset is None else "zero",
        detach_reset=module.detach_reset,
        surrogate=_surrogate(module.surrogate_function, module.v_threshold),
        trainable_amplitude=False,
        name=name,
    )


def integrator(module: Any, value: Value, name: str) -> Value:
    """The membranes of a node that never fires; decoded, one number for all timesteps."""
    if module.decode not in (None, *DECODED):
        known = ", ".join(map(repr, DECODED))
        raise ValueError(
            f"Layer {name!r} ({type(module).__name__}) must decode by one of {known}, or not at all. Received: "
            f"decode={module.decode!r}"
        )
    share = 1.0 / float(module.tau) if hasattr(module, "tau") else None
    decay, gain = (1.0, 1.0) if share is None else (1.0 - share, share)
    value = build.integrator(value, name, decay=decay, gain=gain)
    if module.decode is None:
        return value
    return replace(value, tensor=DECODED[module.decode](name=f"{name}_decoded")(value.tensor), sequence=False)


def _leak(module: Any) -> tuple[float, float]:
    """Share of the membrane that is kept, and what currents are multiplied by."""
    if hasattr(module, "w"):  # ParametricLIFNode trains it
        share = 1.0 / (1.0 + math.exp(-float(array(module.w))))
    elif hasattr(module, "tau"):
        share = 1.0 / float(module.tau)
    else:
        return 1.0, 1.0
    return 1.0 - share, share if module.decay_input else 1.0


def _surrogate(function: Any, threshold: float) -> Surrogate:
    """Widths here are in units of the threshold."""
    alpha = float(getattr(function, "alpha", 4.0))
    if type(function).__name__ == "ATan":
        return ATan(2.0 / (math.pi * alpha * threshold))
    return Sigmoid(1.0 / (alpha * threshold))
