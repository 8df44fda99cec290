"""Layers behind graded spikes as C against Program.run, and the arithmetic of packed sums of products at its bounds."""

import numpy as np
import pytest

from c_compilers import needs_avx2, needs_compiler, run_checked
from keras_ternary_spike.export.c_code.design import design
from keras_ternary_spike.export.c_code.events import packing
from keras_ternary_spike.export.c_code.report import report
from random_spiking import IMAGE, LEVELS, graded, level_inputs

KERNELS = {
    *("gather_levels", "gather_levels_wide", "gather_levels_depthwise", "spread_levels", "scatter_layer"),
    *("grade", "mark_levels", "max_pool_levels"),
}


def drawn(rng):
    """Every kind behind {0..k} and {-k..k}, with windows of every form; sums of 16 bits and beyond."""
    for levels, signed in zip(LEVELS, (False, True, False, False), strict=True):
        options = {"levels": levels, "signed": signed}
        for kind in IMAGE:
            yield graded(rng, (kind, "MAX_POOL_2D", "CONV_2D"), **options)
        yield graded(rng, ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), near=True, **options)
        yield graded(rng, ("CONV_2D", "FULLY_CONNECTED"), largest=127, **options)
    for channels in (20, 32):  # of the last word only four, and two words
        yield graded(rng, ("DEPTHWISE_CONV_2D", "CONV_2D"), near=True, levels=4, shape=(4, 5, channels))
    yield graded(rng, ("FULLY_CONNECTED",), levels=2, shape=(7, 7, 16))  # more than a list holds


def compared(programs, **options):
    rng = np.random.default_rng(1)
    cases = [(program, level_inputs(rng, program)) for program in programs]
    for (program, inputs), outputs in zip(cases, run_checked(cases, **options), strict=True):
        np.testing.assert_array_equal(*(list(one.values())[-1] for one in (outputs, program.trace(inputs))))


@pytest.fixture(scope="module")
def programs():
    found = list(drawn(np.random.default_rng(0)))
    assert {kernel for one in found for step in design(one, "net").steps for kernel in step.kernels} >= KERNELS
    return found


@needs_compiler
def test_layers_behind_levels_are_the_programs_bits(programs):
    compared(programs)


@needs_avx2
def test_vectors_of_sixteen_channels_change_no_sum_of_levels(programs):
    compared(programs, flags=("-std=c99", "-O1", "-mavx2"))


def test_packed_sums_of_products_are_exact_up_to_both_bounds():
    """Weights of both ends times levels of -127 to 127: sums of 32,767 and -32,768, beyond 16 bits on the way there."""
    levels = np.array([127, 127, 127, 4, 1, -127])
    kernel = np.zeros((16, 6), np.int64)
    kernel[0::2] = [127, 127, 127, 127, 1, 127]
    kernel[1::2] = [-128, -128, -128, -64, 0, -128]
    words, sums = packing.spike_weights(kernel)[0].astype(np.int64), np.full(8, 0x80008000)
    for row, level in enumerate(levels):
        for word in range(4):
            sums[2 * word] += (words[row, word] & 0x00FF00FF) * level
            sums[2 * word + 1] += (words[row, word] >> 8 & 0x00FF00FF) * level
    sums = (sums - levels.sum() * 0x00800080) % 2**32
    lanes = np.stack([sums & 0xFFFF, sums >> 16], axis=1).reshape(-1) - packing.ZERO
    assert lanes.tolist() == [32767, -32768] * 8


def test_the_report_says_that_layers_behind_levels_follow_events_and_below_which_share_that_pays():
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "CONV_2D")
    program = graded(np.random.default_rng(0), kinds, levels=4, near=True, shape=(5, 5, 16))
    layers = report(design(program, "net"))["layers"]
    assert [layer["how"] for layer in layers] == ["dense", "memory", *["event-driven"] * 4]
    assert [0.3 < layer["cheaper_below"] <= 1 for layer in layers if "cheaper_below" in layer] == [True] * 3
