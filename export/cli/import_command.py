"""The command that reads networks of other libraries: `keras-ternary-spike import NET.nir -o model.keras`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..user_files import check_output, write_atomically
from .arguments import check_source, check_suffix, command_parser


def import_network(arguments: Sequence[str]) -> None:
    """Writes a .keras model with the weights and dynamics of a NIR graph."""
    options = import_parser().parse_args(arguments)
    check_source(options.network, ".nir")
    check_suffix(options.output, ".keras")
    check_output(options.output, options.network)
    from keras_ternary_spike.imports import from_nir

    model = from_nir(options.network, timesteps=options.timesteps, dt=options.dt, static=options.static)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        model.save(saved)
        write_atomically(options.output, saved.read_bytes())
    print(f"{options.output}: {model.count_params():,} weights, {len(model.layers)} layers")


def import_parser() -> argparse.ArgumentParser:
    result = command_parser("import", "Read a NIR graph, as snnTorch and SpikingJelly write, as a Keras model.")
    result.add_argument("network", type=Path, help="a .nir file")
    result.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL.keras", help="the Keras model")
    result.add_argument("--timesteps", type=int, required=True, help="that the network runs")
    result.add_argument("--dt", type=float, default=1e-4, help="seconds of a timestep (default: 1e-4)")
    result.add_argument("--static", action="store_true", help="the input is one sample, repeated at every timestep")
    return result
