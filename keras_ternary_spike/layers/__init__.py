"""The Keras layers: neurons, normalization, the time axis."""

import keras as keras  # before any file of the room: see registration.py
