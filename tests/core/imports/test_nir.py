"""NIR in and out: dynamics against a NumPy recurrence of its equations, weights there and back, refusals by name."""

import keras
import numpy as np
import pytest

from keras_models import computed
from keras_ternary_spike import BatchNormalization, BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.imports import from_nir, to_nir

nir = pytest.importorskip("nir", reason="needs the extra [nir]")
TIMESTEPS, DT = 5, 1e-4


def graph(*nodes):
    return nir.NIRGraph.from_list(*nodes, type_check=False)


def same(number, count=3):
    return np.full(count, number)


def euler(currents, node, dt):
    """NIR's neuron in steps of dt: v += dt / tau * (R * I - v), or dt * R * I; it fires above v_threshold, to 0."""
    v, spikes = np.zeros(currents.shape[1:]), []
    for current in currents:
        v = v + dt * node.r * current if isinstance(node, nir.IF) else v + dt / node.tau * (node.r * current - v)
        spikes.append(v > node.v_threshold)
        v = np.where(spikes[-1], 0, v)
    return np.stack(spikes)


NEURONS = {
    "snnTorch writes": nir.LIF(same(5 * DT), same(5.0), same(0.0), same(1.0)),
    "SpikingJelly writes": nir.LIF(same(2 * DT), same(1.0), same(0.0), same(0.5)),
    "one a feature": nir.LIF(DT * np.array([2.0, 3, 7]), np.array([1.0, 2, 3]), same(0.0), np.array([0.3, 0.4, 0.5])),
    "no leak": nir.IF(same(1 / DT), same(1.5)),
}


@pytest.mark.parametrize("node", NEURONS.values(), ids=NEURONS)
def test_neurons_are_nirs_equations_in_steps_of_dt(node, rng):
    weight, bias = rng.normal(size=(3, 4)), rng.normal(size=3)
    model = from_nir(
        graph(nir.Input(np.array([4])), nir.Affine(weight, bias), node, nir.Output(np.array([3]))),
        timesteps=TIMESTEPS,
        average=False,
    )
    samples = rng.normal(0, 3, size=(20, TIMESTEPS, 4)).astype("float32")
    expected = np.stack([euler(sample @ weight.T + bias, node, DT) for sample in samples])
    assert 0.05 < expected.mean() < 0.9
    np.testing.assert_array_equal(computed(model, samples), expected)


INTEGRATORS = {
    "leaky": nir.LI(same(4 * DT), same(2.0), same(0.0)),
    "one a feature": nir.LI(DT * np.array([2.0, 3, 7]), np.array([1.0, -2, 3]), same(0.0)),
    "no leak": nir.I(same(0.5 / DT)),
}


@pytest.mark.parametrize("node", INTEGRATORS.values(), ids=INTEGRATORS)
def test_integrators_are_nirs_equations_in_steps_of_dt(node, rng):
    weight = rng.normal(size=(3, 4))
    nodes = (nir.Input(np.array([4])), nir.Linear(weight), node, nir.Output(np.array([3])))
    model = from_nir(graph(*nodes), timesteps=TIMESTEPS, average=False)
    samples, membrane, expected = rng.normal(size=(6, TIMESTEPS, 4)).astype("float32"), 0.0, []
    for current in np.moveaxis(samples @ weight.T, 1, 0):
        change = node.r * current if isinstance(node, nir.I) else (node.r * current - membrane) / node.tau
        membrane = membrane + DT * change
        expected.append(membrane)
    np.testing.assert_allclose(computed(model, samples), np.stack(expected, axis=1), atol=1e-5)
    assert export_tflite(model, input_range=(-3, 3), output_range=(-9, 9), verbose=0)


def image_model(rng):
    model = keras.Sequential([keras.Input((8, 8, 2)), DirectEncoding(TIMESTEPS)])
    for layer in (
        keras.layers.Conv2D(3, 3, padding="same", use_bias=False),
        BatchNormalization(),
        BinaryLIF(decay=0.5, amplitude_initializer=keras.initializers.Constant(0.7)),
        keras.layers.ZeroPadding2D(1),
        keras.layers.Conv2D(4, 3, strides=2),
        BinaryLIF(decay=np.linspace(0.1, 0.9, 4), threshold=0.4),
        keras.layers.AveragePooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(6),
        BinaryLIF(decay=1.0, threshold=0.3),
        keras.layers.Dense(5),
    ):
        model.add(layer if isinstance(layer, BinaryLIF) else PerTimestep(layer))
    model.add(TimeAverage())
    for wrapper in model.layers:
        if isinstance(getattr(wrapper, "layer", None), keras.layers.BatchNormalization):
            wrapper.layer.set_weights([rng.uniform(0.5, 2, 3) for _ in range(4)])
    return model


