"""The whole way: a trained Keras model to a file, its verdict and its folded twin."""

import hashlib

import keras
import numpy as np
import pytest
from keras import layers

from keras_models import computed
from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, fold, load, verify
from keras_ternary_spike.export.tflite import flatbuffer


def block(filters, neuron=TernaryLIF, **options):
    return [
        PerTimestep(layers.Conv2D(filters, 3, padding="same", use_bias=False)),
        PerTimestep(layers.BatchNormalization(momentum=0.9)),
        neuron(**options),
    ]


def digits_model(timesteps=2, neuron=TernaryLIF, **options):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(1 / 16),
            DirectEncoding(timesteps),
            *block(8, neuron, **options),
            PerTimestep(layers.MaxPooling2D()),
            *block(16, neuron, **options),
            PerTimestep(layers.AveragePooling2D(2)),
            *block(16, neuron, **options),
            PerTimestep(layers.GlobalAveragePooling2D()),
            PerTimestep(layers.Dense(10)),
            TimeAverage(),
            layers.Softmax(),
        ]
    )


def excited(model):
    """Makes the currents of an untrained model large enough to fire."""
    for layer in model.layers:
        if isinstance(layer, PerTimestep) and isinstance(layer.layer, layers.BatchNormalization):
            layer.layer.moving_variance.assign(np.full(layer.layer.moving_variance.shape, 0.01))
    return model


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn holds the digits")
    images, labels = datasets.load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8, 1).astype("float32"), labels


@pytest.fixture(scope="module")
def trained(digits):
    keras.utils.set_random_seed(0)
    model = digits_model()
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(*digits, batch_size=64, epochs=3, verbose=0)
    return model


@pytest.fixture(scope="module")
def tflite(trained):
    return export_tflite(trained, input_range=(0, 16))


def spikes_of(model, samples):
    """Outputs of every spiking layer, by name."""
    neurons = [layer for layer in model.layers if isinstance(layer, TernaryLIF | BinaryLIF)]
    outputs = computed(keras.Model(model.inputs, {layer.name: layer.output for layer in neurons}), samples)
    return {name: np.sign(values) for name, values in outputs.items()}


def test_trained_digits_keep_their_classes(trained, tflite, digits):
    samples, labels = digits
    expected = computed(trained, samples).argmax(axis=1)
    classes = load(tflite).predict(samples).argmax(axis=1)
    assert np.mean(expected == labels) > 0.9
    assert np.mean(classes == expected) > 0.95
    assert np.mean(classes == labels) > np.mean(expected == labels) - 0.015


def test_verdict_is_exact_on_real_images(trained, tflite, digits):
    report = verify(trained, tflite, digits[0][:50])
    assert report.exact
    assert all(0.02 < rate < 0.98 for rate in report.firing_rates.values())
    assert "softmax" in str(report)


def test_folded_model_keeps_every_spike_and_the_logits(trained, digits):
    samples = digits[0][:1000]
    folded = fold(trained)
    original, normalised = spikes_of(trained, samples), spikes_of(folded, samples)
    changed = sum(int(np.sum(original[name] != normalised[name])) for name in original)
    assert original.keys() == normalised.keys()
    assert changed <= 20  # of 1.4 million: membranes within float32 rounding of the threshold
    logits = computed(keras.Model(trained.inputs, trained.layers[-2].output), samples)
    close = np.isclose(computed(folded, samples), logits, atol=1e-4)
    assert np.mean(close) > 0.999


def test_folded_spikes_are_literal(trained, digits):
    folded = fold(trained)
    for layer in folded.layers:
        if isinstance(layer, TernaryLIF):
            output = computed(keras.Model(folded.inputs, layer.output), digits[0][:20])
            assert set(np.unique(output)) <= {-1.0, 0.0, 1.0}


