"""The paper's rows: networks, settings, the table, and what is refused before training."""

import json

import keras
import numpy as np
import pytest

import paper
import paper_data
from paper_rows import ROWS

SOME = (
    pytest.param("cifar10-resnet20-t4-trainable", marks=pytest.mark.extended),  # AutoAugment is a large graph
    "imagenet-resnet34-t4-binary",
    "cifar10_dvs-resnet19-t10-graded",
)


def test_the_rows_are_those_of_the_papers_tables():
    assert len(ROWS) == 44
    found = {(row.data, row.network, row.timesteps) for row in ROWS.values() if row.alphabet == "ternary"}
    assert found == {
        *((data, "resnet20", timesteps) for data in ("cifar10", "cifar100") for timesteps in (2, 4)),
        *((data, "resnet19", timesteps) for data in ("cifar10", "cifar100") for timesteps in (1, 2)),
        *(("imagenet", network, 4) for network in ("resnet18", "resnet34")),
        *(("cifar10_dvs", network, 10) for network in ("resnet20", "resnet19")),
    }
    assert all(name == row.name for name, row in ROWS.items())


@pytest.mark.extended
def test_every_network_and_every_alphabet_of_the_rows_builds():
    """Each network once, of images and of events, the alphabets in turn; other rows differ in sizes only."""
    networks = [*dict.fromkeys((row.network, row.source.events) for row in ROWS.values())]
    assert len(networks) == 6
    for number, (network, events) in enumerate(networks):
        alphabet = ("graded", "trainable", "binary", "ternary")[number % 4]
        known = [row for row in ROWS.values() if (row.network, row.source.events) == (network, events)]
        row = next(row for row in known if row.alphabet == alphabet)
        model = row.build(width=1 / 64)
        assert model.input_shape == (None, *row.input_shape()) and model.output_shape == (None, row.source.classes)


@pytest.mark.parametrize("name", SOME)
def test_made_images_are_what_the_rows_own_are(name):
    row = ROWS[name]
    data = paper_data.batches(row, data_dir=None, seed=0, dry=True)
    assert data.samples.shape[1:] == row.input_shape(small=True) and data.samples.dtype == np.float32
    assert data.samples.min() >= (-1 if row.source.events else 0) and data.samples.max() <= 1
    assert data.steps == 1 and data.train.element_spec[0].shape == (8, *row.input_shape(small=True))


def test_weight_decay_is_a_gradient_of_kernels_and_of_nothing_else():
    row = ROWS["cifar10-resnet19-t1-trainable"]
    model = row.build(width=1 / 64, small=True)
    paper.compile_model(model, row.source.recipe, epochs=1, steps=1)
    decayed = [weight for weight in model.trainable_weights if weight.regularizer]
    assert {weight.name for weight in decayed} == {"kernel", "bias"}
    expected = sum(1e-4 / 2 * np.sum(np.square(weight.numpy())) for weight in decayed)
    assert float(keras.ops.sum(model.losses)) == pytest.approx(float(expected), rel=1e-4)


def test_the_table_shows_results_of_whole_runs_and_says_where_one_was_shorter(tmp_path):
    for name, epochs in (("cifar10-resnet19-t2-trainable", 400), ("cifar10-resnet19-t1-binary", 3)):
        (tmp_path / name).mkdir()
        content = {"accuracy": 91.5, "settings": {"epochs": epochs}}
        (tmp_path / name / "results.json").write_text(json.dumps(content))
    lines = {line.split()[0]: line.split()[1:] for line in paper.table([*ROWS.values()], tmp_path).splitlines()}
    assert lines["cifar10-resnet19-t2-trainable"] == ["95.80", "(2nd)", "91.50"]
    assert lines["cifar10-resnet19-t1-binary"] == ["-", "91.50", "(3", "of", "400", "epochs)"]
    assert lines["imagenet-resnet34-t1-graded"] == ["-", "-"]


def test_an_unknown_row_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        paper.command_line(["cifar10-resnet20"])
    error = capsys.readouterr().err
    assert "must be one of cifar10-resnet20-t2-binary" in error and "Received: cifar10-resnet20" in error


def test_data_that_is_missing_comes_with_the_command_before_training(tmp_path):
    with pytest.raises(ValueError, match=r"`--data-dir` must be.*tonic\.datasets\.CIFAR10DVS"):
        paper_data.batches(ROWS["cifar10_dvs-resnet20-t10-ternary"], data_dir=None, seed=0, dry=False)
    with pytest.raises(OSError, match="tfds build imagenet2012"):
        paper_data.batches(ROWS["imagenet-resnet18-t4-ternary"], data_dir=tmp_path, seed=0, dry=False)


def test_fewer_samples_than_a_batch_are_refused(monkeypatch):
    row = ROWS["cifar10-resnet20-t2-binary"]
    monkeypatch.setattr(paper_data, "_loaded", lambda *arguments: paper_data.made(row, 0))
    with pytest.raises(ValueError, match="Too few samples: a batch has 128"):
        paper_data.batches(row, data_dir=None, seed=0, dry=False)
