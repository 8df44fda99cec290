"""A sweep: what it measures, and that nothing finished is lost or done twice."""

import csv
import io
import sys
import time

import numpy as np
import pytest

from digits_sweep import CONFIG, PNG_SIGNATURE, own_network, write_config, write_digits
from keras_ternary_spike.export import load
from keras_ternary_spike.export import user_files as files
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.runtimes import implementations as runtimes
from keras_ternary_spike.export.sweep import config as sweep_config
from keras_ternary_spike.export.sweep import data as sweep_data
from keras_ternary_spike.export.sweep import folder as sweep_folder
from keras_ternary_spike.export.sweep import measure as sweep_measure
from keras_ternary_spike.export.sweep import picture as sweep_picture
from keras_ternary_spike.export.sweep import run as sweep
from keras_ternary_spike.export.sweep.points import Point


@pytest.fixture(scope="module")
def killed(python, tmp_path_factory):
    """The folder of a sweep of two points, killed after the first; with that one's bytes and time of writing."""
    folder = tmp_path_factory.mktemp("sweep")
    write_digits(folder)
    (folder / "two.toml").write_text(CONFIG)
    process = python.start("-m", "keras_ternary_spike.export", "sweep", "two.toml", "-o", "out", folder=folder)
    deadline = time.monotonic() + 120
    while not list(folder.glob("out/points/*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    done = list(folder.glob("out/points/*.json"))
    assert len(done) == 1, process.stdout + process.stderr
    return folder, done[0], done[0].read_bytes(), done[0].stat().st_mtime_ns


@pytest.fixture(scope="module")
def finished(killed):
    """The same folder after the same command again; with what was printed."""
    folder, *_ = killed
    command = ["sweep", str(folder / "two.toml"), "-o", str(folder / "out")]
    printed, stdout = io.StringIO(), sys.stdout
    sys.stdout = printed
    try:
        assert main(command) == 0
    finally:
        sys.stdout = stdout
    return folder, command, printed.getvalue()


def table(folder):
    return list(csv.DictReader((folder / "out" / "sweep.csv").read_text().splitlines()))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_sweep_goes_on_and_trains_no_finished_point_again(killed, finished):
    _, first, data, written = killed
    folder, _, printed = finished
    assert (first.read_bytes(), first.stat().st_mtime_ns) == (data, written)
    assert len(list((folder / "out" / "points").glob("*.json"))) == 2
    lines = printed.splitlines()
    assert "2 points, 1 of them already in" in lines[0]
    assert [line[:5] for line in lines if line.startswith("[")] == ["[2/2]"]
    assert "about 0 s left" in printed


def test_a_point_is_measured_on_the_file_that_it_writes(finished):
    folder, *_ = finished
    with np.load(folder / "digits.npz") as arrays:
        images, labels = arrays["test_images"][:60], arrays["test_labels"][:60]
    for row, timesteps in zip(table(folder), ("1", "2"), strict=True):
        tflite_bytes = (folder / "out" / row["file"]).read_bytes()
        right = int(np.sum(load(tflite_bytes).predict(images).argmax(axis=-1) == labels))
        assert (row["timesteps"], row["width"], row["pruning"], row["kernel_bits"]) == (timesteps, "0.5", "0.0", "8")
        assert float(row["accuracy"]) == right / 60
        assert int(row["flash_bytes"]) == len(tflite_bytes) > int(row["gzip_bytes"])
        assert int(row["ram_bytes"]) == runtimes.arena_bytes(tflite_bytes)
        nonzero, measured = float(row["additions_nonzero"]), float(row["additions_measured"])
        assert 0 < nonzero <= measured <= int(row["additions"])
        assert float(row["latency_low_ms"]) <= float(row["latency_ms"]) <= float(row["latency_high_ms"])
        assert row["error"] == ""


def test_arithmetic_is_that_of_the_network_counted_by_hand(finished):
    """4 channels of 4x4, 8 of 2x2, 16 of 1x1; 3x3 windows of stride 2, the padding at the end."""
    one, two = table(finished[0])
    image = (3 + 3 + 3 + 2) ** 2 * 4
    spikes = (3 + 2) ** 2 * 4 * 8 + 2**2 * 8 * 16
    pool, classifier = 16, 16 * 10
    assert int(one["additions"]) == spikes + pool + classifier
    assert int(one["multiplications"]) == image + (4 * 16 + 8 * 4 + 16) + pool + 10  # and a rescaling for each value
    assert int(two["additions"]) >= 2 * spikes + pool + classifier


def test_the_fronts_are_drawn_as_png(finished):
    picture = (finished[0] / "out" / "sweep.png").read_bytes()
    assert picture.startswith(PNG_SIGNATURE)


def test_the_same_sweep_again_trains_nothing(finished, monkeypatch, capsys):
    folder, command, _ = finished
    before = contents(folder)
    monkeypatch.setattr(sweep_measure, "train", None)
    assert main(command) == 0
    assert "2 points, 2 of them already in" in capsys.readouterr().out
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 1", "epochs = 2", "another configuration: `training.epochs` was 1. Received: 2. Give another"),
        ("width = [0.5]", "width = [0.5, 1]", "another configuration: `grid.width` was [0.5]. Received: [0.5, 1.0]."),
    ],
)
def test_a_folder_of_another_configuration_is_refused_and_left_alone(old, new, message, finished, capsys):
    folder, _, _ = finished
    (folder / "other.toml").write_text(CONFIG.replace(old, new))
    before = contents(folder)
    assert main(["sweep", str(folder / "other.toml"), "-o", str(folder / "out")]) == 1
    assert message in capsys.readouterr().err
    assert contents(folder) == before


def test_a_full_disk_leaves_every_file_as_it_was(finished, monkeypatch, capsys):
    folder, command, _ = finished
    before = contents(folder)

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    assert main(command) == 1
    assert capsys.readouterr().err == f"error: {folder / 'out' / 'sweep.csv'}: No space left on device\n"
    point, opened = Point(1, 0.25, 0.5, 0.0, 8), sweep_folder.Folder(folder / "out")
    with pytest.raises(OSError, match="No space left"):
        opened.write(point, {"accuracy": 1.0})
    assert contents(folder) == before
    assert opened.read(point)["accuracy"] < 1


OWN = CONFIG.replace('"tiny"', '"my_network:build"\n[network.options]\nunits = 6')


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        ("fail_at", "The loss must stay a number. Received: NaN"),
        ("exit_at", "Training 'my_network:build' failed: SystemExit: enough"),
    ],
)
def test_a_point_that_cannot_be_exported_is_a_result_and_the_sweep_goes_on(tmp_path, monkeypatch, capsys, fail, reason):
    path = write_config(tmp_path, OWN)
    (tmp_path / "my_network.py").write_text("build = None")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "my_network", type(sys)("my_network"))
    sys.modules["my_network"].build = own_network
    monkeypatch.setattr(sweep_measure, "train", lambda model, point, *rest: globals()[fail](point))
    assert main(["sweep", str(path), "-o", str(tmp_path / "out")]) == 1
    first, second = table(tmp_path)
    assert first["error"] == reason
    assert first["accuracy"] == first["ram_bytes_front"] == ""
    assert (second["error"], second["ram_bytes_front"]) == ("", "yes")
    error = capsys.readouterr().err
    assert "1 of 2 points failed, see the column `error` of" in error
    assert "timesteps 1, decay 0.25, width 0.5, pruning 0, kernel bits 8, seed 0. To try one again, delete" in error


def fail_at(point):
    if point.timesteps == 1:
        raise ValueError("The loss must stay a number.\nReceived: NaN")


def exit_at(point):
    if point.timesteps == 1:
        sys.exit("enough")


@pytest.mark.parametrize("raised", [ZeroDivisionError("no\nchannels"), SystemExit(3)])
def test_a_network_of_the_users_that_raises_or_exits_is_named_in_one_line(tmp_path, monkeypatch, capsys, raised):
    def build(*_, **__):
        raise raised

    path = write_config(tmp_path, OWN)
    monkeypatch.setitem(sys.modules, "my_network", type(sys)("my_network"))
    sys.modules["my_network"].build = build
    assert main(["sweep", str(path), "-o", str(tmp_path / "out")]) == 1
    reason = " ".join(str(raised).split())
    assert (
        capsys.readouterr().err == f"error: The network 'my_network:build' failed: {type(raised).__name__}: {reason}\n"
    )


def test_missing_libraries_are_named_with_the_extra_that_holds_them(monkeypatch):
    monkeypatch.setattr(sweep_picture.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"needs matplotlib\. Install it with: pip install 'keras-ternary-spike\[sweep\]'"
    ):
        sweep_picture.check_matplotlib()
    with pytest.raises(
        ImportError, match=r"scikit-learn\. Install it with: pip install 'keras-ternary-spike\[sweep\]', or"
    ):
        sweep_data.load_digits()
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(ImportError, match=r"Python 3\.11, or tomli\. .*'keras-ternary-spike\[sweep\]'"):
        sweep_config.load_toml()


def test_the_time_left_is_said_in_hours_minutes_or_seconds():
    assert [sweep.duration(seconds) for seconds in (0, 59.6, 200, 7500)] == [
        "0 s",
        "1 min 0 s",
        "3 min 20 s",
        "2 h 5 min",
    ]
