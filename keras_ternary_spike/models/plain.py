"""Chains of convolutions without shortcuts: a VGG and the smallest network worth shipping."""

from __future__ import annotations

from typing import Any

from keras import layers

from .blocks import apply, conv, normalized
from .plan import Plan, network

VGG_CHANNELS = ((64, 128), (256, 256), (512, 512), (512, 512))  # average pooling behind each pair
TINY_CHANNELS = (8, 16, 32)
SMALLEST_VGG = 2 ** len(VGG_CHANNELS)


@network
def vgg(plan: Plan) -> Any:
    """Eight 3x3 convolutions of 64 to 512 channels, average pooling behind each two, and one linear layer.

    The VGG of [Deng et al., 2022](https://arxiv.org/abs/2202.11946). Arguments and errors are those of `resnet19`;
    height and width are at least 16, and pooling leaves an odd pixel out.
    """
    if min(plan.image.shape[-3:-1]) < SMALLEST_VGG:
        raise ValueError(
            f"Height and width must be at least {SMALLEST_VGG}: a VGG halves them {len(VGG_CHANNELS)} times. "
            f"Received: input_shape={tuple(plan.image.shape[1:])}. For smaller images take `tiny`."
        )
    x = plan.image
    for stage, pair in enumerate(VGG_CHANNELS, start=1):
        for number, channels in enumerate(pair, start=1):
            name = f"block{stage}_conv{number}"
            current = normalized(conv(plan.channels(channels), name), x)
            x = plan.fire(f"block{stage}_neuron{number}", plan.encoded(current) if x is plan.image else current)
        x = apply(layers.AveragePooling2D(2, name=f"block{stage}_pool"), x)
    return plan.logits(x, pooling=layers.Flatten(name="flatten"))


@network
def tiny(plan: Plan) -> Any:
    """Three 3x3 convolutions of stride 2 with 8, 16 and 32 channels: a file below 20 kB for small grey images.

    Arguments and errors are those of `resnet19`; any size of image.
    """
    x = plan.image
    for number, channels in enumerate(TINY_CHANNELS, start=1):
        current = normalized(conv(plan.channels(channels), f"conv{number}", strides=2), x)
        x = plan.fire(f"neuron{number}", plan.encoded(current) if x is plan.image else current)
    return plan.logits(x)
