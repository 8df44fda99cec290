"""Data sets of the field: images, speech and events, split, cached, and as the layers take them."""

import keras as keras  # before any file of the room: see registration.py

from .dataset import Dataset as Dataset
from .dataset import split_by_class as split_by_class
from .event_frames import event_frames as event_frames
from .event_frames import event_windows as event_windows
from .event_sets import load_events as load_events
from .idx import load_idx as load_idx
from .idx import read_idx as read_idx
from .image_sets import load_imagenet as load_imagenet
from .image_sets import load_images as load_images
from .speech import load_speech_commands as load_speech_commands
from .speech import mfcc as mfcc
