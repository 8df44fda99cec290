"""Event-driven layers as C against Program.run, and the arithmetic of packed sums at its bounds."""

import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from c_compilers import WARNINGS, needs_avx2, needs_compiler, needs_gcc_and_clang, run_checked
from keras_ternary_spike.export.c_code.design import design
from keras_ternary_spike.export.c_code.events import lane_scalings, packing
from keras_ternary_spike.export.c_code.events.neurons import agrees, carried, needs_no_clipping, spiking_layers
from keras_ternary_spike.export.c_code.export_c import c_files
from keras_ternary_spike.export.c_code.vectors import noise
from keras_ternary_spike.export.quantize.integer_neuron import Neuron
from random_programs import random_inputs, weighted, with_no_zero_point
from random_spiking import KINDS, graded, loud, spike_inputs, spiking, with_every_kernel

EACH = 8
NEWLIB = Path("/usr/lib/arm-none-eabi/include")
VECTOR_KERNELS = ("gather_values", "gather_wide", "scatter_layer", "integrate_two", "integrate", "fire")


def compared(cases, **options):
    for (program, inputs), outputs in zip(cases, run_checked(cases, **options), strict=True):
        trace = program.trace(inputs)
        for name, values in outputs.items():
            np.testing.assert_array_equal(values, trace[name], err_msg=str(program.metadata["neurons"]))


@needs_compiler
def test_spiking_layers_of_every_kind_fire_as_program_does():
    rng = np.random.default_rng(0)
    programs = [spiking(rng, kind) for kind in KINDS for _ in range(EACH)]
    kernels = {kernel for program in programs for step in design(program, "net").steps for kernel in step.kernels}
    assert {"gather_spikes", "gather_depthwise", "integrate", "integrate_any", "fire"} <= kernels
    compared([(program, spike_inputs(rng, program)) for program in programs])


@needs_compiler
def test_sums_beyond_16_bits_are_added_in_32():
    """All weights 127 or -127 and everything fires: sums of 64 * 9 rows lie far beyond 32,767."""
    rng = np.random.default_rng(6)
    programs = [spiking(rng, kind, shape=(4, 5, 90), largest=127) for kind in KINDS if kind != "DEPTHWISE_CONV_2D"]
    kernels = [{kernel for step in design(program, "net").steps for kernel in step.kernels} for program in programs]
    assert sum("gather_wide" in one for one in kernels) >= 2
    compared([(program, spike_inputs(rng, program)) for program in programs])


@needs_gcc_and_clang
@pytest.mark.parametrize("flags", [("-O0",), ("-O3",)])
def test_optimization_changes_nothing(flags):
    rng = np.random.default_rng(5)
    programs = [spiking(rng, kind) for kind in KINDS for _ in range(2)]
    compared([(program, spike_inputs(rng, program)) for program in programs], flags=flags, command="clang")


