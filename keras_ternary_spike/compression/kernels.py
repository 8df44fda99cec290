"""The kernels of a model: of its layers, of nested models and of what wrappers hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from ..exact import ExactDepthwiseConv2D
from ..training.health import descendants

TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D, ExactDepthwiseConv2D)


@dataclass(frozen=True, eq=False)
class Kernel:
    """The weight `kernel` of a layer."""

    layer: keras.layers.Layer
    variable: keras.Variable

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def per_channel(self) -> tuple[int, ...]:
        """The axes of one output channel: all but those that count the channels."""
        rank = len(self.variable.shape)
        if isinstance(self.layer, DEPTHWISE):
            return tuple(range(rank - 2))
        if isinstance(self.layer, TRANSPOSED):
            return (*range(rank - 2), rank - 1)
        return tuple(range(rank - 1))

    @property
    def reads(self) -> int | None:
        """How many input channels an output channel adds up; None where that is not the kernel's axis -2."""
        mixed = not isinstance(self.layer, (*DEPTHWISE, *TRANSPOSED)) and len(self.variable.shape) >= 2
        return int(self.variable.shape[-2]) if mixed else None

    def numpy(self) -> np.ndarray:
        return self.variable.numpy()


def find_kernels(model: keras.Model, names: Sequence[str] | None = None) -> list[Kernel]:
    """The kernels of a built model, in the order of its layers; only those of the layers in `names` if given.

    Raises:
        ValueError: if there are none, or a name is not that of a layer with a kernel.
    """
    found: dict[int, Kernel] = {}
    for layer in descendants(model, set()):
        variable = getattr(layer, "kernel", None)
        if isinstance(variable, keras.Variable):
            found.setdefault(id(variable), Kernel(layer, variable))
    known = [kernel.name for kernel in found.values()]
    unknown = sorted(set(names or ()) - set(known))
    if unknown or not known:
        raise ValueError(
            f"`layers` must be names of layers with a kernel in a built model. Received: {unknown}. "
            f"Model {model.name!r} has: {', '.join(known) or 'none'}."
        )
    return [kernel for kernel in found.values() if names is None or kernel.name in names]


def check_names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """`layers` as a tuple. Raises: ValueError if it is not None or a list of at least one name."""
    if names is None:
        return None
    if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f'`layers` must be a list of layer names, such as ["conv2d"], or None. Received: {names!r}')
    return tuple(names)


def sparsity(model: keras.Model) -> dict[str, float]:
    """The share of zeros, in [0, 1], of each kernel of a built model, by layer name.

    Raises:
        ValueError: if the model has no kernels, or was never built.
    """
    return {kernel.name: float(np.mean(kernel.numpy() == 0)) for kernel in find_kernels(model)}
