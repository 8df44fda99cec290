"""Trained to a budget: what the penalty is, how its weight follows, and what is said where it was not enough."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_models import computed
from keras_ternary_spike import DirectEncoding, PerTimestep, SpikeBudget, TernaryLIF, TimeAverage
from keras_ternary_spike.layers.spike_regularizers import activity_of
from keras_ternary_spike.training.quantities import layer_costs, quantity
from keras_ternary_spike.training.spike_budget import Gauge

pytestmark = pytest.mark.skipif(keras.backend.backend() == "jax", reason="the callback refuses JAX")


def network(outputs=1, jit_compile=False, **options):
    """Six numbers, two spiking layers of 8 and 4 neurons, linear outputs."""
    inputs = keras.Input((6,))
    currents = PerTimestep(layers.Dense(8), name="in")(DirectEncoding(2)(inputs))
    spikes = TernaryLIF(name="first", threshold=0.2, **options)(currents)
    spikes = TernaryLIF(name="second", threshold=0.2, **options)(PerTimestep(layers.Dense(4), name="mid")(spikes))
    heads = [TimeAverage()(PerTimestep(layers.Dense(3), name=f"out{i}")(spikes)) for i in range(outputs)]
    model = keras.Model(inputs, heads if outputs > 1 else heads[0])
    losses = [keras.losses.SparseCategoricalCrossentropy(from_logits=True)] * outputs
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, 120))
    model.compile(optimizer, losses if outputs > 1 else losses[0], jit_compile=jit_compile)
    return model


@pytest.fixture
def data(rng):
    x = rng.normal(size=(64, 6)).astype("float32")
    return x, x[:, :3].argmax(-1)


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(3)


def test_a_layer_costs_its_part_of_all_additions_or_of_all_neurons():
    assert layer_costs(network(), "additions") == {"first": 8 * 4 / (8 * 4 + 4 * 3), "second": 4 * 3 / (8 * 4 + 4 * 3)}
    assert layer_costs(network(), "spikes") == {"first": 8 / 12, "second": 4 / 12}


def test_the_penalty_is_the_weighted_mean_level_and_the_gauge_shows_the_firing_rate():
    levels = np.array([[[2.0, 0.0, -1.0, 0.0], [0.0, 0.0, 3.0, 0.0]]], "float32")
    gauge = Gauge(cost=0.5, weight=keras.Variable(4.0), rate=keras.Variable(0.0))
    penalty = gauge(activity_of(ops.convert_to_tensor(levels), 0.4 * levels, signed=True))
    assert float(penalty) == pytest.approx(4.0 * 0.5 * (2 + 1 + 3) / 8)
    assert float(gauge.rate.numpy()) == 3 / 8


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow's tape")
def test_the_penalty_pulls_on_membranes_where_the_surrogate_does(rng):
    import tensorflow as tf

    currents = tf.constant(np.array([-0.3, -0.1, 0.05, 0.3, 0.9], "float32")[None, None])  # the window ends at 0.4
    layer = TernaryLIF(threshold=0.2)
    gauge = Gauge(cost=0.5, weight=keras.Variable(4.0), rate=keras.Variable(0.0))
    layer.spike_regularizers = (gauge,)
    with tf.GradientTape() as tape:
        tape.watch(currents)
        layer(currents)
        (penalty,) = layer.losses
    slope = 4.0 * 0.5 / (2 * 0.2) / 5
    np.testing.assert_allclose(tape.gradient(penalty, currents).numpy().ravel(), np.array([-1, -1, 1, 1, 0]) * slope)


@pytest.mark.parametrize("kind, jit_compile", [("additions", "auto"), ("spikes", False)])
def test_the_budget_is_reached_and_history_tells_how(data, kind, jit_compile):
    model, callback = network(jit_compile=jit_compile, trainable_threshold=True), SpikeBudget(**{kind: 0.2})
    before = model.evaluate(*data, verbose=0)
    history = model.fit(*data, batch_size=16, epochs=30, verbose=0, callbacks=[callback]).history
    assert callback.reached and callback.share <= 1.05 * 0.2
    assert history[kind][0] > 0.5 and history[kind][-1] <= 1.1 * 0.2
    targets = history[f"{kind}_target"]
    assert targets[-1] == pytest.approx(0.2) and sorted(targets[4:], reverse=True) == targets[4:]
    assert history[f"{kind}_weight"][0] == 0 < max(history[f"{kind}_weight"])
    costs = layer_costs(model, kind)
    spikes = {name: keras.Model(model.inputs, model.get_layer(name).output)(data[0]) for name in costs}
    measured = sum(cost * float(np.mean(np.array(spikes[name]) != 0)) for name, cost in costs.items())
    assert measured == pytest.approx(callback.share, abs=0.05)  # one epoch's weights, smoothed over its batches
    assert model.evaluate(*data, verbose=0) < before


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="reads TensorFlow's event files")
def test_tensorboard_behind_it_gets_share_target_and_weight_of_every_epoch(data, tmp_path):
    import tensorflow as tf

    callbacks = [SpikeBudget(additions=1.0), keras.callbacks.TensorBoard(tmp_path, write_graph=False)]
    history = network().fit(*data, epochs=2, verbose=0, callbacks=callbacks).history
    (file,) = (tmp_path / "train").glob("events.out.*")
    found = {}
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        for value in tf.compat.v1.Event.FromString(record).summary.value:
            found.setdefault(value.tag, []).append(tf.make_ndarray(value.tensor))
    for name in ("additions", "additions_target", "additions_weight"):
        np.testing.assert_allclose(found[f"epoch_{name}"], history[name], rtol=1e-6)


def test_a_budget_that_is_not_reached_is_said(data):
    callback = SpikeBudget(additions=0.01)
    with pytest.warns(UserWarning, match=r"budget of 0.01 for additions was not reached: 0.*Train longer"):
        network().fit(*data, epochs=1, verbose=0, callbacks=[callback])
    assert callback.reached is False


def test_the_model_is_as_before_and_saved_without_the_penalty(data, tmp_path):
    model = network(outputs=2)
    saving = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")
    callbacks = [SpikeBudget(additions=1.0), saving]
    model.fit(data[0], [data[1]] * 2, epochs=1, verbose=0, callbacks=callbacks)
    assert model.get_layer("first").spike_regularizers == ()
    assert keras.models.load_model(tmp_path / "model.keras").get_layer("first").spike_regularizers == ()
    logits, *_ = computed(model, data[0])
    expected = -np.mean(np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))[np.arange(64), data[1]])
    assert model.evaluate(data[0], [data[1]] * 2, verbose=0)[1] == pytest.approx(expected, rel=1e-4)
    assert len(model.evaluate(data[0], [data[1]] * 2, verbose=0)) == 3  # the loss and those of the two outputs


def test_a_second_fit_goes_on_with_the_weight_and_at_its_place(data):
    model, callback = network(), SpikeBudget(additions=0.3, warm_up=0.0, annealed=0.5)
    with pytest.warns(UserWarning, match="not reached"):
        model.fit(*data, batch_size=16, epochs=4, verbose=0, callbacks=[callback])
    weight = callback.weight
    history = model.fit(*data, batch_size=16, initial_epoch=2, epochs=4, verbose=0, callbacks=[callback]).history
    assert history["additions_target"] == pytest.approx([0.3, 0.3])  # half of the training is over
    assert weight / 4 < history["additions_weight"][0] <= 10


@pytest.mark.parametrize("budget", [0, -0.1, 1.5, float("nan")])
def test_budgets_that_are_no_share_are_refused(budget):
    with pytest.raises(ValueError, match=f"`additions` is a share.*Received: additions={budget}"):
        SpikeBudget(additions=budget)


@pytest.mark.parametrize("budget", [0, -3e6, float("inf"), float("nan")])
def test_instructions_that_are_no_number_of_them_are_refused(budget):
    with pytest.raises(ValueError, match=f"`instructions` of a sample must be positive.*instructions={budget}"):
        SpikeBudget(instructions=budget, core="cortex-m4")


def test_a_core_belongs_to_instructions_and_must_be_known():
    with pytest.raises(ValueError, match=r"one of .*cortex-m4.*a budget of instructions, core='z80'"):
        SpikeBudget(instructions=3e6, core="z80")
    with pytest.raises(ValueError, match=r"a budget of instructions, core=None"):
        SpikeBudget(instructions=3e6)
    with pytest.raises(ValueError, match=r"none for another budget. Received: a budget of additions, core='cortex-m4'"):
        SpikeBudget(additions=0.1, core="cortex-m4")


def test_instructions_are_those_of_silence_and_of_what_fires(data):
    model = network(trainable_threshold=True)
    found = quantity(model, "instructions", "cortex-m4")
    budget = round(found.of(0.2))
    callback = SpikeBudget(instructions=budget, core="cortex-m4")
    history = model.fit(*data, batch_size=16, epochs=30, verbose=0, callbacks=[callback]).history
    assert callback.reached and callback.instructions <= 1.05 * budget < history["instructions"][0]
    assert history["instructions_target"][-1] == pytest.approx(budget)
    spikes = {name: keras.Model(model.inputs, model.get_layer(name).output)(data[0]) for name in found.costs}
    share = sum(cost * float(np.mean(np.array(spikes[name]) != 0)) for name, cost in found.costs.items())
    assert found.of(share) == pytest.approx(callback.instructions, rel=0.05)


def test_what_costs_more_without_a_spike_is_refused(data):
    with pytest.raises(ValueError, match=r"if nothing fires, [\d,]+ on a cortex-m4. Received: instructions=100.*fewer"):
        network().fit(*data, verbose=0, callbacks=[SpikeBudget(instructions=100, core="cortex-m4")])


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"one of `additions`, `spikes`.*additions=0.1, spikes=0.2"):
        SpikeBudget(0.1, spikes=0.2)
    with pytest.raises(ValueError, match=r"one of `additions`, `spikes`.*instructions=None"):
        SpikeBudget()
    with pytest.raises(ValueError, match=r"0 <= warm_up < annealed <= 1.*warm_up=0.6, annealed=0.5"):
        SpikeBudget(0.1, warm_up=0.6, annealed=0.5)
    with pytest.raises(ValueError, match="`weight` must be positive"):
        SpikeBudget(0.1, weight=0)


def test_models_without_spikes_or_additions_are_refused(data):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)], name="dense")
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"spiking layers. Received: 'dense', which has none"):
        model.fit(data[0], data[0][:, :3], verbose=0, callbacks=[SpikeBudget(0.1)])
    with pytest.raises(ValueError, match="No spike of 'bare' meets a kernel"):
        layer_costs(keras.Sequential([keras.Input((2, 6)), TernaryLIF()], name="bare"), "additions")
