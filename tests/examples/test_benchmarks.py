"""The benchmarks: what their tables and settings hold, and that what they measure runs."""

import importlib
import itertools
import math
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_ternary_spike import models
from keras_ternary_spike.export import export_tflite, load, quantize_aware
from small_networks import SMALL

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def table(monkeypatch):
    return benchmark("files.models", monkeypatch)


def benchmark(name, monkeypatch):
    for folder in ("examples", "."):
        monkeypatch.syspath_prepend(str(PROJECT / folder))
    return importlib.import_module(f"benchmarks.{name}")


def test_the_table_shows_sizes(table):
    name, size, *numbers = table.row("tiny", 2)
    assert (name, size, *numbers[:4]) == ("tiny", "28x28x1", "10", "6,152", "144,608", "14,112")
    assert int(numbers[4].replace(",", "")) == len(export_tflite(models.tiny((28, 28, 1), 10)))


def test_the_table_says_why_a_network_is_not_exported(table):
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, keras.layers.LayerNormalization(name="norm")(image))
    assert table.exported(model).startswith("refused: Cannot export layer 'norm' (LayerNormalization).")


def test_the_table_lists_every_network(table):
    assert set(table.INPUTS) == {network.__name__ for network in SMALL}


def test_every_network_meets_every_value_and_all_of_them_every_pair(monkeypatch):
    networks = benchmark("files.networks", monkeypatch)
    settings = {name: [tuple(one.values()) for one in networks.settings(name)] for name in networks.NETWORKS}
    for found in settings.values():
        timesteps, decays, thresholds = map(set, zip(*found, strict=True))
        assert timesteps == {1, 2, 3, 4, 8}
        assert decays == {0.0, 0.1, 0.25, 0.5, 0.9, 1.0}
        assert thresholds == {0.3, 0.5, 1.0, "per channel"}
    everywhere = [one for found in settings.values() for one in found]
    pairs = [{(one[a], one[b]) for one in everywhere} for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [len(found) for found in pairs] == [5 * 6, 5 * 4, 6 * 4]


def test_thresholds_per_channel_take_turns(monkeypatch):
    zoo = benchmark("files.zoo", monkeypatch)
    model = zoo.randomized("tiny", threshold=zoo.PER_CHANNEL, timesteps=1)
    np.testing.assert_allclose(model.get_layer("neuron1").threshold, [0.3, 0.5, 1.0, 0.3, 0.5, 1.0, 0.3, 0.5])


@pytest.mark.extended
def test_every_kind_of_neuron_is_measured(monkeypatch):
    neurons = benchmark("files.neurons", monkeypatch)
    monkeypatch.setattr(neurons, "LAYERS", 2)  # one current that stays, one that changes
    monkeypatch.setattr(neurons, "IMAGE", (5, 5, 3))
    for kind, options in neurons.KINDS.values():
        shares, differing, _ = neurons.measure(kind, options, samples=2, seed=0)
        assert len(shares.split(", ")) == neurons.LAYERS
        assert differing.startswith("0 of ")


def outputs(model, images):
    """Without compiling a function first, which takes longer than the call."""
    return keras.ops.convert_to_numpy(model(images))


def test_batch_statistics_start_at_the_exact_model_and_follow_its_batches(monkeypatch, rng):
    batch_norm = benchmark("exact_training.batch_norm", monkeypatch)
    images = rng.random((32, 28, 28, 1), "float32")
    exact = quantize_aware(models.tiny((28, 28, 1), 10))
    model = batch_norm.normalized(exact, images, by_batch=True)
    np.testing.assert_array_equal(outputs(model, images), outputs(exact, images))
    norms = [norm for norm in map(batch_norm.convolution, model.layers) if norm]
    before = [norm.mean.numpy() for norm in norms]
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    model.fit(images / 2, np.zeros((32, 10)), batch_size=32, verbose=0)
    first, means = before[0], [norm.mean.numpy() for norm in norms]
    np.testing.assert_allclose(means[0], 0.9 * first + 0.1 * (first / 2), atol=2e-3)  # half the image, half the mean
    assert all(np.any(old != new) for old, new in zip(before[1:], means[1:], strict=True))
    folded = batch_norm.write_back(model, exact)
    np.testing.assert_array_equal(outputs(folded, images), outputs(model, images))


@pytest.mark.parametrize("network", ["chain", "resnet"])
def test_networks_for_exact_training_export_as_they_are_tuned(monkeypatch, rng, network):
    networks = benchmark("exact_training.aware_networks", monkeypatch)
    case = networks.Case("digits", network)
    exact = quantize_aware(networks.build(case, (8, 8, 1), 10))
    images = rng.random((16, 8, 8, 1), "float32")
    np.testing.assert_array_equal(load(export_tflite(exact)).predict(images), outputs(exact, images))


def test_layers_are_timed_in_turns_after_a_round_that_does_not_count(monkeypatch):
    layer_times, called = benchmark("training.layer_times", monkeypatch), []
    seconds = layer_times.alternating(lambda: called.append("ours"), lambda: called.append("theirs"), rounds=2)
    assert called == ["ours", "theirs"] * 3
    assert seconds.shape == (2, 2)
    for measured in (layer_times.neurons(2, rounds=1), layer_times.normalization((2, 4, 4, 3), rounds=1)):
        assert all(len(values) == 1 and values[0] > 0 for values in measured.values())


def test_the_front_trains_the_relu_network_first_and_goes_on_where_it_was(monkeypatch, tmp_path, rng):
    front = benchmark("accuracy.front", monkeypatch)
    points = list(front.points(2))
    assert points[0] == front.Point("ReLU", None, 0) and len(points) == 2 * (2 + 5 * 4)
    images = rng.random((24, 8, 8, 1)).astype("float32")
    data = front.datasets.Dataset("noise", images, np.arange(24) % 3, images, np.arange(24) % 3)
    trained = []

    def train(point, build, data, epochs, teacher):
        trained.append((point.alphabet, teacher is not None))
        return build((8, 8, 1), 3, timesteps=1, neuron=keras.layers.ReLU)

    monkeypatch.setattr(front, "train", train)
    monkeypatch.setattr(front, "measured", lambda point, model, data: {"accuracy": 0.5, "additions": 0.1, "bytes": 0})
    monkeypatch.setattr(front, "ALPHABETS", {"{0..4}": front.ALPHABETS["{0..4}"]})
    monkeypatch.setattr(front, "BUDGETS", (0.5,))
    file = tmp_path / "front.jsonl"
    arguments = front.argparse.Namespace(seeds=1, network="tiny", epochs=1)
    front.run(arguments, data, file)
    assert trained == [("ReLU", False), ("ReLU, half the channels", False), ("{0..4}", True)]
    front.run(arguments, data, file)
    assert len(trained) == 3 == len(front.rows(file))


def test_the_front_shows_means_and_how_far_seeds_lie_apart(monkeypatch):
    front = benchmark("accuracy.front", monkeypatch)
    row = {"alphabet": "{0..4}", "budget": 0.1, "bytes": 0}
    found = [{**row, "seed": seed, "accuracy": 0.8 + 0.1 * seed, "additions": 0.1 + 0.02 * seed} for seed in range(2)]
    *means, margin, below, below_margin, seeds, size = front.table(found).splitlines()[1].split()
    assert (means, seeds, size) == (["{0..4}", "0.1", "0.110", "85.00"], "2", "0")
    assert (below, below_margin) == ("-", "-")  # no ReLU to compare with
    assert float(margin.removeprefix("+-")) == pytest.approx(12.706 * 5, abs=0.1)  # Student's t of one degree, 10 / 2


def test_a_network_is_compared_between_two_relu_networks_of_fewer_and_more_instructions(monkeypatch):
    equal = benchmark("accuracy.front_equal_cost", monkeypatch)

    def line(name, instructions, *accuracies):
        return equal.Line(name, None, np.ones(1), np.array(accuracies), {"m4": np.array([instructions])})

    rivals = [line("ReLU, distilled", 4e6, 92.0), line("ReLU, distilled, half the channels", 1e6, 90.0)]
    graded = line("{0..4}", 2e6, 90.5, 91.5)  # half-way: 2 M is the geometric mean of 1 M and 4 M
    deviation, degrees = equal.spread([*rivals, graded])
    assert (deviation, degrees) == (pytest.approx(math.sqrt(0.5)), 1)
    found = equal.difference(graded, rivals, "m4", deviation, degrees)
    assert found.points == pytest.approx(0.0)
    assert found.margin == pytest.approx(12.71 * math.sqrt(0.5 * (1 / 2 + 1 / 4 + 1 / 4)))
    assert equal.difference(line("{0..4}", 8e6, 93.0), rivals, "m4", deviation, degrees) is None
    cheap = equal.difference(line("{0..4}", 5e5, 90.2), rivals, "m4", deviation, degrees)
    assert cheap.least and cheap.points == pytest.approx(0.2) and str(cheap).startswith("at least +0.20 +-")
    row = equal.table([*rivals, graded], "m4").splitlines()[1].split()
    assert row[:6] == ["{0..4}", "-", "2.00", "M", "91.00", "+0.00"] and row[-1] == "-"


def test_weights_that_pruning_has_left_meet_values(monkeypatch):
    front = benchmark("accuracy.front", monkeypatch)
    values = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [4.0, 0.0]])  # 3/4 and 1/4 of them
    kernel = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])  # 1/4 and all of them
    assert front.met(values, kernel) == (3 / 4 * 1 / 4 + 1 / 4) / 2


