"""Image sets: what is read, from which files, and what is refused."""

import gzip
import struct

import numpy as np
import pytest

from keras_ternary_spike.data import load_imagenet, load_images, read_idx

FILES = (("train-images-idx3", 5), ("train-labels-idx1", 5), ("t10k-images-idx3", 3), ("t10k-labels-idx1", 3))


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", length) for length in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx_folder(folder, rng, *, compressed):
    """MNIST's four files with 5 and 3 images of 4 x 6 pixels. Returns their arrays."""
    arrays = []
    for name, samples in FILES:
        shape = (samples, 4, 6) if "images" in name else (samples,)
        arrays.append(rng.integers(0, 256 if "images" in name else 10, shape))
        content = idx_bytes(arrays[-1])
        path = folder / f"{name}-ubyte"
        path = path.with_name(f"{path.name}.gz") if compressed else path
        path.write_bytes(gzip.compress(content) if compressed else content)
    return arrays


@pytest.mark.parametrize("compressed", [False, True])
def test_idx_files_are_read_plain_and_compressed(rng, tmp_path, compressed):
    arrays = write_idx_folder(tmp_path, rng, compressed=compressed)
    data = load_images("fashion_mnist", data_dir=tmp_path)
    assert data.train_images.shape == (5, 4, 6, 1)
    assert data.train_images.dtype == data.test_images.dtype == np.float32
    np.testing.assert_allclose(data.train_images[..., 0], arrays[0] / 255, atol=1e-7)
    np.testing.assert_array_equal(data.train_labels, arrays[1])
    np.testing.assert_allclose(data.test_images[..., 0], arrays[2] / 255, atol=1e-7)
    np.testing.assert_array_equal(data.test_labels, arrays[3])


def test_the_bytes_of_an_idx_file_are_big_endian_lengths_then_values(tmp_path):
    path = tmp_path / "values"
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255]))
    assert read_idx(path).tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x00\x0d\x01\x00\x00\x00\x00", "begins with 00 00 08. Received: 00 00 0d"),
        (b"PK\x03\x04", "begins with 00 00 08. Received: 50 4b 03"),
        (b"", "begins with 00 00 08"),
        (b"\x00\x00\x08\x03\x00\x00\x00\x01", "with 3 axes begins with 16 bytes. Received: 8"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x03ab", r"of shape \(3,\).*Received: 2"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x01ab", r"of shape \(1,\).*Received: 2"),
    ],
    ids=["floats", "zip", "empty", "short header", "too short", "too long"],
)
def test_a_file_that_is_no_idx_file_is_refused(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(path)


def test_a_missing_idx_file_is_named(rng, tmp_path):
    write_idx_folder(tmp_path, rng, compressed=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte\.gz"):
        load_images("fashion_mnist", data_dir=tmp_path)


def test_more_labels_than_images_are_refused(rng, tmp_path):
    write_idx_folder(tmp_path, rng, compressed=False)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(4)))
    with pytest.raises(ValueError, match=r"equally many\. Received: 3 and 4"):
        load_images("fashion_mnist", data_dir=tmp_path)


def test_the_digits_are_split_by_the_seed():
    data = load_images("digits")
    assert data.train_images.shape == (1347, 8, 8, 1)
    assert data.test_images.shape == (450, 8, 8, 1)
    assert data.train_images.min() == 0 and data.train_images.max() == 1
    assert data.classes == 10
    np.testing.assert_array_equal(data.test_images, load_images("digits", seed=0).test_images)
    assert not np.array_equal(data.test_images, load_images("digits", seed=1).test_images)


def test_the_first_samples_are_of_both_splits():
    data = load_images("digits").first(7)
    assert [len(part) for part in (data.train_images, data.train_labels, data.test_images, data.test_labels)] == [7] * 4


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"one of digits, mnist, fashion_mnist, cifar10, cifar100\. Received: 'mnits'"):
        load_images("mnits")


def prepare(name, folder, rows):
    """A set of tensorflow-datasets in its own format and features, of the rows of each split."""
    tfds = pytest.importorskip("tensorflow_datasets")
    tf = pytest.importorskip("tensorflow")
    builder = tfds.builder(name, data_dir=folder)
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version=str(builder.version),
        features=builder.info.features,
        split_datasets={split: tf.data.Dataset.from_tensor_slices(rows[split]) for split in rows},
        data_dir=folder,
    )


@pytest.mark.parametrize(("name", "label"), [("cifar10", "label"), ("cifar100", "label")])
def test_a_prepared_folder_of_tensorflow_datasets_is_read(rng, tmp_path, name, label):
    counts = {"train": 4, "test": 2}
    images = {split: rng.integers(0, 256, (samples, 32, 32, 3), np.uint8) for split, samples in counts.items()}
    labels = {split: rng.integers(0, 10, samples) for split, samples in counts.items()}
    rows = {
        split: {"id": [b""] * counts[split], "image": images[split], label: labels[split]}
        | ({"coarse_label": labels[split]} if name == "cifar100" else {})
        for split in counts
    }
    prepare(name, tmp_path, rows)
    data = load_images(name, data_dir=tmp_path)
    assert data.train_images.shape == (4, 32, 32, 3)
    for read, split in ((data.train_images, "train"), (data.test_images, "test")):
        assert sorted(map(np.sum, read)) == pytest.approx(
            sorted(image.sum() / 255 for image in images[split]), rel=1e-5
        )
    assert sorted(data.train_labels) == sorted(labels["train"])


def test_imagenet_that_is_not_there_says_what_prepares_it(tmp_path):
    with pytest.raises(OSError, match=rf"tfds build imagenet2012 --data_dir={tmp_path}"):
        load_imagenet("train", data_dir=tmp_path)
