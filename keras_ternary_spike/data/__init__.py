"""Data sets of the field: images, speech and events, split, cached, and as the layers take them."""

import keras as keras  # before any file of the room: see registration.py

from .augmentation import Augmentation as Augmentation
from .augmentation import augmented as augmented
from .augmentation import by_layer as by_layer
from .augmentation import center_crop as center_crop
from .augmentation import cutout as cutout
from .augmentation import flip as flip
from .augmentation import flip_events as flip_events
from .augmentation import padded_crop as padded_crop
from .augmentation import rand_augment as rand_augment
from .augmentation import random_resized_crop as random_resized_crop
from .augmentation import roll_events as roll_events
from .auto_augment import auto_augment as auto_augment
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
from .speech_frontend import SpeechFrontend as SpeechFrontend
from .speech_frontend import speech_frames as speech_frames
