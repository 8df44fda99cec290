"""A .keras file that asks for more than it holds is refused before Keras sees it."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from keras_ternary_spike.export.cli.keras_file import check_keras_file

CONFIG = {"config": {"layers": [{"config": {"batch_shape": [None, 4], "units": 3}}]}}


def weights(fill=None):
    """An .h5 file of 15 weights, or what `fill` puts into it."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file) if fill else file.create_dataset("layers/dense/vars/0", data=np.zeros(15, np.float32))
    return stream.getvalue()


def huge(file):
    """Chunks that nobody has written take no bytes."""
    file.create_dataset("layers/dense/vars/0", (2**30, 3), np.float32, chunks=(1024, 3))


def elsewhere(file):
    file.create_dataset("stolen", (4,), np.uint8, external=[("/etc/passwd", 0, 4)])


def many(file):
    """One array of 1 MiB, under 100 names each unwritten: together far more than the file."""
    for index in range(100):
        file.create_dataset(str(index), (2**18,), np.float32, chunks=(2**18,))


def archive(path, *, config=CONFIG, h5=None, compression=zipfile.ZIP_STORED, text=None):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("config.json", json.dumps(config) if text is None else text)
        file.writestr("model.weights.h5", weights() if h5 is None else h5)
    return path


def with_config(**values):
    return {"config": {"layers": [{"config": values}]}}


def test_a_whole_file_is_accepted(tmp_path):
    check_keras_file(archive(tmp_path / "model.keras"))
    check_keras_file(archive(tmp_path / "zipped.keras", compression=zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"h5": weights(huge)}, r"'layers/dense/vars/0' of shape \(1073741824, 3\) must be stored in the file"),
        ({"h5": weights(elsewhere)}, "'stolen' .* must be stored in the file"),
        ({"h5": weights(many)}, "must not be larger than the file"),
        ({"h5": b"damaged"}, "Cannot load"),
        ({"config": with_config(units=10**9)}, "`units` in config.json must be at most 15.*Received: 1000000000"),
        ({"config": with_config(batch_shape=[None, 2**20, 2**20])}, "`batch_shape`.*Received: 1099511627776"),
        ({"config": with_config(axis=-(10**19))}, "`axis`"),
        ({"text": '{"units": 1' + "0" * 400 + "}"}, "must be shorter than 40 characters"),
        ({"text": "[" * 10_000 + "]" * 10_000}, "nested at most 100 deep. Received: 10000"),
        ({"text": "{" + " " * 2**25 + "}", "compression": zipfile.ZIP_DEFLATED}, "must not grow more than 20 times"),
        ({"text": "{" + " " * 2**25 + "}"}, "must have at most 33,554,432 bytes"),
        ({"text": b"\xff\xfe"}, "Cannot load"),
        ({"text": "{"}, "Cannot load"),
    ],
)
def test_what_is_larger_than_its_file_is_refused(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        check_keras_file(archive(tmp_path / "model.keras", **changes))
    assert "\n" not in str(caught.value) and "save it again" in str(caught.value)


def test_brackets_inside_strings_are_no_nesting(tmp_path):
    check_keras_file(archive(tmp_path / "model.keras", config=with_config(name="[" * 1000 + '"' + "[" * 1000)))


@pytest.mark.parametrize("how", ["encrypted", "another compression", "another checksum", "without config"])
def test_damaged_members_are_refused(how, tmp_path):
    path = archive(tmp_path / "model.keras")
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    if how == "without config":
        data = data.replace(b"config.json", b"konfig.json")
    elif how == "another checksum":
        data[data.index(b"units")] ^= 1
    else:
        data[central + (8 if how == "encrypted" else 10)] = 1 if how == "encrypted" else 77
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"Cannot load .*model\.keras"):
        check_keras_file(path)
