"""What a network costs in instructions of a microcontroller's core that runs the C of `export_c`: estimates.

    instructions of a layer = pixel * P + look * L + event * E + event_block * E * B + pixel_block * P * B

P: output pixels of all timesteps. L: what lies under their windows, words of 16 spikes or levels, or numbers of an
input. E: of those the spikes or levels that are not 0, every number of an input. B: output channels over 16, rounded
up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import keras

from ..layers.lif import LIF
from ..layers.time_axis import DirectEncoding
from ..layers.trace import Trace, trace
from .fan_out import WEIGHTED, Shape, shapes_of, weighted_readers

BLOCK = 16


@dataclass(frozen=True)
class Costs:
    """Instructions, as above. Behind a depthwise layer an event is a tap that a spike meets."""

    pixel: float
    look: float
    event: float
    event_block: float
    pixel_block: float


@dataclass(frozen=True)
class Core:
    """Costs of a layer by what it reads: numbers of an input, spikes, levels; and of a depthwise one, of both."""

    image: Costs
    spikes: Costs
    levels: Costs
    depthwise: Costs
    depthwise_levels: Costs


# Fitted by `python -m benchmarks.boards.event_costs`.
CORES: Mapping[str, Core] = MappingProxyType(
    {
        "cortex-m3": Core(
            image=Costs(551, 6.27, 0, 58.2, 382),
            spikes=Costs(111, 17.5, 6.71, 32.5, 247),
            levels=Costs(193, 18.7, 12.2, 40.7, 131),
            depthwise=Costs(1.36, 24.4, 6.75, 0, 2.71),
            depthwise_levels=Costs(1.17, 21.1, 6.89, 0, 2.34),
        ),
        "cortex-m4": Core(
            image=Costs(0, 17.3, 0, 14.3, 380),
            spikes=Costs(140, 16.9, 7.03, 16, 178),
            levels=Costs(163, 21, 11.9, 30.5, 160),
            depthwise=Costs(1.06, 19, 6.03, 0, 2.11),
            depthwise_levels=Costs(1.23, 22.1, 7.92, 0, 2.46),
        ),
        "cortex-m7": Core(
            image=Costs(0, 17.3, 0, 14.2, 383),
            spikes=Costs(135, 17.1, 7.01, 15.1, 185),
            levels=Costs(158, 20.8, 12, 30.6, 152),
            depthwise=Costs(1.09, 19.6, 6.02, 0, 2.18),
            depthwise_levels=Costs(1.17, 21.1, 8.18, 0, 2.34),
        ),
    }
)


@dataclass(frozen=True)
class Instructions:
    """Of one sample: silent, if nothing fires; spikes, what a layer's add to that if all its neurons fire always."""

    silent: float
    spikes: Mapping[str, float]


def instructions(model: keras.Model, core: str) -> Instructions:
    """An estimate for a Sequential or functional model.

    Layers with kernels are counted, and the neurons that they drive. Means over time and classes are left out.

    Raises:
        ValueError: if the core is not one of CORES, or as `dense_additions`.
    """
    if core not in CORES:
        raise ValueError(f"`core` must be one of {', '.join(CORES)}. Received: core={core!r}")
    traced = trace(model)
    shapes, costs, silent, spikes = shapes_of(traced), CORES[core], 0.0, {}
    for index, call in enumerate(traced.calls):
        if isinstance(call.layer, WEIGHTED):
            silent += _silent(_windows(traced, shapes, index), costs)
        elif isinstance(call.layer, LIF) and call.state_of is None:
            readers = dict(weighted_readers(traced, shapes, index)).items()
            own = sum(float(share) * _fired(_windows(traced, shapes, reader), costs) for reader, share in readers)
            spikes[call.layer.name] = spikes.get(call.layer.name, 0.0) + own
    return Instructions(silent, spikes)


@dataclass(frozen=True)
class _Windows:
    """What a layer with a kernel looks at in one sample.

    kind: a field of Core. pixels: P. taps: of all windows. inside: of those the ones within the image. inputs: their
    channels. blocks: B.
    """

    kind: str
    pixels: int
    taps: int
    inside: int
    inputs: int
    blocks: int


def _silent(windows: _Windows, core: Core) -> float:
    costs = getattr(core, windows.kind)
    looks = windows.inputs if windows.kind == "image" else math.ceil(windows.inputs / BLOCK)
    always = windows.inside * windows.inputs * windows.blocks * costs.event_block if windows.kind == "image" else 0.0
    return (
        windows.pixels * (costs.pixel + costs.pixel_block * windows.blocks) + costs.look * looks * windows.taps + always
    )


def _fired(windows: _Windows, core: Core) -> float:
    """What is added if all its inputs are spikes."""
    costs, blocks = getattr(core, windows.kind), 0 if windows.kind.startswith("depthwise") else windows.blocks
    return windows.inside * windows.inputs * (costs.event + costs.event_block * blocks)


def _windows(traced: Trace, shapes: list[Shape], index: int) -> _Windows:
    call, shape, source = traced.calls[index], shapes[index], shapes[traced.calls[index].sources[0]]
    read = list(_sources(traced, index))
    # A current that is the same at all timesteps is computed once.
    constant = all(isinstance(layer, DirectEncoding) for layer in read)
    timesteps = shape[1] if call.per_timestep and not constant else 1
    positions = shape[2 if call.per_timestep else 1 : -1]
    pixels, taps, inside = (timesteps * math.prod(positions),) * 3
    if not isinstance(call.layer, keras.layers.Dense):
        layer = call.layer
        axes = zip(source[-3:-1], positions, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
        taps = pixels * math.prod(layer.kernel_size)
        inside = timesteps * math.prod(_inside(*axis, padded=layer.padding == "same") for axis in axes)
    return _Windows(_kind(call.layer, read), pixels, taps, inside, source[-1], math.ceil(shape[-1] / BLOCK))


def _kind(layer: keras.layers.Layer, read: Sequence[keras.layers.Layer]) -> str:
    neurons = [source for source in read if isinstance(source, LIF)]
    graded = any(neuron.cell.dynamics.highest > 1 for neuron in neurons)
    if not isinstance(layer, keras.layers.DepthwiseConv2D):
        return "levels" if graded else "spikes" if neurons else "image"
    if not neurons:
        raise ValueError(
            "Instructions of a depthwise layer are known where it reads spikes. Received: layer "
            f"{layer.name!r}. Give the budget in additions, SpikeBudget(additions=0.15)."
        )
    return "depthwise_levels" if graded else "depthwise"


def _inside(size: int, out: int, taps: int, stride: int, dilation: int, *, padded: bool) -> int:
    """Taps inside an axis of `size`, over all `out` windows; `padded` as TensorFlow pads."""
    before = max((out - 1) * stride + (taps - 1) * dilation + 1 - size, 0) // 2 if padded else 0
    places = (window * stride + tap * dilation - before for window in range(out) for tap in range(taps))
    return sum(0 <= place < size for place in places)


def _sources(traced: Trace, index: int) -> Iterator[keras.layers.Layer]:
    """The neurons, layers with kernels and inputs whose values a call reads; a DirectEncoding for its input."""
    for source in traced.calls[index].sources:
        layer = traced.calls[source].layer
        if isinstance(layer, (LIF, DirectEncoding, *WEIGHTED)) or not traced.calls[source].sources:
            yield layer
        else:
            yield from _sources(traced, source)
