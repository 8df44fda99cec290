"""The gradient on PyTorch: Keras's `custom_gradient` takes functions with one output there. Imported with it only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, differentiable: Any, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs, saved = differentiable.forward(*tensors)
        context.differentiable, context.structure = differentiable, keras.tree.map_structure(id, saved)
        context.save_for_backward(*tensors, *keras.tree.flatten(saved))
        context.count = len(tensors)
        return outputs

    @staticmethod
    def backward(context: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        tensors, saved = context.saved_tensors[: context.count], context.saved_tensors[context.count :]
        saved = keras.tree.pack_sequence_as(context.structure, saved)
        return (None, *context.differentiable.backward(tensors, saved, upstream))


def call(differentiable: Any, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The outputs of a function; differentiating them runs its backward function."""
    return _Function.apply(differentiable, *tensors)
