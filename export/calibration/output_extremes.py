"""How far the outputs of the float network reach on samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..describe.assemble import assemble
from ..network.nodes import Network
from ..program.samples import count_samples, part
from ..quantize.input_ranges import Range, Ranges
from ..quantize.output_ranges import named_ranges, with_margin

CHUNK = 32  # samples in the float network at a time


def output_ranges(
    network: Network, output_range: Ranges | None, samples: Mapping[str, np.ndarray] | None
) -> dict[str, Range]:
    """What is known of the outputs of a folded network, by the names of `network.outputs`: given, else as on samples.

    samples: by the names of the inputs, or None. A network trained on integers has its ranges in it.

    Raises: ValueError as `named_ranges`.
    """
    given = {} if output_range is None else named_ranges(network, output_range)
    if samples is None or network.exact or set(given) == set(network.outputs):
        return given
    return {name: with_margin(reached) for name, reached in extremes(network, samples).items()} | given


def extremes(network: Network, samples: Mapping[str, np.ndarray]) -> dict[str, Range]:
    """(smallest, largest) number of every output on all samples."""
    model = assemble(replace(network, output_names=()))
    lows, highs = [], []
    for start in range(0, count_samples(samples), CHUNK):
        outputs = model.predict_on_batch(list(part(samples, slice(start, start + CHUNK)).values()))
        outputs = outputs if isinstance(outputs, list) else [outputs]  # Keras unpacks a single one
        lows.append([values.min() for values in outputs])
        highs.append([values.max() for values in outputs])
    ends = zip(network.outputs, np.min(lows, axis=0), np.max(highs, axis=0), strict=True)
    return {name: (float(low), float(high)) for name, low, high in ends}
