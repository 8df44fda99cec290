"""Event streams as signed polarity frames in {-1, 0, 1}: the first layer, too, only adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

FIELDS = ("x", "y", "t", "p")
LAYOUT = "a structured array with fields x, t, p and, but for one row of sensors, y; or columns (x, y, t, p)"


def event_frames(
    events: np.ndarray,
    *,
    sensor: tuple[int, int],
    timesteps: int,
    frames: str = "count",
    size: tuple[int, int] | None = None,
    memory: float | None = None,
) -> np.ndarray:
    """A recording cut into `timesteps` windows of equal duration, each a frame of signs.

        count         sign(events of polarity on - events of polarity off)
        sign          the polarity of the last event in the window
        time_surface  the polarity of the last event so far, if exp(-age / memory) >= 1/e at the window's end

    An exported network takes them as they are: `export_tflite(model, input_range="int8")`.

    Args:
        events: one recording, in any order: a structured array with fields x, y, t, p, as tonic's, or columns
            `(events, 4)` in this order. p is 0 or 1, or -1 or 1; without a field y all of them lie in row 0.
        sensor: `(height, width)` of the camera, pixels.
        timesteps: Integer >= 1.
        frames: "count", "sign" or "time_surface". Default: "count".
        size: `(height, width)` of the frames; the pixels of the camera that fall on one are one. Default: sensor.
        memory: time a surface lasts, in the unit of t. Default: the duration of a window.

    Returns:
        int8 `(timesteps, height, width, 1)`; zeros, if there is no event.

    Raises:
        ValueError: if the layout, a coordinate, a polarity or an argument is not as above.
    """
    if not (isinstance(timesteps, int | np.integer) and timesteps >= 1):
        raise ValueError(f"`timesteps` must be an integer of at least 1. Received: timesteps={timesteps!r}")
    check_memory(memory)
    x, y, t, p = in_order(events, sensor, size)
    start, stop = (t[0], t[-1]) if len(t) else (0.0, 0.0)
    # The last event belongs to the last window; a recording of one moment has one window that counts.
    duration = (stop - start) / timesteps or 1.0
    window = np.minimum(((t - start) / duration).astype(np.int64), timesteps - 1)
    ends = start + duration * np.arange(1, timesteps + 1)
    shape = (timesteps, *(size or sensor))
    return _signs(frames)(window, y, x, p, t, ends, shape, duration if memory is None else memory)[..., None]


def event_windows(
    events: np.ndarray,
    *,
    sensor: tuple[int, int],
    window: float,
    frames: str = "count",
    size: tuple[int, int] | None = None,
    memory: float | None = None,
) -> Iterator[np.ndarray]:
    """A stream in windows of a fixed duration from its first event on, one frame after another, for a `StepRunner`.

    Args:
        window: duration of a frame, in the unit of t.
        events, sensor, frames, size, memory: as in `event_frames`.

    Yields:
        int8 `(height, width, 1)`, in windows without events zeros.

    Raises:
        ValueError: as `event_frames`, or if the window is not positive.
    """
    if not window > 0:
        raise ValueError(f"`window` must be positive, in the unit of t. Received: window={window}")
    check_memory(memory)
    x, y, t, p = in_order(events, sensor, size)
    index = ((t - t[:1]) // window).astype(np.int64)
    steps = int(index[-1]) + 1 if len(index) else 0
    lasts = window if memory is None else memory
    for step in range(steps):
        seen = index <= step if frames == "time_surface" else index == step
        end = np.array([t[0] + window * (step + 1)])
        frame = np.zeros(int(seen.sum()), np.int64)
        yield _signs(frames)(frame, y[seen], x[seen], p[seen], t[seen], end, (1, *(size or sensor)), lasts)[
            0, ..., None
        ]


def in_order(
    events: np.ndarray, sensor: Sequence[int], size: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x and y on the frame, t as float64 and p in {-1, 1}, sorted by time. Raises ValueError for what is no event."""
    for side, pixels in (("sensor", sensor), ("size", size)):
        if pixels is not None:
            check_pixels(side, pixels)
    x, y, t, p = _fields(events)
    for name, values, pixels in (("y", y, sensor[0]), ("x", x, sensor[1])):
        if len(values) and not (values.min() >= 0 and values.max() < pixels):
            raise ValueError(
                f"`{name}` of events must be in [0, {pixels - 1}] on a sensor of {sensor[0]}x{sensor[1]} pixels "
                f"(height x width). Received: {values.min()} to {values.max()}"
            )
    height, width = size or sensor
    order = np.argsort(t, kind="stable")
    polarity = _polarity(p)
    return ((x * width // sensor[1])[order], (y * height // sensor[0])[order], t[order], polarity[order])


def _fields(events: np.ndarray) -> tuple[np.ndarray, ...]:
    events = np.asarray(events)
    if events.dtype.names:
        if not {"x", "t", "p"} <= {*events.dtype.names}:
            raise ValueError(f"Events must be {LAYOUT}. Received: fields {', '.join(events.dtype.names)}")
        y = events["y"] if "y" in events.dtype.names else np.zeros(len(events))
        columns = (events["x"], y, events["t"], events["p"])
    elif events.ndim == 2 and events.shape[1] == len(FIELDS):
        columns = tuple(events.T)
    else:
        raise ValueError(f"Events must be {LAYOUT}. Received: an array of shape {events.shape}")
    x, y, t, p = columns
    return _whole("x", x), _whole("y", y), _finite("t", t), _whole("p", p)


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise ValueError(f"`{name}` of events must be finite numbers. Received: {values[:3]}, ... Events are {LAYOUT}")
    return values.astype(np.float64)


def _whole(name: str, values: np.ndarray) -> np.ndarray:
    numbers = _finite(name, values)
    if (numbers != np.floor(numbers)).any():
        odd = numbers[numbers != np.floor(numbers)][0]
        raise ValueError(f"`{name}` of events must be whole numbers. Received: {odd}. Events are {LAYOUT}")
    return numbers.astype(np.int64)


def check_pixels(name: str, pixels: Sequence[int]) -> None:
    """Raises ValueError unless it is (height, width)."""
    known = isinstance(pixels, Sequence) and len(pixels) == 2
    if not known or not all(isinstance(side, int | np.integer) and side >= 1 for side in pixels):
        raise ValueError(f"`{name}` must be (height, width), integers of at least 1. Received: {name}={pixels!r}")


def check_memory(memory: float | None) -> None:
    """Raises ValueError unless it is positive or None."""
    if memory is not None and not memory > 0:
        raise ValueError(f"`memory` must be positive, in the unit of t. Received: memory={memory}")


def _polarity(p: np.ndarray) -> np.ndarray:
    values = {*np.unique(p).tolist()}
    if not (values <= {0, 1} or values <= {-1, 1}):
        raise ValueError(f"`p` of events must be 0 or 1, or -1 or 1. Received: {sorted(values)[:5]}")
    return np.where(p > 0, 1, -1)


# Each of these takes, of every event, its window, y, x, p and t, sorted by time; the windows' ends, the shape of the
# result, and how long a surface lasts.


def _count(window, y, x, p, t, ends, shape, memory) -> np.ndarray:
    sums = np.zeros(shape, np.int64)
    np.add.at(sums, (window, y, x), p)
    return np.sign(sums).astype(np.int8)


def _last(window, y, x, p, t, ends, shape, memory) -> np.ndarray:
    signs = np.zeros(shape, np.int8)
    signs[window, y, x] = p  # of several events on one pixel NumPy keeps the last
    return signs


def _time_surface(window, y, x, p, t, ends, shape, memory) -> np.ndarray:
    last, sign = np.full(shape[1:], -np.inf), np.zeros(shape[1:], np.int8)
    result = np.zeros(shape, np.int8)
    for step, end in enumerate(ends):
        now = window == step
        last[y[now], x[now]], sign[y[now], x[now]] = t[now], p[now]
        result[step] = np.where(end - last <= memory, sign, 0)
    return result


FRAMES: dict[str, Callable[..., np.ndarray]] = {"count": _count, "sign": _last, "time_surface": _time_surface}


def _signs(frames: str) -> Callable[..., np.ndarray]:
    if frames not in FRAMES:
        raise ValueError(f"`frames` must be one of {', '.join(FRAMES)}. Received: frames={frames!r}")
    return FRAMES[frames]
