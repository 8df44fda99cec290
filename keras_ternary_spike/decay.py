"""The decays that an integer file can hold: fractions with an odd denominator of at most 63."""

from __future__ import annotations

from fractions import Fraction

MAX_DENOMINATOR = 63  # the largest for which all operand pairs were compared on every runtime
DENOMINATORS = range(1, MAX_DENOMINATOR + 1, 2)


def snap_decay(decay: float, *, even: bool = False) -> Fraction:
    """The fraction nearest to `decay`, in [0, 1], with an odd denominator of at most 63.

    even: whether the numerator must be even too, unless the fraction is 1. So it is where reset="subtract" takes half
        an odd number of steps off an integer membrane.
    """
    unit = 2 if even else 1
    candidates = [Fraction(unit * min(round(decay * d / unit), d // unit), d) for d in DENOMINATORS]
    return min([*candidates, Fraction(1)], key=lambda fraction: (abs(float(fraction) - decay), fraction.denominator))


def fractions(*, even: bool = False) -> list[Fraction]:
    """All that `snap_decay` can return, ascending."""
    numerators = {d: range(0, d + 1, 2 if even else 1) for d in DENOMINATORS}
    return sorted({Fraction(n, d) for d in DENOMINATORS for n in numerators[d]} | {Fraction(1)})
