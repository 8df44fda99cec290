"""The gradient on PyTorch: Keras's `custom_gradient` takes functions with one output there. Imported with it only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, recurrence: Any, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs, saved = recurrence.forward(*tensors)
        context.recurrence, context.structure = recurrence, keras.tree.map_structure(id, saved)
        context.save_for_backward(*tensors, *keras.tree.flatten(saved))
        context.count = len(tensors)
        return outputs

    @staticmethod
    def backward(context: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        tensors, saved = context.saved_tensors[: context.count], context.saved_tensors[context.count :]
        saved = keras.tree.pack_sequence_as(context.structure, saved)
        return (None, *context.recurrence.backward(tensors, saved, upstream))


def call(recurrence: Any, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The outputs of `recurrence`; differentiating them runs its backward function."""
    return _Recurrence.apply(recurrence, *tensors)
