"""The ablation: its statistics against SciPy and by hand, tuning apart from testing, and going on where it stopped."""

import numpy as np
import pytest
from scipy import stats

import ablation
import ablation_report as report


def row(arm, seed, accuracy, timesteps=1):
    return {
        "network": "plain",
        "arm": arm,
        "timesteps": timesteps,
        "epochs": 1,
        "samples": 9,
        "seed": seed,
        "accuracy": accuracy,
    }


def test_an_interval_is_that_of_students_t(rng):
    values = rng.normal(90, 1, 5)
    mean, half = report.interval(values)
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_a_single_seed_has_no_interval():
    assert report.interval([90.0]) == (90.0, float("inf"))
    assert report.shown((90.0, float("inf"))) == "90.00 (one seed)"


def test_differences_are_of_the_same_seed_network_and_timesteps():
    rows = [row("ternary", 0, 80.0), row("ternary", 1, 84.0), row("ternary", 0, 50.0, timesteps=2)]
    rows += [row("binary", 1, 81.0), row("binary", 0, 79.0), row("binary", 2, 99.0)]
    found = [(key[1], other, key[2], values) for key, other, values in report.differences(rows)]
    assert found == [("ternary", "binary", 1, [1.0, 3.0])]


def test_the_table_says_which_differences_are_not_told_apart():
    rows = [row("ternary", seed, accuracy) for seed, accuracy in enumerate((80.0, 82.0, 81.0))]
    rows += [row("binary", seed, accuracy) for seed, accuracy in enumerate((80.5, 81.5, 81.0))]
    rows += [row("trainable, layer", seed, accuracy) for seed, accuracy in enumerate((83.0, 85.1, 84.0))]
    lines = report.table(rows).splitlines()
    (fixed,) = [line for line in lines if "ternary - binary" in line]
    (trainable,) = [line for line in lines if "trainable, layer - ternary" in line]
    assert fixed.endswith("not told apart") and not trainable.endswith("not told apart")
    assert "3.03 +- 0.14" in trainable  # 3, 3.1, 3: t of two degrees is 4.303, and the deviation .0577


@pytest.fixture
def digits(rng):
    images = rng.random((40, 8, 8, 1), np.float32)
    labels = np.arange(40) % 4
    return ablation.Dataset("digits", images, labels, images[:12], labels[:12])


def test_tuning_never_sees_the_test_images(digits):
    held_out = ablation.held_out(digits)
    train = {image.tobytes() for image in held_out.train_images}
    test = {image.tobytes() for image in held_out.test_images}
    assert not train & test and train | test == {image.tobytes() for image in digits.train_images}


def test_every_alphabet_is_tuned_and_a_setting_reaches_the_model(digits):
    assert [len(ablation.grid(arm)) for arm in ablation.ARMS] == [16, 16, 16, 16, 16, 2]
    setting = ablation.Setting(0.25, "triangular", 2.0)
    training = ablation.Training("test", "plain", "trainable, channel", 1, 0, 1, 40, setting)
    model = ablation.build(training, digits)
    neuron = model.get_layer("neuron1")
    assert neuron.threshold == 0.25 and neuron.amplitude.shape == (8,)
    gammas = [weight.numpy() for weight in model.trainable_weights if weight.name == "gamma"]
    assert len(gammas) == 3 and all(np.all(gamma == 2) for gamma in gammas)


def test_a_run_goes_on_where_it_stopped(digits, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(ablation, "THRESHOLDS", (0.5,))
    monkeypatch.setattr(ablation, "SURROGATES", ("rectangular",))
    monkeypatch.setattr(ablation, "GAMMAS", (1.0,))
    monkeypatch.setattr(ablation.datasets, "load", lambda name, data_dir: digits)
    words = ["--data", "digits", "--epochs", "1", "--timesteps", "1", "--output", str(tmp_path)]
    words += ["--arms", "ternary", "--networks", "plain", "--seeds"]
    ablation.main(ablation.command_line([*words, "1"]))
    trained = capsys.readouterr().out
    assert trained.count("tuning plain") == trained.count("test plain") == 1
    assert (tmp_path / "digits.png").read_bytes()[:4] == b"\x89PNG"

    ablation.main(ablation.command_line([*words, "2"]), lambda training, data: {"accuracy": 1.0 * training.seed})
    again = capsys.readouterr().out
    assert "tuning" not in again and again.count("test plain") == 1 and "seed 1: 1.00" in again


def test_a_report_of_nothing_says_so(tmp_path):
    with pytest.raises(SystemExit, match="has no tests yet"):
        ablation.main(ablation.command_line(["--report", "--output", str(tmp_path)]))


@pytest.mark.parametrize("option", ["--epochs", "--samples", "--tuning-samples"])
def test_none_of_a_number_is_refused(capsys, option):
    with pytest.raises(SystemExit):
        ablation.command_line([option, "0"])
    assert f"{option} must be at least 1. Received: 0" in capsys.readouterr().err


def test_tuning_may_be_shorter_than_testing(digits, tmp_path):
    found = []
    results = ablation.Results(tmp_path / "results", lambda *training: found.append(training) or {"accuracy": 1.0})
    words = ["--epochs", "5", "--tuning-epochs", "2", "--tuning-samples", "20", "--arms", "ternary"]
    arguments = ablation.command_line([*words, "--networks", "plain", "--seeds", "1", "--timesteps", "1"])
    (test,) = ablation.trainings(arguments, digits, results)
    assert {(training.kind, training.epochs, training.samples) for training, _ in found} == {("tuning", 2, 20)}
    assert all(len(data.train_labels) + len(data.test_labels) == 20 for _, data in found)
    assert (test.kind, test.epochs, test.samples) == ("test", 5, 40)


def test_a_residual_network_sees_means_of_four_pixels(rng):
    images = rng.random((2, 4, 6, 1), np.float32)
    halved = ablation.images_for("residual", images)
    assert halved.shape == (2, 2, 3, 1)
    np.testing.assert_allclose(halved[1, 1, 2, 0], images[1, 2:, 4:, 0].sum() / 4, rtol=1e-6)
    assert ablation.images_for("plain", images) is images
