"""The commands of `keras-ternary-spike`."""
