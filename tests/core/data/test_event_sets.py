"""Event sets from small files in the formats of their authors, read by tonic; the cache and the split."""

import re
import struct
import zipfile

import flatbuffers
import numpy as np
import pytest

from keras_ternary_spike.data import event_frames, load_events, split_by_class

tonic = pytest.importorskip("tonic", reason="tonic is not installed: pip install 'keras-ternary-spike[events]'")


@pytest.fixture(autouse=True)
def any_number_of_files_is_all(monkeypatch):
    """tonic takes a folder of fewer files than the set has for a broken download."""
    monkeypatch.setattr(tonic.dataset.Dataset, "_folder_contains_at_least_n_files_of_type", lambda *arguments: True)


def events(rng, count, sensor):
    """Columns (x, y, t, p), sorted by time."""
    columns = [rng.integers(0, sensor[1], count), rng.integers(0, sensor[0], count)]
    return np.stack([*columns, np.sort(rng.integers(0, 300_000, count)), rng.integers(0, 2, count)], axis=1)


def empty_archive(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    zipfile.ZipFile(path, "w").close()


def write_n_mnist(folder, rng):
    """Five bytes an event: x, y, and polarity in the highest bit of 23 bits of time."""
    written = {}
    for split, labels in (("Train", (0, 7, 7)), ("Test", (3,))):
        empty_archive(folder / "NMNIST" / f"{split.lower()}.zip")
        for number, label in enumerate(labels):
            path = folder / "NMNIST" / split / str(label) / f"{number:05}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = events(rng, 50, (34, 34))
            rows = [bytes([x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255]) for x, y, t, p in stream.tolist()]
            path.write_bytes(b"".join(rows))
            written[split, number] = (stream, label)
    return written


def test_n_mnist_is_read_from_its_files_and_then_from_the_cache(rng, tmp_path):
    written = write_n_mnist(tmp_path, rng)
    data = load_events("n_mnist", data_dir=tmp_path, timesteps=3)
    assert data.train_labels.tolist() == [0, 7, 7] and data.test_labels.tolist() == [3]
    for number in range(3):
        made = event_frames(written["Train", number][0], sensor=(34, 34), timesteps=3)
        np.testing.assert_array_equal(data.train_images[number], made)

    for path in tmp_path.glob("NMNIST/*/*/*.bin"):
        path.unlink()
    again = load_events("n_mnist", data_dir=tmp_path, timesteps=3)
    np.testing.assert_array_equal(again.train_images, data.train_images)
    assert len([*(tmp_path / "frames").iterdir()]) == 2


def test_dvs_gesture_is_read_from_its_files(rng, tmp_path):
    """Columns x, y, p, t in milliseconds, one file a gesture, named after it."""
    streams = {}
    for split in ("Train", "Test"):
        empty_archive(tmp_path / "DVSGesture" / f"ibmGesture{split}.tar.gz")
        folder = tmp_path / "DVSGesture" / f"ibmGesture{split}" / "user01_led"
        folder.mkdir(parents=True)
        streams[split] = events(rng, 60, (128, 128))
        np.save(folder / "4.npy", streams[split][:, [0, 1, 3, 2]].astype(np.int64))
    data = load_events("dvs_gesture", data_dir=tmp_path, timesteps=4, size=(32, 32), frames="sign")
    made = event_frames(streams["Test"], sensor=(128, 128), timesteps=4, size=(32, 32), frames="sign")
    np.testing.assert_array_equal(data.test_images, made[None])
    assert data.test_labels.tolist() == [4]


def test_shd_is_read_from_its_files(rng, tmp_path):
    h5py = pytest.importorskip("h5py")
    units = rng.integers(0, 700, 40)
    for split in ("train", "test"):
        empty_archive(tmp_path / "SHD" / f"shd_{split}.h5.zip")
        with h5py.File(tmp_path / "SHD" / f"shd_{split}.h5", "w") as file:
            times = file.create_dataset("spikes/times", (1,), h5py.vlen_dtype(np.float16))
            times[0] = np.linspace(0, 1, 40)
            file.create_dataset("spikes/units", (1,), h5py.vlen_dtype(np.uint16))[0] = units
            file["labels"], file["extra/keys"], file["extra/speaker"] = [11], [b"zero"], [2]
    data = load_events("shd", data_dir=tmp_path, timesteps=1)
    assert data.train_images.shape == (1, 1, 1, 700, 1) and data.train_labels.tolist() == [11]
    assert np.flatnonzero(data.train_images).tolist() == sorted({*units.tolist()})


def aedat4(stream):
    """A file of one packet: a line, a header that describes the streams in XML, then the events; both flatbuffers."""
    attributes = '<attr key="sizeX" type="int">128</attr><attr key="sizeY" type="int">128</attr>'
    kind = '<attr key="compression" type="string">NONE</attr><attr key="typeIdentifier" type="string">EVTS</attr>'
    streams = f'<node name="0" path="/0/">{kind}<node name="info" path="/0/info/">{attributes}</node></node>'
    header = flatbuffers.Builder()
    text = header.CreateString(f'<dv version="2.0"><node name="outInfo" path="/">{streams}</node></dv>')
    header.StartObject(3)
    header.PrependInt64Slot(1, -1, 0)
    header.PrependUOffsetTRelativeSlot(2, text, 0)
    header.FinishSizePrefixed(header.EndObject(), b"IOHE")

    packet = flatbuffers.Builder()
    packet.StartVector(16, len(stream), 8)
    for x, y, t, p in reversed(stream.tolist()):
        packet.Prep(8, 16)
        packet.Pad(3)
        packet.PrependBool(bool(p))
        packet.PrependInt16(y)
        packet.PrependInt16(x)
        packet.PrependInt64(t)
    vector = packet.EndVector()
    packet.StartObject(1)
    packet.PrependUOffsetTRelativeSlot(0, vector, 0)
    packet.FinishSizePrefixed(packet.EndObject(), b"EVTS")
    events = bytes(packet.Output())
    return b"#!AER-DAT4.0\r\n" + bytes(header.Output()) + struct.pack("<ii", 0, len(events)) + events


def test_cifar10_dvs_is_read_from_its_files_and_split_by_the_seed(rng, tmp_path):
    pytest.importorskip("aedat", reason="aedat is not installed: pip install 'keras-ternary-spike[events]'")
    empty_archive(tmp_path / "CIFAR10DVS" / "CIFAR10DVS.zip")
    made = {}
    for name, label in (("airplane", 0), ("truck", 9)):
        (tmp_path / "CIFAR10DVS" / name).mkdir()
        for number in range(10):
            stream = events(rng, 30, (128, 128))
            (tmp_path / "CIFAR10DVS" / name / f"cifar10_{name}_{number}.aedat4").write_bytes(aedat4(stream))
            made[event_frames(stream, sensor=(128, 128), timesteps=2, size=(48, 48)).tobytes()] = label
    options = {"data_dir": tmp_path, "timesteps": 2, "size": (48, 48), "test_share": 0.2}
    data = load_events("cifar10_dvs", **options)
    images, labels = [*data.train_images, *data.test_images], [*data.train_labels, *data.test_labels]
    assert {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)} == made
    assert data.train_images.shape == (16, 2, 48, 48, 1) and sorted(data.test_labels) == [0, 0, 9, 9]
    again, other = load_events("cifar10_dvs", **options), load_events("cifar10_dvs", seed=1, **options)
    np.testing.assert_array_equal(again.test_images, data.test_images)
    assert not np.array_equal(other.test_images, data.test_images)


