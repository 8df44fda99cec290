"""Shared fixtures. Quiet TensorFlow, everything seeded, one thread for each of several test processes."""

import contextlib
import gc
import os
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:  # the processes share the cores already
    for threads in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

import keras
import numpy as np
import pytest

from forked_python import ForkedPython
from keras_ternary_spike.neuron import recurrence

GARBAGE = (20_000, 20, 1_000)  # thresholds of its search: graphs make millions of objects, most of which stay


def settle():
    """Throw garbage away, and search what stays never again: TensorFlow's objects, and those of modules before."""
    gc.collect()
    gc.freeze()


settle()
gc.set_threshold(*GARBAGE)


@pytest.fixture(scope="module", autouse=True)
def settled():
    yield
    settle()


@pytest.fixture(autouse=True)
def seeded():
    """TensorFlow would make the kernels of all operators anew, which takes longer than most tests."""
    with contextlib.ExitStack() as stack:
        if keras.backend.backend() == "tensorflow":
            from tensorflow.python.eager import context

            stack.enter_context(mock.patch.object(context.pywrap_tfe, "TFE_ContextClearCaches"))
        keras.utils.set_random_seed(0)


@pytest.fixture(params=[None, 4, 2], ids=["whole", "in chunks of 4", "in chunks of 2"])
def unroll_limit(request, monkeypatch):
    """Sequences of up to 32 timesteps are one graph; with lower limits those of 6 are computed as longer ones are.

    In chunks of 4 they are one compiled function, in chunks of 2 several.
    """
    if request.param:
        monkeypatch.setattr(recurrence, "UNROLL_LIMIT", request.param)


@pytest.fixture(scope="session")
def python():
    """Starts processes that have TensorFlow imported already: `python.run("-c", code)`."""
    forked = ForkedPython()
    yield forked
    forked.close()


@pytest.fixture
def rng():
    return np.random.default_rng(0)
