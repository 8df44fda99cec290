"""Spiking neurons as Keras RNN cells: one timestep."""

from __future__ import annotations

from typing import Any

import keras

from .lif_cell import LIFCell as LIFCell
from .surrogate import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class TernaryLIFCell(LIFCell):
    """One timestep of the leaky integrate-and-fire neuron with spikes in {-1, 0, +1}.

        membrane[t] = decay * membrane[t-1] * (1 - |spike[t-1]|) + current[t]
        spike[t]    = +1 if membrane[t] >= threshold, -1 if membrane[t] <= -threshold, else 0
        output[t]   = amplitude * spike[t]

    For features of any rank; `keras.layers.RNN(TernaryLIFCell())` works on vectors, and `TernaryLIF` is the
    faster layer for sequences of any shape. Reference: [Guo et al., 2024](https://arxiv.org/abs/2312.06372)

    Args:
        decay: Float in [0, 1], or a sequence of one for each channel. Share of the membrane kept per timestep (the
            paper's tau). Default: 0.25.
        threshold: Float > 0, or a sequence of one for each channel, in units of the membrane. Equality fires.
            Default: 0.5.
        trainable_amplitude: Boolean. Whether the weight `amplitude` is trained. Default: True.
        amplitude_per: "layer" (one scalar, the paper's), "channel" (one per index of the last axis) or "element"
            (one per feature, after [Guo et al., 2022](https://arxiv.org/abs/2210.06686)). Default: "layer".
        surrogate: a `Surrogate`, its name, or None for `Rectangular()`, the paper's. Default: "rectangular".
        reset: "zero" (a spike clears the membrane), "subtract" (it takes the threshold off) or "none" (the membrane
            is carried on as it is). Default: "zero".
        detach_reset: Boolean. Whether the gradient ignores the reset's dependence on the membrane.
        amplitude_initializer, amplitude_regularizer, amplitude_constraint: as for any Keras weight.
            Default: "ones", None, None.
        trainable_threshold, trainable_decay: Boolean. Whether a weight stands for it, exp(log_threshold) and
            sigmoid(logit_decay). Default: False.
        threshold_per, decay_per: "layer" or "channel": who shares a trained one. Default: "layer".
        snap_decay: Boolean. Whether the decay is the nearest fraction with an odd denominator of at most 63, as in an
            exported file. Default: False.
        reset_amount: Float > 0, in thresholds per spike: what reset="subtract" takes off. Default: 1.0.
        separate_bumps: Boolean. Whether each threshold has a surrogate of its own, and where they overlap they add up.
            Default: False, the nearest counts alone.

    Call arguments:
        inputs: current, `(batch, *features)`.
        states: `[state]` with state `(batch, *features)`: the membrane after the reset, before the decay.

    Returns:
        `(output, [state])`, both `(batch, *features)`, in float32 under half-precision policies.

    Raises:
        ValueError: decay outside [0, 1], threshold not positive, unknown values of options, unknown sizes where
            something is per channel or element, inputs of integers, states of another shape.
    """

    levels = "ternary"


@keras.saving.register_keras_serializable(package=PACKAGE)
class BinaryLIFCell(LIFCell):
    """As `TernaryLIFCell`, with spikes in {0, 1}: spike[t] = 1 if membrane[t] >= threshold, else 0.

    The baseline of the paper's comparison. Arguments, shapes and errors are those of `TernaryLIFCell`.
    """

    levels = "binary"


@keras.saving.register_keras_serializable(package=PACKAGE)
class MultiLevelLIFCell(LIFCell):
    """As `TernaryLIFCell`, with integer spikes from -levels to levels, for comparison.

        spike[t] = round(membrane[t] / (2 * threshold)), halves away from zero, clipped to [-levels, levels]
        state[t] = 0 after any spike (reset="zero"); membrane[t] - reset_amount * threshold * spike[t] ("subtract")

    With levels=1 it is `TernaryLIFCell`. The surrogate sits around the nearest threshold, an odd multiple of
    `threshold`: the rectangle of width 1 is straight-through up to 2 * levels * threshold.

    Args:
        levels: Integer from 1 to 127.
        **options: those of `TernaryLIFCell`, by name.
    """

    def __init__(self, levels: int, **options: Any) -> None:
        self.levels = levels
        super().__init__(**options)

    def get_config(self) -> dict[str, Any]:
        return {"levels": self.levels, **super().get_config()}
