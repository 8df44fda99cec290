"""Membranes that are read: the file's integers are a recurrence in NumPy, whole numbers rounded once a timestep."""

from fractions import Fraction

import keras
import numpy as np
import pytest
from keras import layers

from every_runtime import assert_every_tensor_equals
from keras_models import computed
from keras_ternary_spike import (
    DirectEncoding,
    LastTimestep,
    LeakyIntegrator,
    LeakyIntegratorCell,
    TernaryLIF,
    TimeAverage,
    TimeMax,
)
from keras_ternary_spike.export import StepRunner, export_tflite, fold, load, quantize_aware, verify
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.quantize.emit.neurons.integrator_grids import most_steps
from keras_ternary_spike.export.tflite import flatbuffer

TIMESTEPS, FEATURES, RANGE = 6, 9, {"input_range": (-1, 1)}


def model(*end, timesteps=TIMESTEPS, seed=3):
    keras.utils.set_random_seed(seed)
    chain = [layers.Dense(12), TernaryLIF(threshold=0.3)]
    return keras.Sequential([keras.Input((timesteps, FEATURES)), *chain, *end])


def readout(decay=0.9, units=4, **options):
    return layers.Dense(units, name="fc"), LeakyIntegrator(decay, name="out", **options)


def sequences(rng, count=16, timesteps=TIMESTEPS):
    return rng.uniform(-1, 1, (count, timesteps, FEATURES))


def traced(file, samples):
    """Integers of all tensors by name, for samples in [-1, 1]."""
    program = flatbuffer.read(file)
    tensor = program.tensors[program.inputs[0]]
    integers = np.clip(np.rint(samples / float(tensor.scale)) + tensor.zero_point, -128, 127).astype(np.int8)
    return program, program.trace({tensor.name: integers}), integers


