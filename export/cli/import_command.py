"""The command that reads networks of other libraries: `keras-ternary-spike import NET.nir -o model.keras`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..user_files import check_output, write_atomically
from .arguments import check_source, check_suffix, command_parser

if TYPE_CHECKING:
    import keras

CHECKPOINTS = (".pt", ".pth")


def import_network(arguments: Sequence[str]) -> None:
    """Writes a .keras model with the weights and dynamics of a NIR graph or of a checkpoint."""
    options = import_parser().parse_args(arguments)
    check_source(options.network, ".nir", *CHECKPOINTS)
    check_suffix(options.output, ".keras")
    check_output(options.output, options.network)
    model = _checkpoint(options) if options.network.suffix in CHECKPOINTS else _graph(options)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        model.save(saved)
        write_atomically(options.output, saved.read_bytes())
    print(f"{options.output}: {model.count_params():,} weights, {len(model.layers)} layers")


def _graph(options: argparse.Namespace) -> keras.Model:
    from keras_ternary_spike.imports import from_nir

    return from_nir(options.network, timesteps=options.timesteps, dt=options.dt, static=options.static)


def _checkpoint(options: argparse.Namespace) -> keras.Model:
    """Of the released layout, whose input is one image unless --frames says otherwise."""
    if options.input_shape is None:
        raise ValueError(f"{options.network} holds weights alone, so it needs --input-shape CHANNELS HEIGHT WIDTH too.")
    from keras_ternary_spike.imports import from_ternary_spike

    shape = tuple(options.input_shape)
    return from_ternary_spike(options.network, shape, timesteps=options.timesteps, static=not options.frames)


def import_parser() -> argparse.ArgumentParser:
    result = command_parser(
        "import",
        "Read a NIR graph, as snnTorch and SpikingJelly write, or a checkpoint of the ResNets released with Ternary "
        "Spike, as a Keras model.",
    )
    result.add_argument("network", type=Path, help="a .nir file, or a .pt or .pth file")
    result.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL.keras", help="the Keras model")
    result.add_argument("--timesteps", type=int, required=True, help="that the network runs")
    graph, checkpoint = (result.add_argument_group(f"of a {name}") for name in ("NIR graph", "checkpoint"))
    graph.add_argument("--dt", type=float, default=1e-4, help="seconds of a timestep (default: 1e-4)")
    graph.add_argument("--static", action="store_true", help="the input is one sample, repeated at every timestep")
    checkpoint.add_argument(
        "--input-shape", type=int, nargs=3, metavar=("CHANNELS", "HEIGHT", "WIDTH"), help="of the images"
    )
    checkpoint.add_argument(
        "--frames", action="store_true", help="the input is a frame for every timestep, not one image"
    )
    return result
