"""How far the outputs of the float network reach on samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..describe.assemble import assemble
from ..network import nodes
from ..network.nodes import Network
from ..network.queries import nodes_of
from ..program.samples import count_samples, part
from ..quantize.input_ranges import Range, Ranges
from ..quantize.output_ranges import linear_source, named_ranges, with_margin

CHUNK = 32  # samples in the float network at a time


def output_ranges(
    network: Network, output_range: Ranges | None, samples: Mapping[str, np.ndarray] | None
) -> dict[str, Range]:
    """What is known of the outputs of a folded network, by the names of `network.outputs`: given, else as on samples.

    On samples also of integrators, membranes and currents at every timestep, by the names of their nodes.

    samples: by the names of the inputs, or None. A network trained on integers has its ranges in it.

    Raises: ValueError as `named_ranges`.
    """
    given = {} if output_range is None else named_ranges(network, output_range)
    if samples is None or network.exact:
        return given
    sources = {linear_source(network, name) for name in given}
    integrators = nodes_of(network, nodes.Integrator)
    unknown = [node for node in integrators if linear_source(network, node.name) not in sources]
    if set(given) == set(network.outputs) and not unknown:
        return given
    names = dict.fromkeys((*network.outputs, *(name for node in unknown for name in (node.name, *node.inputs))))
    return {name: with_margin(reached) for name, reached in extremes(network, samples, tuple(names)).items()} | given


def extremes(network: Network, samples: Mapping[str, np.ndarray], names: tuple[str, ...]) -> dict[str, Range]:
    """(smallest, largest) number of the nodes `names` on all samples."""
    model = assemble(replace(network, outputs=names, output_names=()))
    lows, highs = [], []
    for start in range(0, count_samples(samples), CHUNK):
        outputs = model.predict_on_batch(list(part(samples, slice(start, start + CHUNK)).values()))
        outputs = outputs if isinstance(outputs, list) else [outputs]  # Keras unpacks a single one
        lows.append([values.min() for values in outputs])
        highs.append([values.max() for values in outputs])
    ends = zip(names, np.min(lows, axis=0), np.max(highs, axis=0), strict=True)
    return {name: (float(low), float(high)) for name, low, high in ends}
