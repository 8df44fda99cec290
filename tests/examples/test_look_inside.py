"""The example draws four pictures of any model."""

import sys

import keras
import numpy as np
import pytest

import look_inside as example
from keras_ternary_spike import PerTimestep, TernaryLIF


def test_it_draws_four_pictures_of_a_saved_model(monkeypatch, tmp_path, capsys, rng):
    layers = [PerTimestep(keras.layers.Dense(4)), TernaryLIF(name="neuron")]
    keras.Sequential([keras.Input((2, 3)), *layers]).save(tmp_path / "model.keras")
    np.save(tmp_path / "samples.npy", rng.normal(size=(5, 2, 3)))
    options = {"--model": "model.keras", "--samples": "samples.npy", "--output": "out"}
    arguments = [text for name, file in options.items() for text in (name, str(tmp_path / file))]
    monkeypatch.setattr(sys, "argv", ["look_inside.py", *arguments])
    example.main(example.command_line())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name}.png" for name in example.FIGURES}
    assert "neuron" in capsys.readouterr().out


def test_a_model_needs_its_samples(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["look_inside.py", "--model", "model.keras"])
    with pytest.raises(SystemExit):
        example.command_line()
    assert "belong together" in capsys.readouterr().err
