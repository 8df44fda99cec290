"""What the first layers tell of the samples, and what export says where they do not, or the samples are others."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, load, quantize_aware
from keras_ternary_spike.export.describe.told_ranges import rescaled_range, told_ranges

PIXELS = (0.0, 255.0)


def network(*first, shape=(6,), encode=DirectEncoding):
    """Small, with `first` behind its input."""
    keras.utils.set_random_seed(0)
    body = (encode(2), layers.Dense(8), TernaryLIF(threshold=0.1), layers.Dense(3), TimeAverage())
    return keras.Sequential([keras.Input(shape, name="x"), *first, *body], name="small")


def adapted(mean, deviation):
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(mean, deviation, (500, 6)).astype("float32"))
    return layer


@pytest.mark.parametrize(
    "scale, offset, expected",
    [
        (1 / 255, 0, PIXELS),  # to [0, 1]
        (1 / 127.5, -1, PIXELS),  # to [-1, 1]
        (1 / 255, -0.5, PIXELS),  # to [-1/2, 1/2]
        (-1 / 255, 1, PIXELS),  # to [0, 1], inverted
        (2, -1, (0.0, 1.0)),
        (0.5, 0.5, (-1.0, 1.0)),  # to [0, 1]
        (1 / 16, 0, (0.0, 16.0)),
        (-1, 0, (-1.0, 0.0)),
        ([0.1, 0.2], 0, None),  # two ranges, one input
        (0, 1, None),
    ],
)
def test_a_rescaling_tells_the_range_that_it_brings_to_one(scale, offset, expected):
    assert rescaled_range(scale, offset) == expected


@pytest.mark.parametrize("scale, offset", [(1 / 255, 0), (1 / 127.5, -1)])
def test_the_input_of_the_file_covers_what_the_rescaling_was_made_for(scale, offset):
    program = load(export_tflite(network(layers.Rescaling(scale, offset)))).program
    tensor = program.tensors[program.inputs[0]]
    low, high = (float(tensor.scale) * (end - tensor.zero_point) for end in (-128, 127))
    assert low <= 0 and high >= 254.5 and high - low < 1.02 * 255


def test_layers_that_only_hand_values_on_do_not_hide_it():
    model = network(layers.Reshape((3, 2)), layers.Flatten(), layers.Rescaling(1 / 255))
    assert told_ranges(model) == {"x": PIXELS}


def test_a_rescaling_behind_the_time_axis_tells_it_too():
    keras.utils.set_random_seed(0)
    body = (DirectEncoding(2), layers.Rescaling(1 / 255), layers.Dense(8), TernaryLIF(), TimeAverage())
    assert told_ranges(keras.Sequential([keras.Input((6,), name="x"), *body])) == {"x": PIXELS}


def test_nothing_told_is_zero_to_one():
    assert told_ranges(network()) == {"x": (0.0, 1.0)}


def test_each_of_several_inputs_has_its_own():
    image, motion = keras.Input((4,), name="image"), keras.Input((4,), name="motion")
    joined = layers.Concatenate()([layers.Rescaling(1 / 255)(image), layers.Rescaling(0.5, 0.5)(motion)])
    spikes = TernaryLIF()(layers.Dense(8)(DirectEncoding(2)(joined)))
    model = keras.Model([image, motion], TimeAverage()(layers.Dense(3)(spikes)))
    assert told_ranges(model) == {"image": PIXELS, "motion": (-1.0, 1.0)}


def test_readers_of_one_input_that_contradict_each_other_are_named():
    x = keras.Input((4,), name="x")
    joined = layers.Concatenate()([layers.Rescaling(1 / 255)(x), layers.Rescaling(1 / 16)(x)])
    model = keras.Model(x, TimeAverage()(layers.Dense(3)(TernaryLIF()(layers.Dense(8)(DirectEncoding(2)(joined))))))
    with pytest.raises(ValueError, match=r"`input_range` must be given.*'x'.*\(0.0, 16.0\) and \(0.0, 255.0\)"):
        export_tflite(model)
    assert export_tflite(model, input_range=PIXELS)


@pytest.mark.parametrize("mean, deviation", [(72.0, 90.0), (-0.3, 0.2), (0.5, 3.0)])
def test_statistics_of_other_numbers_ask_for_the_range(mean, deviation):
    with pytest.raises(ValueError, match=r"`input_range` must be given.*has seen a mean of.*Give input_range"):
        export_tflite(network(adapted(mean, deviation)))


def test_statistics_of_numbers_from_zero_to_one_do_not():
    assert told_ranges(network(adapted(0.4, 0.05))) == {"x": (0.0, 1.0)}


@pytest.mark.parametrize(
    "low, high, first",
    [(-1.0, 1.0, ()), (0.0, 255.0, ()), (0.0, 1.0, (layers.Rescaling(1 / 255),)), (-3.0, -2.0, ())],
    ids=["signed events", "pixels", "scaled twice", "below"],
)
def test_samples_unlike_a_range_that_nobody_gave_are_refused_with_theirs(low, high, first, rng):
    samples = rng.uniform(low, high, (20, 6)).astype("float32")
    with pytest.raises(ValueError, match=r"`input_range` must be given for samples like these.*Give input_range=\("):
        export_tflite(network(*first), samples=samples, verbose=0)


def test_following_the_advice_leaves_nothing_saturated(rng, recwarn):
    samples = rng.uniform(-1, 1, (20, 6)).astype("float32")
    predictor = load(export_tflite(network(), input_range=(-1, 1), samples=samples, verbose=0))
    assert not [w for w in recwarn if "saturate" in str(w.message)]
    assert float(predictor.program.tensors[predictor.program.inputs[0]].scale) == pytest.approx(2 / 255, rel=0.02)


def test_samples_beyond_a_given_range_are_warned_of_with_their_share():
    samples = np.zeros((10, 6), "float32")
    samples[:3, 0] = 2.0  # 3 of 60 values
    with pytest.warns(UserWarning, match=r"^5 % of the samples' values of input 'x' lie outside"):
        export_tflite(network(), input_range=(0, 1), samples=samples, verbose=0)


def test_integer_exact_training_takes_the_told_range():
    layer = next(
        one for one in quantize_aware(network(layers.Rescaling(1 / 255))).layers if hasattr(one, "input_range")
    )
    assert layer.input_range == PIXELS


@pytest.mark.parametrize(
    ("dtype", "expected"), [("uint8", PIXELS), ("int8", (-128.0, 127.0)), ("bool", (0.0, 1.0)), ("float16", (0.0, 1.0))]
)
def test_the_dtype_of_an_input_tells_what_it_can_hold(dtype, expected):
    model = keras.Sequential([keras.Input((4,), name="x", dtype=dtype), layers.Dense(3)])
    assert told_ranges(model) == {"x": expected}


def test_integers_of_no_told_range_are_asked_for():
    with pytest.raises(ValueError, match=r"`input_range` must be given.*'x', and it is of dtype int32"):
        told_ranges(keras.Sequential([keras.Input((4,), name="x", dtype="int32"), layers.Dense(3)]))


def test_bytes_and_truth_values_are_samples():
    for dtype, samples in (("uint8", np.arange(64) * 4), ("bool", np.arange(64) % 3 == 0)):
        samples = samples.reshape(8, 8).astype(dtype)
        model = keras.Sequential([keras.Input((8,), dtype=dtype), layers.Dense(3)])
        predicted = load(export_tflite(model, samples=samples, verbose=0)).predict(samples)
        np.testing.assert_allclose(predicted, model.predict(samples), atol=0.02 * np.ptp(predicted))
