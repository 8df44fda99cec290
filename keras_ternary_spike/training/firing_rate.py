"""How often neurons fire, as a Keras metric."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..registration import PACKAGE


def fired(spikes: Any) -> Any:
    """1 where a neuron fired, 0 where it was silent, NaN where its output is not finite. Elementwise."""
    spikes = ops.cast(ops.convert_to_tensor(spikes), "float32")
    # 0 where finite, NaN elsewhere: PyTorch's sign of NaN is 0.
    return ops.abs(ops.sign(spikes)) + (spikes - spikes)


@keras.saving.register_keras_serializable(package=PACKAGE)
class FiringRate(keras.metrics.Mean):
    """Mean |spike|: the share of neurons and timesteps that fire, in [0, 1].

    Of the outputs of `TernaryLIF` or `BinaryLIF`, whose amplitudes do not matter as long as they are not 0. It takes
    spikes, not targets and predictions, and is none of the `metrics` of `compile`: call it in a layer or loop of your
    own. For whole models: `NeuronHealth`.

    Args:
        name, dtype: as for any Keras metric. Default: "firing_rate", None.

    Call arguments:
        values: spikes or amplitude * spikes, any shape, `(batch, timesteps, *features)` for one.
        sample_weight: by name; broadcasts against `values` as in `keras.metrics.Mean`, `(batch,)` for one.
            Default: None.

    Raises:
        ValueError: if it is given targets and predictions, as `compile(metrics=...)` would.

    Example:

    >>> metric = FiringRate()
    >>> metric.update_state([[0.0, -0.7, 0.7, 0.0]])
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name: str = "firing_rate", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, values: Any, *predictions: Any, sample_weight: Any = None) -> None:
        if predictions:
            raise ValueError(
                "FiringRate takes spikes, not the targets and predictions of `compile(metrics=...)`. Received: "
                f"{1 + len(predictions)} tensors. For the firing rates of a model pass NeuronHealth(samples) to "
                "`fit(callbacks=...)`, or call the metric on a layer's outputs: metric.update_state(spikes)."
            )
        super().update_state(fired(values), sample_weight=sample_weight)
