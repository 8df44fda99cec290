"""Ternary spiking layers for Keras."""
