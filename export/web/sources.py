"""Which of a browser's sources fit what a network takes: a picture to draw or film, or sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..program.names import read
from ..program.operators import Tensor, literal
from ..program.program import Program

SOURCES = ("drawing", "image", "camera", "microphone", "samples")
MFCC = (49, 10)  # frames and coefficients of a second: `keras_ternary_spike.data.mfcc`
LEAST_WAVEFORM = 4000  # samples, a quarter of a second
LEAST_PIXELS = 8 * 8  # of a vector that may be a picture


@dataclass(frozen=True)
class Picture:
    """(height, width, channels), 1 or 3 of them. events: whether pixels are signs of change.

    margin: the share of the field that samples leave free on every side.
    """

    height: int
    width: int
    channels: int
    events: bool = False
    margin: float = 0.0


@dataclass(frozen=True)
class Sound:
    """features: "mfcc" of so many frames and coefficients, or "waveform" of so many samples; at 16 kHz."""

    features: str
    frames: int = 0
    coefficients: int = 0
    samples: int = 0


@dataclass(frozen=True)
class Fitting:
    """What goes in at a time. frames: how many of them a call takes, one a timestep; 1: a still one."""

    shape: tuple[int, ...]
    frames: int = 1
    picture: Picture | None = None
    sound: Sound | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        drawn = ("drawing", "image", "camera") if self.picture else ()
        drawn = ("camera", "drawing") if self.picture and self.picture.events else drawn
        return (*drawn, *(("microphone",) if self.sound else ()), "samples")

    @property
    def shown(self) -> dict[str, int]:
        """The same as a picture, whatever it is: height, width, channels, and how many values that are."""
        height, width, channels = self._as_picture()
        return {"height": height, "width": width, "channels": channels, "size": height * width * channels}

    def to_json(self) -> dict[str, object]:
        parts = {"picture": self.picture, "sound": self.sound}
        stated = {name: None if part is None else asdict(part) for name, part in parts.items()}
        return {"frames": self.frames, "shown": self.shown, **stated}

    def _as_picture(self) -> tuple[int, int, int]:
        if self.picture is not None:
            return self.picture.height, self.picture.width, self.picture.channels
        if len(self.shape) == 3 and self.shape[-1] <= 3:
            return self.shape
        if len(self.shape) == 2:
            return (*self.shape, 1)
        values = math.prod(self.shape)
        width = next(width for width in range(min(values, 160), 0, -1) if values % width == 0)
        return values // width, width, 1


def fitting(program: Program, inputs: Sequence[int], *, sound: bool = False) -> Fitting:
    """What fits a program. inputs: the tensors of those that are no states. sound: whether it must be sound."""
    first, timesteps = program.tensors[inputs[0]], program.facts.timesteps
    frames = timesteps if is_sequence(program, first) else 1
    shape = tuple(first.shape[2:] if frames > 1 else first.shape[1:])
    if len(inputs) > 1:
        return Fitting(shape, frames)
    found = sound_of(shape, forced=sound) if frames == 1 else None
    moving = frames > 1 or program.facts.form == "step"
    return Fitting(shape, frames, None if found else picture_of(shape, events=moving and literal(first)), found)


def chosen(fit: Fitting, sources: Sequence[str] | None) -> tuple[str, ...]:
    """The sources of a page. Raises: ValueError if one that was asked for is none, or does not fit."""
    asked = fit.sources if sources is None else tuple(dict.fromkeys(sources))
    if not asked or set(asked) - set(fit.sources):
        raise ValueError(
            f"`sources` must be some of those that fit an input of shape {fit.shape}: {', '.join(fit.sources)}. "
            f"Received: {', '.join(map(str, asked)) or 'none'}"
        )
    return asked


def is_sequence(program: Program, tensor: Tensor) -> bool:
    """Whether the program cuts an input into frames, one a timestep."""
    names = (read(program.tensors[operator.output].name) for operator in program.operators)
    return any(name is not None and (name.role, name.layer) == ("frame", tensor.name) for name in names)


def sound_of(shape: tuple[int, ...], *, forced: bool = False) -> Sound | None:
    plain = shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape
    if len(plain) == 1 and (forced or plain[0] >= LEAST_WAVEFORM):
        return Sound("waveform", samples=plain[0])
    if len(plain) == 2 and (forced or plain == MFCC):
        return Sound("mfcc", frames=plain[0], coefficients=plain[1])
    return None


def picture_of(shape: tuple[int, ...], *, events: bool) -> Picture | None:
    """Of a vector a square one."""
    side = math.isqrt(math.prod(shape))
    if len(shape) == 3 and shape[-1] in (1, 3) and min(shape[:2]) > 1:
        return Picture(*shape, events=events and shape[-1] == 1)
    square = len(shape) == 1 and shape[0] >= LEAST_PIXELS and side * side == shape[0]
    return Picture(side, side, 1, events) if square or (len(shape) == 2 and shape[0] == shape[1] > 1) else None


def margin(images: np.ndarray) -> float:
    """The share of a picture that is dark on the side where least is: median of images (samples, height, width)."""
    return float(np.median([_margin(image) for image in images]))


def _margin(image: np.ndarray) -> float:
    bright = image > (int(image.min()) + int(image.max())) / 2
    rows, columns = (np.flatnonzero(bright.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return 0.0
    shares = [min(line[0], size - 1 - line[-1]) / size for line, size in zip((rows, columns), image.shape, strict=True)]
    return float(min(shares))