def test_the_front_trains_a_narrow_network_from_random_weights_for_all_epochs(monkeypatch):
    front = benchmark("accuracy.fast_front", monkeypatch)
    epochs, folder = front.Epochs(2, 3), Path("runs")
    half = front.options(front.Point("{0..4}, half the channels", 0.05, 1), folder, epochs)
    assert (half["epochs"], half["width"], half["budget"], "start" in half) == (5, 0.5, 0.1, False)
    pruned = front.options(front.Point("ReLU, distilled, pruned", None, 1), folder, epochs)
    assert (pruned["epochs"], pruned["keep"], pruned["start"]) == (3, 0.3, folder / "0-1")
    own = front.Point("ReLU, distilled, own file, half the channels", None, 1)
    assert own.weights == front.Point("ReLU, distilled, half the channels", None, 1).name != own.name


def test_rows_of_cycles_that_a_file_keeps_are_not_asked_for_again(monkeypatch, tmp_path):
    targets, asked = benchmark("files.targets", monkeypatch), []
    monkeypatch.setattr(targets, "cycles_row", lambda name: asked.append(name) or (name, "1,000"))
    kept = tmp_path / "rows.json"
    assert list(targets.cycles_rows(["tiny"], kept)) == [("tiny", "1,000")]
    assert list(targets.cycles_rows(["vgg", "tiny"], kept)) == [("vgg", "1,000"), ("tiny", "1,000")]
    assert list(targets.cycles_rows(["tiny"], None)) == [("tiny", "1,000")]
    assert asked == ["tiny", "vgg", "tiny"]


