"""Folding: the network again, with bare spikes, one threshold and as few multiplications as there can be.

Exact in real arithmetic. `PASSES` is the order; docs/folding.md has the equations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..network import nodes
from ..network.nodes import Network
from ..network.queries import has_linear_above, holds_counts, integrated, nodes_of, values_above
from .added_kernels import add_input_kernels, add_kernels
from .affines import (
    absorb_affines,
    carry_signs,
    copy_producers,
    drop_identities,
    gather_offsets,
    is_input_offset,
    relabel_inputs,
    sink_affines,
    split_affines,
)
from .dead_channels import drop_dead_channels
from .distribute import distribute_factors
from .expose import THRESHOLD, expose_amplitudes, expose_averages, expose_dead_zones, expose_thresholds
from .reorder import (
    pool_currents_by_kernels,
    pool_currents_in_kernels,
    repeat_late,
    sum_time_early,
    take_last_early,
)
from .reshapes import crop_in_kernels, merge_reshapes, pad_in_kernels
from .stream_units import set_units
from .timestep_kernels import check_timestep_kernels, kernels_in_front, pool_kernels_in_front


def fold_network(network: Network) -> Network:
    """The network with all factors folded: same outputs, spikes in {-1, 0, 1} or {0, 1}.

    In the result every LIF has threshold 1/2 and amplitude 1 and a Linear above it, sums stand for averages, only
    spikes and sums of spikes are summed over windows, and an Affine is found only at an output, directly behind an
    Input, there with scale 1 (an offset that zero padding forbids to fold), and in front of an Add, there with
    offset 0 and on spikes (the factor of a shortcut). A network trained on integers is folded and stays as it is.

    Raises:
        ValueError: if a factor or an offset cannot be folded. Names the layer and the way out.
    """
    if network.exact:
        return check_folded(network)
    _check_rectifiers(network)
    for apply in PASSES:
        network = apply(network)
    return network


def check_folded(network: Network) -> Network:
    """The network itself if it is what `fold_network` promises.

    Raises:
        ValueError: naming the node that breaks the promise, and the way out.
    """
    check_timestep_kernels(network)
    for node in network.nodes:
        if isinstance(node, nodes.AveragePool | nodes.TimeAverage):
            raise ValueError(f"A folded network has sums only. Received: {type(node).__name__} {node.name!r}.")
        if isinstance(node, nodes.SumPool) and not holds_counts(network, node, factors=False):
            raise ValueError(f"A folded network sums windows of spikes only. Received: SumPool {node.name!r}.")
        if isinstance(node, nodes.LIF):
            _check_neuron(network, node)
        if isinstance(node, nodes.Integrator):
            _check_integrator(network, node)
        if isinstance(node, nodes.Affine) and not _may_stay(network, node):
            raise ValueError(_why_stuck(network, node))
    return network


PASSES: tuple[Callable[[Network], Network], ...] = (
    merge_reshapes,
    pad_in_kernels,
    crop_in_kernels,
    expose_dead_zones,
    expose_thresholds,
    expose_amplitudes,
    expose_averages,
    sum_time_early,
    take_last_early,
    repeat_late,
    absorb_affines,
    relabel_inputs,
    split_affines,
    absorb_affines,
    set_units,
    absorb_affines,
    drop_identities,
    sink_affines,
    carry_signs,
    split_affines,
    gather_offsets,
    absorb_affines,
    copy_producers,
    sink_affines,
    pool_kernels_in_front,
    pool_currents_in_kernels,
    relabel_inputs,
    drop_identities,
    add_input_kernels,
    add_kernels,
    distribute_factors,
    pool_currents_by_kernels,
    repeat_late,
    drop_identities,
    kernels_in_front,
    drop_dead_channels,
    check_folded,
)


def _check_rectifiers(network: Network) -> None:
    names = [node.name for node in nodes_of(network, nodes.Relu)]
    if names:
        raise ValueError(
            "Only networks of spikes alone are folded; in a file a ReLU is rounded. Received: ReLUs "
            f"{', '.join(map(repr, names))}. Use export_tflite(model, samples=...), or make spikes of them: "
            "keras_ternary_spike.convert(model, samples)."
        )


def _check_neuron(network: Network, lif: nodes.LIF) -> None:
    if np.any(lif.threshold != THRESHOLD) or np.any(lif.amplitude != 1) or lif.dead_zone != 1:
        raise ValueError(
            f"A folded neuron has threshold 0.5 and amplitude 1. Received: {lif.name!r} with "
            f"threshold={lif.threshold}, amplitude={lif.amplitude}."
        )
    if not has_linear_above(network, lif):
        raise ValueError(f"A folded neuron has a Linear node above it. Received: {lif.name!r} without one.")


def _check_integrator(network: Network, node: nodes.Integrator) -> None:
    source = network[node.inputs[0]]
    if integrated(network, node) is None and not holds_counts(network, source, factors=False):
        raise ValueError(
            "A LeakyIntegrator reads spikes, or a layer with weights of its own, directly. Received: "
            f"{node.name!r} on {source.name!r} ({type(source).__name__}). Put a Dense or Conv2D layer in front of it."
        )


def _may_stay(network: Network, affine: nodes.Affine) -> bool:
    readers = network.consumers(affine.name)
    if affine.name in network.outputs and not readers:
        return True
    to_sums = bool(readers) and all(isinstance(reader, nodes.Add) for reader in readers)
    return is_input_offset(network, affine) or (to_sums and holds_counts(network, affine))


def _why_stuck(network: Network, affine: nodes.Affine) -> str:
    source, reader = network[affine.inputs[0]], network.consumers(affine.name)[0]
    received = f"Received: {affine.name!r} between {source.name!r} and {reader.name!r}."
    if isinstance(reader, nodes.Linear):
        return (
            "An offset in front of a zero-padded convolution cannot be folded, for the padding would need it too. "
            f'{received} Put BatchNormalization behind the convolution, or use padding="valid".'
        )
    if np.any(affine.scale < 0) and any(node.monotone for node in (reader, *values_above(network, affine))):
        return (
            "A negative factor per channel cannot pass a maximum. "
            f"{received} Put BatchNormalization before MaxPooling2D, directly behind the convolution."
        )
    return (
        "Only a factor next to a convolution or Dense layer can be folded. "
        f"{received} Put BatchNormalization directly behind a Conv2D, DepthwiseConv2D or Dense layer."
    )
