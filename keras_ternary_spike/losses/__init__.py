"""Losses on the logits of every timestep, and on a teacher's."""

import keras as keras  # before any file of the room: see registration.py