@pytest.mark.skipif(not (shutil.which("clang") and NEWLIB.exists()), reason="needs clang and newlib's headers for Arm")
@pytest.mark.parametrize("core", [("cortex-m0",), ("cortex-m4",), ("cortex-m55", "-mfloat-abi=hard")])
def test_clang_takes_every_kernel_for_arm_without_a_warning(tmp_path, core):
    rng = np.random.default_rng(8)
    programs = [program for _, program in with_every_kernel(rng, dict.fromkeys(VECTOR_KERNELS, 1))]
    programs += [graded(rng, kinds) for kinds in (["CONV_2D"], ["DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])]
    (cpu, *floats) = core
    for number, program in enumerate(programs):
        for name, data in c_files(program, name=f"net{number}").items():
            (tmp_path / name).write_bytes(data)
    sources = sorted(path.name for path in tmp_path.glob("net?.c"))
    assert len(sources) == len(programs)
    command = ["clang", "--target=arm-none-eabi", f"-mcpu={cpu}", "-mthumb", *floats, f"-isystem{NEWLIB}"]
    subprocess.run([*command, "-std=c99", *WARNINGS, "-fsyntax-only", *sources], cwd=tmp_path, check=True)


@needs_avx2
def test_vectors_of_sixteen_channels_change_nothing():
    rng = np.random.default_rng(7)
    drawn = with_every_kernel(rng, dict.fromkeys(VECTOR_KERNELS, 5))
    programs = [program for _, program in drawn] + [spiking(rng, "CONV_2D", shape=(3, 3, 20), timesteps=2), loud()]
    cases = [(one, spike_inputs(rng, one) if len(one.inputs) > 1 else random_inputs(rng, one)) for one in programs]
    for (program, inputs), outputs in zip(cases, run_checked(cases, flags=("-std=c99", "-O1", "-mavx2")), strict=True):
        trace = program.trace(inputs)
        for name, values in outputs.items():
            np.testing.assert_array_equal(values, trace[name])


@needs_compiler
def test_additions_and_spikes_are_counted_as_they_happen(tmp_path):
    """A 1 x 1 convolution from 20 to 7 channels adds 7 weights a spike; counts hold for all calls since init."""
    rng = np.random.default_rng(4)
    drawn = (spiking(rng, "FULLY_CONNECTED", timesteps=1) for _ in range(100))
    program = next(p for p in drawn if "gather_spikes" in design(p, "net").steps[-2].kernels)
    for path, data in c_files(program, name="net").items():
        (tmp_path / path).write_bytes(data)
    selftest = (tmp_path / "net_selftest.c").read_text()
    show = 'for (int call = 0; call < NET_STEPS; call++) printf("%u %u\\n", (unsigned)context.counts.additions[call], '
    show += "(unsigned)context.counts.spikes[call]);"
    (tmp_path / "net_selftest.c").write_text(selftest.replace("    return failed != 0;", show))
    flags = ["-DNET_COUNT", *WARNINGS, "-Wno-return-type", "-o", "selftest"]
    subprocess.run(["cc", *flags, "net.c", "net_selftest.c"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "selftest"], capture_output=True, text=True).stdout.splitlines()[1:]
    counts = [tuple(map(int, line.split())) for line in printed]
    trace = program.trace(next(iter(noise(program).values()))[:, 0])
    sources, spikes = (int(np.abs(trace[name]).sum()) for name in ("source/spike/0", "layer_neuron/spike/0"))
    outputs = program.tensors[program.outputs[0]].shape[-1]
    assert (sources * outputs, spikes) in counts


def test_packed_sums_are_exact_up_to_both_bounds():
    """Rows of extreme weights: sums of -32,768 and 32,767, carries and all, as the C code adds them."""
    kernel = np.zeros((16, 600), np.int64)
    kernel[0::2, :258], kernel[1::2, :256] = 127, -128
    kernel[0::2, 258] = 1
    words = packing.spike_weights(kernel)[0].astype(np.int64)
    start = packing.lanes(np.full(16, packing.ZERO)).astype(np.int64)
    sums, lane_mask = start.copy(), 0x00FF00FF
    for row in range(259):
        sums[0::2] += words[row] & lane_mask
        sums[1::2] += words[row] >> 8 & lane_mask
    sums = (sums - 259 * 0x00800080) % 2**32
    lanes = np.stack([sums & 0xFFFF, sums >> 16], axis=1).reshape(-1) - packing.ZERO
    assert lanes.tolist() == kernel[:, :259].sum(axis=1).tolist() == [32767, -32768] * 8


def test_lanes_of_16_bits_round_every_sum_as_the_file_does():
    """Scales n / 63 and 1 / q of the exporter, biases far from 0; every sum that can occur."""
    scale = np.array([32 / 63, 1 / 1365, 1 / 63, 200 / 63])
    low, high = np.array([-900, 21595, -4000, -300]), np.array([900, 24295, 4000, 250])
    sums = packing.Accumulators(low, high, np.ones(4, np.int64), scale)
    lanes = lane_scalings.lane_scaling(sums, [scale])
    for channel in range(4):
        values = np.arange(low[channel], high[channel] + 1)
        expected = [round(int(value) * Fraction(scale[channel]).limit_denominator(2000)) for value in values]
        made = lanes.apply(np.repeat(values[:, None], 4, axis=1))[:, channel]
        assert made.tolist() == expected
    assert lane_scalings.lane_scaling(replace(sums, scale=scale * 10), [scale * 10]) is None


def test_lanes_that_saturate_round_every_sum_as_the_file_does_and_say_where_not():
    """Scales n / 63 and 1 / q clipped to int8, biases far from 0; 1 / 1365 lies too near to ties for 16 bits."""
    exactly = [Fraction(32, 63), Fraction(1, 127), Fraction(1), Fraction(200, 63), Fraction(1, 1365)]
    scale = np.array([float(one) for one in exactly])
    low, high = np.array([-900, -10000, -140, -300, -32000]), np.array([900, 22000, 150, 250, 32000])
    sums = packing.Accumulators(low, high, np.ones(5, np.int64), scale)
    halves = lane_scalings.half_scaling(sums)
    assert halves.exact(sums, [scale]).tolist() == [True, True, True, True, False]
    assert sums.centre[1] == 6000
    for channel in range(4):
        values = np.arange(low[channel], high[channel] + 1)
        expected = [max(-128, min(127, round(int(value) * exactly[channel]))) for value in values]
        assert halves.apply(np.repeat(values[:, None], 5, axis=1))[:, channel].tolist() == expected


def test_a_block_with_one_channel_that_16_bits_do_not_scale_is_scaled_in_32():
    scale = np.full(48, 1 / 7)
    scale[20] = 1 / 1365
    sums = packing.Accumulators(np.full(48, -30000), np.full(48, 30000), np.ones(48, np.int64), scale)
    found = lane_scalings.vector_scales(sums, [scale], lane_scalings.lane_scaling(sums, [scale]))
    assert found.shape == (3, 32) and (found[:, 0] > 0).tolist() == [True, False, True]
    assert np.ascontiguousarray(found[0, 4:28]).view(np.int16).reshape(2, 3, 8)[:, 1].tolist() == [[5] * 8] * 2


def test_what_quiet_membranes_leave_is_one_product():
    for decay in (Fraction(0), Fraction(16, 63), Fraction(32, 63), Fraction(1)):
        left = np.array([round(decay * membrane) for membrane in range(-84, 85)])
        factor = lane_scalings.lane_decay(decay, -84, left)
        assert [(m * factor + 2**14) >> 15 for m in range(-84, 85)] == left.tolist()
    assert lane_scalings.lane_decay(Fraction(16, 63), -84, left) is None


def test_sums_between_the_thresholds_are_quiet():
    """Thresholds 5 and -3; above everything that occurs; below everything, so that all sums fire."""
    above, below, least = np.array([5, 90, -20]), np.array([-3, -91, -21]), np.array([-90, -90, -20])
    lowest, more = packing.quiet_words(above, below, least)
    halves = [[int(word) >> shift & 0xFFFF for word in words[:2] for shift in (0, 16)][:3] for words in (lowest, more)]
    assert halves == [[2**16 - 2, 2**16 - 90, 2**16 - 21], [6, 179, 0]]


def test_the_rows_of_a_3_by_3_window_are_the_bytes_of_words():
    """Reversed, the first tap in the highest of three bytes; channels filled up to a block."""
    kernel = np.array([[[1, -2, 3], [4, 5, -127], [0, 0, 9]]])
    words = packing.nine_weights(kernel)
    assert words.shape == (16, 3)
    assert words[0].tolist() == [3 + 254 * 256 + 65536, 129 + 5 * 256 + 4 * 65536, 9]
    assert not words[1:].any()


def test_products_that_round_by_2_to_the_32_are_the_files():
    scale = np.array([1 / 1365, 1 / 63])
    low, high = np.array([-40000, -9000]), np.array([50000, 9000])
    multiplier = packing.rounding_multiplier(packing.Accumulators(low, high, np.ones(2, np.int64), scale))
    for channel, q in enumerate((1365, 63)):
        sums = np.arange(low[channel], high[channel] + 1)
        expected = [round(Fraction(int(value), q)) for value in sums[:: 7 if channel == 0 else 1]]
        made = (sums * multiplier[channel] + 2**31) >> 32
        assert made[:: 7 if channel == 0 else 1].tolist() == expected
    beyond = packing.Accumulators(low, high, np.ones(2, np.int64), np.array([32 / 63, 0.1]))
    assert packing.rounding_multiplier(beyond) is None


def test_bounds_of_sums_are_those_of_the_weights():
    ones = np.ones(1)
    reaches = packing.Accumulators(np.array([-32768]), np.array([32767]), np.array([1]), ones)
    beyond = packing.Accumulators(np.array([-32768]), np.array([32768]), np.array([1]), ones)
    moved = packing.Accumulators(np.array([100_000]), np.array([165_534]), np.array([1]), ones)
    assert (reaches.fits, beyond.fits, moved.fits) == (True, False, True)


def test_the_table_of_a_neuron_holds_its_equation():
    """decay 16/63, threshold 100.5 steps: a membrane of 63 leaves 16, one of 101 fires and leaves nothing."""
    hard = carried(Neuron("n", Fraction(16, 63), 100))
    assert [hard[m + 128] for m in (63, -63, 100, 101, -101)] == [16, -16, 25, 0, 0]
    soft = carried(Neuron("n", Fraction(1), 20, reset="subtract", drop=Fraction(20)))
    assert [soft[m + 128] for m in (20, 21, -127)] == [20, 1, -107]
    assert needs_no_clipping(Neuron("n", Fraction(16, 63), 100))
    assert not needs_no_clipping(Neuron("n", Fraction(1, 1), 100))
    assert not needs_no_clipping(Neuron("n", Fraction(16, 63), 100, signed=False))


def test_a_neuron_whose_operators_do_something_else_is_left_to_them():
    rng = np.random.default_rng(2)
    program = next(p for p in (spiking(rng, "CONV_2D", timesteps=2) for _ in range(50)) if spiking_layers(p))
    layer = spiking_layers(program)[0]
    assert not agrees(program, replace(layer, neuron=replace(layer.neuron, quiet_steps=layer.neuron.quiet_steps + 1)))


@needs_compiler
def test_sources_of_real_values_are_multiplied_and_zeros_left_out():
    """The first layer of a network: any int8 values with a zero point, a constant current for all timesteps."""
    rng = np.random.default_rng(3)
    programs = [weighted(rng, kind) for kind in ("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV") for _ in range(6)]
    programs = [with_no_zero_point(program) for program in programs]
    kernels = {kernel for program in programs for step in design(program, "net").steps for kernel in step.kernels}
    assert "gather_values" in kernels
    cases = [(program, random_inputs(rng, program)) for program in programs]
    for (program, inputs), outputs in zip(cases, run_checked(cases), strict=True):
        np.testing.assert_array_equal(outputs["out"], program.trace(inputs)["out"])
