"""Rounding for samples: integers that fit what a layer computes."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, verify
from keras_ternary_spike.export.calibration import integer_fit as rounding
from keras_ternary_spike.export.calibration.calibrate import Calibration, calibrate
from keras_ternary_spike.export.calibration.calibrate import layers as calibrated
from keras_ternary_spike.export.calibration.integer_fit import Problem, fitted, wanted_accumulators
from keras_ternary_spike.export.calibration.patches import kernel_of, matrices, patches
from keras_ternary_spike.export.calibration.progress import Progress
from keras_ternary_spike.export.certificate.proof import channels_that_may_tie
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.program.names import FIRST, KERNELS, parse
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer

P = PerTimestep


def lively(**options):
    """Fires on the small currents of kernels that are not trained."""
    return TernaryLIF(threshold=0.15, **options)


def network(neuron=lively, timesteps=2):
    """Every kind of kernel: strides, a transposed and two depthwise convolutions, Dense."""
    body = [
        P(layers.Conv2D(6, 3, strides=2, padding="same")),
        neuron(),
        P(layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2)),
        neuron(),
        P(layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")),
        neuron(),
        P(layers.Conv2DTranspose(4, 3, strides=2, padding="same")),
        neuron(),
    ]
    head = [P(layers.Flatten()), P(layers.Dense(3)), TimeAverage()]
    return keras.Sequential([keras.Input((8, 8, 2)), DirectEncoding(timesteps), *body, *head])


def images(rng, count=32):
    return rng.random((count, 8, 8, 2)).astype("float32")


def problem(rng, *, edge=1e9):
    inputs = np.concatenate([rng.integers(-1, 2, (200, 5)), np.ones((200, 1))], axis=1)
    wanted = inputs @ rng.uniform(-20, 20, (6, 2))
    return Problem(inputs, wanted, np.full(2, edge), step=np.array([1.0, 2.0]), free=np.ones((6, 2), bool))


def test_no_integer_next_to_those_found_fits_better(rng):
    one, start = problem(rng), 2 * rng.integers(-8, 8, (6, 2)).astype(float)
    found = fitted(one, start)

    def cost(integers):
        strength = rounding.DAMPING * (one.inputs[:, :-1] ** 2).mean()
        error = ((one.inputs @ integers - one.wanted) ** 2).mean(axis=0)
        return error + strength * ((integers - start)[:-1] ** 2).sum(axis=0)

    for row, sign in itertools.product(range(6), (-1, 1)):
        moved = found.copy()
        moved[row] += sign * one.step
        assert (cost(moved) >= cost(found)).all()
    assert (cost(found) < cost(start)).all()
    assert (found[:, 1] % 2 == 0).all()


def test_integers_that_made_the_values_are_found_again(rng, monkeypatch):
    monkeypatch.setattr(rounding, "DAMPING", 0.0)
    one, true = problem(rng), 2.0 * rng.integers(-20, 20, (6, 2))
    exact = Problem(one.inputs, one.inputs @ true, one.edge, one.step, one.free)
    np.testing.assert_array_equal(fitted(exact, true + 2 * rng.integers(-2, 3, true.shape)), true)


def test_integers_that_are_not_free_stay(rng):
    one, start = problem(rng), np.full((6, 2), 4.0)
    one.free[1:3] = False
    found = fitted(one, start)
    assert (found[1:3] == 4).all() and (found[[0, 3, 4, 5]] != 4).any()


def test_an_output_that_saturates_as_wanted_has_no_other_target():
    one = Problem(np.ones((4, 1)), np.array([[30.0], [30], [-30], [5]]), np.array([10.0]), *np.ones((2, 1)))
    np.testing.assert_array_equal(
        wanted_accumulators(one, np.array([[12.0], [8], [-99], [8]])), [[12], [10], [-99], [5]]
    )


def test_patches_times_matrices_are_the_accumulators_of_every_operator(rng):
    model = network()
    folded = fold_network(describe(model))
    program = quantize(folded)
    values = {program.tensors[program.inputs[0]].name: rng.integers(-128, 128, (2, 8, 8, 2)).astype(np.int8)}
    values |= program.trace(values)
    positions = calibrated(program, folded)
    assert len(positions) == 6
    for position in (first for first, *_ in positions.values()):
        operator = program.operators[position]
        source = operator.inputs[2 if operator.kind == "TRANSPOSE_CONV" else 0]
        source, kernel, bias, output = (
            program.tensors[i] for i in (source, *operator.inputs[1::2][:1], operator.inputs[-1], operator.output)
        )
        inputs = values[source.name].astype(np.float64) - source.zero_point
        pixels = np.tile(np.arange(int(np.prod(output.shape[1:-1]))), (2, 1))
        parts = patches(operator, kernel.data, inputs, pixels) @ matrices(operator, kernel.data.astype(float))
        accumulators = parts.transpose(1, 0, 2).reshape(2, *output.shape[1:]) + bias.data
        expected = np.clip(np.rint(accumulators * (bias.scale / np.float64(output.scale))), -128, 127)
        if operator.activation == "NONE":
            np.testing.assert_array_equal(values[output.name], expected)
        again = kernel_of(operator, matrices(operator, kernel.data), kernel.data.shape)
        np.testing.assert_array_equal(again, kernel.data)


def test_a_file_rounded_for_samples_is_exact_and_repeats_itself(rng):
    model, samples = network(), images(rng)
    first, second = (export_tflite(model, samples=samples) for _ in range(2))
    assert first == second and first != export_tflite(model)
    assert verify(model, first, samples[:4]).exact
    program = flatbuffer.read(first)
    kernels = [
        o for o in program.operators if len(o.inputs) > 2 and parse(program.tensors[o.inputs[1]].name).role in KERNELS
    ]
    assert kernels and not any(channels_that_may_tie(program, operator).any() for operator in kernels)
    data = {tensor.name: tensor.data for tensor in program.tensors}
    twins = [name for name in data if name.endswith(FIRST)]
    assert len(twins) == 4  # kernels and biases of the two layers on spikes that nothing but neurons read
    for name in twins:
        np.testing.assert_array_equal(data[name], data[name.removesuffix(FIRST)])
    note = program.metadata["notes"][-1]
    assert note.startswith("Kernels and biases of '") and note.endswith(" are rounded for 24 samples.")


def test_a_layer_keeps_its_nearest_integers_unless_the_error_falls(rng):
    folded = fold_network(describe(network()))
    program = quantize(folded)
    samples = dict.fromkeys(program.named_inputs, images(rng, 8))
    errors = iter([1.0, 1.0, 0.5, 0.7, 0.5, 0.4, 0.4])  # of the program as it is, and with each of its six layers
    calibration = Calibration(program, folded, samples, verbose=0)
    chosen = calibration.run(lambda program: next(errors))
    kernels = {name: program.operators[at[0]].inputs[1] for name, at in calibrated(program, folded).items()}
    assert calibration.chosen == [list(kernels)[1], list(kernels)[4]]
    changed = [n for n, i in kernels.items() if np.any(chosen.tensors[i].data != program.tensors[i].data)]
    assert set(changed) <= set(calibration.chosen) and changed


def test_integers_for_samples_are_those_of_the_same_kernels(rng):
    """Whatever they are chosen for, they stand for the float kernel: rounded elsewhere, not scaled."""
    folded = fold_network(describe(network(timesteps=3)))
    program = quantize(folded)
    samples = dict.fromkeys(program.named_inputs, images(rng))
    errors = itertools.count(start=0, step=-1)  # every choice is taken
    chosen = Calibration(program, folded, samples, verbose=0).run(lambda program: next(errors))
    for name, (first, *_) in calibrated(program, folded).items():
        kernel = program.operators[first].inputs[1]
        nearest, found = (one.tensors[kernel].data.astype(float).ravel() for one in (program, chosen))
        assert 0.8 < found @ nearest / (nearest @ nearest) < 1.25, name


def test_both_forms_get_the_same_integers(rng):
    model, samples = network(), images(rng, 16)
    whole, step = (flatbuffer.read(export_tflite(model, samples=samples, form=form)) for form in ("unrolled", "step"))
    data = {tensor.name: tensor.data for tensor in step.tensors if parse(tensor.name).role in KERNELS}
    assert len(data) == 6
    for tensor in whole.tensors:
        if tensor.name in data:
            np.testing.assert_array_equal(tensor.data, data[tensor.name])


def test_zeros_of_a_pruned_kernel_stay_and_a_clustered_kernel_stays(rng):
    model = network()
    kernel = model.layers[1].layer.kernel
    pruned = np.where(rng.random(kernel.shape) < 0.5, 0, kernel)
    kernel.assign(pruned)
    dense = model.layers[-2].layer.kernel
    dense.assign(np.sign(dense) * 0.1)
    program, folded = quantize(fold_network(describe(model))), fold_network(describe(model))
    chosen = calibrate(program, folded, dict.fromkeys(program.named_inputs, images(rng)))
    first, *_, last = (chosen.operators[at[0]].inputs[1] for at in calibrated(program, folded).values())
    assert not chosen.tensors[first].data[pruned.transpose(3, 0, 1, 2) == 0].any()
    np.testing.assert_array_equal(chosen.tensors[last].data, program.tensors[last].data)


def test_neurons_with_a_soft_reset_keep_the_nearest_integers(rng):
    model = network(lambda: lively(reset="subtract"))
    one_range = {"output_range": (-4, 4)}  # which samples would choose as well
    program, nearest = (flatbuffer.read(export_tflite(model, samples=s, **one_range)) for s in (images(rng, 4), None))
    assert "rounded to nearest" in program.metadata["notes"][-1]
    for tensor, other in zip(program.tensors, nearest.tensors, strict=True):
        np.testing.assert_array_equal(tensor.data, other.data)


def test_samples_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"`samples` must have shape \('samples', 8, 8, 2\). Received: \(3, 8, 8\)"):
        export_tflite(network(), samples=np.zeros((3, 8, 8)))


def test_no_sample_at_all_is_refused():
    with pytest.raises(ValueError, match=r"`samples` must hold at least one sample\. Received: 0"):
        export_tflite(network(), samples=np.zeros((0, 8, 8, 2)))


@pytest.mark.parametrize(("terminal", "verbose", "shown"), [(True, 1, True), (True, 0, False), (False, 1, False)])
def test_progress_is_drawn_on_terminals_only(capsys, monkeypatch, terminal, verbose, shown):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    Progress("rounding", total=2, verbose=verbose).step("conv2d")
    assert ("[===============               ] 1/2 conv2d" in capsys.readouterr().err) == shown
