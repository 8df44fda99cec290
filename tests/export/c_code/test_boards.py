"""Generated C on emulated microcontrollers: what it computes there, with no warning of their compilers."""

import keras
import numpy as np
import pytest

from benchmarks.boards import emulator
from keras_ternary_spike import models
from keras_ternary_spike.export import export_c
from small_networks import SMALL, build

OPTIONS = (*emulator.STANDARD, "-std=c99", "-Wall", "-Wextra", "-Werror")
NETWORKS = {
    "timesteps": (models.tiny, {"timesteps": 2}, {}),
    "depthwise": (models.keyword_spotter, {"timesteps": 2, "threshold": 0.4}, {}),
    "residual": (models.ms_resnet, {"timesteps": 3}, {}),
    "stream": (models.tiny, {"timesteps": 4}, {"form": "step"}),
}
BOARDS = [name for name in emulator.BOARDS if name != "m0-large"]  # the same code, on another board


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every network as C; a keyword spotter's input is loud enough to make it fire."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("boards")
    for name, (network, options, written) in NETWORKS.items():
        model = build(network, SMALL[network], **options)
        samples = np.random.default_rng(0).random((2, *SMALL[network]))
        export_c(model, path / name, name="net", input_range=(0, 1), samples=samples, **written)
    return path


@pytest.mark.parametrize("board", BOARDS)
def test_the_self_tests_pass_on_the_board(board, folders, tmp_path):
    missing = emulator.missing(emulator.BOARDS[board])
    if missing:
        pytest.skip(f"an emulated {emulator.BOARDS[board].core} needs {missing}")
    for name in NETWORKS:
        printed = on_board(board, folders / name, tmp_path / f"{name}.elf")
        assert printed.startswith("PASS: 0 of "), name


def on_board(board, folder, image):
    sources = [folder / "net.c", folder / "net_selftest.c"]
    emulator.build(emulator.BOARDS[board], sources, image, options=OPTIONS)
    return emulator.run(emulator.BOARDS[board], image)
