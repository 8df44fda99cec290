"""A trained network of ReLUs as one of spikes."""

import keras as keras  # before any file of the room: see registration.py
