"""Residual networks: shortcuts added before the neuron (ResNet) or past it (MS-ResNet)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras import layers

from .blocks import Fire, apply, conv, normalized
from .plan import Plan, network

Block = Callable[[Any, int, int, str, Fire], Any]  # (input, channels, strides, name, fire) -> output


@network
def resnet19(plan: Plan) -> Any:
    """ResNet-19 for small images: 128 to 512 channels in 3, 3 and 2 blocks behind one convolution.

    Of tdBN ([Zheng et al., 2021](https://arxiv.org/abs/2011.05280)), with one linear layer behind the pooling as in
    [Ternary Spike](https://arxiv.org/abs/2312.06372): 12.56 million weights and 2.285 billion multiply-accumulates a
    timestep at 32x32 pixels and 10 classes.

    Args:
        input_shape: `(height, width, channels)`. Height and width are even wherever they are halved: multiples of 4
            (resnet20: 16, ms_resnet: 8). Or `(timesteps, height, width, channels)`, frames of events: each timestep
            sees its own, and the argument timesteps is not read.
        classes: Integer >= 1.
        timesteps: Integer >= 1. How often the image is shown. Default: 2.
        width: Float > 0. Factor of all channels. Default: 1.
        neuron: class of the spiking layers, called as `neuron(name=..., **neuron_options)`. Default: TernaryLIF.
        **neuron_options: arguments of the neuron: decay, threshold, surrogate, ...

    Returns:
        Functional model: images `(batch, height, width, channels)` in, logits `(batch, classes)` out.

    Raises:
        ValueError: for an input_shape, classes, timesteps or width out of range, or an odd size to be halved.
    """
    current = plan.encoded(normalized(conv(plan.channels(128), "stem_conv1"), plan.image))
    spikes = plan.fire("stem_neuron1", current)
    spikes = _stages(spikes, ((3, 128, 1), (3, 256, 2), (2, 512, 2)), residual_block, plan)
    return plan.logits(spikes)


@network
def resnet20(plan: Plan) -> Any:
    """ResNet-20 "modified" for small images: three convolutions, average pooling, 2 blocks each of 64 to 512 channels.

    The ResNet-20 of [Ternary Spike](https://arxiv.org/abs/2312.06372): 11.24 million weights and 215.7 million
    multiply-accumulates a timestep at 32x32 pixels and 10 classes. Arguments and errors are those of `resnet19`.
    """
    channels = plan.channels(64)
    spikes = plan.fire("stem_neuron1", plan.encoded(normalized(conv(channels, "stem_conv1"), plan.image)))
    for number in (2, 3):
        spikes = plan.fire(f"stem_neuron{number}", normalized(conv(channels, f"stem_conv{number}"), spikes))
    spikes = halved(spikes, "stem_pool")
    spikes = _stages(spikes, ((2, 64, 1), (2, 128, 2), (2, 256, 2), (2, 512, 2)), residual_block, plan)
    return plan.logits(spikes)


@network
def resnet18(plan: Plan) -> Any:
    """ResNet-18 for large images: a 7x7 convolution, 3x3 average pooling, 2 blocks each of 64 to 512 channels.

    Of [He et al., 2016](https://arxiv.org/abs/1512.03385), spiking as in
    [Ternary Spike](https://arxiv.org/abs/2312.06372). Arguments and errors are those of `resnet19`; height and width
    are multiples of 32.
    """
    spikes = _large_stem(plan)
    spikes = _stages(spikes, ((2, 64, 1), (2, 128, 2), (2, 256, 2), (2, 512, 2)), residual_block, plan)
    return plan.logits(spikes)


@network
def resnet34(plan: Plan) -> Any:
    """ResNet-34 for large images: as `resnet18`, with 3, 4, 6 and 3 blocks."""
    spikes = _large_stem(plan)
    spikes = _stages(spikes, ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)), residual_block, plan)
    return plan.logits(spikes)


@network
def ms_resnet(plan: Plan) -> Any:
    """MS-ResNet-18 for small images: currents are added, and no neuron follows the addition.

    Of [Hu et al., 2024](https://arxiv.org/abs/2112.08954), with a 3x3 convolution of stride 1 in front instead of
    their 7x7 for ImageNet, and the average pooling before the projections of their MS-ResNet-104. Arguments and errors
    are those of `resnet19`.
    """
    current = plan.encoded(normalized(conv(plan.channels(64), "stem_conv1"), plan.image))
    current = _stages(current, ((2, 64, 1), (2, 128, 2), (2, 256, 2), (2, 512, 2)), membrane_block, plan)
    return plan.logits(plan.fire("last_neuron", current))


def residual_block(spikes: Any, channels: int, strides: int, name: str, fire: Fire) -> Any:
    """Spikes of (conv, norm, neuron, conv, norm) plus the shortcut: the neuron fires on the sum."""
    current = normalized(conv(channels, f"{name}_conv1", strides=strides), spikes)
    current = normalized(conv(channels, f"{name}_conv2"), fire(f"{name}_neuron1", current))
    total = layers.Add(name=f"{name}_add")([current, shortcut(spikes, channels, strides, name)])
    return fire(f"{name}_neuron2", total)


def membrane_block(current: Any, channels: int, strides: int, name: str, fire: Fire) -> Any:
    """The current plus that of (neuron, conv, norm, neuron, conv, norm)."""
    branch = normalized(conv(channels, f"{name}_conv1", strides=strides), fire(f"{name}_neuron1", current))
    branch = normalized(conv(channels, f"{name}_conv2"), fire(f"{name}_neuron2", branch))
    return layers.Add(name=f"{name}_add")([branch, shortcut(current, channels, strides, name)])


def shortcut(x: Any, channels: int, strides: int, name: str) -> Any:
    """`x` itself where the block keeps its shape, else average pooling and a normalized 1x1 convolution."""
    if strides == 1 and x.shape[-1] == channels:
        return x
    pooled = x if strides == 1 else halved(x, f"{name}_shortcut_pool")
    return normalized(conv(channels, f"{name}_shortcut", kernel=1), pooled)


def halved(x: Any, name: str) -> Any:
    """Means over 2x2 pixels. Raises ValueError where height or width is odd."""
    height, width = x.shape[-3:-1]
    if height % 2 or width % 2:
        raise ValueError(
            f"Height and width must be even wherever they are halved. Received: {height}x{width} at {name!r}. Take "
            f"images of another size, or pad them: multiples of 32 fit every network."
        )
    return apply(layers.AveragePooling2D(2, name=name), x)


def _large_stem(plan: Plan) -> Any:
    current = normalized(conv(plan.channels(64), "stem_conv1", kernel=7, strides=2), plan.image)
    spikes = plan.fire("stem_neuron1", plan.encoded(current))
    # Zeros around, then unpadded windows: all means are over nine pixels, at the border too.
    padded = apply(layers.ZeroPadding2D(1, name="stem_pad"), spikes)
    return apply(layers.AveragePooling2D(3, strides=2, name="stem_pool"), padded)


def _stages(x: Any, stages: Sequence[tuple[int, int, int]], block: Block, plan: Plan) -> Any:
    """Stages of (blocks, channels, strides of the first block), the blocks numbered from 1."""
    number = 0
    for blocks, channels, strides in stages:
        for index in range(blocks):
            number += 1
            x = block(x, plan.channels(channels), strides if index == 0 else 1, f"block{number}", plan.fire)
    return x
