"""Training on several devices and machines: the weights of one device, and a run that survives a killed worker."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

TRAINING = Path(__file__).parents[1] / "helpers" / "parallel_training.py"
EXAMPLE = Path(__file__).parents[2] / "examples" / "train_distributed.py"
WORKERS = (0, 1)
PATIENCE = 240  # seconds until a process counts as hanging


def free_addresses():
    sockets = [socket.socket() for _ in WORKERS]
    for each in sockets:
        each.bind(("localhost", 0))
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def start_workers(folder, *command):
    """One process a worker on loopback; what they print is in worker-0.log and worker-1.log."""
    addresses = free_addresses()
    processes = []
    for index in WORKERS:
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(cluster), "TF_CPP_MIN_LOG_LEVEL": "3"}
        with (folder / f"worker-{index}.log").open("w") as log:
            line = [sys.executable, *(part.format(index=index) for part in command)]
            processes.append(subprocess.Popen(line, env=environment, stdout=log, stderr=subprocess.STDOUT))
    return processes


def log(folder, index):
    return (folder / f"worker-{index}.log").read_text()


def weights(path):
    with np.load(path) as file:
        return [file[name] for name in file.files]


@pytest.fixture(scope="module")
def on_one_device(tmp_path_factory):
    path = tmp_path_factory.mktemp("single") / "weights.npz"
    subprocess.run([sys.executable, TRAINING, "single", path], check=True, capture_output=True, timeout=PATIENCE)
    return weights(path)


def assert_close(one, other):
    assert len(one) == len(other) > 0
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.slow
def test_two_devices_train_the_weights_of_one(tmp_path, on_one_device):
    path = tmp_path / "weights.npz"
    subprocess.run([sys.executable, TRAINING, "mirrored", path], check=True, capture_output=True, timeout=PATIENCE)
    assert_close(weights(path), on_one_device)


@pytest.mark.slow
def test_two_workers_train_the_weights_of_one_device(tmp_path, on_one_device):
    for process in start_workers(tmp_path, str(TRAINING), "workers", str(tmp_path / "{index}.npz")):
        assert process.wait(PATIENCE) == 0, log(tmp_path, 0) + log(tmp_path, 1)
    for index in WORKERS:
        assert_close(weights(tmp_path / f"{index}.npz"), on_one_device)


@pytest.mark.slow
def test_the_example_goes_on_from_the_last_epoch_after_a_worker_is_killed(tmp_path):
    command = (str(EXAMPLE), "--samples", "256", "--epochs", "12", "--output", str(tmp_path))
    processes = start_workers(tmp_path, *command)
    wait_for(lambda: "Epoch 3/12" in log(tmp_path, 1))
    for process in reversed(processes):
        process.kill()
        process.wait()
    assert (tmp_path / "digits" / "backup" / "latest.weights.h5").exists()

    for process in start_workers(tmp_path, *command):
        assert process.wait(PATIENCE) == 0, log(tmp_path, 0) + log(tmp_path, 1)
    for index in WORKERS:
        epochs = [line for line in log(tmp_path, index).splitlines() if line.startswith("Epoch")]
        # A worker may have printed the name of an epoch that the other had yet to begin.
        assert epochs[0] in ("Epoch 3/12", "Epoch 4/12", "Epoch 5/12")
        assert epochs[-1] == "Epoch 12/12"
    assert sorted(path.name for path in (tmp_path / "digits").iterdir()) == ["model.keras", "model.tflite"]


def wait_for(happened):
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
