"""One predictor, one stream, several threads and processes: the rows of one alone, and none lost."""

import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import keras
import numpy as np
import pytest

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import StepRunner, export_tflite, load

THREADS, SAMPLES, TIMESTEPS = 8, 40, 4


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    layers = [keras.Input((12,)), DirectEncoding(TIMESTEPS), PerTimestep(dense(64)), TernaryLIF()]
    return keras.Sequential([*layers, PerTimestep(dense(64)), TernaryLIF(), PerTimestep(dense(5)), TimeAverage()])


@pytest.fixture(scope="module")
def predictor(model):
    return load(export_tflite(model))


@pytest.fixture(scope="module")
def runner(model):
    return StepRunner(export_tflite(model, form="step"))


@pytest.fixture
def batches(rng):
    return rng.random((THREADS, SAMPLES, 12), "float32")


def together(work, *arguments):
    """work(*arguments) for each of them, in as many threads."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, *arguments))


def test_threads_that_share_a_predictor_get_their_own_rows(predictor, batches):
    expected = [predictor.predict(batch) for batch in batches]
    assert len(np.unique(np.concatenate(expected), axis=0)) > SAMPLES  # a row of another sample would be seen
    for _ in range(3):
        np.testing.assert_array_equal(together(predictor.predict, batches), expected)


def test_threads_that_share_a_step_runner_run_whole_streams(predictor, runner, batches):
    images = batches[:, 0]
    expected = [predictor.predict(image[None])[0] for image in images]
    for _ in range(3):
        found = together(lambda image: runner.run([image] * TIMESTEPS), images)
        np.testing.assert_array_equal(found, expected)


def test_no_step_of_any_thread_is_lost(predictor, runner, batches):
    runner.reset()
    together(runner.step, repeat(batches[0, 0], TIMESTEPS - 1))
    assert runner.steps == TIMESTEPS - 1
    np.testing.assert_array_equal(runner.step(batches[0, 0]), predictor.predict(batches[0, :1])[0])


def test_a_predictor_can_be_pickled(predictor, batches):
    copy = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(copy.predict(batches[0]), predictor.predict(batches[0]))


def test_a_pickled_step_runner_goes_on_where_it_was(runner, batches):
    frames = batches[1][:TIMESTEPS]
    expected = runner.run(frames)
    runner.run(frames[:2])
    copy = pickle.loads(pickle.dumps(runner))
    assert copy.steps == 2
    scores = [copy.step(frame) for frame in frames[2:]]
    np.testing.assert_array_equal(scores[-1], expected)
    assert runner.steps == 2  # the copy's steps are its own


def hold(predictor, held, forked):
    with predictor._session.turn():
        held.set()
        forked.wait()


def test_a_forked_process_predicts_while_a_thread_of_its_parent_does(predictor, batches):
    """Forked in the middle of a call: the lock is taken there, by a thread that the child does not have."""
    expected, processes = predictor.predict(batches[0]), multiprocessing.get_context("fork")
    receiver, sender = processes.Pipe(duplex=False)
    child = processes.Process(target=lambda: sender.send(predictor.predict(batches[0])))
    held, forked = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold, args=(predictor, held, forked))
    thread.start()
    held.wait()
    child.start()
    forked.set()
    thread.join()
    assert receiver.poll(30), "the child waits for a lock that nobody gives back"
    np.testing.assert_array_equal(receiver.recv(), expected)
    child.join(60)
    assert child.exitcode == 0
