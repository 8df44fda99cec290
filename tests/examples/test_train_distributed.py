"""Training on several devices and machines: the weights of one device, and a run that survives a killed worker."""

import json
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from forked_python import PATIENCE

TRAINING = Path(__file__).parents[1] / "helpers" / "parallel_training.py"
ONE_CONVOLUTION = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2] / "examples")!r})
import train_distributed as example
example.train_and_export.STRIDES = (2,)
example.train_and_export.FILTERS["digits"] = (4,)
example.main(example.command_line())
"""
WORKERS = (0, 1)


def free_addresses():
    sockets = [socket.socket() for _ in WORKERS]
    for each in sockets:
        each.bind(("localhost", 0))
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def start_workers(python, *command):
    """One process a worker on loopback."""
    cluster = {"worker": free_addresses()}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in WORKERS]
    return [
        python.start(
            *(part.replace("{index}", str(index)) for part in command),
            environment={"TF_CONFIG": json.dumps(tasks[index])},
        )
        for index in WORKERS
    ]


def wait_for_success(process):
    assert process.wait() == 0, process.stdout + process.stderr


def weights(path):
    with np.load(path) as file:
        return [file[name] for name in file.files]


@pytest.fixture(scope="module")
def on_one_device(python, tmp_path_factory):
    path = tmp_path_factory.mktemp("single") / "weights.npz"
    wait_for_success(python.start(TRAINING, "single", path))
    return weights(path)


def assert_close(one, other):
    assert len(one) == len(other) > 0
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.extended
def test_two_devices_train_the_weights_of_one(python, tmp_path, on_one_device):
    path = tmp_path / "weights.npz"
    wait_for_success(python.start(TRAINING, "mirrored", path))
    assert_close(weights(path), on_one_device)


@pytest.mark.extended
def test_two_workers_train_the_weights_of_one_device(python, tmp_path, on_one_device):
    for process in start_workers(python, str(TRAINING), "workers", str(tmp_path / "{index}.npz")):
        wait_for_success(process)
    for index in WORKERS:
        assert_close(weights(tmp_path / f"{index}.npz"), on_one_device)


@pytest.mark.extended
def test_the_example_goes_on_from_the_last_epoch_after_a_worker_is_killed(python, tmp_path):
    command = ("-c", ONE_CONVOLUTION, "--samples", "128", "--epochs", "12", "--output", str(tmp_path))
    processes = start_workers(python, *command)
    wait_for(lambda: "Epoch 3/12" in processes[1].stdout)
    for process in reversed(processes):
        process.kill()
        process.wait()
    assert (tmp_path / "digits" / "backup" / "latest.weights.h5").exists()

    processes = start_workers(python, *command)
    for process in processes:
        wait_for_success(process)
        epochs = [line for line in process.stdout.splitlines() if line.startswith("Epoch")]
        # A worker may have printed the name of an epoch that the other had yet to begin.
        assert epochs[0] in ("Epoch 3/12", "Epoch 4/12", "Epoch 5/12")
        assert epochs[-1] == "Epoch 12/12"
    assert sorted(path.name for path in (tmp_path / "digits").iterdir()) == ["model.keras", "model.tflite"]


def wait_for(happened):
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
