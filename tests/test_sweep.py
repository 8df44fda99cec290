"""A sweep: what it refuses, what it measures, and that nothing finished is lost or done twice."""

import csv
import io
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.compression.kernels import find_kernels
from keras_ternary_spike.export import (
    files,
    load,
    runtimes,
    sweep,
    sweep_config,
    sweep_data,
    sweep_folder,
    sweep_front,
    sweep_measure,
    sweep_picture,
    sweep_training,
)
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.builder import Builder
from keras_ternary_spike.export.grid import Grid
from keras_ternary_spike.export.sweep_additions import nonzero_additions
from keras_ternary_spike.export.sweep_points import Point, Pruning, grid, pruning_of
from keras_ternary_spike.export.work import work

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TRAIN, TEST = 200, 100
CONFIG = """
[data]
file = "digits.npz"
[network]
name = "tiny"
[training]
epochs = 1
batch_size = 50
[grid]
timesteps = [1, 2]
width = [0.5]
[measure]
samples = 60
"""


def write_digits(folder):
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 8, 8, 1)
    splits = {"train": slice(TRAIN), "test": slice(TRAIN, TRAIN + TEST)}
    arrays = {f"{name}_images": images[part] for name, part in splits.items()}
    np.savez(folder / "digits.npz", **arrays, **{f"{name}_labels": labels[part] for name, part in splits.items()})


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of a sweep of two points, killed after the first; with that one's bytes and time of writing."""
    folder = tmp_path_factory.mktemp("sweep")
    write_digits(folder)
    (folder / "two.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "keras_ternary_spike.export", "sweep", "two.toml", "-o", "out"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not list(folder.glob("out/points/*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    printed = process.communicate()[0].decode()
    done = list(folder.glob("out/points/*.json"))
    assert len(done) == 1, printed
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
    return list(csv.DictReader((folder / "out" / "sweep.csv").open()))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_trains_no_finished_point_again(killed, finished):
    _, first, data, written = killed
    folder, _, printed = finished
    assert (first.read_bytes(), first.stat().st_mtime_ns) == (data, written)
    assert len(list((folder / "out" / "points").glob("*.json"))) == 2
    lines = printed.splitlines()
    assert "2 points, 1 of them already in" in lines[0]
    assert [line[:5] for line in lines if line.startswith("[")] == ["[2/2]"]
    assert "about 0 s left" in printed


@pytest.mark.slow
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


@pytest.mark.slow
def test_arithmetic_is_that_of_the_network_counted_by_hand(finished):
    """4 channels of 4x4, 8 of 2x2, 16 of 1x1; 3x3 windows of stride 2, the padding at the end."""
    one, two = table(finished[0])
    image = (3 + 3 + 3 + 2) ** 2 * 4
    spikes = (3 + 2) ** 2 * 4 * 8 + 2**2 * 8 * 16
    pool, classifier = 16, 16 * 10
    assert int(one["additions"]) == spikes + pool + classifier
    assert int(one["multiplications"]) == image + (4 * 16 + 8 * 4 + 16) + pool + 10  # and a rescaling for each value
    assert int(two["additions"]) >= 2 * spikes + pool + classifier


@pytest.mark.slow
def test_the_fronts_are_drawn_as_png(finished):
    picture = (finished[0] / "out" / "sweep.png").read_bytes()
    assert picture.startswith(PNG_SIGNATURE)


@pytest.mark.slow
def test_the_same_sweep_again_trains_nothing(finished, monkeypatch, capsys):
    folder, command, _ = finished
    before = contents(folder)
    monkeypatch.setattr(sweep_measure, "train", None)
    assert main(command) == 0
    assert "2 points, 2 of them already in" in capsys.readouterr().out
    assert contents(folder) == before


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_full_disk_leaves_every_file_as_it_was(finished, monkeypatch, capsys):
    folder, command, _ = finished
    before = contents(folder)

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    assert main(command) == 1
    assert capsys.readouterr().err == "error: [Errno 28] No space left on device\n"
    point, opened = Point(1, 0.25, 0.5, 0.0, 8), sweep_folder.Folder(folder / "out")
    with pytest.raises(OSError, match="No space left"):
        opened.write(point, {"accuracy": 1.0})
    assert contents(folder) == before
    assert opened.read(point)["accuracy"] < 1


def test_a_damaged_result_is_named_with_the_way_out(tmp_path):
    (tmp_path / "points").mkdir()
    one, other = Point(1, 0.25, 0.5, 0.0, 8), Point(2, 0.25, 0.5, 0.0, 8)
    folder, path = sweep_folder.Folder(tmp_path), tmp_path / "points" / f"{one.name}.json"
    assert not folder.holds(one)
    path.write_text('{"point": ')
    with pytest.raises(ValueError, match=r"json is damaged: .*Delete it to train that point again"):
        folder.read(one)
    folder.write(other, {"accuracy": 0.5})
    path.write_bytes((tmp_path / "points" / f"{other.name}.json").read_bytes())
    with pytest.raises(ValueError, match=r"must hold the point \{'timesteps': 1,.*Delete it"):
        folder.read(one)
    assert folder.read(other) == {"point": asdict(other), "accuracy": 0.5}


def write_config(folder, text):
    write_digits(folder)
    (folder / "sweep.toml").write_text(text)
    return folder / "sweep.toml"


def test_a_folder_of_something_else_is_refused(tmp_path):
    config = sweep_config.read_config(write_config(tmp_path, CONFIG))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"new or empty folder, or one of a sweep\. Received: .*mine"):
        sweep_folder.open_folder(mine, config, data_sha256="0", ram="arena")
    (mine / "sweep.json").write_text('{"settings": {}}')
    with pytest.raises(ValueError, match=r"sweep\.json is not one of a sweep, or was changed\. Give another folder"):
        sweep_folder.open_folder(mine, config, data_sha256="0", ram="arena")


def test_other_data_is_another_configuration_wherever_the_file_lies(tmp_path):
    config = sweep_config.read_config(write_config(tmp_path, CONFIG))
    sweep_folder.open_folder(tmp_path / "out", config, data_sha256="0", ram="arena")
    moved = sweep_config.read_config(write_config(tmp_path, CONFIG.replace("digits.npz", "./digits.npz")))
    sweep_folder.open_folder(tmp_path / "out", moved, data_sha256="0", ram="arena")
    with pytest.raises(ValueError, match=r"`data\.file` was \"0\"\. Received: \"1\""):
        sweep_folder.open_folder(tmp_path / "out", config, data_sha256="1", ram="arena")
    with pytest.raises(ValueError, match=r"`ram` was \"arena\"\. Received: \"peak\""):
        sweep_folder.open_folder(tmp_path / "out", config, data_sha256="0", ram="peak")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[measure]",
            "[mesure]",
            r"A section must be one of data, network, training, grid, measure\. Received: 'mesure'",
        ),
        ("epochs = 1", "epoch = 1", r"A key of \[training\] must be one of epochs, .*\. Received: 'epoch'"),
        ("epochs = 1", "", r"\[training\] must have the key `epochs`\. Received: batch_size"),
        ("epochs = 1", "epochs = 0", r"`training\.epochs` must be an integer of at least 1\. Received: 0"),
        ("epochs = 1", "epochs = true", r"`training\.epochs` must be an integer of at least 1\. Received: True"),
        ("epochs = 1", "epochs = 1\nlearning_rate = nan", r"`training\.learning_rate` .* above 0\. Received: nan"),
        ("epochs = 1", "epochs = 1\nseed = -1", r"`training\.seed` must be an integer of at least 0\. Received: -1"),
        ("[1, 2]", "[]", r"`grid\.timesteps` must be a list of at least one value\. Received: \[\]"),
        ("[1, 2]", "2", r"`grid\.timesteps` must be a list of at least one value\. Received: 2"),
        ("[1, 2]", "[1, 17]", r"`grid\.timesteps` must be an integer from 1 to 16\. Received: 17"),
        ("[1, 2]", "[2, 2]", r"`grid\.timesteps` must hold every value once\. Received: \[2, 2\]"),
        ("width = [0.5]", "width = [0]", r"`grid\.width` must be a number above 0\. Received: 0"),
        ("width = [0.5]", "decay = [1.5]", r"`grid\.decay` must be a number in \[0, 1\]\. Received: 1.5"),
        ("width = [0.5]", "pruning = [1]", r"`pruning` must be a share of zeros in \[0, 1\), .*Received: 1"),
        ("width = [0.5]", 'pruning = ["4:2"]', r"`pruning` must be .*\"m:n\" with 0 < m < n, .*Received: '4:2'"),
        ("width = [0.5]", "pruning = [true]", r"`grid\.pruning` must hold numbers and texts\. Received: True"),
        ("width = [0.5]", "kernel_bits = [4]", r"`grid\.kernel_bits` must be 8 or \"ternary\": .*Received: 4"),
        ("width = [0.5]", 'kernel_bits = ["ternary"]\npruning = [0.5]', r"`training\.epochs` must be at least 2 .*: 1"),
        ('file = "digits.npz"', "", r"\[data\] must have `file`.* not both\. Received: neither"),
        ('file = "digits.npz"', 'name = "mnist"', r"`data\.name` must be \"digits\"; .*Received: 'mnist'"),
        ('file = "digits.npz"', "file = 3", r"`data\.file` must be a text\. Received: 3"),
        ("[network]", "input_range = [1, 0]\n[network]", r"`data\.input_range` must be \[low, high\].*: \[1, 0\]"),
        ("[network]", "network = 3\n[other]", r"must be one of"),
        ("[data]", "[data", r"sweep\.toml: .*line 2"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_by_key_rule_and_value(old, new, message, tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(CONFIG.replace(old, new))
    with pytest.raises(ValueError, match=message):
        sweep_config.read_config(path)


@pytest.mark.parametrize("missing", ["sweep.toml", "digits.npz"])
def test_a_missing_file_is_one_line(missing, tmp_path, capsys):
    path = write_config(tmp_path, CONFIG)
    (tmp_path / missing).unlink()
    assert main(["sweep", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert missing in error
    assert error.count("\n") == 1
    assert not path.with_suffix("").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_labels": np.zeros(3, int)}, "train_labels must be integers from 0, one for each of 200 images"),
        ({"test_labels": np.full(TEST, -1)}, "test_labels must be integers from 0, one for each of 100 images"),
        ({"test_images": np.zeros((TEST, 8, 7, 1))}, r"one shape\. Received: \(8, 8, 1\) and \(8, 7, 1\)"),
        ({"test_images": np.full((TEST, 8, 8, 1), 255)}, r"within `data.input_range`, \[0, 1\].*from 255 to 255"),
        ({"train_images": np.eye(TRAIN, 64).reshape(-1, 8, 8, 1) - 0.5}, r"`data.input_range`, .*from -0.5 to 0.5"),
        ({"test_images": np.full((TEST, 8, 8, 1), np.nan)}, r"within `data.input_range`, .*from nan to nan"),
        ({"train_images": np.array(["a"])}, r"train_images must be numbers `\(samples, \*shape\)`"),
        ({"train_images": None}, r"digits\.npz: missing train_images\. Write it with numpy\.savez"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused_by_name(changed, message, tmp_path):
    config = sweep_config.read_config(write_config(tmp_path, CONFIG))
    with np.load(tmp_path / "digits.npz") as arrays:
        arrays = {name: value for name, value in {**arrays, **changed}.items() if value is not None}
    np.savez(tmp_path / "digits.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        sweep_data.load_data(config)


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    config = sweep_config.read_config(write_config(tmp_path, CONFIG))
    (tmp_path / "digits.npz").write_text("images")
    with pytest.raises(ValueError, match=r"digits\.npz is not an \.npz file\. Write it with numpy\.savez"):
        sweep_data.load_data(config)


def test_a_configuration_alone_gets_one_point_with_the_defaults(tmp_path):
    text = '[data]\nname = "digits"\n[network]\nname = "tiny"\n[training]\nepochs = 1\n'
    config = sweep_config.read_config(write_config(tmp_path, text))
    assert config.points == (Point(2, 0.25, 1.0, 0.0, 8),)
    assert sweep_data.load_data(config).test_images.shape == (450, 8, 8, 1)


def test_the_grid_is_every_combination_and_every_point_has_a_name_of_its_own():
    lists = {"timesteps": [1, 2], "decay": [0.0, 0.5], "width": [1.0], "pruning": [0.0, "2:4"], "kernel_bits": [8]}
    points = grid(lists)
    assert [(point.timesteps, point.decay, point.pruning) for point in points] == [
        *((1, 0.0, 0.0), (1, 0.0, "2:4"), (1, 0.5, 0.0), (1, 0.5, "2:4")),
        *((2, 0.0, 0.0), (2, 0.0, "2:4"), (2, 0.5, 0.0), (2, 0.5, "2:4")),
    ]
    assert points[1].name == "timesteps-1_decay-0.0_width-1.0_pruning-2-4_kernel_bits-8"
    assert points[1].title == "timesteps 1, decay 0, width 1, pruning 2:4, kernel bits 8"
    assert len({point.name for point in points}) == 8


def test_pruning_is_said_as_a_share_a_pattern_or_channels():
    assert pruning_of(0.0) is None
    assert pruning_of(0.8) == Pruning(0.8)
    assert pruning_of("2:4") == Pruning(0.5, (2, 4))
    assert pruning_of("1:4") == Pruning(0.25, (1, 4))
    assert pruning_of("channel") == Pruning(0.5, "channel")
    assert pruning_of("channel:0.25") == Pruning(0.25, "channel")


def applied_by_hand(kind, spike, kernel):
    """(spike, weights) of every use of a kernel of 3x3 taps at stride 2 on (5, 5, 2) spikes, from the definitions."""
    for row, column, top, left, channel in np.ndindex(5, 5, 3, 3, 2):
        taps = (
            kernel[0, top, left, 2 * channel : 2 * channel + 2]
            if kind.startswith("D")
            else kernel[:, top, left, channel]
        )
        if kind == "TRANSPOSE_CONV":  # of 11 rows the last is cropped
            inside = 2 * row + top < 10 and 2 * column + left < 10
        else:  # one pixel of padding on every side: window r covers the pixels 2r - 1 to 2r + 1
            inside = all(
                (pixel + 1 - tap) % 2 == 0 and 0 <= pixel + 1 - tap < 6 for pixel, tap in ((row, top), (column, left))
            )
        if inside:
            yield spike[row, column, channel], taps


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
def test_additions_of_neither_a_spike_nor_a_weight_of_0_are_those_counted_one_by_one(kind, rng):
    builder = Builder()
    current = builder.activation("current", (5, 5, 2), Grid(1 / 201))
    spike = builder.emit(
        *("ADD", (current, builder.scalar("zero", 0, 1.0, 3)), "lif/spike/0", (5, 5, 2), Grid(1.0)),
        activation="RELU_N1_TO_1",
    )
    shape, size = ((1, 3, 3, 4) if kind.startswith("D") else (4, 3, 3, 2)), (10 if kind.startswith("T") else 3)
    values = rng.integers(-1, 2, shape).astype(np.int8)
    kernel, bias = builder.constant("c/kernel", values, 1 / 64), builder.constant("c/bias", np.zeros(4, np.int32))
    operands = (spike, kernel, bias)
    options = {"stride_h": 2, "stride_w": 2, "padding": "SAME"}
    if kind == "TRANSPOSE_CONV":
        operands = (builder.constant("c/shape", np.array([1, size, size, 4], np.int32)), kernel, spike, bias)
    elif kind == "DEPTHWISE_CONV_2D":
        options["depth_multiplier"] = 2
    output = builder.emit(kind, operands, "c/current", (size, size, 4), Grid(0.1), options=options)
    program = builder.program("one", (current,), (output,))
    traced = program.trace(rng.integers(-128, 128, (3, 5, 5, 2)).astype(np.int8))
    uses = [use for sample in traced["lif/spike/0"] for use in applied_by_hand(kind, sample, values)]
    expected = sum(np.count_nonzero(weights) for spike, weights in uses if spike) / 3
    assert nonzero_additions(program, traced) == pytest.approx(expected, rel=1e-12)
    assert 0 < expected < sum(len(weights) for _, weights in uses) / 3 == work(program).total.additions


def test_additions_of_a_dense_layer_are_counted_one_by_one(rng):
    builder = Builder()
    current, values = builder.activation("current", (6,), Grid(1 / 201)), rng.integers(-1, 2, (4, 6)).astype(np.int8)
    zero = builder.scalar("zero", 0, 1.0, 1)
    spike = builder.emit("ADD", (current, zero), "lif/spike/0", (6,), Grid(1.0), activation="RELU_N1_TO_1")
    operands = (spike, builder.constant("d/kernel", values, 0.01), builder.constant("d/bias", np.zeros(4, np.int32)))
    options = {"keep_num_dims": False}
    program = builder.program(
        "one", (current,), (builder.emit("FULLY_CONNECTED", operands, "d/current", (4,), Grid(0.1), options=options),)
    )
    traced = program.trace(rng.integers(-128, 128, (5, 6)).astype(np.int8))
    expected = sum(np.count_nonzero(spikes * row) for spikes in traced["lif/spike/0"] for row in values) / 5
    assert nonzero_additions(program, traced) == pytest.approx(expected, rel=1e-12)


def test_the_front_holds_whatever_nothing_else_beats():
    costs = [(0.9, 5), (0.9, 4), (0.8, 4), (0.95, 9), (0.7, 1), (0.7, 1), (0.95, 10), (0.6, 2)]
    points = [{"accuracy": accuracy, "ram_bytes": cost} for accuracy, cost in costs]
    assert sweep_front.front(points, "ram_bytes") == [False, True, False, True, True, True, False, False]


def result(accuracy, ratio, reference_ms, ram):
    ratios = {"latency_ratio": ratio, "latency_ratio_low": ratio / 2, "latency_ratio_high": ratio * 2}
    sizes = {"ram_bytes": ram, "flash_bytes": 10 * ram, "gzip_bytes": 10 * ram, "additions_nonzero": 100 - ram}
    return {"accuracy": accuracy, **ratios, "reference_ms": reference_ms, **sizes}


def test_the_table_scales_latencies_by_the_median_of_the_reference_and_marks_each_front():
    points = grid({"timesteps": [1, 2, 3, 4], "decay": [0.5], "width": [1.0], "pruning": [0.0], "kernel_bits": [8]})
    # The second point was measured in a slow moment: its reference took ten times as long, its ratio is what it is.
    results = dict(zip(points, [result(0.8, 1, 2, 30), result(0.9, 2, 20, 40), result(0.7, 0.5, 2, 35)], strict=False))
    results[points[3]] = {"error": "the loss must stay a number"}
    rows = sweep_front.rows(points, results)
    assert [row["latency_ms"] for row in rows] == [2, 4, 1, ""]
    assert [row["latency_low_ms"] for row in rows] == [1, 2, 0.5, ""]
    assert [row["latency_ms_front"] for row in rows] == ["yes", "yes", "yes", ""]
    assert [row["ram_bytes_front"] for row in rows] == ["yes", "yes", "no", ""]
    assert [row["flash_bytes_front"] for row in rows] == ["yes", "yes", "no", ""]
    assert [row["additions_nonzero_front"] for row in rows] == ["no", "yes", "no", ""]
    written = list(csv.DictReader(io.StringIO(sweep_front.to_csv(rows))))
    assert [row["timesteps"] for row in written] == ["1", "2", "3", "4"]
    assert [row["error"] for row in written] == ["", "", "", "the loss must stay a number"]
    assert sweep_picture.draw(rows).startswith(PNG_SIGNATURE)
    assert sweep_picture.headline(rows) == (
        "4 points, 1 failed, red: Pareto front; T: timesteps; all with decay 0.5, width 1, pruning 0, kernel bits 8"
    )
    assert sweep_picture.label(rows[1], sweep_picture.varied(rows)) == "T2"


def test_points_at_one_place_share_a_label():
    lists = {"timesteps": [1, 2], "decay": [0.5], "width": [1.0], "pruning": [0.0], "kernel_bits": [8, "ternary"]}
    points = grid(lists)
    numbers = [(0.8, 30), (0.8, 30), (0.9, 40), (0.5, 20)]
    rows = sweep_front.rows(points, {p: result(a, 1, 2, ram) for p, (a, ram) in zip(points, numbers, strict=True)})
    assert sweep_picture.labels(rows, "ram_bytes", sweep_picture.varied(rows)) == {
        (30, 80): "T1 k8\nT1 k ternary",
        (40, 90): "T2 k8",
        (20, 50): "T2 k ternary",
    }


def test_a_picture_without_a_single_good_point_can_be_drawn():
    points = grid({"timesteps": [1], "decay": [0.5], "width": [1.0], "pruning": [0.0], "kernel_bits": [8]})
    assert sweep_picture.draw(sweep_front.rows(points, {points[0]: {"error": "no"}})).startswith(PNG_SIGNATURE)


def own_network(shape, classes, *, timesteps, decay, width, units=8):
    layers = keras.layers
    model = keras.Sequential([keras.Input(shape), DirectEncoding(timesteps), PerTimestep(layers.Flatten())])
    model.add(PerTimestep(layers.Dense(round(units * width))))
    model.add(TernaryLIF(decay=decay))
    model.add(PerTimestep(layers.Dense(classes)))
    model.add(TimeAverage())
    return model


OWN = CONFIG.replace('"tiny"', '"my_network:build"\n[network.options]\nunits = 6')


def test_a_point_that_cannot_be_exported_is_a_result_and_the_sweep_goes_on(tmp_path, monkeypatch, capsys):
    path = write_config(tmp_path, OWN)
    (tmp_path / "my_network.py").write_text("build = None")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "my_network", type(sys)("my_network"))
    sys.modules["my_network"].build = own_network
    monkeypatch.setattr(sweep_measure, "train", lambda model, point, *rest: fail_at(point))
    assert main(["sweep", str(path), "-o", str(tmp_path / "out")]) == 1
    first, second = table(tmp_path)
    assert first["error"] == "The loss must stay a number. Received: NaN"
    assert first["accuracy"] == first["ram_bytes_front"] == ""
    assert (second["error"], second["ram_bytes_front"]) == ("", "yes")
    error = capsys.readouterr().err
    assert "1 of 2 points failed, see the column `error` of" in error
    assert "timesteps 1, decay 0.25, width 0.5, pruning 0, kernel bits 8. To try one again, delete" in error


def fail_at(point):
    if point.timesteps == 1:
        raise ValueError("The loss must stay a number.\nReceived: NaN")


@pytest.mark.parametrize(
    ("name", "build", "message"),
    [
        (
            "tinny",
            None,
            r"one of tiny, vgg, .*, or \"module:function\" of your own\. Received: 'tinny'",
        ),
        ("my_network:missing", own_network, r"must be a function of its module\. Received: 'my_network:missing'"),
        ("my_network:build", lambda shape: None, r"must take \(input_shape, classes, timesteps=, decay=, width=\)"),
        ("my_network:build", lambda *_, **__: None, r"must return a Keras model .*\(None, 10\)\. Received: None"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_any_training(name, build, message, tmp_path, monkeypatch):
    path = write_config(tmp_path, CONFIG.replace('"tiny"', f'"{name}"'))
    monkeypatch.setitem(sys.modules, "my_network", type(sys)("my_network"))
    sys.modules["my_network"].build = build
    with pytest.raises(ValueError, match=message):
        sweep.run_sweep(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def trained(tmp_path, pruning, kernel_bits):
    """The kernels of one point, `(inputs, channels)`, after two epochs."""
    config = sweep_config.read_config(write_config(tmp_path, CONFIG.replace("epochs = 1", "epochs = 2")))
    keras.utils.set_random_seed(0)
    model = own_network((8, 8, 1), 10, timesteps=1, decay=0.25, width=1.0)
    sweep_training.train(model, Point(1, 0.25, 1.0, pruning, kernel_bits), config, sweep_data.load_data(config))
    return [kernel.numpy() for kernel in find_kernels(model)]


def test_a_share_of_the_weights_is_pruned(tmp_path):
    assert [np.mean(kernel == 0) for kernel in trained(tmp_path, 0.5, 8)] == [0.5, 0.5]


def test_two_of_four_weights_are_pruned(tmp_path):
    for kernel in trained(tmp_path, "2:4", 8):
        assert np.all(np.sum(kernel.T.reshape(-1, 4) == 0, axis=1) == 2)


def test_pruned_ternary_kernels_keep_their_zeros_and_have_one_size_a_channel(tmp_path):
    first, classifier = trained(tmp_path, 0.5, "ternary")
    assert np.mean(first == 0) == 0.5
    assert len(np.unique(np.abs(first))) > 10
    assert np.mean(classifier == 0) >= 0.5
    assert [len(np.unique(np.abs(channel[channel != 0]))) for channel in classifier.T] == [1] * 10


def test_pruning_in_a_single_batch_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"at least 2 batches\. Received: 1\. Raise `training\.epochs`"):
        sweep_training.prune(Pruning(0.5), 1)


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
