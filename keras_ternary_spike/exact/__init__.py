"""Keras layers that compute an exact integer program in float32, for training what is shipped.

Every value between them is a whole number of steps of an int8 grid; a layer's scales, multipliers and decays are
constants, chosen by `keras_ternary_spike.export.quantize_aware`, which builds models of these layers.
"""

import keras as keras  # before any file of the room: see registration.py

from .boundary import ExactInput as ExactInput
from .boundary import ExactOutput as ExactOutput
from .boundary import ExactShift as ExactShift
from .convolutions import ExactConv2D as ExactConv2D
from .convolutions import ExactConv2DTranspose as ExactConv2DTranspose
from .convolutions import ExactDepthwiseConv2D as ExactDepthwiseConv2D
from .linear import ExactDense as ExactDense
from .linear import ExactLinear as ExactLinear
from .neuron import ExactLIF as ExactLIF
from .sums import ExactAdd as ExactAdd
from .sums import ExactShortcut as ExactShortcut
from .sums import ExactSumPooling2D as ExactSumPooling2D
from .sums import ExactTimeSum as ExactTimeSum
