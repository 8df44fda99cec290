"""Operators of neurons: firing, what a reset leaves, and membranes that are read."""
