"""Generated C on emulated microcontrollers: what it computes there, with no warning of their compilers."""

from itertools import islice

import keras
import numpy as np
import pytest

from benchmarks.boards import emulator
from keras_ternary_spike import models
from keras_ternary_spike.export import export_c
from keras_ternary_spike.export.c_code.design import design
from keras_ternary_spike.export.c_code.export_c import c_files
from random_programs import weighted, with_no_zero_point
from random_spiking import KINDS, spiking
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


HELIUM_KERNELS = {"gather_spikes", "gather_values", "gather_wide", "scatter_layer", "integrate_two"}


def test_vectors_of_helium_compute_random_layers_as_program_does(tmp_path):
    """Windows that stride, dilate and transpose, images of several channels, zero points, large and small weights."""
    missing = emulator.missing(emulator.BOARDS["m55"])
    if missing:
        pytest.skip(f"an emulated Cortex-M55 needs {missing}")
    rng = np.random.default_rng(0)
    programs = [spiking(rng, kind, timesteps=2) for kind in KINDS for _ in range(2)]
    programs += [spiking(rng, "CONV_2D", shape=(4, 5, 90), largest=127)]
    drawn = (spiking(rng, "DEPTHWISE_CONV_2D", timesteps=2) for _ in range(100))
    programs += islice((one for one in drawn if "scatter_layer" in kernels_of(one)), 2)
    dense = [weighted(rng, kind) for kind in ("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV") for _ in range(3)]
    programs += [with_no_zero_point(program) for program in dense]
    assert set().union(*map(kernels_of, programs)) >= HELIUM_KERNELS
    for number, program in enumerate(programs):
        for path, data in c_files(program, name="net").items():
            (tmp_path / path).write_bytes(data)
        assert on_board("m55", tmp_path, tmp_path / "net.elf").startswith("PASS: 0 of "), number


def kernels_of(program):
    return {kernel for step in design(program, "net").steps for kernel in step.kernels}


def on_board(board, folder, image):
    sources = [folder / "net.c", folder / "net_selftest.c"]
    emulator.build(emulator.BOARDS[board], sources, image, options=OPTIONS)
    return emulator.run(emulator.BOARDS[board], image)
