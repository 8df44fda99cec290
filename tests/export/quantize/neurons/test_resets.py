"""Neurons of every kind through the whole exporter: thresholds and decays per channel, resets, both forms."""

from fractions import Fraction

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.decay import snap_decay
from keras_ternary_spike.export import StepRunner, check, export_tflite, verify
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.quantize.current_grids import HEADROOM_QUIET_STEPS, plan_currents
from keras_ternary_spike.export.quantize.integer_neuron import channel_constant, snap
from keras_ternary_spike.export.tflite.flatbuffer import read

THRESHOLDS = [0.3, 0.5, 1.0, 0.8]
DECAYS = [0.1, 0.25, 0.9, 1.0]
KINDS = {
    "thresholds": {"threshold": THRESHOLDS},
    "decays": {"decay": DECAYS},
    "decays and subtract": {"decay": DECAYS, "threshold": THRESHOLDS, "reset": "subtract"},
    "subtract": {"decay": 0.5, "reset": "subtract", "threshold": 0.3},
    "subtract twice the threshold": {"decay": 0.9, "reset": "subtract", "reset_amount": 2.0},
    "subtract without leak": {"decay": 1.0, "reset": "subtract"},
    "none": {"decay": 0.9, "reset": "none", "threshold": 1.0},
}


def network(timesteps=3, kind=TernaryLIF, dtype="float32", seed=0, **options):
    """A constant current, a shortcut added to a changing one, a pool, a neuron on vectors, a sum over time."""
    keras.utils.set_random_seed(seed)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        image = keras.Input((6, 6, 2))
        x = PerTimestep(layers.Conv2D(4, 3, padding="same", kernel_initializer="he_normal"))(
            DirectEncoding(timesteps)(image)
        )
        spikes = kind(name="constant", **options)(x)
        x = PerTimestep(layers.Conv2D(4, 3, padding="same", kernel_initializer="he_normal"))(spikes)
        x = layers.BatchNormalization(gamma_initializer="uniform")(x)
        x = kind(name="added", **options)(layers.Add()([x, spikes]))
        x = PerTimestep(layers.MaxPooling2D(2))(x)
        x = PerTimestep(layers.Flatten())(x)
        x = kind(name="vector", **options)(PerTimestep(layers.Dense(4, kernel_initializer="he_normal"))(x))
        return keras.Model(image, TimeAverage()(PerTimestep(layers.Dense(5))(x)))
    finally:
        keras.config.set_dtype_policy(previous)


@pytest.fixture
def images(rng):
    return rng.random((8, 6, 6, 2)).astype(np.float32)


@pytest.mark.parametrize("name", ["thresholds", "decays and subtract", "subtract twice the threshold"])
def test_folding_changes_no_spike(name, images):
    model = network(dtype="float64", **KINDS[name])
    folded = assemble(fold_network(describe(model)), dtype="float64")
    *mine, scores = every_spike(folded)(images)
    *theirs, expected = every_spike(model)(images)
    for spikes, wanted in zip(mine, theirs, strict=True):
        assert np.any(wanted)
        np.testing.assert_array_equal(spikes, wanted)
    np.testing.assert_allclose(scores, expected, atol=1e-10)


def every_spike(model):
    """The model with the spikes of its neurons as outputs before its own."""
    spikes = [model.get_layer(name).output for name in ("constant", "added", "vector")]
    return keras.Model(model.inputs, [*spikes, model.outputs[0]])


@pytest.mark.parametrize("name, kind, timesteps", [(n, TernaryLIF, 3) for n in KINDS] + [("decays", BinaryLIF, 2)])
def test_every_kind_is_exact_on_every_runtime_and_proven(name, kind, timesteps, images):
    model = network(timesteps, kind, **KINDS[name])
    tflite_bytes = export_tflite(model)
    report = verify(model, tflite_bytes, images)
    assert report.exact
    assert all(proof.holds and proof.spikes for proof in prove(read(tflite_bytes)))


@pytest.mark.parametrize("name", ["decays and subtract", "subtract", "none"])
def test_one_timestep_a_call_gives_the_same_scores(name, images):
    model = network(**KINDS[name])
    program = read(export_tflite(model))
    runner = StepRunner(export_tflite(model, form="step"))
    tensor = program.tensors[program.outputs[0]]
    for image in images:
        scores = runner.run(np.stack([image] * 3))
        source = program.tensors[program.inputs[0]]
        integers = np.clip(np.rint(image / np.float64(source.scale)) + source.zero_point, -128, 127).astype(np.int8)
        expected = (program.run(integers[None])[0].astype(np.float32) - tensor.zero_point) * tensor.scale
        np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("name", ["decays", "decays and subtract", "subtract", "none"])
