"""Reshapes and borders meet their neighbours: two in a row become one, and one that changes nothing goes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.nodes import Network, Node, Padding
from ..network.queries import only_reader
from ..network.surgery import fresh_name, insert_after, reading, substitute, until_stable, without_unread


@until_stable(nodes.Reshape)
def merge_reshapes(network: Network, node: nodes.Reshape) -> Network | None:
    """Every Reshape as far down as it goes, and as few as there can be."""
    source = network[node.inputs[0]]
    if node.shape == source.shape and node.name not in network.outputs:
        return substitute(network, node.name)
    if isinstance(source, nodes.Reshape):
        return without_unread(substitute(network, node.name, replace(node, inputs=source.inputs)))
    for reader in network.consumers(node.name):
        sources = [network[name] for name in reader.inputs]
        if _passes(network, reader) and _are_alike(network, sources):
            return _exchanged(network, node, reader)
    return None


def _passes(network: Network, reader: Node) -> bool:
    """Whether a Reshape may go behind `reader`. A Dense stays on vectors: FULLY_CONNECTED is the smaller operator."""
    return reader.pointwise and not isinstance(reader, nodes.Linear) and reader.name not in network.outputs


def _are_alike(network: Network, sources: list[Node]) -> bool:
    """Whether all of `sources` are Reshapes of images of one size, and leave their channels as they are."""
    if not all(isinstance(source, nodes.Reshape) for source in sources):
        return False
    before = [network[source.inputs[0]].shape for source in sources]
    keep_channels = all(source.shape[-1] == shape[-1] for source, shape in zip(sources, before, strict=True))
    return keep_channels and len({shape[:-1] for shape in before}) == 1


def _exchanged(network: Network, node: nodes.Reshape, reader: Node) -> Network:
    """`reader` before the Reshape instead of behind it."""
    before = tuple(network[name].inputs[0] for name in reader.inputs)
    earlier = replace(reader, inputs=before, shape=(*network[before[0]].shape[:-1], reader.shape[-1]))
    network = without_unread(substitute(network, reader.name, earlier))
    name = fresh_name(network, node.name)
    later = replace(node, name=name, inputs=(reader.name,), shape=reader.shape, temporal=reader.temporal)
    return insert_after(network, reader.name, later)


@until_stable(nodes.ZeroPad)
def pad_in_kernels(network: Network, pad: nodes.ZeroPad) -> Network | None:
    """Zeros around an image in the padding of the convolutions that read it."""
    for reader in network.consumers(pad.name):
        if isinstance(reader, nodes.Conv | nodes.DepthwiseConv):
            wider = replace(reader, padding=_plus(reader.padding, pad.padding))
            return without_unread(substitute(network, reader.name, reading(wider, pad.name, pad.inputs[0])))
    return None


@until_stable(nodes.Crop)
def crop_in_kernels(network: Network, crop: nodes.Crop) -> Network | None:
    """What is cropped off a transposed convolution is not computed."""
    source = network[crop.inputs[0]]
    if not isinstance(source, nodes.ConvTranspose) or only_reader(network, source.name) is not crop:
        return None
    narrower = replace(source, cropping=_plus(source.cropping, crop.cropping), shape=crop.shape)
    return substitute(substitute(network, crop.name), source.name, narrower)


def _plus(first: Padding, second: Padding) -> Padding:
    (top, bottom), (left, right) = (np.add(first, second)).tolist()
    return (top, bottom), (left, right)
