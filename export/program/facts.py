"""What a file says of itself beside its tensors: read from JSON, and written to it, here alone."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

FORMS, RESETS = ("unrolled", "step"), ("zero", "subtract", "none")
FRACTION = re.compile(r"\d{1,6}(/[1-9]\d{0,5})?")
LARGEST_COUNT = 10**6  # of timesteps, channels and steps: larger ones are no facts

# How versions before the key "flipped" said it, in English: of all channels, or of some, not saying which.
OLD_NOTE = re.compile(r"(?P<which>All|Some) channels of (?P<layer>'.*'|\".*\") spike with the opposite sign", re.DOTALL)

Flipped = Literal["none", "all", "some"] | tuple[int, ...]
Range = tuple[float, float]


@dataclass(frozen=True)
class NeuronFacts:
    """One spiking layer.

    decay: in integers, one fraction or one per channel; trained_decay: the Keras layer's; None
        where no timestep follows.
    steps_per_unit: steps of the membrane that are worth twice the threshold: odd.
    levels: the values that a spike takes.
    reset: "zero", "subtract" or "none"; reset_steps: what "subtract" takes off.
    threshold, amplitude: what folding removed, the smallest and the largest of the channels; None: not stated.
    flipped: the channels that spike with the opposite sign of the Keras layer: "none", "all", indices along the last
        axis, or "some", where an old file does not say which.
    """

    name: str
    decay: Fraction | tuple[Fraction, ...]
    steps_per_unit: int
    levels: tuple[int, ...] = (-1, 0, 1)
    reset: str = "zero"
    reset_steps: Fraction = Fraction(0)
    trained_decay: float | tuple[float, ...] | None = None
    threshold: Range | None = None
    amplitude: Range | None = None
    flipped: Flipped = "none"

    @property
    def signed(self) -> bool:
        return -1 in self.levels

    def to_json(self) -> dict[str, object]:
        """As files have it: what is not stated is left out."""
        return {
            "name": self.name,
            "levels": list(self.levels),
            **({} if self.trained_decay is None else {"trained_decay": _numbers_json(self.trained_decay)}),
            "decay": str(self.decay) if isinstance(self.decay, Fraction) else [str(decay) for decay in self.decay],
            "steps_per_unit": self.steps_per_unit,
            "reset": self.reset,
            **({"reset_steps": str(self.reset_steps)} if self.reset == "subtract" else {}),
            **({} if self.threshold is None else {"threshold": _extent_json(*self.threshold)}),
            **({} if self.amplitude is None else {"amplitude": _extent_json(*self.amplitude)}),
            **({} if self.flipped == "none" else {"flipped": _flipped_json(self.flipped)}),
        }


@dataclass(frozen=True)
class Facts:
    """The metadata of a file.

    input_range: of the only input, or of each by name. weights_sha256: of the Keras model's weights.
    guessed_outputs: the outputs whose ranges were taken from noise, by name.
    window: of a stream, how many of the last timesteps an average over time is of; None: of all since the reset.
    any_length: whether the number of timesteps is unknown, and `timesteps` only stands for it.
    endless: the layers that are no neurons whose states hold after any number of steps: of all others sums over time.
    """

    network: str = ""
    timesteps: int = 1
    form: str = "unrolled"
    input_range: Range | Mapping[str, Range] | None = None
    neurons: tuple[NeuronFacts, ...] = ()
    guessed_outputs: tuple[str, ...] = ()
    endless: tuple[str, ...] = ()
    window: int | None = None
    any_length: bool = False
    notes: tuple[str, ...] = ()
    weights_sha256: str | None = None

    def to_json(self) -> dict[str, object]:
        """Only dicts, lists, strings and numbers, in the order in which files have them."""
        ranges = self.input_range
        stated = {name: list(limits) for name, limits in ranges.items()} if isinstance(ranges, Mapping) else ranges
        return {
            "network": self.network,
            "timesteps": self.timesteps,
            "form": self.form,
            **({} if stated is None else {"input_range": list(stated) if isinstance(stated, tuple) else stated}),
            "neurons": [neuron.to_json() for neuron in self.neurons],
            **({"guessed_outputs": list(self.guessed_outputs)} if self.guessed_outputs else {}),
            **({"endless": list(self.endless)} if self.endless else {}),
            **({} if self.window is None else {"window": self.window}),
            **({"any_length": True} if self.any_length else {}),
            "notes": list(self.notes),
            **({} if self.weights_sha256 is None else {"weights_sha256": self.weights_sha256}),
        }

    @classmethod
    def from_json(cls, metadata: object) -> Facts:
        """Of any file's metadata. What it does not state has its default.

        Raises: ValueError, naming the key, if a value is not of its type.
        """
        read = _Reader(metadata, "metadata")
        notes = tuple(read.items("notes", _text))
        neurons = tuple(read.items("neurons", lambda value, key: _neuron(value, key, notes)))
        names = [neuron.name for neuron in neurons]
        if len(set(names)) < len(names):
            raise wrong("neurons", "layers of different names", names)
        return cls(
            network=read.get("network", _text, ""),
            timesteps=read.get("timesteps", _positive, 1),
            form=read.get("form", _one_of(FORMS), "unrolled"),
            input_range=read.get("input_range", _ranges, None),
            neurons=neurons,
            guessed_outputs=tuple(read.items("guessed_outputs", _text)),
            endless=tuple(read.items("endless", _text)),
            window=read.get("window", _positive, None),
            any_length=read.get("any_length", _boolean, False),
            notes=notes,
            weights_sha256=read.get("weights_sha256", _text, None),
        )


def flipped_by_notes(notes: Sequence[str], layer: str) -> Flipped:
    """What the notes of an old file say of a layer."""
    found = [OLD_NOTE.match(note) for note in notes]
    which = {match["which"] for match in found if match and match["layer"] == repr(layer)}
    if not which:
        return "none"
    return "all" if which == {"All"} else "some"


def wrong(key: str, rule: str, received: object) -> ValueError:
    text = repr(received)
    return ValueError(
        f"The file's metadata {key!r} must be {rule}. Received: {text if len(text) <= 80 else text[:80] + '...'}. "
        "Export the model again."
    )


def _neuron(value: object, key: str, notes: Sequence[str]) -> NeuronFacts:
    read = _Reader(value, key)
    name = read.get("name", _text)
    return NeuronFacts(
        name=name,
        decay=read.get("decay", _decay),
        steps_per_unit=read.get("steps_per_unit", _odd),
        levels=tuple(read.items("levels", _integer)) or (-1, 0, 1),
        reset=read.get("reset", _one_of(RESETS), "zero"),
        reset_steps=read.get("reset_steps", _fraction, Fraction(0)),
        trained_decay=read.get("trained_decay", _one_or_several, None),
        threshold=read.get("threshold", _extent, None),
        amplitude=read.get("amplitude", _extent, None),
        flipped=read.get("flipped", _flipped, flipped_by_notes(notes, name)),
    )


class _Reader:
    """The values of a JSON object, each checked by a function of it and of its key."""

    def __init__(self, value: object, key: str):
        if not isinstance(value, Mapping):
            raise wrong(key, "an object", value)
        self.value, self.key = value, "" if key == "metadata" else f"{key}."

    def get(self, key: str, check: Callable, *default: object):
        if key not in self.value and default:
            return default[0]
        if key not in self.value:
            raise wrong(f"{self.key}{key}", "stated", "nothing")
        return check(self.value[key], f"{self.key}{key}")

    def items(self, key: str, check: Callable) -> list:
        """Of a list; none where it is not stated."""
        values = self.value.get(key, [])
        if not isinstance(values, list | tuple):
            raise wrong(f"{self.key}{key}", "a list", values)
        return [check(value, f"{self.key}{key}[{position}]") for position, value in enumerate(values)]


def _boolean(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise wrong(key, "true or false", value)
    return value


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise wrong(key, "a string", value)
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[object, str], str]:
    def check(value: object, key: str) -> str:
        if value not in choices:
            raise wrong(key, f"one of {choices}", value)
        return value

    return check


def _integer(value: object, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > LARGEST_COUNT:
        raise wrong(key, f"an integer of at most {LARGEST_COUNT}", value)
    return value


def _positive(value: object, key: str) -> int:
    if _integer(value, key) < 1:
        raise wrong(key, "at least 1", value)
    return value


def _odd(value: object, key: str) -> int:
    if not 0 < _integer(value, key) < 256 or value % 2 == 0:
        raise wrong(key, "an odd number from 1 to 255", value)
    return value


def _number(value: object, key: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < math.inf:
        raise wrong(key, "a finite number", value)
    return value


def _one_or_several(value: object, key: str) -> float | tuple[float, ...]:
    return tuple(_number(item, key) for item in value) if isinstance(value, list) else _number(value, key)


def _extent(value: object, key: str) -> Range:
    """One number, or [smallest, largest]."""
    found = _one_or_several(value, key)
    if not isinstance(found, tuple):
        return found, found
    if len(found) != 2:
        raise wrong(key, "a number or [smallest, largest]", value)
    return found


def _ranges(value: object, key: str) -> Range | dict[str, Range]:
    if isinstance(value, Mapping):
        return {name: _range(limits, f"{key}.{name}") for name, limits in value.items()}
    return _range(value, key)


def _range(value: object, key: str) -> Range:
    found = _extent(value, key)
    if not found[0] < found[1]:
        raise wrong(key, "[low, high] with low < high", value)
    return found


def _fraction(value: object, key: str) -> Fraction:
    if not isinstance(value, str) or not FRACTION.fullmatch(value):
        raise wrong(key, 'a fraction such as "1/4"', value)
    return Fraction(value)


def _decay(value: object, key: str) -> Fraction | tuple[Fraction, ...]:
    decays = tuple(_fraction(item, key) for item in (value if isinstance(value, list) else [value]))
    if not decays or max(decays) > 1:
        raise wrong(key, "from 0 to 1, for all channels or for each", value)
    return decays if isinstance(value, list) else decays[0]


def _flipped(value: object, key: str) -> Flipped:
    if isinstance(value, bool):
        return "all" if value else "none"
    if not isinstance(value, list):
        raise wrong(key, "true or a list of channels", value)
    return tuple(_integer(channel, key) for channel in value)


def _numbers_json(values: float | tuple[float, ...]) -> object:
    return list(values) if isinstance(values, tuple) else values


def _extent_json(low: float, high: float) -> object:
    return low if low == high else [low, high]


def _flipped_json(flipped: Flipped) -> object:
    return list(flipped) if isinstance(flipped, tuple) else True