def recurrence(currents, decay):
    """round(decay * membrane) + current in whole steps, saturated; currents `(timesteps, ...)`."""
    membrane, membranes = np.zeros(currents.shape[1:], np.int64), []
    for current in currents.astype(np.int64):
        exact = decay.numerator * membrane + decay.denominator * current  # over the denominator, which is odd: no ties
        membrane = np.clip((2 * exact + decay.denominator) // (2 * decay.denominator), -128, 127)
        membranes.append(membrane)
    return np.stack(membranes)


def snapped(decay):
    """The nearest fraction with an odd denominator of at most 63, one of them."""
    fractions = {Fraction(n, d) for d in range(1, 64, 2) for n in range(d + 1)}
    return min(fractions, key=lambda one: abs(float(one) - decay))


@pytest.mark.parametrize("decay", [0.9, 0.25, 1.0, 0.4])
def test_membranes_are_the_recurrence_of_the_currents_in_integers(decay, rng):
    samples = sequences(rng)
    file = export_tflite(model(*readout(decay)), **RANGE, samples=samples)
    program, trace, inputs = traced(file, samples)
    currents = np.stack([trace[f"fc/current/{t}"] for t in range(TIMESTEPS)])
    found = np.stack([currents[0], *(trace[f"out/membrane/{t}"] for t in range(1, TIMESTEPS))])
    np.testing.assert_array_equal(found, recurrence(currents, snapped(decay)))
    assert np.abs(found).max() > 60 and len(np.unique(found)) > 50
    assert_every_tensor_equals(program.trace({"input": inputs[:3]}), file, {"input": inputs[:3]})


def test_a_decay_for_each_channel_is_rounded_to_a_step_first(rng):
    decays, samples = [0.25, 0.5, 0.75, 1.0], sequences(rng)
    file = export_tflite(model(*readout(decays)), **RANGE, samples=samples)
    program, trace, inputs = traced(file, samples)
    constant = next(t for t in program.tensors if t.name.startswith("out/decay"))
    exact = [Fraction(int(k), round(1 / float(constant.scale))) for k in constant.data.ravel()]
    np.testing.assert_allclose([float(one) for one in exact], decays, atol=0.02)
    membrane = np.zeros(trace["fc/current/0"].shape, np.int64)
    for t in range(TIMESTEPS):
        leaked = [
            np.rint(membrane[:, c] * one.numerator / one.denominator).astype(np.int64) for c, one in enumerate(exact)
        ]
        membrane = np.clip(np.stack(leaked, axis=-1) + trace[f"fc/current/{t}"], -128, 127)
        if t:
            np.testing.assert_array_equal(trace[f"out/membrane/{t}"], membrane)
    assert_every_tensor_equals(program.trace({"input": inputs[:3]}), file, {"input": inputs[:3]})


ENDS = {
    "sequence": readout,
    "last": lambda: readout(return_sequences=False),
    "largest": lambda: (*readout(), TimeMax()),
    "mean": lambda: (*readout(), TimeAverage()),
    "read on": lambda: (*readout(1.0), LastTimestep(), layers.Dense(3)),
    "of spikes": lambda: (LeakyIntegrator(0.5),),
    "per channel": lambda: readout([0.1, 0.5, 0.7, 0.9]),
    "cell": lambda: (layers.Dense(4), layers.RNN(LeakyIntegratorCell(0.5), return_sequences=True)),
}


@pytest.mark.parametrize("end", ENDS)
def test_steps_equal_the_unrolled_file_and_both_are_near_keras(end, rng):
    net, samples = model(*ENDS[end]()), sequences(rng)
    whole = load(export_tflite(net, **RANGE, samples=samples)).predict(samples)
    runner = StepRunner(export_tflite(net, **RANGE, samples=samples, form="step"))
    for sequence, expected in zip(samples[:6], whole, strict=False):
        runner.reset()
        steps = np.stack([runner.step(frame) for frame in sequence])
        np.testing.assert_array_equal(steps if whole.ndim == 3 else steps[-1], expected)
    wanted = computed(net, samples)
    assert np.corrcoef(whole.ravel(), wanted.ravel())[0, 1] > 0.98  # the rest are spikes rounded across a threshold


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_where_noise_fires_nothing_no_membrane_leaves_the_grid(decay, rng):
    net = model(*readout(decay))
    net.layers[1].cell._threshold = type(net.layers[1].cell._threshold)(50.0)
    program = flatbuffer.read(export_tflite(net, **RANGE))
    kernel = keras.ops.convert_to_numpy(net.layers[-2].kernel)
    largest = np.abs(kernel).sum(axis=0).max() * sum(float(snapped(decay)) ** t for t in range(TIMESTEPS))
    assert 127 * float(program.tensors[program.outputs[0]].scale) >= 0.99 * largest
    assert not program.facts.guessed_outputs


def test_the_mean_of_membranes_is_rounded_once(rng):
    samples = sequences(rng)
    file = export_tflite(model(*readout(), TimeAverage(name="mean")), **RANGE, samples=samples)
    program, trace, inputs = traced(file, samples)
    membranes = [trace["fc/current/0"], *(trace[f"out/membrane/{t}"] for t in range(1, TIMESTEPS))]
    total, found = np.sum(membranes, axis=0, dtype=np.int64), trace[program.tensors[program.outputs[0]].name]
    assert np.abs(found - total / TIMESTEPS).max() < 0.5 + 127 * 0.01  # the kernel of ones is rounded, too
    assert len(np.unique(found)) > 30
    step = float(program.tensors[program.outputs[0]].scale)
    folded = next(float(t.scale) for t in program.tensors if t.name == "out/membrane/1")  # of membranes / TIMESTEPS
    assert step == pytest.approx(TIMESTEPS * folded)
    assert_every_tensor_equals(program.trace({"input": inputs[:3]}), file, {"input": inputs[:3]})
    with pytest.warns(UserWarning, match="guess"):
        export_tflite(model(*readout(), TimeAverage()), **RANGE)


def test_no_membrane_saturates_on_a_proven_grid(rng):
    """A single number cannot leave its grid, whatever the spikes: the worst ones, and rounding, reach at most 127."""
    net = model(*readout(0.9, units=1))
    file = export_tflite(net, **RANGE)
    program = flatbuffer.read(file)
    assert not program.facts.guessed_outputs
    kernel = next(t for t in program.tensors if t.name == "fc/kernel").data.astype(np.int64)
    scale = float(next(t for t in program.tensors if t.name == "fc/kernel").scale.ravel()[0])
    bias = int(next(t for t in program.tensors if t.name == "fc/bias").data[0])
    step = float(next(t for t in program.tensors if t.name == "fc/current/0").scale)
    strongest = round((np.abs(kernel).sum() + abs(bias)) * scale / step)
    assert 100 < recurrence(np.full((TIMESTEPS, 1), strongest), snapped(0.9)).max() < 127


FITTING = [(0.25, 6, False), (0.9, 6, True), (1.0, 6, False), (0.9, 40, True)]


@pytest.mark.parametrize("decay, timesteps, endless", FITTING)
def test_the_largest_current_is_the_largest_whose_membranes_fit(decay, timesteps, endless):
    network = describe(model(*readout(decay), timesteps=None if endless else timesteps), unknown=timesteps)
    fraction = snapped(decay)
    steps, count = most_steps(network, network["out"]), 500 if endless else timesteps

    def largest(current):
        membrane = 0
        for _ in range(count):
            membrane = int(np.floor(float(fraction) * membrane + 0.5)) + current
        return membrane

    assert largest(steps) <= 127 < largest(steps + 1)


def test_a_stream_of_unknown_length_has_bounded_membranes_and_another_is_refused(rng):
    runner = StepRunner(export_tflite(model(*readout(0.9), timesteps=None), **RANGE, output_range=(-8, 8), form="step"))
    scores = np.stack([runner.step(frame) for frame in rng.uniform(-1, 1, (300, FEATURES))])
    assert np.abs(scores).max() < 8 and np.ptp(scores[200:]) > 0.5
    with pytest.raises(ValueError, match=r"'out'.*needs a decay below 1, at most 62/63.*keras.Input\(\(timesteps"):
        export_tflite(model(*readout(1.0), timesteps=None), **RANGE, output_range=(-8, 8), form="step")
    assert export_tflite(model(*readout(1.0), timesteps=40), **RANGE, output_range=(-8, 8), form="step")


def test_an_outputs_range_is_that_of_membranes_on_samples(rng):
    net, samples = model(*readout(return_sequences=False)), sequences(rng)
    file = export_tflite(net, **RANGE, samples=samples)
    program = flatbuffer.read(file)
    whole = computed(keras.Model(net.inputs, LeakyIntegrator(0.9)(net.layers[-2].output)), samples)
    reached = np.abs(whole).max()
    scale = float(program.tensors[program.outputs[0]].scale)
    assert reached < 127 * scale < 1.15 * reached
    assert not program.facts.guessed_outputs
    with pytest.warns(UserWarning, match="guess"):
        notes = flatbuffer.read(export_tflite(net, **RANGE)).facts.notes
    assert any("membranes of 'out' saturate at" in note for note in notes)


def test_a_still_image_and_a_current_that_others_read(rng):
    keras.utils.set_random_seed(0)
    image = keras.Input((5,), name="x")
    current = layers.Dense(4, name="fc")(DirectEncoding(4)(image))
    spikes, membrane = TernaryLIF(threshold=0.2)(current), LeakyIntegrator(0.5, name="out")(current)
    net = keras.Model(image, {"membrane": membrane, "logits": layers.Dense(3)(spikes)[:, -1]})
    samples = rng.uniform(0, 1, (32, 5))
    found = load(export_tflite(net, samples=samples)).predict(samples)
    wanted = computed(net, samples)["membrane"]
    assert np.abs(found["membrane"] - wanted).max() < 4 * np.abs(wanted).max() / 127


def test_a_state_beside_the_membranes_is_the_last_one(rng):
    net = model(layers.Dense(4))
    membranes, state = LeakyIntegrator(0.9, return_state=True)(net.outputs[0])
    net = keras.Model(net.inputs, {"all": membranes, "last": state})
    samples = sequences(rng)
    found = load(export_tflite(net, **RANGE, output_range=(-8, 8))).predict(samples)
    np.testing.assert_array_equal(found["all"][:, -1], found["last"])


def test_verify_folds_and_the_c_code_take_it_and_fine_tuning_names_it(rng):
    net, samples = model(*readout(return_sequences=False)), sequences(rng, 8)
    file = export_tflite(net, **RANGE, samples=samples)
    assert verify(net, file, samples, also=("c",)).exact
    np.testing.assert_allclose(computed(fold(net), samples), computed(net, samples), atol=1e-4)
    with pytest.raises(ValueError, match=r"knows no membranes that are read\. Received: layer 'out'.*float model"):
        quantize_aware(net, **RANGE, output_range=(-8, 8))


def test_what_has_no_kernel_in_front_is_refused_and_the_way_out_works():
    pooled = [layers.Dense(12), TernaryLIF(), LeakyIntegrator(0.9, name="a"), LeakyIntegrator(0.9, name="out")]
    with pytest.raises(
        ValueError, match=r"reads spikes, or a layer with weights.*'out' on 'a'.*Dense or Conv2D layer in"
    ):
        export_tflite(keras.Sequential([keras.Input((3, 4)), *pooled]))
    assert export_tflite(keras.Sequential([keras.Input((3, 4)), *pooled[:-1], layers.Dense(2), pooled[-1]]))
    with pytest.raises(ValueError, match=r"'out': int8 does not hold.*Put a Dense"):
        export_tflite(model(LeakyIntegrator(1.0, name="out"), timesteps=90), **RANGE, form="step")
    assert export_tflite(model(layers.Dense(2), LeakyIntegrator(1.0), timesteps=90), **RANGE, form="step")
