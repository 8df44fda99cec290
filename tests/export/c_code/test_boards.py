"""Generated C on emulated microcontrollers: what it computes there, with no warning of their compilers."""

import keras
import numpy as np
import pytest

from benchmarks.boards import emulator
from keras_ternary_spike import models
from keras_ternary_spike.export import export_c
from keras_ternary_spike.export.c_code.export_c import c_files
from random_spiking import graded, level_inputs, loud, spike_inputs, with_every_kernel
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


EACH = {"gather_values": 4, "gather_wide": 1, "scatter_layer": 2, "integrate_two": 3, "integrate": 2, "fire": 2}


@pytest.mark.parametrize("board", ["m4", "m55"])
def test_several_channels_at_once_are_random_layers_as_program_computes_them(board, tmp_path):
    """Windows that stride, dilate and transpose, images of several channels, zero points, large and small weights;
    spikes of every density. Cortex-M4: two 16-bit channels a word; Cortex-M55: vectors."""
    missing = emulator.missing(emulator.BOARDS[board])
    if missing:
        pytest.skip(f"an emulated {emulator.BOARDS[board].core} needs {missing}")
    rng = np.random.default_rng(0)
    for kernel, program in with_every_kernel(rng, EACH):
        samples = None if kernel == "gather_values" else every_density(rng, program)
        for path, data in c_files(program, name="net", samples=samples).items():
            (tmp_path / path).write_bytes(data)
        assert on_board(board, tmp_path, tmp_path / "net.elf").startswith("PASS: 0 of "), kernel


@pytest.mark.parametrize("board", ["m3", "m4", "m55"])
def test_layers_behind_levels_are_programs_as_program_computes_them(board, tmp_path):
    """Sums of 16 bits behind {0..4} and {-4..4}, of 32 behind {0..127}."""
    missing = emulator.missing(emulator.BOARDS[board])
    if missing:
        pytest.skip(f"an emulated {emulator.BOARDS[board].core} needs {missing}")
    rng = np.random.default_rng(0)
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "CONV_2D", "FULLY_CONNECTED")
    for levels, signed in ((4, False), (4, True), (127, False)):
        program = graded(rng, kinds, levels=levels, signed=signed, near=True)
        samples = {name: values.astype(np.float32) for name, values in level_inputs(rng, program).items()}
        for path, data in c_files(program, name="net", samples=samples).items():
            (tmp_path / path).write_bytes(data)
        assert on_board(board, tmp_path, tmp_path / "net.elf").startswith("PASS: 0 of "), levels


@pytest.mark.parametrize("board", ["m4", "m55"])
def test_sums_far_from_their_thresholds_fire_the_right_way(board, tmp_path):
    missing = emulator.missing(emulator.BOARDS[board])
    if missing:
        pytest.skip(f"an emulated {emulator.BOARDS[board].core} needs {missing}")
    ones = np.ones((1, 10, 10, 4), np.float32)
    samples = {"in0": np.concatenate([ones, -ones, 0 * ones])}
    for path, data in c_files(loud(), name="net", samples=samples).items():
        (tmp_path / path).write_bytes(data)
    assert on_board(board, tmp_path, tmp_path / "net.elf").startswith("PASS: 0 of ")


def every_density(rng, program):
    """Samples of spikes, from silence to one everywhere."""
    return {name: spikes.astype(np.float32) for name, spikes in spike_inputs(rng, program).items()}


def on_board(board, folder, image):
    sources = [folder / "net.c", folder / "net_selftest.c"]
    emulator.build(emulator.BOARDS[board], sources, image, options=OPTIONS)
    return emulator.run(emulator.BOARDS[board], image)
