"""Integer-exact training: the model's integers are those of its file, before and after training."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed
from keras_ternary_spike import BinaryLIF, DirectEncoding, MultiLevelLIF, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.backend import gradient
from keras_ternary_spike.exact import ExactDense, ExactLIF
from keras_ternary_spike.exact.rounding import Rounding
from keras_ternary_spike.export import export_tflite, fold, load, quantize_aware, verify
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.exact_training.layers import rounding_to
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer
from keras_ternary_spike.export.verification.report import Agreement

P = PerTimestep
SHAPE = (8, 8, 2)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def conv(filters, size=3, **options):
    return P(layers.Conv2D(filters, size, **{"padding": "same", **options}))


def norm():
    return P(layers.BatchNormalization())


def chain(timesteps, neuron=TernaryLIF):
    """Both kinds of pooling, strides, a constant current in front."""
    body = [conv(4), norm(), neuron(), P(layers.MaxPooling2D()), conv(6, strides=2), norm(), neuron(threshold=0.7)]
    head = [P(layers.GlobalAveragePooling2D()), P(layers.Dense(5)), TimeAverage()]
    return keras.Sequential([keras.Input(SHAPE), DirectEncoding(timesteps), *body, *head])


def residual(timesteps):
    """A shortcut with an amplitude per channel, and one of bare spikes."""
    image = keras.Input(SHAPE)
    spikes = TernaryLIF(amplitude_per="channel", name="wide")(norm()(conv(4)(DirectEncoding(timesteps)(image))))
    inner = TernaryLIF()(layers.Add()([norm()(conv(4)(spikes)), spikes]))
    bare = TernaryLIF(trainable_amplitude=False)(conv(4)(inner))
    x = TernaryLIF()(layers.Add()([conv(4)(bare), bare]))
    return keras.Model(image, TimeAverage()(P(layers.Dense(5))(P(layers.Flatten())(x))))


def joined(timesteps):
    """Concatenation, separable and transposed convolutions, unequal padding, overlapping means, a sum too large."""
    image = keras.Input(SHAPE)
    first = TernaryLIF()(conv(3)(layers.Rescaling(2.0, -1.0)(DirectEncoding(timesteps)(image))))
    x = layers.Concatenate()([first, TernaryLIF(decay=0.5)(conv(4, 1)(first))])
    x = TernaryLIF()(P(layers.SeparableConv2D(5, 3, strides=2, padding="same"))(P(layers.ZeroPadding2D(1))(x)))
    x = TernaryLIF()(P(layers.Conv2DTranspose(3, 3, strides=2))(P(layers.UpSampling2D(2))(x)))
    x = P(layers.AveragePooling2D(3, strides=2))(P(layers.Cropping2D(((1, 0), (2, 1))))(x))
    return keras.Model(image, TimeAverage()(P(layers.Dense(5))(P(layers.Flatten())(x))))


def lines(timesteps):
    """A sequence of lines of pixels, grouped channels, two linear layers in a row."""
    body = [P(layers.Conv1D(8, 3, padding="causal")), TernaryLIF(), P(layers.Conv1D(8, 5, strides=2, groups=2))]
    body += [BinaryLIF(), P(layers.DepthwiseConv1D(3, depth_multiplier=2)), TernaryLIF(decay=0.0)]
    body += [P(layers.GlobalAveragePooling1D()), P(layers.Dense(7)), P(layers.Dense(5)), TernaryLIF(), TimeAverage()]
    return keras.Sequential([keras.Input((timesteps, 16, 3)), *body])


def graded(timesteps, *, signed=False, levels=4):
    """A dead zone where the file knows one, a shortcut of levels, a sum of two currents and one that is cut in runs."""
    neuron = partial(MultiLevelLIF, levels, signed=signed, threshold=0.2)
    image = keras.Input(SHAPE)
    edge = {} if signed or timesteps > 1 else {"dead_zone": 1.5}
    first = neuron(name="first", **edge)(norm()(conv(4)(DirectEncoding(timesteps)(image))))
    x = neuron(name="second")(layers.Add()([norm()(conv(4)(first)), first]))
    x = neuron(name="third")(layers.Add()([conv(4)(x), conv(4, 1)(P(layers.MaxPooling2D(3, 1, "same"))(x))]))
    return keras.Model(image, TimeAverage()(P(layers.Dense(5))(P(layers.GlobalAveragePooling2D())(x))))


MODELS = {
    "chain of 1": (chain, 1),
    "chain of 4": (chain, 4),
    "binary": (lambda timesteps: chain(timesteps, BinaryLIF), 2),
    "residual of 1": (residual, 1),
    "residual of 2": (residual, 2),
    "joined": (joined, 2),
    "lines": (lines, 6),
    "graded": (graded, 1),
    "graded, signed, of 3": (partial(graded, signed=True, levels=2), 3),
}


@pytest.fixture(params=MODELS)
def model(request, rng):
    build, timesteps = MODELS[request.param]
    return randomized(build(timesteps), rng)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Nothing is compiled: that takes longer than these tests. tests/core/exact/test_exact_layers.py compares both."""
    monkeypatch.setattr(gradient, "can_fuse", lambda: False)


