"""Samples in every form that `fit` takes: the same arrays, whoever reads them."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_ternary_spike import DirectEncoding, TernaryLIF, TimeAverage
from keras_ternary_spike import samples as forms
from keras_ternary_spike.export import certify, export_tflite, load, quantize_aware, verify
from keras_ternary_spike.export.program.samples import check_arrays

COUNT = 8
LEFT, RIGHT = np.random.default_rng(0).uniform(0, 1, (2, COUNT, 5)).astype("float32")
TARGETS, WEIGHTS = np.zeros((COUNT, 2), "float32"), np.ones(COUNT, "float32")
HALVES = (slice(0, 4), slice(4, COUNT))


class Batches(keras.utils.PyDataset):
    def __init__(self, *parts):
        super().__init__()
        self.parts = parts

    @property
    def num_batches(self):
        return len(HALVES)

    def __getitem__(self, index):
        return tuple(part[HALVES[index]] for part in self.parts)


ONE = {
    "array": lambda: LEFT,
    "tensor": lambda: tf.constant(LEFT),
    "list of rows": lambda: list(LEFT),
    "list of one array": lambda: [LEFT],
    "by name": lambda: {"left": LEFT},
    "dataset": lambda: tf.data.Dataset.from_tensor_slices(LEFT).batch(3),
    "dataset with targets": lambda: tf.data.Dataset.from_tensor_slices((LEFT, TARGETS)).batch(3),
    "dataset with weights": lambda: tf.data.Dataset.from_tensor_slices((LEFT, TARGETS, WEIGHTS)).batch(3),
    "dataset by name": lambda: tf.data.Dataset.from_tensor_slices({"left": LEFT}).batch(3),
    "PyDataset": lambda: Batches(LEFT, TARGETS),
    "generator": lambda: (LEFT[half] for half in HALVES),
    "generator of pairs": lambda: ((LEFT[half], TARGETS[half]) for half in HALVES),
    "loader of lists": lambda: iter([[LEFT[half], TARGETS[half]] for half in HALVES]),
}


@pytest.mark.parametrize("form", ONE)
def test_samples_of_one_input_are_the_same_in_every_form(form):
    found = check_arrays({"left": (5,)}, ONE[form]())
    assert list(found) == ["left"]
    np.testing.assert_array_equal(found["left"], LEFT)


TWO = {
    "by name": lambda: {"left": LEFT, "right": RIGHT},
    "list": lambda: [LEFT, RIGHT],
    "dataset by name": lambda: tf.data.Dataset.from_tensor_slices({"left": LEFT, "right": RIGHT}).batch(3),
    "dataset of pairs": lambda: tf.data.Dataset.from_tensor_slices(((LEFT, RIGHT), TARGETS)).batch(3),
    "generator": lambda: (({"right": RIGHT[h], "left": LEFT[h]}, TARGETS[h], WEIGHTS[h]) for h in HALVES),
}


@pytest.mark.parametrize("form", TWO)
def test_samples_of_two_inputs_are_the_same_in_every_form(form):
    found = check_arrays({"left": (5,), "right": (5,)}, TWO[form]())
    np.testing.assert_array_equal(found["left"], LEFT)
    np.testing.assert_array_equal(found["right"], RIGHT)


REFUSED = {
    "no batch": (lambda: iter(()), r"at least one sample\. Received: 0"),
    "no end": (lambda: tf.data.Dataset.from_tensor_slices(LEFT).batch(3).repeat(), r"come to an end.*take\(8\)"),
    "single samples": (lambda: iter(LEFT), r"shape \('samples', 5\)\. Received: \(40,\)\. .*dataset\.batch\(32\)"),
    "numbers": (lambda: iter([1.0, 2.0]), r"each of \['left'\], with a batch axis.*'left': \(\).*\.batch\(32\)"),
    "another name": (lambda: iter([{"wrong": LEFT}]), r"each of \['left'\].*\{'wrong': \(8, 5\)\}"),
    "a number": (lambda: 3, r"must be an array.*generator\. Received: 3 \(int\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_are_no_samples_is_refused(case):
    samples, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        check_arrays({"left": (5,)}, samples())


def test_two_inputs_are_asked_for_by_name():
    with pytest.raises(ValueError, match=r"each of \['left', 'right'\].*\{'left': \(8, 5\)\}"):
        check_arrays({"left": (5,), "right": (5,)}, iter([(LEFT, TARGETS)]))


def test_an_endless_generator_is_refused_where_memory_ends(monkeypatch):
    monkeypatch.setattr(forms, "MOST_BYTES", 2 * LEFT.nbytes)
    with pytest.raises(ValueError, match=r"come to an end before 320 bytes.*480 so far.*itertools\.islice"):
        check_arrays({"left": (5,)}, itertools.repeat(LEFT))


def test_every_function_takes_batches_and_reads_a_generator_once():
    keras.utils.set_random_seed(0)
    chain = [DirectEncoding(2), layers.Dense(4), TernaryLIF(decay=0.5), layers.Dense(2), TimeAverage()]
    model = keras.Sequential([keras.Input((5,), name="left"), *chain])
    generator, dataset = ONE["generator of pairs"], ONE["dataset with targets"]
    tflite_bytes = export_tflite(model, samples=LEFT, verbose=0)
    assert export_tflite(model, samples=generator(), verbose=0) == tflite_bytes
    assert verify(model, tflite_bytes, dataset()).samples == COUNT
    np.testing.assert_array_equal(load(tflite_bytes).predict(generator()), load(tflite_bytes).predict(LEFT))
    assert quantize_aware(model, samples=generator()).get_config() == quantize_aware(model, samples=LEFT).get_config()
    step = export_tflite(model, form="step", samples=LEFT, verbose=0)
    assert certify(None, step, generator()).report.samples == COUNT
