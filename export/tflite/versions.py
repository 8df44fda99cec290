"""The version of an operator, and the first release of TensorFlow Lite that runs it, as the schema's own tools say.

A runtime refuses a version that it does not know: a higher one stands for what an older kernel would compute wrongly.
Reference: [op_version.cc and runtime_version.cc](
https://github.com/tensorflow/tensorflow/tree/master/tensorflow/lite/tools/versioning).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..program.operators import FILE_KINDS, Operator, Tensor

AXES = 4  # of a tensor: operators on more have a version of their own
SLICE_OF_MORE, PAD_OF_MORE, BROADCASTING_MORE = 5, 4, 3
MUL_OF_ONE = 3  # a product of scales of at least 1 times the scale written
FIRST_RELEASES: Mapping[tuple[str, int], tuple[int, int, int]] = {
    ("MUL", MUL_OF_ONE): (1, 15, 0),
    ("TRANSPOSE_CONV", 3): (2, 3, 0),
    ("SUB", BROADCASTING_MORE): (2, 3, 0),
    ("SLICE", SLICE_OF_MORE): (2, 5, 0),
    ("PAD", PAD_OF_MORE): (2, 6, 0),
}
INT8_RELEASE = (1, 14, 0)  # of the other versions


def version(operator: Operator, tensors: Sequence[Tensor]) -> int:
    """The lowest version that computes this operator."""
    inputs, kind = [tensors[index] for index in operator.inputs], operator.kind
    more = max(len(tensor.shape) for tensor in inputs) > AXES
    if kind == "MUL" and np.prod([tensor.scale for tensor in inputs]) / tensors[operator.output].scale >= 1:
        return MUL_OF_ONE
    if kind == "SUB" and more and inputs[0].shape != inputs[1].shape:
        return BROADCASTING_MORE
    of_more = {"SLICE": SLICE_OF_MORE, "PAD": PAD_OF_MORE}
    return of_more[kind] if more and kind in of_more else FILE_KINDS[kind].version


def min_runtime_version(codes: Iterable[tuple[str, int]]) -> str:
    """The first release that runs all of these (kind, version), as in "1.15.0"."""
    return ".".join(map(str, max(FIRST_RELEASES.get(code, INT8_RELEASE) for code in codes)))


def check_version(kind: str, stated: int) -> None:
    """Raises ValueError unless `stated` is a version of `kind` that has int8 and computes what a Program does.

    A version that states less than the operator needs is taken: files of version 0.1 of this package have such.
    """
    known = sorted({FILE_KINDS[kind].version, *(number for name, number in FIRST_RELEASES if name == kind)})
    if stated not in known:
        raise ValueError(f"The version of {kind} must be {' or '.join(map(str, known))}. Received: {stated}")
