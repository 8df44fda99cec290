"""Event recordings of the field, read by tonic (the extra `events`), as cached signed polarity frames."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from .dataset import Dataset, split_by_class
from .event_frames import event_frames


@dataclass(frozen=True)
class EventSet:
    """What tonic calls it, its camera, and whether its authors split it."""

    tonic: str
    sensor: tuple[int, int]  # (height, width)
    split: bool = True


EVENT_SETS: Mapping[str, EventSet] = MappingProxyType(
    {
        "n_mnist": EventSet("NMNIST", (34, 34)),
        "dvs_gesture": EventSet("DVSGesture", (128, 128)),
        "cifar10_dvs": EventSet("CIFAR10DVS", (128, 128), split=False),
        "shd": EventSet("SHD", (1, 700)),
    }
)


def load_events(
    name: str,
    *,
    data_dir: str | Path,
    timesteps: int,
    frames: str = "count",
    size: tuple[int, int] | None = None,
    test_share: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Recordings as frames in {-1, 0, 1}, int8 `(samples, timesteps, height, width, 1)`, and their labels.

    Frames are made once, into `<data_dir>/frames`, and read from there afterwards.

    Args:
        name: "n_mnist", "dvs_gesture", "cifar10_dvs" or "shd" (one row of 700 units).
        data_dir: folder into which tonic has downloaded the set. Nothing is downloaded here.
        timesteps, frames, size: as in `event_frames`.
        test_share: of every class, where the authors give no split: cifar10_dvs. Default: 0.1.
        seed: of that split.

    Raises:
        ValueError: if the name or another argument is none of these.
        ImportError: without tonic.
        FileNotFoundError: if the set is not there. Its text has the command that downloads it.
    """
    if name not in EVENT_SETS:
        raise ValueError(f"The event set must be one of {', '.join(EVENT_SETS)}. Received: {name!r}")
    known = EVENT_SETS[name]
    how = {"timesteps": timesteps, "frames": frames, "size": size or known.sensor}
    if known.split:
        parts = [_cached(name, data_dir, {"train": train}, how) for train in (True, False)]
        return Dataset(name, *parts[0], *parts[1])
    images, labels = _cached(name, data_dir, {}, how)
    train, test = split_by_class(labels, test_share=test_share, seed=seed)
    return Dataset(name, images[train], labels[train], images[test], labels[test])


def recordings(name: str, *, data_dir: str | Path, **split: bool) -> Any:
    """tonic's dataset of a name, `(events, label)` by index; `train=True` or `False` where it is split."""
    try:
        import tonic
    except ImportError as error:
        raise ImportError(
            f"Event sets are read by tonic: pip install 'keras-ternary-spike[events]' ({error})"
        ) from error
    source = getattr(tonic.datasets, EVENT_SETS[name].tonic)
    return type(source.__name__, (source,), {"download": _refuse})(save_to=str(data_dir), **split)


def _refuse(source: Any) -> None:
    """In the place of tonic's download: gigabytes come on request only."""
    kind = type(source).__name__
    folder = Path(source.location_on_system)
    split = f", train={source.train}" if hasattr(source, "train") else ""
    raise FileNotFoundError(
        f"{kind} is not in {folder}, or less than tonic takes for all of it. To download it: "
        f"python -c \"import tonic; tonic.datasets.{kind}('{folder.parent}'{split})\""
    )


def _cached(
    name: str, data_dir: str | Path, split: dict[str, bool], how: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    height, width = how["size"]
    part = {(): "all", (True,): "train", (False,): "test"}[tuple(split.values())]
    path = Path(data_dir) / "frames" / f"{name}-{part}-{how['frames']}-{how['timesteps']}x{height}x{width}.npz"
    if not path.exists():
        images, labels = _made(recordings(name, data_dir=data_dir, **split), EVENT_SETS[name].sensor, how)
        _write(path, images=images, labels=labels)
    with np.load(path) as file:
        return file["images"], file["labels"]


def _made(source: Any, sensor: tuple[int, int], how: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """One recording after another: together their events are larger than memory."""
    images, labels = [], []
    for index in range(len(source)):
        events, label = source[index]
        images.append(event_frames(events, sensor=sensor, **how))
        labels.append(int(label))
    return np.stack(images), np.array(labels, np.int64)


def _write(path: Path, **arrays: np.ndarray) -> None:
    """All of the file or none: a process that is killed leaves no half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
        np.savez_compressed(file, **arrays)
    os.replace(file.name, path)
