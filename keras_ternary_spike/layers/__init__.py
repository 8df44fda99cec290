"""The Keras layers: neurons, normalization, the time axis."""
