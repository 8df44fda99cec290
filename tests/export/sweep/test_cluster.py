"""A sweep on the workers of a Dask scheduler: what is lost with a worker, and what is said when there is none."""

import os
import signal
import sys
import threading
import time

import pytest

from digits_sweep import CONFIG, own_network, write_config
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.sweep import cluster as sweep_cluster
from keras_ternary_spike.export.sweep import measure as sweep_measure
from keras_ternary_spike.export.sweep.points import Point

dask = pytest.importorskip("dask", reason="needs the extra [distributed]")
distributed = pytest.importorskip("distributed", reason="needs the extra [distributed]")
OWN = CONFIG.replace('"tiny"', '"my_network:build"')
POINTS = [Point(timesteps, 0.25, 1.0, 0.0, 8) for timesteps in (1, 2, 3, 4)]
QUIET = {"dashboard_address": None, "silence_logs": 60, "threads_per_worker": 1}


@pytest.fixture
def threads():
    """A scheduler with one worker, both in this process."""
    with distributed.LocalCluster(n_workers=1, processes=False, **QUIET) as cluster:
        yield cluster


@pytest.fixture
def processes():
    """A scheduler with two workers, each in a process that is started again when it ends; it tries a point twice."""
    twice = dask.config.set({"distributed.scheduler.allowed-failures": 1})
    with twice, distributed.LocalCluster(n_workers=2, processes=True, **QUIET) as cluster:
        yield cluster


def test_points_are_trained_on_workers_and_measured_here(threads, tmp_path, monkeypatch, capsys):
    path = write_config(tmp_path, OWN)
    monkeypatch.setitem(sys.modules, "my_network", type(sys)("my_network"))
    sys.modules["my_network"].build = own_network
    trained_on, measured_on = set(), set()
    monkeypatch.setattr(sweep_measure, "train", lambda *_: trained_on.add(threading.current_thread()))
    measure = sweep_measure.measured_file
    monkeypatch.setattr(
        sweep_measure, "measured_file", lambda *files: measured_on.add(threading.current_thread()) or measure(*files)
    )
    command = ["sweep", str(path), "-o", str(tmp_path / "out"), "--scheduler", threads.scheduler_address]
    assert main(command) == 0
    written = [path.suffix for path in (tmp_path / "out/points").iterdir()]
    assert sorted(written) == [".json", ".json", ".tflite", ".tflite"]
    assert threading.main_thread() not in trained_on and measured_on == {threading.main_thread()}
    assert "[2/2]" in capsys.readouterr().out
    monkeypatch.setattr(sweep_cluster, "connected", None)  # finished points need no scheduler
    assert main(command) == 0


def test_no_scheduler_at_the_address_is_one_line(tmp_path, monkeypatch, capsys):
    path = write_config(tmp_path, CONFIG)
    monkeypatch.setattr(sweep_cluster, "CONNECTED_WITHIN", 0.2)
    for address in ("tcp://127.0.0.1:1", "nowhere"):
        assert main(["sweep", str(path), "-o", str(tmp_path / "out"), "--scheduler", address]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"error: No Dask scheduler answers at {address}. Start one with `dask scheduler`")
        assert error.count("\n") == 1


def test_a_scheduler_without_workers_is_named(monkeypatch):
    monkeypatch.setattr(sweep_cluster, "WORKERS_WITHIN", 0.2)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, **QUIET) as cluster,
        pytest.raises(ValueError, match=r"has no workers. Start some: dask worker"),
    ):
        list(sweep_cluster.trained_on_workers(POINTS, None, None, cluster.scheduler_address))


def test_a_worker_that_cannot_import_the_network_is_named(threads, tmp_path):
    from keras_ternary_spike.export.sweep.config import read_config

    config = read_config(write_config(tmp_path, CONFIG.replace('"tiny"', '"not_there:build"')))
    with pytest.raises(ValueError, match=r"The worker .* cannot build the network: .*not_there"):
        list(sweep_cluster.trained_on_workers(POINTS, config, None, threads.scheduler_address))


def test_missing_dask_is_named_with_the_extra_that_holds_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ternary-spike\[distributed\]'"):
        sweep_cluster.connected("tcp://127.0.0.1:8786")


def test_a_lost_scheduler_keeps_what_is_finished(threads):
    def slow(point, name):
        if point.timesteps > 1:
            time.sleep(0.3)
        return name

    with distributed.Client(threads, set_as_default=False) as client:
        found = sweep_cluster.results(client, slow, POINTS, "trained")
        assert next(found) == (POINTS[0], "trained")
        client.cancel([distributed.Future(key, client=client) for key in client.futures])  # as a scheduler that ends
        with pytest.raises(ValueError, match=r"scheduler was lost. Every finished point is on disk"):
            list(found)


@pytest.mark.extended
def test_a_killed_worker_loses_no_finished_point(processes, tmp_path):
    """The worker that has the second point is killed; the point is trained on another one, the first one only once."""

    def logged(point, folder):
        with open(f"{folder}/{point.timesteps}-{os.getpid()}-{time.monotonic_ns()}", "w"):
            time.sleep(1.5 if point.timesteps > 1 else 0)
        return point.timesteps, os.getpid()

    with distributed.Client(processes, set_as_default=False) as client:
        found = sweep_cluster.results(client, logged, POINTS, str(tmp_path))
        finished = [next(found)]
        victim = next(int(path.name.split("-")[1]) for path in tmp_path.iterdir() if not path.name.startswith("1-"))
        os.kill(victim, signal.SIGKILL)
        finished += found
    assert sorted(point.timesteps for point, _ in finished) == [1, 2, 3, 4]
    assert len(list(tmp_path.glob("1-*"))) == 1
    assert len(list(tmp_path.iterdir())) > len(POINTS)


@pytest.mark.extended
def test_a_point_that_brings_down_workers_is_named_and_no_point_is_forgotten(processes):
    """What waited at the same worker may be named too."""

    def fatal(point):
        if point.timesteps == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return point.timesteps

    with distributed.Client(processes, set_as_default=False) as client:
        found, seen = sweep_cluster.results(client, fatal, POINTS), []
        with pytest.raises(ValueError, match="brought down one worker after the other") as raised:
            seen.extend(value for _, value in found)
    named = [point.timesteps for point in POINTS if point.title in str(raised.value)]
    assert 2 in named and sorted(seen + named) == [1, 2, 3, 4]
