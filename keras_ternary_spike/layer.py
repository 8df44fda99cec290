"""Spiking neurons as Keras layers: whole sequences, `(batch, timesteps, *features)`."""

from __future__ import annotations

from typing import Any

import keras

from .cell import BinaryLIFCell, MultiLevelLIFCell, TernaryLIFCell
from .lif import LIF
from .lif_cell import LIFCell
from .surrogate import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class TernaryLIF(LIF):
    """Leaky integrate-and-fire neurons with spikes in {-1, 0, +1}, over a sequence.

        membrane[t] = decay * membrane[t-1] * (1 - |spike[t-1]|) + current[t]
        spike[t]    = +1 if membrane[t] >= threshold, -1 if membrane[t] <= -threshold, else 0
        output[t]   = amplitude * spike[t]

    The defaults, threshold=0.5 and decay=0.25, are what the paper's released code does, in the paper's
    definition: the code sets V_th = 1 and fires at |membrane| >= V_th / 2, equality included.
    Reference: [Guo et al., 2024](https://arxiv.org/abs/2312.06372)

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
        spike_regularizer: a loss on the bare spikes and membranes, such as `FiringRateTarget(target=0.1)`, or a list
            of them. Default: None.
        return_sequences: Boolean. Every timestep, or the last one only. Default: True.
        **kwargs: return_state, go_backwards, stateful, unroll and zero_output_for_mask as in
            `keras.layers.RNN` (unroll changes nothing); name, dtype, trainable.

    Call arguments:
        sequences: current, `(batch, timesteps, *features)`.
        initial_state: `(batch, *features)`, the membrane after the reset, before the decay. Default: zeros.
        mask: Boolean, `(batch, timesteps)`. A masked timestep leaves the state as it is.
        training: in training the sequence is compiled, where the backend can and its sizes are known; results
            are the same.

    Output shape:
        `(batch, timesteps, *features)`, or `(batch, *features)` with return_sequences=False; with return_state
        also the last state, `(batch, *features)`. Under float16 and bfloat16 policies the membrane is float32
        within the call, and rounded where it enters or leaves it.

    Raises:
        ValueError: decay outside [0, 1], threshold not positive, unknown values of options, inputs of integers or
            without a feature axis, unknown sizes where something is per channel or element, states of another shape.

    Example:

    >>> TernaryLIF()(np.ones((1, 4, 3), "float32")).shape
    TensorShape([1, 4, 3])
    """

    cell_class = TernaryLIFCell


@keras.saving.register_keras_serializable(package=PACKAGE)
class BinaryLIF(LIF):
    """As `TernaryLIF`, with spikes in {0, 1}: spike[t] = 1 if membrane[t] >= threshold, else 0.

    The baseline of the paper's comparison. Arguments, shapes and errors are those of `TernaryLIF`.
    """

    cell_class = BinaryLIFCell


@keras.saving.register_keras_serializable(package=PACKAGE)
class MultiLevelLIF(LIF):
    """As `TernaryLIF`, with integer spikes from -levels to levels, for comparison. It is not exported.

        spike[t] = round(membrane[t] / (2 * threshold)), halves away from zero, clipped to [-levels, levels]
        state[t] = 0 after any spike (reset="zero"); membrane[t] - reset_amount * threshold * spike[t] ("subtract")

    With levels=1 it is `TernaryLIF`. The surrogate sits around the nearest threshold, an odd multiple of `threshold`:
    the rectangle of width 1 is straight-through up to 2 * levels * threshold.

    Args:
        levels: Integer from 1 to 127.
        **options: those of `TernaryLIF`, by name.
    """

    cell_class = MultiLevelLIFCell

    def __init__(self, levels: int, **options: Any) -> None:
        self._levels = levels
        super().__init__(**options)

    def _make_cell(self, **options: Any) -> LIFCell:
        return self.cell_class(self._levels, **options)
