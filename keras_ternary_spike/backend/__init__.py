"""What each backend does its own way: compiled functions and hand-written gradients."""

import keras as keras  # before any file of the room: see registration.py
