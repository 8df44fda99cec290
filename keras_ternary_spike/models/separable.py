"""Depthwise and pointwise convolutions in turn: a keyword spotter."""

from __future__ import annotations

from typing import Any

from .blocks import conv, depthwise, normalized
from .plan import Plan, network

CHANNELS = 64
BLOCKS = 4
STEM_KERNEL = (10, 4)  # time by frequency


@network
def keyword_spotter(plan: Plan) -> Any:
    """DS-CNN, the small one: a 10x4 convolution of stride 2 and four separable blocks of 64 channels.

    Of [Zhang et al., 2017](https://arxiv.org/abs/1711.07128), for speech features such as 49 windows of 10
    coefficients: `keyword_spotter((49, 10, 1), 12)`. Neurons stand behind depthwise and pointwise convolutions alike,
    so that both read spikes. Arguments and errors are those of `resnet19`; any size of input.
    """
    channels = plan.channels(CHANNELS)
    current = normalized(conv(channels, "stem_conv1", kernel=STEM_KERNEL, strides=2), plan.image)
    spikes = plan.fire("stem_neuron1", plan.encoded(current))
    for number in range(1, BLOCKS + 1):
        name = f"block{number}"
        spikes = plan.fire(f"{name}_neuron1", normalized(depthwise(f"{name}_depthwise"), spikes))
        spikes = plan.fire(f"{name}_neuron2", normalized(conv(channels, f"{name}_pointwise", kernel=1), spikes))
    return plan.logits(spikes)
