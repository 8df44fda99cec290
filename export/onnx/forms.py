"""What a form of the file decides: how integers are held, and the nodes that compute with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..program.operators import Tensor
from .graph import Call, Graph


@dataclass(frozen=True)
class Form:
    """How activations are held between an int8 input and an int8 output.

    enter: what holds the integers of an int8 value, `(graph, tensor, value)`.
    leave: the int8 value of an output, `(graph, tensor, value, name)`.
    constant: the data of a tensor as activations are held; zero: what stands for 0 in one.
    weighted, transposed, elementwise: the nodes of an operator.
    """

    enter: Callable[[Graph, Tensor, str], str]
    leave: Callable[[Graph, Tensor, str, str], str]
    constant: Callable[[Tensor], np.ndarray]
    zero: Callable[[Tensor], np.ndarray]
    weighted: Callable[[Call], str]
    transposed: Callable[[Call], str]
    elementwise: Callable[[Call], str]
