"""What a .keras file must be before Keras loads it: anybody may have written it, and 75 kB may ask for any memory."""

from __future__ import annotations

import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

CONFIG = "config.json"
WEIGHTS = ".h5"
LARGEST_CONFIG = 2**25  # bytes; a network of 1,000 layers has less than 2 MiB
LARGEST_EXPANSION = 20  # times what is stored: zipped weights take about 0.9 of their size
SPARE = 2**20  # bytes that may be zipped to nothing
DEEPEST = 100  # brackets inside brackets; Keras's own networks have about 20
LONGEST_NUMBER = 40  # characters
LARGEST_NUMBER = 2**63  # in a config, seeds of random numbers for example
LARGEST_SHAPE = 2**28  # elements of an input
SIZES = ("units", "filters", "input_dim", "output_dim")  # each is the length of a weight that the file must hold
SHAPE = "shape"
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
LONG_NUMBER = re.compile(rf"[-+.\deE]{{{LONGEST_NUMBER},}}")


def check_keras_file(path: Path) -> None:
    """Raises ValueError, naming the file and the rule, unless loading takes about the memory that the file takes."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_member(member)
            weights = sum(_weights(archive, member) for member in archive.infolist() if _is_weights(member))
            _check_config(archive.read(CONFIG), weights)
    except (KeyError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Cannot load {path}: {reason}. It is damaged, or no .keras file: save it again.") from error


def _check_member(member: zipfile.ZipInfo) -> None:
    if member.flag_bits & 1:
        raise ValueError(f"{member.filename!r} is encrypted")
    if member.file_size > LARGEST_EXPANSION * member.compress_size + SPARE:
        raise ValueError(
            f"{member.filename!r} must not grow more than {LARGEST_EXPANSION} times. "
            f"Received: {member.compress_size:,} bytes for {member.file_size:,}"
        )


def _is_weights(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(WEIGHTS)


def _weights(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """How many numbers a file of weights holds, if no array claims more bytes than are stored."""
    import h5py

    found: list[tuple[str, int, int]] = []

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            elements = math.prod(item.shape or ())
            if item.external or elements * item.dtype.itemsize > LARGEST_EXPANSION * item.id.get_storage_size() + SPARE:
                raise ValueError(
                    f"Weights {name!r} of shape {item.shape} must be stored in the file. "
                    f"Received: {item.id.get_storage_size():,} bytes"
                )
            found.append((name, elements, item.dtype.itemsize))

    with archive.open(member) as stream, h5py.File(stream, "r") as file:
        file.visititems(note)
    if sum(elements * size for _, elements, size in found) > LARGEST_EXPANSION * member.file_size + SPARE:
        raise ValueError(f"Weights must not be larger than the file that holds them. Received: {member.filename!r}")
    return sum(elements for _, elements, _ in found)


def _check_config(data: bytes, weights: int) -> None:
    """The text first, then what is in it. weights: how many numbers the file holds."""
    if len(data) > LARGEST_CONFIG:
        raise ValueError(f"{CONFIG} must have at most {LARGEST_CONFIG:,} bytes. Received: {len(data):,}")
    text = STRING.sub('""', data.decode())
    if (depth := _depth(text)) > DEEPEST:
        raise ValueError(f"{CONFIG} must be nested at most {DEEPEST} deep. Received: {depth}")
    if LONG_NUMBER.search(text):
        raise ValueError(f"Numbers of {CONFIG} must be shorter than {LONGEST_NUMBER} characters.")
    for key, value in _numbers(json.loads(data)):
        largest = max(weights, 1) if key in SIZES else LARGEST_SHAPE if key.endswith(SHAPE) else LARGEST_NUMBER
        if abs(value) > largest:
            raise ValueError(
                f"`{key}` in {CONFIG} must be at most {largest}: the file has {weights} weights. Received: {value}"
            )


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _numbers(value: object, key: str = "") -> Iterator[tuple[str, int]]:
    """Every integer with the key under which it stands; of a shape the product."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, name)
    elif isinstance(value, list) and key.endswith(SHAPE):
        yield key, math.prod(size for size in value if isinstance(size, int))
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value
