"""The folder of a sweep: one JSON for every finished point, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..user_files import write_atomically
from .config import Config
from .points import Point

CONFIGURATION = "sweep.json"
POINTS = "points"
REFERENCE = "reference.tflite"
FORMAT = 2  # of the results: one more with every column that is added or means something else


@dataclass(frozen=True)
class Folder:
    """A folder that belongs to one configuration."""

    path: Path

    def holds(self, point: Point) -> bool:
        """Whether the point is finished: its .json is written last."""
        return self._json(point).is_file()

    def read(self, point: Point) -> dict[str, Any]:
        """The result of a finished point. Raises: ValueError if somebody has changed the file."""
        path = self._json(point)
        try:
            result = json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}. Delete it to train that point again.") from error
        if not isinstance(result, dict) or result.get("point") != asdict(point):
            raise ValueError(f"{path} must hold the point {asdict(point)}. Delete it to train that point again.")
        return result

    def write(self, point: Point, result: Mapping[str, Any]) -> None:
        write_atomically(self._json(point), _json_bytes({"point": asdict(point), **result}))

    def write_model(self, point: Point, tflite_bytes: bytes) -> None:
        write_atomically(self.path / POINTS / f"{point.name}.tflite", tflite_bytes)

    def write_file(self, name: str, data: bytes) -> None:
        write_atomically(self.path / name, data)

    def reference(self, tflite_bytes: bytes) -> bytes:
        """The file that all points are timed beside: the first that was exported here."""
        path = self.path / REFERENCE
        if not path.is_file():
            write_atomically(path, tflite_bytes)
        return path.read_bytes()

    def _json(self, point: Point) -> Path:
        return self.path / POINTS / f"{point.name}.json"


def open_folder(path: Path, config: Config, *, data_sha256: str, ram: str) -> Folder:
    """Creates the folder, or opens one of the same configuration.

    Args:
        data_sha256: Of the data's values; where the file lies does not matter.
        ram: What the column of RAM holds, see `ram_source`.

    Raises: ValueError if the folder holds something else, naming the settings that differ.
    """
    settings = settings_of(config, data_sha256, ram)
    marker = path / CONFIGURATION
    if marker.is_file():
        check_same(path, read_marker(marker), settings)
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"The output must be a new or empty folder, or one of a sweep. Received: {path}")
    (path / POINTS).mkdir(parents=True, exist_ok=True)
    if not marker.is_file():
        write_atomically(marker, _json_bytes({"sha256": sha256(settings), "settings": settings}))
    return Folder(path)


def settings_of(config: Config, data_sha256: str, ram: str) -> dict[str, Any]:
    """All that results depend on, as JSON returns it, by "section.key"."""
    flat = {f"{name}.{key}": value for name, section in config.settings.items() for key, value in section.items()}
    flat |= {"data.file": None if flat["data.file"] is None else data_sha256, "ram": ram, "format": FORMAT}
    return json.loads(json.dumps(flat, default=str))


def sha256(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def read_marker(marker: Path) -> dict[str, Any]:
    try:
        found = json.loads(marker.read_bytes())
        if found["sha256"] == sha256(found["settings"]):
            return found["settings"]
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{marker} is not one of a sweep, or was changed. Give another folder with --output.")


def check_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises: ValueError naming the first setting that differs."""
    for key in sorted({*found, *wanted}):
        if found.get(key) != wanted.get(key):
            raise ValueError(
                f"{path} holds a sweep of another configuration: `{key}` was {json.dumps(found.get(key))}. "
                f"Received: {json.dumps(wanted.get(key))}. Give another folder with --output."
            )


def _json_bytes(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()