def test_no_operator_is_left_on_the_cpu_of_an_ethos_u(name):
    for form in ("unrolled", "step"):
        assert check(export_tflite(network(2, **KINDS[name]), form=form), target="ethos-u55-128").accepted


def test_a_file_states_resets_decays_and_saturation():
    metadata = read(export_tflite(network(decay=[0.0, 0.25, 0.5, 1.0], reset="subtract"))).metadata
    added = next(neuron for neuron in metadata["neurons"] if neuron["name"] == "added")
    assert added["decay"] == ["0", "16/63", "32/63", "1"]
    assert (added["reset"], added["steps_per_unit"], added["reset_steps"]) == ("subtract", 41, "20")
    assert "currents and states of 'added' saturate at 3.10 times twice the threshold" in metadata["notes"]


def test_even_numerators_take_exactly_the_threshold_off():
    metadata = read(export_tflite(network(decay=0.25, reset="subtract"))).metadata
    assert [neuron["reset_steps"] for neuron in metadata["neurons"]] == [
        "41/2",
        "77/2",
        "41/2",
    ]  # half the steps of a unit
    assert snap_decay(0.5, even=True) == Fraction(32, 63)


def small(reset, weight, timesteps=3, **options):
    """Spikes through a kernel of one small weight into a neuron: its current never exceeds the weight."""
    x = sequence = keras.Input((timesteps, 2))
    x = TernaryLIF(name="first", decay=0.0)(layers.Dense(2)(x))
    dense = layers.Dense(1)
    x = TernaryLIF(name="second", reset=reset, **options)(dense(x))
    model = keras.Model(sequence, x)
    dense.set_weights([np.full((2, 1), weight / 2), np.zeros(1)])
    return model


@pytest.mark.parametrize("reset, decay, weight", [("none", 0.5, 0.6), ("subtract", 1.0, 0.6), ("none", 1.0, 0.4)])
def test_small_kernels_bound_the_membrane(reset, decay, weight):
    """The strongest current at every timestep reaches the bound and stays within int8; one finer grid would not."""
    folded = fold_network(describe(small(reset, weight, decay=decay)))
    grid = plan_currents(folded)[folded["second"].inputs[0]]
    assert grid.proven and grid.quiet_steps > HEADROOM_QUIET_STEPS
    membrane, largest = 0.0, 0.0
    for _ in range(3):
        membrane = decay * membrane + weight
        largest = max(largest, membrane)
        membrane -= 0.5 * (membrane >= 0.5) * (reset == "subtract")
    assert largest * (2 * grid.quiet_steps + 1) <= 127
    program = read(export_tflite(small(reset, weight, decay=decay)))
    assert not [note for note in program.metadata["notes"] if "second" in note]


def test_large_kernels_leave_a_stated_saturation():
    folded = fold_network(describe(small("none", 9.0)))
    plan = plan_currents(folded)[folded["second"].inputs[0]]
    assert (plan.quiet_steps, plan.proven) == (HEADROOM_QUIET_STEPS, False)


def test_decays_of_channels_are_whole_numbers_over_a_safe_denominator():
    integers, scale = channel_constant(snap(np.array([0.1, 0.25, 0.9, 1.0])))
    assert (integers.tolist(), scale) == ([12, 32, 114, 126], 1 / 126)
    assert snap(np.array([0.25, 0.25])) == Fraction(16, 63)
    assert snap(np.array([0.0, 1e-9])) == 0


@pytest.mark.parametrize(
    "layer, message",
    [
        (
            TernaryLIF(reset="subtract", reset_amount=3.0, name="lif"),
            r"`reset_amount` must lie in \[0.1, 2.0\].*'lif'.*3.0.*Train",
        ),
    ],
)
def test_other_neurons_are_refused_by_name(layer, message):
    model = keras.Sequential([keras.Input((2, 4)), layers.Dense(3), layer])
    with pytest.raises(ValueError, match=message):
        export_tflite(model)


def test_a_subclass_of_a_cell_is_refused():
    from keras_ternary_spike import TernaryLIFCell

    class Other(TernaryLIFCell):
        pass

    model = keras.Sequential([keras.Input((2, 4)), keras.layers.RNN(Other(), return_sequences=True, name="rnn")])
    with pytest.raises(ValueError, match=r"only RNN of TernaryLIFCell.*'rnn' with a Other"):
        describe(model)
