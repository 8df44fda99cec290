"""The data of a sweep: what cannot be trained on is refused."""

import numpy as np
import pytest

from digits_sweep import CONFIG, TEST, TRAIN, write_config
from keras_ternary_spike.export.sweep import config as sweep_config
from keras_ternary_spike.export.sweep import data as sweep_data


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
