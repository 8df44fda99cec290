"""Kernels and biases rounded for samples."""
