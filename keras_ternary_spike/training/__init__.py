"""What watches and starts a training."""

import keras as keras  # before any file of the room: see registration.py
