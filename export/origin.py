"""Where a program comes from: what folding removed from the neurons, and a fingerprint of the Keras weights."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import keras
import numpy as np

from .network import LIF, Network
from .program import Program


def with_origin(program: Program, network: Network, model: keras.Model) -> Program:
    """`program` with metadata of its model.

    Adds to each of metadata["neurons"] the threshold and the amplitude that were folded away (the smallest and the
    largest where channels differ), and "weights_sha256" over all weights of the model in order.

    Args:
        network: as `describe` returns it, before folding.
    """
    neurons = [{**neuron, **_folded(network[neuron["name"]])} for neuron in program.metadata["neurons"]]
    metadata = {**program.metadata, "neurons": neurons, "weights_sha256": weights_sha256(model)}
    return replace(program, metadata=metadata)


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 in hexadecimal of the shapes and float32 values of `model.get_weights()`."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(repr(weight.shape).encode())
        digest.update(np.ascontiguousarray(weight, "<f4").tobytes())
    return digest.hexdigest()


def _folded(neuron: LIF) -> dict[str, object]:
    return {"threshold": _extent(neuron.threshold), "amplitude": _extent(neuron.amplitude)}


def _extent(values: float | np.ndarray) -> float | list[float]:
    low, high = float(np.min(values)), float(np.max(values))
    return low if low == high else [low, high]
