"""Event frames against loops over events, and what is no event stream."""

import math

import numpy as np
import pytest

from keras_ternary_spike.data import event_frames, event_windows

FIELDS = [("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)]
SENSOR = (5, 7)
DURATION = 1200


def recording(rng, events=400):
    """Events in random order, with many on the same pixel; the first at 100, the last at 1300."""
    stream = np.zeros(events, FIELDS)
    stream["x"], stream["y"] = rng.integers(0, SENSOR[1], events), rng.integers(0, SENSOR[0], events)
    times = rng.permutation(DURATION - 1)[: events - 2] + 1
    stream["t"] = 100 + rng.permutation([0, DURATION, *times])
    stream["p"] = rng.integers(0, 2, events)
    return stream


def looped(stream, timesteps, frames, size, memory):
    """The definition, one event after another."""
    height, width = size
    first, last = min(stream["t"]), max(stream["t"])
    duration = (last - first) / timesteps
    result = np.zeros((timesteps, height, width), int)
    for step in range(timesteps):
        counts, latest = {}, {}
        for event in sorted(stream, key=lambda event: event["t"]):
            pixel = (event["y"] * height // SENSOR[0], event["x"] * width // SENSOR[1])
            window = min(int((event["t"] - first) / duration), timesteps - 1)
            if window == step or (frames == "time_surface" and window < step):
                sign = 1 if event["p"] else -1
                counts[pixel] = counts.get(pixel, 0) + sign
                latest[pixel] = (event["t"], sign)
        for pixel, (time, sign) in latest.items():
            age = first + duration * (step + 1) - time
            if frames == "count":
                result[(step, *pixel)] = (counts[pixel] > 0) - (counts[pixel] < 0)
            elif frames == "sign" or math.exp(-age / memory) >= math.exp(-1):
                result[(step, *pixel)] = sign
    return result[..., None]


@pytest.mark.parametrize("frames", ["count", "sign", "time_surface"])
@pytest.mark.parametrize(("timesteps", "size"), [(1, SENSOR), (4, SENSOR), (4, (3, 3)), (7, (2, 7))])
def test_frames_are_those_of_a_loop_over_events(rng, frames, timesteps, size):
    stream = recording(rng)
    made = event_frames(stream, sensor=SENSOR, timesteps=timesteps, frames=frames, size=size, memory=333.3)
    assert made.dtype == np.int8 and {*np.unique(made)} >= {-1, 1}
    np.testing.assert_array_equal(made, looped(stream, timesteps, frames, size, 333.3))


def test_a_surface_without_a_memory_lasts_a_window(rng):
    stream = recording(rng)
    made = event_frames(stream, sensor=SENSOR, timesteps=5, frames="time_surface")
    np.testing.assert_array_equal(made, looped(stream, 5, "time_surface", SENSOR, DURATION / 5))


@pytest.mark.parametrize("frames", ["count", "sign", "time_surface"])
def test_a_stream_in_windows_is_the_recording_in_frames(rng, frames):
    stream = recording(rng)
    stream["t"][stream["t"] == 1300] = 1299  # the end of the last window belongs to no window of a stream
    stream["t"][np.argmax(stream["t"])] = 1299
    windows = list(event_windows(stream, sensor=SENSOR, window=DURATION / 4, frames=frames))
    longer = np.concatenate([stream, np.array([(0, 0, 1300, True)], FIELDS)])
    made = event_frames(longer, sensor=SENSOR, timesteps=4, frames=frames)
    made, windows = made[:, 1:, 1:], np.stack(windows)[:, 1:, 1:]  # without the pixel of the added event
    np.testing.assert_array_equal(windows, made)


def test_windows_in_which_nothing_happens_are_zeros():
    stream = np.array([(1, 1, 0, 1), (2, 1, 35, 0)])[:, [0, 1, 2, 3]]
    windows = list(event_windows(stream, sensor=SENSOR, window=10))
    assert [int(np.abs(window).sum()) for window in windows] == [1, 0, 0, 1]
    assert windows[3][1, 2, 0] == -1


@pytest.mark.parametrize("polarities", [(0, 1), (-1, 1)])
def test_columns_and_both_ways_to_write_polarities_are_read(polarities):
    off, on = polarities
    frames = event_frames(np.array([(0, 1, 0, on), (3, 2, 9, off)]), sensor=SENSOR, timesteps=2)
    assert np.argwhere(frames == 1).tolist() == [[0, 1, 0, 0]]
    assert np.argwhere(frames == -1).tolist() == [[1, 2, 3, 0]]


def test_events_without_rows_lie_in_one_row():
    stream = np.array([(5, 699, 1)], [("t", int), ("x", int), ("p", int)])
    assert np.argwhere(event_frames(stream, sensor=(1, 700), timesteps=3)).tolist() == [[0, 0, 699, 0]]


def test_a_recording_without_events_is_zeros():
    assert not event_frames(np.zeros(0, FIELDS), sensor=SENSOR, timesteps=3).any()
    assert list(event_windows(np.zeros(0, FIELDS), sensor=SENSOR, window=3)) == []


@pytest.mark.parametrize(
    ("stream", "options", "message"),
    [
        (np.zeros((4, 3)), {}, r"columns \(x, y, t, p\)\. Received: an array of shape \(4, 3\)"),
        (np.zeros(4, [("x", int), ("time", int)]), {}, "Received: fields x, time"),
        (np.array([(7, 0, 0, 1)]), {}, r"`x` of events must be in \[0, 6\].*Received: 7 to 7"),
        (np.array([(0, -1, 0, 1)]), {}, r"`y` of events must be in \[0, 4\].*Received: -1 to -1"),
        (np.array([(0, 0, 0, 2)]), {}, r"`p` of events.*Received: \[2\]"),
        (np.array([(0.5, 0, 0, 1)]), {}, r"`x` of events must be whole numbers\. Received: 0\.5"),
        (np.array([(0, 0, 0, 0.5)]), {}, r"`p` of events must be whole numbers"),
        (np.array([(0, 0, np.nan, 1)]), {}, r"`t` of events must be finite numbers\. Received: \[nan\]"),
        (np.array([("0", "0", "0", "1")]), {}, "`x` of events must be finite numbers"),
        (np.zeros((1, 4)), {"size": 3}, r"`size` must be \(height, width\).*Received: size=3"),
        (np.zeros((1, 4)), {"size": (0, 3)}, r"`size` must be.*Received: size=\(0, 3\)"),
        (np.zeros((1, 4)), {"sensor": (5, 7, 1)}, r"`sensor` must be.*Received: sensor=\(5, 7, 1\)"),
        (np.zeros((1, 4)), {"memory": 0}, "`memory` must be positive, in the unit of t. Received: memory=0"),
        (np.zeros((1, 4)), {"frames": "mean"}, "one of count, sign, time_surface. Received: frames='mean'"),
        (np.zeros((1, 4)), {"timesteps": 0}, "`timesteps` must be an integer of at least 1"),
    ],
    ids=[
        *("three columns", "other fields", "x", "y", "p", "half an x", "half a p", "no time", "texts"),
        *("a size", "no rows", "a third side", "memory", "frames", "timesteps"),
    ],
)
def test_what_is_no_event_stream_is_refused(stream, options, message):
    with pytest.raises(ValueError, match=message):
        event_frames(stream, **{"sensor": SENSOR, "timesteps": 2, **options})


def test_a_window_of_no_duration_is_refused(rng):
    with pytest.raises(ValueError, match="`window` must be positive"):
        next(event_windows(recording(rng), sensor=SENSOR, window=0))


def test_a_stream_without_times_is_refused(rng):
    stream = np.array([(0, 0, 1.0, 1), (0, 0, np.nan, 1)])
    with pytest.raises(ValueError, match="`t` of events must be finite"):
        next(event_windows(stream, sensor=SENSOR, window=1))
