"""Trained networks of other libraries as Keras models of this package's layers: same weights, same dynamics."""

import keras as keras  # before any file of the room: see registration.py

from .nir import from_nir as from_nir
from .nir_graph import to_nir as to_nir
from .snntorch import from_snntorch as from_snntorch
from .spikingjelly import from_spikingjelly as from_spikingjelly
from .ternary_spike import from_ternary_spike as from_ternary_spike
