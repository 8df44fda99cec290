"""Distillation against NumPy."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import DistillationLoss, PerTimestepLoss, distillation_targets

CLASSES = 4


@pytest.fixture
def teacher():
    return np.random.default_rng(0).normal(size=(5, CLASSES)).astype(np.float32)


@pytest.fixture
def student():
    return np.random.default_rng(1).normal(size=(5, CLASSES)).astype(np.float32)


LABELS = np.array([0, 1, 2, 3, 1])


def softmax(logits):
    exponentials = np.exp(logits.astype(np.float64))
    return exponentials / exponentials.sum(-1, keepdims=True)


def expected(teacher, student, temperature, weight):
    soft, own = softmax(teacher / temperature), softmax(student / temperature)
    distance = np.sum(soft * np.log(soft / own), axis=-1)
    label = -np.log(softmax(student)[np.arange(len(LABELS)), LABELS])
    return (1 - weight) * label + weight * temperature**2 * distance


@pytest.mark.parametrize(("temperature", "weight"), [(2.0, 0.7), (1.0, 0.0), (4.0, 1.0)])
def test_it_is_crossentropy_and_distance_from_the_teacher(teacher, student, temperature, weight):
    loss = DistillationLoss(temperature, weight, reduction=None)
    targets = distillation_targets(LABELS, teacher)
    np.testing.assert_allclose(
        loss(targets, student), expected(teacher, student, temperature, weight), rtol=1e-4, atol=1e-6
    )


def test_a_student_that_is_the_teacher_is_not_apart(teacher):
    found = DistillationLoss(weight=1.0)(distillation_targets(LABELS, teacher), teacher)
    assert abs(float(found)) < 1e-6  # rounding of float32


def test_every_timestep_learns_from_the_teacher(teacher, student):
    logits = np.stack([student, 2 * student], axis=1)
    found = PerTimestepLoss(DistillationLoss(reduction=None), reduction=None)(
        distillation_targets(LABELS, teacher), logits
    )
    both = np.stack([expected(teacher, factor * student, 2.0, 0.7) for factor in (1, 2)], axis=1)
    np.testing.assert_allclose(found, both, rtol=1e-4)


def test_labels_are_integers_a_column_or_shares(teacher):
    expected = distillation_targets(LABELS, teacher)
    assert expected.shape == (5, 2, CLASSES) and expected.dtype == np.float32
    np.testing.assert_array_equal(distillation_targets(LABELS[:, None], teacher), expected)
    np.testing.assert_array_equal(distillation_targets(np.eye(CLASSES)[LABELS], teacher), expected)


def test_a_config_gives_the_same_loss(teacher, student):
    loss = PerTimestepLoss(DistillationLoss(3.0, 0.2))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    targets, logits = distillation_targets(LABELS, teacher), student[:, None]
    assert float(again(targets, logits)) == float(loss(targets, logits))


@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        (LABELS, np.zeros((5, 2, 2)), r"of shape \(samples, classes\). Received: \(5, 2, 2\)"),
        (LABELS, np.full((5, 4), 0.25), "must be logits.*np.log"),
        (LABELS[:3], np.zeros((5, 4)), r"one for each of 5 rows of logits. Received: \(3,\)"),
        (LABELS + 1, np.zeros((5, 4)), r"integers from 0 to 3. Received: int64 from 1 to 4"),
        (LABELS + 0.5, np.zeros((5, 4)), r"integers from 0 to 3. Received: float64"),
    ],
)
def test_targets_that_do_not_fit_are_refused(labels, logits, message):
    with pytest.raises(ValueError, match=message):
        distillation_targets(labels, logits)


def test_options_out_of_range_and_plain_labels_are_refused(student):
    with pytest.raises(ValueError, match=r"`temperature` must be positive and finite\. Received: temperature=0"):
        DistillationLoss(temperature=0)
    with pytest.raises(ValueError, match=r"`weight` must be in \[0, 1\]. Received: weight=-1"):
        DistillationLoss(weight=-1)
    with pytest.raises(ValueError, match=r"must end in \(2, 4\): distillation_targets"):
        DistillationLoss()(np.eye(CLASSES)[LABELS], student)
