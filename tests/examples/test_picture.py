"""The picture's numbers: an axis on which accuracies differ, and times with three digits and a unit."""

import pytest

import picture
from keras_ternary_spike.export.text import duration


@pytest.mark.parametrize("say", [picture.duration, duration])
@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.00003, "0.0300 µs"),
        (0.00512, "5.12 µs"),
        (0.0591, "59.1 µs"),
        (0.1, "0.100 ms"),
        (0.212, "0.212 ms"),
        (31, "31.0 ms"),
        (1234.5, "1,234 ms"),
    ],
)
def test_times_have_three_digits_and_a_unit(say, milliseconds, text):
    assert say(milliseconds) == text


@pytest.mark.parametrize(
    ("percents", "low", "high"), [((96.7, 98.2), 95.95, 98.95), ((98.2, 98.2), 97.7, 98.7), ((5, 100), 0, 100)]
)
def test_the_axis_is_as_wide_as_the_accuracies_differ(percents, low, high):
    assert picture.accuracy_range(percents) == pytest.approx((low, high))