@pytest.mark.parametrize(("name", "kind"), [("n_mnist", "NMNIST"), ("cifar10_dvs", "CIFAR10DVS")])
def test_a_set_that_is_not_there_comes_with_the_command_that_downloads_it(tmp_path, name, kind):
    split = ", train=True" if name == "n_mnist" else ""
    command = f"python -c \"import tonic; tonic.datasets.{kind}('{tmp_path}'{split})\""
    with pytest.raises(FileNotFoundError, match=re.escape(command)):
        load_events(name, data_dir=tmp_path, timesteps=2)


def test_an_unknown_event_set_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"one of n_mnist, dvs_gesture, cifar10_dvs, shd\. Received: 'nmnist'"):
        load_events("nmnist", data_dir=tmp_path, timesteps=2)


def test_a_split_takes_the_same_share_of_every_class_and_every_sample_once():
    labels = np.repeat([3, 5, 9], [10, 20, 30])
    train, test = split_by_class(labels, test_share=0.1, seed=0)
    assert sorted([*train, *test]) == list(range(60))
    assert np.bincount(labels[test])[[3, 5, 9]].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("labels", "share", "message"),
    [([0, 0, 1], 0.5, "at least two samples.*1 of class 1"), ([0, 0], 1.0, "`test_share` must lie between 0 and 1")],
)
def test_a_split_of_too_little_is_refused(labels, share, message):
    with pytest.raises(ValueError, match=message):
        split_by_class(np.array(labels), test_share=share, seed=0)
