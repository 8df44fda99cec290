"""Every network of keras_ternary_spike.models, small enough to be built in a test."""

from keras_ternary_spike import PerTimestep, models

SMALL = {
    models.resnet19: (8, 8, 3),
    models.resnet20: (16, 16, 3),
    models.resnet18: (32, 32, 3),
    models.resnet34: (32, 32, 3),
    models.ms_resnet: (8, 8, 3),
    models.vgg: (16, 16, 1),
    models.keyword_spotter: (49, 10, 1),
    models.tiny: (9, 7, 1),
    models.resnet8: (9, 7, 3),
    models.visual_wake_words: (24, 20, 3),
    models.wake_word: (30, 1, 4),
}


def build(network, shape, **options):
    """The network for 4 classes, with the fewest channels."""
    return network(shape, 4, **{"width": 1 / 32 if network is not models.tiny else 0.5, **options})


def layers_of(model, kind):
    """The layers of a kind, also those in PerTimestep."""
    inner = (layer.layer if isinstance(layer, PerTimestep) else layer for layer in model.layers)
    return [layer for layer in inner if isinstance(layer, kind)]
