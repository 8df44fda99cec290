"""Samples in every form that `fit` takes, callbacks in any order, and what is said where nothing can be measured."""

import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import DirectEncoding, FiringRate, NeuronHealth, TernaryLIF, TimeAverage, measure_health
from keras_ternary_spike import samples as forms

SAMPLES = 8
RNG = np.random.default_rng(0)
LEFT, RIGHT = RNG.normal(size=(2, SAMPLES, 5)).astype("float32")
TARGETS = RNG.normal(size=(SAMPLES, 4)).astype("float32")


def one_input():
    layers = [keras.Input((5,)), DirectEncoding(2), keras.layers.Dense(4), TernaryLIF(name="lif"), TimeAverage()]
    return compiled(keras.Sequential(layers))


def two_inputs(structure):
    left, right = keras.Input((5,), name="left"), keras.Input((5,), name="right")
    currents = DirectEncoding(2)(keras.layers.Dense(4)(keras.layers.Concatenate()([left, right])))
    inputs = {"left": left, "right": right} if structure is dict else [left, right]
    return compiled(keras.Model(inputs, TimeAverage()(TernaryLIF(name="lif")(currents))))


def compiled(model, **options):
    model.compile("sgd", "mse", **options)
    return model


class Batches(keras.utils.PyDataset):
    """Two batches; endless if it is told so."""

    def __init__(self, *, endless=False):
        super().__init__()
        self.endless = endless

    @property
    def num_batches(self):
        return None if self.endless else 2

    def __getitem__(self, index):
        half = slice(4 * index, 4 * index + 4)
        return LEFT[half], TARGETS[half]


@pytest.mark.parametrize(
    "samples",
    [
        lambda: list(LEFT),
        lambda: [LEFT],
        lambda: tf.constant(LEFT),
        lambda: tf.data.Dataset.from_tensor_slices(LEFT).batch(3),
        lambda: tf.data.Dataset.from_tensor_slices((LEFT, TARGETS)).batch(3),
        lambda: Batches(),
        lambda: (LEFT[start : start + 4] for start in (0, 4)),
        lambda: ([LEFT[start : start + 4], TARGETS[start : start + 4]] for start in (0, 4)),
    ],
    ids=["rows", "list of one", "tensor", "dataset", "with targets", "PyDataset", "generator", "loader of lists"],
)
def test_samples_may_come_in_any_form(samples):
    model = one_input()
    assert measure_health(model, samples()) == measure_health(model, LEFT)


def test_several_inputs_are_a_dict_or_a_list():
    by_name, by_position = two_inputs(dict), two_inputs(list)
    by_position.set_weights(by_name.get_weights())
    expected = measure_health(by_position, [LEFT, RIGHT])
    assert expected["lif"].neurons == 4 and expected["lif"].firing_rate > 0
    assert measure_health(by_name, {"left": LEFT, "right": RIGHT}) == expected
    dataset = tf.data.Dataset.from_tensor_slices(({"left": LEFT, "right": RIGHT}, TARGETS)).batch(3)
    assert measure_health(by_name, dataset) == expected


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (lambda: LEFT[:0], "at least one sample. Received: 0"),
        (lambda: tf.data.Dataset.from_tensor_slices(LEFT).batch(3).repeat(), r"come to an end.*dataset\.take\(8\)"),
        (lambda: Batches(endless=True), "come to an end.*Batches"),
    ],
)
def test_samples_without_beginning_or_end_are_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        measure_health(one_input(), samples())


def test_inputs_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"as many of each input. Received: \[3, 8\]"):
        measure_health(two_inputs(dict), {"left": LEFT, "right": RIGHT[:3]})


def test_a_callback_reads_a_generator_once_and_looks_at_its_batches_after_each_epoch():
    model, callback = one_input(), NeuronHealth((batch, None) for batch in (LEFT[:4], LEFT[4:]))
    history = model.fit(LEFT, TARGETS, epochs=2, verbose=0, callbacks=[callback]).history
    assert len(history["lif_firing_rate"]) == 2
    assert callback.report == measure_health(model, LEFT)


def test_a_generator_without_end_is_refused_where_memory_ends(monkeypatch):
    monkeypatch.setattr(forms, "MOST_BYTES", 3 * LEFT.nbytes)
    with pytest.raises(ValueError, match=r"come to an end before 480 bytes. Received: .* 640 so far.*islice"):
        NeuronHealth(itertools.repeat(LEFT))


def test_the_relu_arm_of_a_comparison_trains_with_a_warning():
    model = compiled(keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, "relu")], name="arm"))
    with pytest.warns(UserWarning, match="'arm' has no spiking layers") as warned:
        history = model.fit(LEFT, TARGETS, epochs=2, verbose=0, callbacks=[NeuronHealth(LEFT)]).history
    assert set(history) == {"loss"} and len(warned) == 1


class Recorded(keras.callbacks.Callback):
    """What a callback sees."""

    def __init__(self):
        super().__init__()
        self.begun, self.seen = 0, []

    def on_train_begin(self, logs=None):
        self.begun += 1

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append("lif_firing_rate" in logs)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_every_callback_sees_the_shares_in_any_order(position):
    others = [Recorded(), Recorded()]
    callbacks = [*others[:position], NeuronHealth(LEFT, tolerance=1.0), *others[position:]]
    given = list(callbacks)
    one_input().fit(LEFT, TARGETS, epochs=2, verbose=0, callbacks=callbacks)
    assert [(other.begun, other.seen) for other in others] == [(1, [True, True])] * 2
    assert callbacks == given


def test_a_metric_of_compile_is_told_where_it_belongs():
    model = compiled(one_input(), metrics=[FiringRate()])
    with pytest.raises(ValueError, match=r"not the targets and predictions.*NeuronHealth\(samples\).*update_state"):
        model.fit(LEFT, TARGETS, verbose=0)


@pytest.mark.parametrize(("threshold", "change"), [(1e6, "Lower"), (1e-6, "Raise")])
def test_a_threshold_out_of_reach_of_normalized_currents_is_named_alone(threshold, change):
    layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(), TernaryLIF(threshold=threshold, name="lif")]
    model = compiled(keras.Sequential([keras.Input((5,)), DirectEncoding(2), *layers, TimeAverage()]))
    with pytest.warns(
        UserWarning, match=rf"4 of 4 neurons.*\. {change} its threshold, {re.escape(f'{threshold:g}')}\.$"
    ):
        model.fit(LEFT, TARGETS, verbose=0, callbacks=[NeuronHealth(LEFT)])


@pytest.mark.parametrize("threshold", [1e-320, 1e39])
def test_a_threshold_that_float32_does_not_hold_is_refused(threshold):
    with pytest.raises(ValueError, match=r"`threshold` must be positive and finite in float32. Received: threshold=1e"):
        TernaryLIF(threshold=threshold)
