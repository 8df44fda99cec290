"""What scales and zero points of an operator must be to each other: for all others runtimes differ, or die."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .grid import INT8_MAX, INT8_MIN
from .operators import WEIGHTED, Operator, Tensor, source_position
from .shapes import expect

PRODUCT_RATIO = 2**8  # of the scales that an operator reads, multiplied, to the one it writes: XNNPACK's limit
SMALLEST_RATIO = 2.0**-30  # of the same: below it every product is 0
SUM_RATIO = 2**20  # of twice the largest scale that ADD or SUB reads to the one it writes
BIAS_TOLERANCE = 1e-5  # of a bias' scale: float32 products, rounded in any order

Rule = Callable[[Operator, Sequence[Tensor], Tensor], None]


def check_labels(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> None:
    """Raises ValueError, naming the tensor written, unless every runtime computes with these scales."""
    single = [tensor for i, tensor in enumerate(inputs) if not (operator.kind in WEIGHTED and _is_weight(operator, i))]
    for tensor in (*single, output):
        expect(operator, output, np.ndim(tensor.scale) == 0, "have one scale but for kernels", repr(tensor.name))
    LABELS[operator.kind](operator, inputs, output)


def check_zero_point(tensor: Tensor) -> None:
    low, high = (INT8_MIN, INT8_MAX) if tensor.dtype == "int8" else (0, 0)
    if not low <= tensor.zero_point <= high:
        raise ValueError(
            f"The zero point of {tensor.dtype} must lie in {low} to {high}. "
            f"Received: {tensor.zero_point} for tensor {tensor.name!r}"
        )


def kernel(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> None:
    """XNNPACK refuses, or ends the process, where an accumulator is worth PRODUCT_RATIO steps of the output or more."""
    source, weights, bias = inputs[source_position(operator)], inputs[1], inputs[-1]
    expect(operator, output, weights.zero_point == 0, "have a kernel with the zero point 0", weights.zero_point)
    lowest = int(weights.data.min())
    expect(operator, output, lowest >= -INT8_MAX, "have kernel integers of -127 to 127", lowest)
    products = np.float64(source.scale) * weights.scale.astype(np.float64)
    _check_ratio(operator, output, products)
    near = np.allclose(bias.scale, products, rtol=BIAS_TOLERANCE, atol=0)
    rule = "have a bias whose scale is that of its input times that of its kernel"
    expect(operator, output, near, rule, f"{np.max(bias.scale):g} instead of {np.max(products):g}")


def product(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> None:
    _check_ratio(operator, output, np.float64(inputs[0].scale) * np.float64(inputs[1].scale))


def sum_(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> None:
    """LiteRT and TFLite Micro end their process where the multiplier of a sum, on 20 more bits, is not below 1."""
    largest = max(float(tensor.scale) for tensor in inputs)
    rule = f"read scales less than {SUM_RATIO // 2} times the scale that it writes"
    expect(operator, output, 2 * largest < SUM_RATIO * float(output.scale), rule, f"{largest:g}, {output.scale:g}")


def unchanged(operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> None:
    """Integers are moved as they are."""
    moved = inputs if operator.kind == "CONCATENATION" else inputs[:1]
    for tensor in moved:
        same = tensor.scale == output.scale and tensor.zero_point == output.zero_point
        labels = [f"{t.scale:g} and {t.zero_point}" for t in (tensor, output)]
        expect(operator, output, same, "keep scale and zero point", *labels)


def _check_ratio(operator: Operator, output: Tensor, products: np.ndarray) -> None:
    ratios = products / float(output.scale)
    fits = np.min(ratios) > SMALLEST_RATIO and np.max(ratios) < PRODUCT_RATIO
    rule = f"read scales whose product is less than {PRODUCT_RATIO} times the scale that it writes"
    received = f"{np.min(ratios):.3g} to {np.max(ratios):.3g} times"
    rule += f", and more than {SMALLEST_RATIO:.1g} times: XNNPACK does not compute others"
    expect(operator, output, fits, rule, received)


def _is_weight(operator: Operator, position: int) -> bool:
    return position in (1, 3 if operator.kind == "TRANSPOSE_CONV" else 2)


LABELS: Mapping[str, Rule] = {
    **dict.fromkeys(WEIGHTED, kernel),
    "ADD": sum_,
    "SUB": sum_,
    "MUL": product,
    **dict.fromkeys(("MAX_POOL_2D", "RESHAPE", "PAD", "SLICE", "CONCATENATION"), unchanged),
}
