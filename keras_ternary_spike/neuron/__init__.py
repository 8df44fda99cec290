"""The neuron's mathematics: pure functions of tensors, forward and backward."""

import keras as keras  # before any file of the room: see registration.py
