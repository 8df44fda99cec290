"""No operator may have to round what lies next to a tie: there runtimes give different integers.

The reference kernels round a product twice where its multiplier is below 1/2: to a grid of 2**-p output steps, where
2**p * multiplier lies in [1/2, 1), then to whole steps; XNNPACK rounds once, in float32. docs/exact-integers.md says
which scales keep every integer that can occur away from where that matters; here it is checked, whoever chose them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from .arithmetic import CLAMP, limits
from .grid import INT8_MAX, INT8_MIN
from .operators import ELEMENTWISE, WEIGHTED, Operator, Tensor, source_position
from .shapes import expect

MARGIN = 2.0**-14  # output steps: float32 scales and float32 products move a value of 128 by 3e-5
LARGEST_DENOMINATOR = 2**12  # of a multiplier: finer ones leave less than two roundings need
PRECISION = 2.0**-21  # of a multiplier, relative: it is made of three float32 numbers
CLIP_MARGIN = 1e-3  # steps between a clip, such as 1 / scale, and a tie
LARGEST_SUM = 2**15  # output steps: some of LiteRT's kernels hold a sum in int16 before it is clipped
RULE = "have scales that keep every integer it can read from a tie, where runtimes round differently"

MANY = (*ELEMENTWISE, "CONCATENATION")  # they read several activations

Values = tuple[int, ...]  # the integers that a tensor may hold, less its zero point, ascending
Rule = Callable[[Operator, Sequence[Tensor], Tensor, Sequence[Values]], Values]


def check_ties(operators: Sequence[Operator], tensors: Sequence[Tensor]) -> None:
    """Raises ValueError, naming the tensor written, where an integer may depend on how a runtime rounds."""
    every_reached(operators, tensors)


def every_reached(operators: Sequence[Operator], tensors: Sequence[Tensor]) -> dict[int, Values]:
    """The integers that every activation may hold, by index; of constants those that are added, multiplied or joined.

    Raises: ValueError as `check_ties`.
    """
    values: dict[int, Values] = {}
    for operator in operators:
        read = operator.inputs if operator.kind in MANY else operator.inputs[source_position(operator) :][:1]
        for index in read:
            if index not in values:
                values[index] = every_value(tensors[index])
        inputs, output = [tensors[index] for index in operator.inputs], tensors[operator.output]
        values[operator.output] = reached(operator, inputs, output, [values[index] for index in read])
    return values


def reached(operator: Operator, inputs: Sequence[Tensor], output: Tensor, values: Sequence[Values]) -> Values:
    """The integers that an operator may write, from those of the activations that it reads."""
    for bound in CLAMP[operator.activation]:
        steps = bound / float(output.scale)
        if abs(steps) < 2 * INT8_MAX:
            near = abs(steps - math.floor(steps) - 0.5) < CLIP_MARGIN
            expect(operator, output, not near, "clip at a whole number of steps, or clearly beside a half", steps)
    return RULES[operator.kind](operator, inputs, output, values)


def every_value(tensor: Tensor) -> Values:
    """What a tensor may hold: its constants, or any int8."""
    if tensor.data is not None:
        return tuple((np.unique(tensor.data).astype(int) - tensor.zero_point).tolist())
    return tuple(range(INT8_MIN - tensor.zero_point, INT8_MAX - tensor.zero_point + 1))


def moved(operator: Operator, inputs: Sequence[Tensor], output: Tensor, values: Sequence[Values]) -> Values:
    return values[0]


def padded(operator: Operator, inputs: Sequence[Tensor], output: Tensor, values: Sequence[Values]) -> Values:
    return tuple(sorted({0, *values[0]}))


def joined(operator: Operator, inputs: Sequence[Tensor], output: Tensor, values: Sequence[Values]) -> Values:
    return tuple(sorted(set().union(*values)))


def product(operator: Operator, inputs: Sequence[Tensor], output: Tensor, values: Sequence[Values]) -> Values:
    ratio, squared = float(inputs[0].scale) * float(inputs[1].scale) / float(output.scale), inputs[0] is inputs[1]
    found = _products(values[0], None if squared else values[1], ratio, *_ends(operator, output))
    expect(operator, output, found is not None, RULE, f"{ratio:.9g} times the products")
    return found


def sum_(operator: Operator, inputs: Sequence[Tensor], output: Tensor, values: Sequence[Values]) -> Values:
    """Runtimes keep 20 bits of the larger ratio."""
    first, second = (float(tensor.scale) / float(output.scale) for tensor in inputs)
    second = -second if operator.kind == "SUB" else second
    reach = sum(abs(ratio) * max(map(abs, read)) for ratio, read in zip((first, second), values, strict=True))
    rule = f"add up to less than {LARGEST_SUM} steps of what it writes, beyond which LiteRT's optimized kernels wrap"
    expect(operator, output, reach + abs(output.zero_point) < LARGEST_SUM, rule, f"{reach:.0f}")
    found = _sums(values[0], values[1], first, second, *_ends(operator, output))
    expect(operator, output, found is not None, RULE, f"{first:.9g} and {second:.9g} times what it adds")
    return found


def weighted(operator: Operator, inputs: Sequence[Tensor], output: Tensor, values: Sequence[Values]) -> Values:
    """Kernel integers and biases are multiples of powers of two; so are the sums of products."""
    source, kernel, bias = inputs[source_position(operator)], inputs[1], inputs[-1]
    ratios = np.float64(source.scale) * kernel.scale.astype(np.float64) / float(output.scale)
    rows = np.moveaxis(kernel.data, 3 if operator.kind == "DEPTHWISE_CONV_2D" else 0, 0)
    bits = np.bitwise_or.reduce(rows.reshape(len(rows), -1), axis=1).astype(np.int64)
    steps = (bits & -bits) * _step(values[0])
    offsets = np.where(steps > 0, bias.data % np.maximum(steps, 1), bias.data)
    channels = np.broadcast_to(ratios, len(rows)).tolist(), steps.tolist(), offsets.tolist()
    for ratio, step, offset in set(zip(*channels, strict=True)):
        far = _is_far(ratio, step, offset)
        expect(operator, output, far, RULE, f"{ratio:.9g} times sums that are {offset} and multiples of {step}")
    low, high = _ends(operator, output)
    if rows[0].size > 1:
        return tuple(range(low, high + 1))
    sums = np.multiply.outer(rows.ravel().astype(np.int64), values[0]) + bias.data[:, None]  # a factor
    return _written(sums * np.broadcast_to(ratios, len(rows))[:, None], low, high)


def _step(values: Values) -> int:
    """The largest power of two that divides all of them; 0 where all are 0."""
    bits = functools.reduce(lambda found, value: found | value, values, 0)
    return bits & -bits


def _ends(operator: Operator, output: Tensor) -> tuple[int, int]:
    """The smallest and the largest integer that may be written, less the zero point."""
    low, high = limits(output, operator.activation)
    return low - output.zero_point, high - output.zero_point


@functools.lru_cache(maxsize=2**12)
def _is_far(ratio: float, step: int, offset: int) -> bool:
    """Whether ratio * (offset + step * n) is far from a tie for every integer n. step 0: for that one number."""
    needed = MARGIN + first_rounding(ratio)
    if not step:
        return abs(ratio * offset) > -2 * INT8_MIN or _distance(np.array([ratio * offset])) >= needed
    exact = _simplest(ratio * step)
    if exact is None:
        return False
    # What is reached is offset + n / denominator, for every n: the nearest of these to 1/2 decides.
    beyond = ((exact * offset / step - Fraction(1, 2)) * exact.denominator) % 1
    return min(beyond, 1 - beyond) / exact.denominator >= needed


def _simplest(ratio: float) -> Fraction | None:
    """The fraction that a multiplier stands for; None if there is none as near as float32 numbers are.

    Not the nearest one: of a large multiplier a fraction of larger numbers lies nearer by chance.
    """
    denominator = 1
    while denominator <= LARGEST_DENOMINATOR:
        found = Fraction(ratio).limit_denominator(denominator)
        if abs(float(found) - ratio) <= PRECISION * ratio:
            return found
        denominator *= 2
    return None


def first_rounding(ratio: float) -> float:
    """How far the first of two roundings may move a value, in output steps; 0 where there is one only."""
    return 2.0 ** math.floor(math.log2(2 * ratio)) / 2 if ratio < 0.5 else 0.0


@functools.lru_cache(maxsize=2**10)
def _products(first: Values, second: Values | None, ratio: float, low: int, high: int) -> Values | None:
    """Rounded and clipped; None where one of them is too near to a tie. second: None for squares."""
    products = np.square(first) if second is None else np.multiply.outer(first, second)
    return _rounded(products * ratio, low, high, MARGIN + first_rounding(ratio))


@functools.lru_cache(maxsize=2**10)
def _sums(first: Values, second: Values, ratio: float, other: float, low: int, high: int) -> Values | None:
    sums = np.add.outer(np.multiply(first, ratio), np.multiply(second, other))
    return _rounded(sums, low, high, 2 * MARGIN * max(abs(ratio), abs(other)))


def _rounded(exact: np.ndarray, low: int, high: int, needed: float) -> Values | None:
    inside = exact[(exact > low) & (exact < high)]  # both neighbours of a tie beyond are clipped to the same
    if inside.size and _distance(inside) < needed:
        return None
    return _written(exact, low, high)


def _written(exact: np.ndarray, low: int, high: int) -> Values:
    return tuple(np.unique(np.clip(np.rint(exact), low, high)).astype(int).tolist())


def _distance(values: np.ndarray) -> float:
    """From the nearest tie."""
    return float(np.abs(values - np.floor(values) - 0.5).min())


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(WEIGHTED, weighted),
    "ADD": sum_,
    "SUB": sum_,
    "MUL": product,
    "PAD": padded,
    "CONCATENATION": joined,
    **dict.fromkeys(("MAX_POOL_2D", "RESHAPE", "SLICE"), moved),
}
