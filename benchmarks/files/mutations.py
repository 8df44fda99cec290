"""Damaged files: bits flipped, ends cut off, bytes moved, and any field of a .tflite file's tables changed."""

import io
import json
import struct
import zipfile

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

NUMBERS = (0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 1000, 2**15, 2**16, 2**20, 2**30, 2**31 - 1, -(2**31), 2**31, 2**62)
SCALES = (0.0, -1.0, 1e-45, 1e-30, 1e-12, 1e-7, 1e-3, 0.5, 2.0, 300.0, 1e6, 1e30, np.inf, np.nan)
TEXTS = (b"", b"\xff\xfe", b"a\nb", b"\x1b[31mred", "\u202eexe".encode(), b"x" * 5000)
FEW = 8  # bits, bytes


def flipped(rng, data):
    """Up to FEW bits are others."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, FEW + 1)):
        changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
    return bytes(changed)


def truncated(rng, data):
    return data[: rng.integers(len(data))]


def moved(rng, data):
    """Some bytes are taken out, written twice, or written over others."""
    start, end = np.sort(rng.integers(len(data), size=2))
    start = max(start, end - 200)
    place = rng.integers(len(data))
    return (
        data[:start] + data[end:],
        data[:end] + data[start:],
        data[:place] + data[start:end] + data[place + end - start :],
    )[rng.integers(3)]


def edited(rng, data):
    """A .tflite file in which one field of one table has another value."""
    while True:
        model = schema.ModelT.InitFromPackedBuf(data)
        places = _places(model)
        table, name = places[rng.integers(len(places))]
        setattr(table, name, _other(rng, getattr(table, name), name))
        try:
            builder = flatbuffers.Builder(1024)
            builder.Finish(model.Pack(builder), b"TFL3")
            return bytes(builder.Output())
        except (struct.error, TypeError, AttributeError, OverflowError, ValueError):
            continue  # a value that the field cannot hold


def _places(table):
    """Every (table, field) below `table`; large data counts as one field."""
    found = []
    for name, value in vars(table).items():
        found.append((table, name))
        for part in value if isinstance(value, list) else [value]:
            found += _places(part) if hasattr(part, "Pack") else []
    return found


def _other(rng, value, name):
    if isinstance(value, np.ndarray) and value.size:
        return _other_array(rng, value)
    if isinstance(value, list) and value:
        return _other_list(rng, value)
    if isinstance(value, bytes | str):
        return TEXTS[rng.integers(len(TEXTS))]
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, int | np.integer):
        near = [value + 1, value - 1, value * 2, value // 2]
        return int(rng.choice([*near, *NUMBERS])) if rng.random() < 0.9 else 0
    if isinstance(value, float):
        return float(rng.choice(SCALES))
    return None if value is not None else int(rng.choice(NUMBERS[:8]))


def _other_array(rng, values):
    """One entry is another, or the array is longer, shorter, empty or gone."""
    values, how = values.copy(), rng.random()
    if how < 0.6:
        numbers = SCALES if values.dtype.kind == "f" else NUMBERS
        number = numbers[rng.integers(len(numbers))]
        if values.dtype.kind != "f":
            number = number if rng.random() < 0.5 else int(values.flat[0]) + int(rng.integers(-2, 3))
            information = np.iinfo(values.dtype)
            number = int(np.clip(number, information.min, information.max))
        values[rng.integers(values.size)] = number
        return values
    if how < 0.7:
        return np.full_like(values, values[rng.integers(values.size)])
    if how < 0.8:
        return np.concatenate([values, values[-1:]])
    return values[:-1] if how < 0.9 else None


def _other_list(rng, values):
    """Entries swapped, doubled, left out, or all gone."""
    values, one, two = list(values), *rng.integers(len(values), size=2)
    how = rng.integers(4)
    if how == 0:
        values[one], values[two] = values[two], values[one]
    elif how == 1:
        values[one] = values[two]
    elif how == 2:
        del values[one]
    else:
        return None
    return values


def rezipped(rng, data):
    """A .keras file in which one member is damaged, with the right checksum: what its readers must notice."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        names = old.namelist()
        chosen = names[rng.integers(len(names))]
        for name in names:
            content = old.read(name)
            if name == chosen:
                how = (_json_edited, _json_edited, flipped, moved) if name.endswith(".json") else (flipped, moved)
                content = how[rng.integers(len(how))](rng, content)
            new.writestr(name, content)
    return stream.getvalue()


def _json_edited(rng, data):
    """One value of a JSON text is another."""
    whole = json.loads(data)
    places = _json_places(whole)
    holder, key = places[rng.integers(len(places))]
    values = (None, True, 0, -1, 1.5, 10**9, 2**40, 1e300, "", "\x1b[31m", [], {}, [[[1]]], "float16", "complex64")
    holder[key] = values[rng.integers(len(values))]
    return json.dumps(whole).encode()


def _json_places(value):
    """Every (list or dict, key) inside."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *_json_places(value[key])]]


TFLITE = (flipped, truncated, moved, edited, edited, edited, edited, edited)
KERAS = (flipped, truncated, moved, *[rezipped] * 7)
BYTES = (flipped, truncated, moved)