def test_amplitude_that_turned_negative_stays_correct(digits):
    model = excited(digits_model())
    for layer in model.layers:
        if isinstance(layer, TernaryLIF):
            layer.cell.amplitude.assign(-0.7)
    samples = digits[0][:200]
    logits = computed(keras.Model(model.inputs, model.layers[-2].output), samples)
    np.testing.assert_allclose(computed(fold(model), samples), logits, atol=1e-4)
    tflite = export_tflite(model, input_range=(0, 16))
    assert verify(model, tflite, samples[:10]).exact
    assert np.corrcoef(load(tflite).predict(samples).ravel(), logits.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("neuron", [TernaryLIF, BinaryLIF])
@pytest.mark.parametrize("timesteps, decay, threshold", [(1, 0.25, 0.5), (3, 0.0, 1.0), (4, 0.9, 0.3), (16, 1.0, 0.5)])
def test_every_neuron_option_is_exact(digits, neuron, timesteps, decay, threshold):
    model = excited(digits_model(timesteps, neuron, decay=decay, threshold=threshold))
    report = verify(model, export_tflite(model, input_range=(0, 16)), digits[0][:4])
    assert report.exact
    assert all(rate > 0.01 for rate in report.firing_rates.values())


def test_program_of_the_file_runs_on_its_own(tflite, digits):
    predictor = load(tflite)
    program = flatbuffer.read(tflite)
    tensor = program.tensors[program.inputs[0]]
    integers = np.rint(digits[0][:5] / tensor.scale + tensor.zero_point).clip(-128, 127).astype(np.int8)
    logits = program.run(integers) * program.tensors[program.outputs[0]].scale
    np.testing.assert_allclose(predictor.predict(digits[0][:5]), logits, rtol=1e-6)


def test_saved_model_exports_to_the_same_bytes_in_another_process(python, trained, tflite, tmp_path):
    trained.save(tmp_path / "model.keras")
    code = (
        "import hashlib, keras; from keras_ternary_spike.export import export_tflite;"
        f"model = keras.saving.load_model({str(tmp_path / 'model.keras')!r});"
        "print(hashlib.sha256(export_tflite(model, input_range=(0, 16))).hexdigest())"
    )
    finished = python.run("-c", code)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip().splitlines()[-1] == hashlib.sha256(tflite).hexdigest()


def test_file_says_what_was_folded_and_from_which_weights(trained, tflite):
    metadata = flatbuffer.read(tflite).metadata
    neurons = [layer for layer in trained.layers if isinstance(layer, TernaryLIF)]
    assert [neuron["name"] for neuron in metadata["neurons"]] == [layer.name for layer in neurons]
    assert [neuron["threshold"] for neuron in metadata["neurons"]] == [0.5] * 3
    amplitudes = [float(np.asarray(layer.amplitude)) for layer in neurons]
    assert [neuron["amplitude"] for neuron in metadata["neurons"]] == pytest.approx(amplitudes)
    digest = hashlib.sha256()
    for weight in trained.get_weights():
        digest.update(repr(weight.shape).encode() + weight.tobytes())
    assert metadata["weights_sha256"] == digest.hexdigest()


def test_file_holds_integers_and_builtin_operators_only(tflite):
    program = flatbuffer.read(tflite)
    assert {tensor.dtype for tensor in program.tensors} == {"int8", "int32"}
    assert all(tensor.dtype == "int8" for tensor in program.tensors if tensor.data is None)
    assert {operator.kind for operator in program.operators} <= {
        *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "MAX_POOL_2D", "RESHAPE"),
    }


def test_depthwise_separable_chain_without_neuron_between_is_exact(digits):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            DirectEncoding(2),
            *block(6),
            PerTimestep(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)),
            PerTimestep(layers.Conv2D(12, 1)),
            PerTimestep(layers.BatchNormalization()),
            TernaryLIF(),
            TimeAverage(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    assert verify(model, export_tflite(model), digits[0][:5] / 16).exact


def test_event_sequences_export_without_an_encoding(rng):
    model = keras.Sequential(
        [
            keras.Input((5, 12)),
            layers.Dense(16),
            layers.BatchNormalization(),
            TernaryLIF(threshold=0.2),
            layers.Dense(4),
            TernaryLIF(threshold=0.2),
            TimeAverage(),
        ]
    )
    samples = rng.uniform(-1, 1, (20, 5, 12)).astype("float32")
    tflite = export_tflite(model, input_range=(-1, 1))
    assert verify(model, tflite, samples).exact
    assert load(tflite).predict(samples).shape == (20, 4)


def test_reversed_input_range_is_refused(trained):
    with pytest.raises(ValueError, match=r"`input_range` must be \(low, high\) with low < high"):
        export_tflite(trained, input_range=(1, 0))


def test_exploded_kernel_is_refused_by_layer(digits):
    model = digits_model()
    convolution = model.layers[2].layer
    convolution.kernel.assign(convolution.kernel * 1e6)
    with pytest.raises(ValueError, match=rf"'{convolution.name}'.*beyond int8's 127 by a factor of"):
        export_tflite(model, input_range=(0, 16))
