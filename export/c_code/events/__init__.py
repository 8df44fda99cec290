"""Layers whose work follows what fired: which they are, their weights and thresholds packed, and their kernels."""
