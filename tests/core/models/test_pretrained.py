"""The trained files: what they do is what their cards say."""

import hashlib
import json

import numpy as np
import pytest

from benchmarks import setting
from keras_ternary_spike.data import load_images
from keras_ternary_spike.export import load, verify
from keras_ternary_spike.models import pretrained
from keras_ternary_spike.models.trained_files import PRETRAINED, TRAINED, read_pretrained

MEGABYTE = 1 << 20
SETS, NEURONS = ("digits", "fashion_mnist"), ("ternary", "binary", "graded", "relu")
OF_FASHION = [name for name in PRETRAINED if name.startswith("fashion")]


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def right(logits, data):
    return int(np.sum(logits.argmax(-1) == data.test_labels))


def check_card(name, data):
    """The file's answers are integers: all of them are counted. Keras sums floats in any order."""
    found = pretrained(name)
    card = found.card
    assert card.test_images == len(data.test_labels)
    assert right(load(found.tflite_bytes).predict(data.test_images), data) == round(card.accuracy * card.test_images)
    of_keras = right(found.model.predict(data.test_images, verbose=0), data)
    assert abs(of_keras - card.keras_accuracy * card.test_images) <= max(1, len(data.test_labels) // 1000)


@pytest.mark.parametrize("neurons", NEURONS)
def test_a_file_for_digits_is_as_accurate_as_its_card_says(neurons, digits):
    check_card(f"digits_{neurons}", digits)


@pytest.mark.extended
@pytest.mark.parametrize("name", OF_FASHION)
def test_a_file_for_fashion_mnist_is_as_accurate_as_its_card_says(name):
    if not setting.FASHION_MNIST.exists():
        pytest.skip(f"no {setting.FASHION_MNIST}: Debian's dataset-fashion-mnist")
    check_card(name, load_images("fashion_mnist", data_dir=setting.FASHION_MNIST))


def test_there_is_a_file_for_every_set_and_kind_of_neuron_and_all_are_below_a_megabyte():
    assert set(PRETRAINED) == {f"{data}_{neurons}" for data in SETS for neurons in NEURONS}
    assert sum(path.stat().st_size for path in TRAINED.iterdir()) < MEGABYTE
    assert {path.suffix for path in TRAINED.iterdir()} == {".json", ".keras", ".tflite"}


@pytest.mark.parametrize("name", PRETRAINED)
def test_hashes_and_sizes_on_the_card_are_those_of_the_files(name):
    card = json.loads((TRAINED / f"{name}.json").read_text())
    contents = {suffix: (TRAINED / f"{name}.{suffix}").read_bytes() for suffix in ("keras", "tflite")}
    assert card["sha256"] == {suffix: hashlib.sha256(content).hexdigest() for suffix, content in contents.items()}
    assert card["bytes"] == len(contents["tflite"])
    assert card["name"] == name and name in card["command"]


@pytest.mark.parametrize("neurons", ["ternary", "relu"])
def test_a_file_is_exact_and_is_the_models(neurons, digits):
    found = pretrained(f"digits_{neurons}")
    report = verify(found.model, found.tflite_bytes, digits.test_images[:20])
    assert report.exact
    assert report.agreement.share >= 0.95


def test_a_card_is_printed_line_by_line_and_is_its_json():
    card = read_pretrained(TRAINED, "digits_ternary").card
    text = str(card)
    assert text.startswith("digits_ternary\n")
    for expected in (f"{card.accuracy:.2%} of 450 test images", "{-1, 0, 1}, 2 timesteps", card.sha256["tflite"]):
        assert expected in text
    assert card.to_dict() == json.loads((TRAINED / "digits_ternary.json").read_text())


def test_another_name_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"`name` must be one of digits_binary, .*Received: name='mnist'"):
        pretrained("mnist")