def randomized(model, rng):
    """Statistics and amplitudes that make neurons fire."""
    draws = {
        "gamma": lambda size: rng.normal(0.8, 0.3, size),
        "moving_variance": lambda size: rng.uniform(0.05, 0.3, size),
        "bias": lambda size: rng.normal(0, 0.1, size),
        "amplitude": lambda size: rng.uniform(0.3, 0.9, size),
    }
    for weight in model.trainable_weights + [w for w in model.weights if w.name == "moving_variance"]:
        if weight.name in draws:
            weight.assign(draws[weight.name](weight.shape))
        elif weight.name.endswith("kernel"):
            weight.assign(2.5 * weight)
    return model


def program_of(model, **options):
    return quantize(fold_network(describe(model)), **options)


def tensors(program):
    fields = {t.name: (t.shape, t.zero_point, np.asarray(t.scale).tolist()) for t in program.tensors}
    return fields, {t.name: t.data for t in program.tensors if t.data is not None}


def assert_same_integers(program, expected):
    (fields, data), (expected_fields, expected_data) = tensors(program), tensors(expected)
    assert fields == expected_fields
    for name, values in expected_data.items():
        np.testing.assert_array_equal(data[name], values, err_msg=name)


def trained(model, rng, steps=3):
    """A few large steps towards random labels."""
    model.compile(keras.optimizers.Adam(1e-2), LOSS, metrics=["accuracy"], run_eagerly=True)
    images, labels = rng.random((16, *model.input_shape[1:]), np.float32), rng.integers(0, 5, 16)
    model.fit(images, labels, batch_size=16, epochs=steps, verbose=0)
    return images, labels


def assert_same_values(model, tflite_bytes, images):
    """Every spike and every output of the model is that of the integer program."""
    program = flatbuffer.read(tflite_bytes)
    integers = program.trace(quantize_input(program, images))
    neurons = {layer.name: layer.output for layer in model.layers if isinstance(layer, ExactLIF)}
    spikes, outputs = computed(keras.Model(model.inputs, [neurons, model.outputs[0]]), images)
    compared = 0
    for name, values in spikes.items():
        assert np.any(values), f"{name} is silent"
        for t in range(values.shape[1]):
            if f"{name}/spike/{t}" in integers:  # equal timesteps of a constant current share a tensor
                np.testing.assert_array_equal(values[:, t], integers[f"{name}/spike/{t}"], err_msg=name)
                compared += 1
    assert compared >= len(spikes)
    np.testing.assert_array_equal(outputs, load(tflite_bytes).predict(images))


def test_before_training_the_file_is_that_of_the_float_model(model):
    assert_same_integers(program_of(quantize_aware(model)), program_of(model))


def test_after_training_every_spike_and_output_is_the_files(model, rng):
    exact = quantize_aware(model)
    before = export_tflite(exact)
    images, labels = trained(exact, rng)
    tflite_bytes = export_tflite(exact)
    assert tflite_bytes != before
    assert_same_values(exact, tflite_bytes, images)
    accuracy = np.mean(load(tflite_bytes).predict(images).argmax(-1) == labels)
    assert exact.evaluate(images, labels, verbose=0)[1] == pytest.approx(accuracy, abs=1e-6)


def test_the_file_of_a_trained_model_is_the_same_on_every_runtime(rng):
    exact = quantize_aware(randomized(residual(2), rng))
    images, _ = trained(exact, rng)
    report = verify(exact, export_tflite(exact), images[:4])
    assert report.exact
    assert report.agreement == Agreement(4, 4)


def test_training_lowers_the_loss(rng):
    exact = quantize_aware(randomized(chain(2), rng))
    images, labels = trained(exact, rng, steps=1)
    losses = exact.fit(images, labels, batch_size=16, epochs=25, verbose=0).history["loss"]
    assert losses[-1] < 0.95 * losses[0]


def test_a_saved_model_has_the_same_file(rng, tmp_path):
    exact = quantize_aware(randomized(joined(2), rng), input_range=(-1, 2))
    trained(exact, rng, steps=1)
    exact.save(tmp_path / "exact.keras")
    assert export_tflite(keras.saving.load_model(tmp_path / "exact.keras")) == export_tflite(exact)