def test_shares_of_a_file_are_those_of_all_its_operators(monkeypatch):
    shares = benchmark("operators.shares", monkeypatch)
    tflite_bytes = export_tflite(models.tiny((12, 12, 1), 3))
    found, operators = shares.uses(tflite_bytes), shares.contents(tflite_bytes).operators
    kinds = [(one.kind, use) for one, use in zip(operators, found, strict=True)]
    assert kinds[0] == ("CONV_2D", shares.FIRST)
    assert [use for kind, use in kinds if kind == "CONV_2D"][1:] == [shares.LAYERS, shares.FURTHER] * 2
    assert {use for kind, use in kinds if kind in ("MUL", "SUB")} == {shares.NEURONS}
    assert kinds[-1] == ("FULLY_CONNECTED", shares.REST)
    monkeypatch.setattr(shares, "fastest", lambda calls, rounds: [call() or n for n, call in enumerate(calls, start=1)])
    cuts = len(list(itertools.groupby(found)))
    without = shares.without_neurons(tflite_bytes)
    assert shares.uses(without) == [use for use in found if use != shares.NEURONS]
    times = {
        name: sum(each.values()) for name, each in shares.microseconds({"one": tflite_bytes, "two": without}, 1).items()
    }
    assert times["one"] == cuts < times["two"]  # the number of the last call, of all in turns
