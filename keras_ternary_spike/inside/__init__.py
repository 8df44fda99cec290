"""A look inside a trained network: what its membranes and spikes do, in numbers and pictures."""

import keras as keras  # before any file of the room: see registration.py

from .figures import draw_firing_maps as draw_firing_maps
from .figures import draw_information as draw_information
from .figures import draw_membranes as draw_membranes
from .figures import draw_raster as draw_raster
from .recording import Recording as Recording
from .recording import record as record
from .tensorboard import InsideTensorBoard as InsideTensorBoard