def test_weights_that_are_zero_stay_zero(rng):
    model = randomized(chain(2), rng)
    kernel = model.layers[5].layer.kernel
    kernel.assign(np.where(rng.random(kernel.shape) < 0.5, 0, kernel))
    exact = quantize_aware(model)
    trained(exact, rng)
    network = fold_network(describe(exact))
    zero = kernel.numpy() == 0
    integers = next(node.kernel for node in network.nodes if node.name == model.layers[5].layer.name)
    assert np.all(integers[zero] == 0)
    assert np.mean(integers[~zero] == 0) < 0.1


def test_the_softmax_of_the_model_stays_and_the_file_has_logits(rng):
    model = randomized(chain(2), rng)
    model.add(layers.Softmax())
    exact = quantize_aware(model)
    images = rng.random((4, *SHAPE), np.float32)
    logits = load(export_tflite(exact)).predict(images)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(computed(exact, images), expected, atol=1e-6)


def test_several_inputs_and_outputs_keep_their_names(rng):
    inputs = {name: keras.Input((6,), name=name) for name in ("left", "right")}
    left, right = (layers.Dense(8)(inputs[name]) for name in inputs)
    spikes = TernaryLIF()(DirectEncoding(2)(layers.Add()([left, right])))
    outputs = {name: TimeAverage(name=name)(P(layers.Dense(n))(spikes)) for name, n in (("a", 3), ("b", 2))}
    exact = quantize_aware(keras.Model(inputs, outputs), input_range={"left": (0, 1), "right": (-1, 1)})
    samples = {"left": rng.random((5, 6), np.float32), "right": rng.uniform(-1, 1, (5, 6)).astype("float32")}
    values, predicted = load(export_tflite(exact)).predict(samples), computed(exact, samples)
    assert sorted(predicted) == sorted(values) == ["a", "b"]
    for name in values:
        np.testing.assert_array_equal(predicted[name], values[name])


def test_folding_first_gives_the_same_integers(rng):
    model = randomized(chain(2), rng)
    expected, folded = (quantize_aware(one).get_weights() for one in (model, fold(model)))
    for left, right in zip(folded, expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


def test_a_half_precision_policy_changes_nothing(rng):
    model = randomized(chain(2), rng)
    images, expected = rng.random((4, *SHAPE), np.float32), quantize_aware(model)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        exact = quantize_aware(model)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(computed(exact, images), computed(expected, images))


def test_another_input_range_than_the_trained_one_is_refused(rng):
    exact = quantize_aware(randomized(chain(1), rng), input_range=(0, 255))
    assert program_of(exact).metadata["input_range"] == [0, 255]
    assert program_of(exact, input_range=(0, 255)).metadata["input_range"] == [0, 255]
    with pytest.raises(ValueError, match=r"input range in it. Received: input_range=\(0, 2\).*Leave `input_range` out"):
        export_tflite(exact, input_range=(0, 2))


def test_weights_that_float32_would_round_elsewhere_keep_their_integer():
    """0.5 + 1e-9 is 0.5 in float32, which rounds to 0."""
    rounding = Rounding(inverse=np.float32(1), step=np.float32(1), limit=np.float32(np.inf))
    weights = rounding_to(np.array([1.0, 0.0]), np.array([0.5 + 1e-9, 0.4]), rounding)
    np.testing.assert_array_equal(weights, np.float32([1.0, 0.4]))


def test_a_sum_that_the_file_cuts_into_runs_is_bounded_as_a_whole(rng):
    """8 * 8 pixels of at most one spike at each of 4 timesteps: int8 holds 127."""
    body = [conv(3), TernaryLIF(), P(layers.GlobalAveragePooling2D()), P(layers.Dense(5)), TimeAverage()]
    exact = quantize_aware(randomized(keras.Sequential([keras.Input(SHAPE), DirectEncoding(4), *body]), rng))
    assert [layer.input_bound for layer in exact.layers if isinstance(layer, ExactDense)] == [256]


def test_sums_that_start_at_minus_128_are_trained_as_the_numbers_they_stand_for(rng):
    """8 * 8 pixels of levels up to 3, 192: beyond int8's 127, within its 255."""
    neuron = MultiLevelLIF(3, signed=False, threshold=0.1)
    body = [conv(3), norm(), neuron, P(layers.GlobalAveragePooling2D()), P(layers.Dense(5)), TimeAverage()]
    exact = quantize_aware(randomized(keras.Sequential([keras.Input(SHAPE), DirectEncoding(1), *body]), rng))
    images, _ = trained(exact, rng)
    assert_same_values(exact, content := export_tflite(exact), images)
    (sums,) = (tensor for tensor in flatbuffer.read(content).tensors if tensor.name.endswith("/sum"))
    assert sums.zero_point == -128
