"""Spiking networks to train and export: layouts of the literature, without weights.

Each function is called as `resnet19((32, 32, 3), 10, timesteps=2)` and returns a functional Keras model, images in,
logits out.
"""

import keras as keras  # before any file of the room: see registration.py

from .mlperf_tiny import anomaly_detector as anomaly_detector
from .mlperf_tiny import resnet8 as resnet8
from .mlperf_tiny import visual_wake_words as visual_wake_words
from .mlperf_tiny import wake_word as wake_word
from .operations import Operations as Operations
from .operations import count_operations as count_operations
from .plain import tiny as tiny
from .plain import vgg as vgg
from .resnet import ms_resnet as ms_resnet
from .resnet import resnet18 as resnet18
from .resnet import resnet19 as resnet19
from .resnet import resnet20 as resnet20
from .resnet import resnet34 as resnet34
from .separable import keyword_spotter as keyword_spotter
from .streaming import streaming_keyword_spotter as streaming_keyword_spotter
from .streaming import streaming_wake_word as streaming_wake_word
from .trained_files import Card as Card
from .trained_files import Pretrained as Pretrained
from .trained_files import pretrained as pretrained

NETWORKS = (
    *(tiny, vgg, ms_resnet, resnet8, resnet18, resnet19, resnet20, resnet34),
    *(keyword_spotter, visual_wake_words, wake_word),
)
