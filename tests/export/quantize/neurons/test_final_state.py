"""States of neurons that are read: the file's integers are what the neuron's equation leaves, and its spikes stay."""

import keras
import numpy as np
import pytest
from keras import layers

from every_runtime import assert_every_tensor_equals
from keras_models import computed
from keras_ternary_spike import BinaryLIF, LeakyIntegrator, MultiLevelLIF, TernaryLIF, TimeAverage
from keras_ternary_spike.export import StepRunner, export_tflite, fold, load, quantize_aware, verify
from keras_ternary_spike.export.certificate.proof import prove
from keras_ternary_spike.export.tflite import flatbuffer

RANGE = {"input_range": (-1, 1)}
NEURONS = {
    "ternary": (TernaryLIF, {"threshold": 0.4, "decay": 0.5}),
    "ternary without leak": (TernaryLIF, {"threshold": 0.4, "decay": 1.0}),
    "binary": (BinaryLIF, {"threshold": 0.6}),
    "levels": (MultiLevelLIF, {"levels": 3, "threshold": 0.3}),
    "decays": (TernaryLIF, {"decay": [0.1, 0.3, 0.5, 0.7, 0.9, 1.0]}),
}


def model(neuron="ternary", timesteps=4, read=lambda state: state, **options):
    kind, numbers = NEURONS[neuron]
    keras.utils.set_random_seed(2)
    inputs = keras.Input((timesteps, 7), name="x")
    current = layers.Dense(6, name="fc")(inputs)
    spikes, state = kind(return_state=True, name="lif", **numbers | options)(current)
    return keras.Model(inputs, {"mean": TimeAverage()(spikes), "state": read(state)})


def left(program, trace, timesteps):
    """What the file's own spikes and currents leave, in steps: round(decay * state) + current, 0 after a spike."""
    facts = program.facts.neurons[0]
    names = [f"fc/current/{t}" for t in range(timesteps)] if timesteps > 1 else ["fc/current"]
    currents = np.stack([trace[name] for name in names]).astype(np.int64)
    quiet, decay, state = facts.steps_per_unit // 2, facts.decay, np.zeros(currents.shape[1:], np.int64)
    decays = decay if isinstance(decay, tuple) else (decay,) * currents.shape[-1]
    for current in currents:
        leaked = [np.array([round(one * int(n)) for n in state[:, c]]) for c, one in enumerate(decays)]
        membrane = np.clip(np.stack(leaked, axis=-1) + current, -128, 127)
        fires = membrane > quiet if not facts.signed else abs(membrane) > quiet
        state = np.where(fires, 0, membrane)
    return state


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("timesteps", [1, 4])
def test_the_state_is_what_the_equation_leaves_in_integers(neuron, timesteps, rng):
    net = model(neuron, timesteps)
    samples = rng.uniform(-1, 1, (32, timesteps, 7))
    file = export_tflite(net, **RANGE)
    program = flatbuffer.read(file)
    name = program.tensors[program.inputs[0]].name
    integers = np.rint(samples / float(program.tensors[program.inputs[0]].scale)).astype(np.int64)
    inputs = {name: np.clip(integers + program.tensors[program.inputs[0]].zero_point, -128, 127).astype(np.int8)}
    trace = program.trace(inputs)
    output = program.tensors[program.named_outputs["state"]]
    found = trace[output.name].astype(np.int64)
    np.testing.assert_array_equal(found, left(program, trace, timesteps))
    assert len(np.unique(found)) > 10 and (found == 0).mean() > 0.02
    threshold = np.max(NEURONS[neuron][1].get("threshold", 0.5))
    quiet = program.facts.neurons[0].steps_per_unit / 2
    np.testing.assert_allclose(float(output.scale) * quiet, threshold, rtol=1e-5)  # a step in the model's units
    assert_every_tensor_equals(program.trace({name: inputs[name][:4]}), file, {name: inputs[name][:4]})
    assert all(proof.holds for proof in prove(program))


@pytest.mark.parametrize("neuron", NEURONS)
def test_steps_equal_the_unrolled_file_and_spikes_are_those_without_the_state(neuron, rng):
    net = model(neuron, read=lambda state: layers.Dense(3)(state))
    samples = rng.uniform(-1, 1, (8, 4, 7))
    whole = load(export_tflite(net, **RANGE, output_range={"state": (-4, 4)})).predict(samples)
    runner = StepRunner(export_tflite(net, **RANGE, output_range={"state": (-4, 4)}, form="step"))
    for n, sequence in enumerate(samples):
        last = runner.run(sequence)
        for name, values in whole.items():
            np.testing.assert_array_equal(last[name], values[n])
    alone = keras.Model(net.inputs, net.outputs[0])
    np.testing.assert_array_equal(load(export_tflite(alone, **RANGE)).predict(samples), whole["mean"])


def test_a_state_without_its_spikes(rng):
    net = model()
    alone, samples = keras.Model(net.inputs, net.outputs[1]), rng.uniform(-1, 1, (16, 4, 7))
    both = load(export_tflite(net, **RANGE)).predict(samples)["state"]
    np.testing.assert_array_equal(load(export_tflite(alone, **RANGE)).predict(samples), both)
    runner = StepRunner(export_tflite(alone, **RANGE, form="step"))
    np.testing.assert_array_equal([runner.run(sequence) for sequence in samples], both)


def test_verify_folds_and_the_c_code_take_it_and_fine_tuning_names_it(rng):
    net, samples = model(), rng.uniform(-1, 1, (8, 4, 7)).astype("float32")
    assert verify(net, export_tflite(net, **RANGE), samples, also=("c",)).exact
    folded, expected = computed(fold(net), samples), computed(net, samples)
    for name, values in expected.items():
        np.testing.assert_allclose(folded[name], values, atol=1e-5)
    with pytest.raises(ValueError, match=r"knows no membranes that are read.*'lif_state'"):
        quantize_aware(net, **RANGE)


@pytest.mark.parametrize("options", [{"reset": "subtract"}, {"reset": "none"}])
def test_what_a_spike_does_not_clear_is_refused_and_both_ways_out_work(options):
    with pytest.raises(ValueError, match=r"a spike clears.*'lif' with reset='.*reset=\"zero\" and.*LeakyIntegrator"):
        export_tflite(model(**options), **RANGE)
    assert export_tflite(model(), **RANGE)
    inputs = keras.Input((4, 7))
    current = layers.Dense(6)(inputs)
    beside = [TernaryLIF(**options)(current), LeakyIntegrator(0.25, return_sequences=False)(current)]
    assert export_tflite(keras.Model(inputs, beside), **RANGE, output_range=(-8, 8))
