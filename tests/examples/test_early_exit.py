"""The benchmark of early exits counts the steps that a StepRunner takes."""

import keras
import numpy as np

from benchmarks.accuracy import early_exit
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import StepRunner, export_tflite


def test_steps_and_accuracy_are_those_of_a_step_runner_that_stops_early(rng):
    model = keras.Sequential([keras.Input((6,)), DirectEncoding(early_exit.TIMESTEPS)])
    for layer in (PerTimestep(keras.layers.Dense(16)), TernaryLIF(), PerTimestep(keras.layers.Dense(3)), TimeAverage()):
        model.add(layer)
    samples, labels = rng.uniform(size=(20, 6)), rng.integers(0, 3, size=20)
    scores, runner = early_exit.scores(model, samples), StepRunner(export_tflite(model, form="step"))
    for confidence in (0.4, 0.5, 1.0):
        found = [(runner.run([sample] * 4, confidence=confidence), runner.steps) for sample in samples]
        steps, right = early_exit.stopped(scores, labels, confidence)
        assert steps == np.mean([steps for _, steps in found])
        assert right == 100 * np.mean([scores.argmax() for scores, _ in found] == labels)
    assert early_exit.stopped(scores, labels, 0.4)[0] < 4
