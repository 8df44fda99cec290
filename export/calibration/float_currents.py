"""What the layers of the float network compute on samples, at some of their pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..describe.assemble import assemble
from ..network.nodes import Network
from ..program.samples import count_samples, part

ROWS = 2**14  # outputs of a layer, all channels, that its integers are chosen for
CHUNK = 32  # samples in the float network at a time


@dataclass(frozen=True)
class Currents:
    """Of one layer. pixels: `(samples, pixels)`, positions; values: `(samples, timesteps or 1, pixels, channels)`."""

    pixels: np.ndarray
    values: np.ndarray


def float_currents(network: Network, samples: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, Currents]:
    """The values of the nodes `names`, float32, at pixels drawn once and for all.

    network: folded. samples: by the names of the inputs.
    """
    model = assemble(replace(network, outputs=tuple(names), output_names=()), dtype="float64")
    count, rng = count_samples(samples), np.random.default_rng(0)
    pixels = {name: _pixels(network, name, count, rng) for name in names}
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for start in range(0, count, CHUNK):
        which = slice(start, start + CHUNK)
        outputs = model.predict_on_batch(list(part(samples, which).values()))
        outputs = outputs if isinstance(outputs, list) else [outputs]  # Keras unpacks a single one
        for name, values in zip(names, outputs, strict=True):
            steps = values.shape[1] if network[name].temporal else 1
            values = np.asarray(values).reshape(len(values), steps, -1, values.shape[-1])
            found[name].append(np.take_along_axis(values, pixels[name][which, None, :, None], axis=2))
    return {name: Currents(pixels[name], np.concatenate(found[name]).astype(np.float32)) for name in names}


def _pixels(network: Network, name: str, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Different pixels of every sample: as many as ROWS allows, at least one."""
    node = network[name]
    total, steps = math.prod(node.shape[:-1]), network.timesteps if node.temporal else 1
    kept = min(total, max(1, ROWS // (samples * steps)))
    return np.stack([rng.permutation(total)[:kept] for _ in range(samples)])
