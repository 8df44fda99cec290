"""The configuration of a sweep: the points that it asks for, and what it must not say."""

import sys

import pytest

from digits_sweep import CONFIG, own_network, write_config
from keras_ternary_spike import BinaryLIF, MultiLevelLIF
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.export.sweep import config as sweep_config
from keras_ternary_spike.export.sweep import data as sweep_data
from keras_ternary_spike.export.sweep import run as sweep
from keras_ternary_spike.export.sweep.network import neuron_options
from keras_ternary_spike.export.sweep.points import Point, grid


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
        ("width = [0.5]", 'neuron = ["tenary"]', r"`neuron` must be \"ternary\", .*\"relu\".*Received: 'tenary'"),
        ("width = [0.5]", 'neuron = ["levels:0"]', r"k from 1 to 127\. Received: 'levels:0'"),
        ("width = [0.5]", "neuron = [3]", r"`grid\.neuron` must be a text\. Received: 3"),
        ("width = [0.5]", "seed = [0, 0]", r"`grid\.seed` must hold every value once\. Received: \[0, 0\]"),
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
    assert points[1].name == "timesteps-1_decay-0.0_width-1.0_pruning-2-4_kernel_bits-8_seed-0"
    assert points[1].title == "timesteps 1, decay 0, width 1, pruning 2:4, kernel bits 8, seed 0"
    assert len({point.name for point in points}) == 8


def test_neurons_and_seeds_are_axes_of_the_grid(tmp_path):
    text = CONFIG.replace("width = [0.5]", 'neuron = ["binary", "levels:3", "relu"]\nseed = [4, 5]')
    points = sweep_config.read_config(write_config(tmp_path, text)).points
    binary = [Point(steps, 0.25, 1.0, 0.0, 8, "binary", seed) for steps in (1, 2) for seed in (4, 5)]
    assert [point for point in points if point.neuron == "binary"] == binary
    # ReLU has no timesteps and no decay: every seed once.
    assert [point for point in points if point.neuron == "relu"] == [
        Point(1, 0.0, 1.0, 0.0, 8, "relu", seed) for seed in (4, 5)
    ]
    assert neuron_options("levels:3") == {"neuron": MultiLevelLIF, "levels": 3, "signed": True}
    assert neuron_options("positive:2") == {"neuron": MultiLevelLIF, "levels": 2, "signed": False}
    assert neuron_options("binary") == {"neuron": BinaryLIF}
    assert binary[0].name == "timesteps-1_decay-0.25_width-1.0_pruning-0.0_kernel_bits-8_neuron-binary_seed-4"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "epochs = 1",
            "epochs = 1\nseed = 2",
            r"Seeds must be given once\..*`training.seed` = 2 and `grid.seed` = \[1\]",
        ),
        (
            'name = "tiny"',
            'name = "tiny"\noptions = {levels = 2}',
            r"`grid.neuron` says .*`network.options.levels`, too",
        ),
    ],
)
def test_what_is_said_twice_is_refused(old, new, message, tmp_path):
    text = CONFIG.replace("width = [0.5]", 'neuron = ["levels:2"]\nseed = [1]').replace(old, new)
    with pytest.raises(ValueError, match=message):
        sweep_config.read_config(write_config(tmp_path, text))


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 10_000 + "]" * 10_000, "nested"),
        ("[training]\nepochs = 1" + "0" * 400, "`training.epochs` must be an integer"),
        ("[training]\nepochs = 1" + "0" * 5000, "limit|integer"),
        ("[training]\nepochs = 1\nlearning_rate = 1" + "0" * 400, "`training.learning_rate` must be a number"),
        ("[data]\ninput_range = [0, 1" + "0" * 400 + "]", "`data.input_range` must be"),
        ("[training]\nepochs = 1\n[grid]\npruning = [1" + "0" * 400 + "]", "pruning"),
        ("#" + " " * 2**20, "at most 1,048,576 bytes"),
        (b"\xff\xfe", "utf-8"),
    ],
)
def test_a_hostile_file_is_one_line(text, message, tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_bytes(text if isinstance(text, bytes) else f'[network]\nname = "a"\n{text}'.encode())
    with pytest.raises(ValueError, match=message):
        sweep_config.read_config(path)


def test_the_points_of_a_grid_are_limited(tmp_path):
    widths = ", ".join(str(width) for width in range(1, 1002))
    decays = ", ".join(f"0.{decay:03}" for decay in range(100))
    path = tmp_path / "sweep.toml"
    path.write_text(
        f'[data]\nname = "digits"\n[network]\nname = "a"\n[training]\nepochs = 1\n'
        f"[grid]\nwidth = [{widths}]\ndecay = [{decays}]\n"
    )
    with pytest.raises(ValueError, match=r"at most 100,000 points. Received: 100,100"):
        sweep_config.read_config(path)
