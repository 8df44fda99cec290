"""The gradient on PyTorch: Keras's `custom_gradient` takes functions with one output there. Imported with it only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, recurrence: Any, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs, membranes = recurrence.forward(*tensors)
        context.recurrence, context.listed = recurrence, isinstance(membranes, list)
        membranes = membranes if context.listed else [membranes]
        context.save_for_backward(*tensors, *membranes)
        context.count = len(tensors)
        return outputs

    @staticmethod
    def backward(context: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        tensors, membranes = context.saved_tensors[: context.count], context.saved_tensors[context.count :]
        membranes = list(membranes) if context.listed else membranes[0]
        return (None, *context.recurrence.backward(tensors, membranes, upstream))


def call(recurrence: Any, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The outputs of `recurrence`; differentiating them runs its backward function."""
    return _Recurrence.apply(recurrence, *tensors)