def test_a_model_goes_there_and_back(rng, tmp_path):
    model, images = image_model(rng), rng.normal(size=(6, 8, 8, 2)).astype("float32")
    nir.write(tmp_path / "net.nir", to_nir(model))
    again = from_nir(tmp_path / "net.nir", timesteps=TIMESTEPS, static=True)
    expected = computed(model, images)
    assert len(np.unique(expected.round(4))) > 20
    np.testing.assert_allclose(computed(again, images), expected, atol=2e-5)  # factors in other places


def test_shortcuts_are_sums_at_a_node(rng):
    inputs = keras.Input((TIMESTEPS, 4, 4, 3))
    first = BinaryLIF(name="first", trainable_amplitude=False)(inputs)
    second = PerTimestep(keras.layers.Conv2D(3, 3, padding="same", name="conv"))(first)
    second = BinaryLIF(name="second", trainable_amplitude=False)(second)
    both = keras.layers.Add(name="sum")([first, second])
    outputs = PerTimestep(keras.layers.Dense(2, name="dense"))(PerTimestep(keras.layers.Flatten())(both))
    model = keras.Model(inputs, outputs)
    written = to_nir(model)
    assert {source for source, target in written.edges if target.startswith("flatten")} == {"first", "second"}
    samples = rng.normal(size=(4, TIMESTEPS, 4, 4, 3)).astype("float32")
    again = from_nir(written, timesteps=TIMESTEPS, average=False)
    np.testing.assert_allclose(computed(again, samples), computed(model, samples), atol=1e-5)


def test_channels_come_first_in_the_graph(rng):
    written = to_nir(image_model(rng))
    assert list(written.nodes["input"].input_type["input"]) == [2, 8, 8]
    convolutions = [node for node in written.nodes.values() if isinstance(node, nir.Conv2d)]
    assert [node.weight.shape for node in convolutions] == [(3, 2, 3, 3), (4, 3, 3, 3)]
    assert [tuple(node.padding) for node in convolutions] == [(1, 1), (1, 1)]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (nir.LIF(same(DT / 2), same(1.0), same(0.0), same(1.0)), "Time constants.*at least dt"),
        (nir.LIF(same(2 * DT), same(1.0), same(0.1), same(1.0)), "leak towards 0. Received: v_leak=0.1"),
        (nir.LIF(same(2 * DT), same(1.0), same(0.0), same(1.0), same(-1.0)), "reset to 0. Received: v_reset=1"),
        (nir.IF(same(-1.0), same(1.0)), "positive r and v_threshold"),
        (nir.LI(same(2 * DT), same(1.0), same(0.1)), "leak towards 0. Received: v_leak=0.1"),
        (nir.Threshold(same(1.0)), r"\(Threshold\). Known: Input, Output, Conv2d"),
    ],
)
def test_nodes_that_do_something_else_are_refused(node, message):
    with pytest.raises(ValueError, match=message):
        from_nir(graph(nir.Input(np.array([3])), node, nir.Output(np.array([3]))), timesteps=2)


def test_loops_and_steps_of_no_time_are_refused():
    looped = nir.NIRGraph(
        {"in": nir.Input(np.array([3])), "lif": NEURONS["snnTorch writes"], "out": nir.Output(np.array([3]))},
        [("in", "lif"), ("lif", "lif"), ("lif", "out")],
    )
    with pytest.raises(ValueError, match=r"must have no loops.*lif"):
        from_nir(looped, timesteps=2)
    with pytest.raises(ValueError, match="`dt` must be positive"):
        from_nir(looped, timesteps=2, dt=0)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([TernaryLIF(name="fire")], r"cannot describe layer 'fire' \(TernaryLIF\).*train BinaryLIF"),
        ([BinaryLIF(reset="subtract", name="fire")], "cannot describe layer 'fire'.*soft resets"),
        ([PerTimestep(keras.layers.MaxPooling2D(name="pool"))], "cannot describe layer 'pool'"),
        ([PerTimestep(keras.layers.Conv2D(2, 3, strides=2, padding="same", name="conv"))], "uneven.*ZeroPadding2D"),
        ([PerTimestep(keras.layers.Conv2D(2, 3, activation="relu", name="conv"))], "'conv' must have no activation"),
        ([PerTimestep(keras.layers.Flatten())], "must end in a Dense layer"),
    ],
)
def test_layers_that_nir_cannot_say_are_refused_by_name(layers, message):
    with pytest.raises(ValueError, match=message):
        to_nir(keras.Sequential([keras.Input((2, 4, 4, 3)), *layers]))
