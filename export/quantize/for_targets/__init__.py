"""Programs again, in the operators that a target computes fastest: the same integers."""
