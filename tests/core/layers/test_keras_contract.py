"""What Keras expects of every layer: configs, shapes, compiled training, mixed precision, files, and a light import."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ternary_spike import (
    ATan,
    BinaryLIF,
    BinaryLIFCell,
    DirectEncoding,
    LastTimestep,
    LeakyIntegrator,
    LeakyIntegratorCell,
    MultiLevelLIF,
    MultiLevelLIFCell,
    PerTimestep,
    RecentTimesteps,
    TernaryLIF,
    TernaryLIFCell,
    TimeAverage,
    TimeMax,
    Triangular,
)

SEQUENCE = (4, 6, 5, 3)  # timesteps, height, width, channels
LAYERS = {
    "ternary": (
        lambda: TernaryLIF(decay=0.5, threshold=1.0, surrogate=ATan(2.0), reset="subtract", detach_reset=True),
        SEQUENCE,
    ),
    "ternary last": (lambda: TernaryLIF(return_sequences=False, trainable_amplitude=False), SEQUENCE),
    "ternary initialised": (
        lambda: TernaryLIF(amplitude_initializer=keras.initializers.Constant(2.0), amplitude_constraint="non_neg"),
        SEQUENCE,
    ),
    "ternary per channel": (
        lambda: TernaryLIF(amplitude_per="channel", amplitude_initializer="random_normal"),
        SEQUENCE,
    ),
    "ternary per element": (lambda: TernaryLIF(amplitude_per="element"), SEQUENCE),
    "ternary trained": (
        lambda: TernaryLIF(trainable_threshold=True, threshold_per="channel", trainable_decay=True, snap_decay=True),
        SEQUENCE,
    ),
    "ternary per channel fixed": (lambda: TernaryLIF(threshold=[0.3, 0.5, 1.0], decay=[0.1, 0.5, 0.9]), SEQUENCE),
    "levels": (lambda: MultiLevelLIF(levels=3, reset="subtract", reset_amount=2.0, separate_bumps=True), SEQUENCE),
    "ternary backwards": (lambda: TernaryLIF(go_backwards=True, amplitude_regularizer="l2"), SEQUENCE),
    "binary": (lambda: BinaryLIF(threshold=0.25, surrogate="triangular"), SEQUENCE),
    "rnn": (lambda: keras.layers.RNN(TernaryLIFCell(decay=0.5), return_sequences=True), (4, 3)),
    "rnn levels": (lambda: keras.layers.RNN(MultiLevelLIFCell(2, trainable_decay=True)), (4, 3)),
    "rnn binary": (lambda: keras.layers.RNN(BinaryLIFCell(decay=0.5)), (4, 3)),
    "direct encoding": (lambda: DirectEncoding(3), SEQUENCE[1:]),
    "per timestep": (lambda: PerTimestep(keras.layers.Conv2D(2, 3, name="inner")), SEQUENCE),
    "time average": (lambda: TimeAverage(), SEQUENCE),
    "time max": (lambda: TimeMax(), SEQUENCE),
    "last timestep": (lambda: LastTimestep(), SEQUENCE),
    "recent timesteps": (lambda: RecentTimesteps(2), SEQUENCE),
    "integrator": (lambda: LeakyIntegrator(0.5), SEQUENCE),
    "integrator trained": (lambda: LeakyIntegrator(trainable_decay=True, snap_decay=True), SEQUENCE),
    "integrator per channel": (lambda: LeakyIntegrator([0.1, 0.5, 0.9], return_sequences=False), SEQUENCE),
    "rnn integrator": (
        lambda: keras.layers.RNN(LeakyIntegratorCell(decay_per="channel", trainable_decay=True)),
        (4, 3),
    ),
}
LOAD = """
import sys, numpy as np, keras, keras_ternary_spike
model = keras.saving.load_model(sys.argv[1] + "/model.keras")
inputs = np.load(sys.argv[1] + "/inputs.npy")
np.save(sys.argv[1] + "/outputs.npy", model.predict(inputs, verbose=0))
print("keras_ternary_spike.export" in sys.modules)
"""
EVERY_LAYER = pytest.mark.parametrize("make, features", LAYERS.values(), ids=LAYERS.keys())


def small_model(**compile_options):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            DirectEncoding(2),
            PerTimestep(keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])),
            TernaryLIF(surrogate=Triangular(2.0)),
            PerTimestep(keras.layers.Flatten()),
            keras.layers.Dense(3),
            BinaryLIF(),
            TimeAverage(),
        ]
    )
    model.compile(optimizer="sgd", loss="mse", **compile_options)
    return model


@EVERY_LAYER
def test_config_and_json_round_trip(make, features):
    layer = make()
    config = layer.get_config()
    assert type(layer).from_config(json.loads(json.dumps(config))).get_config() == config
    written = keras.saving.serialize_keras_object(layer)
    assert keras.saving.deserialize_keras_object(json.loads(json.dumps(written))).get_config() == config


@EVERY_LAYER
def test_shapes_and_dtypes_agree_everywhere(make, features, rng):
    inputs = rng.normal(size=(2, *features)).astype("float32")
    layer = make()
    eager = layer(inputs)
    known, unknown = make()(keras.Input(batch_shape=inputs.shape)), make()(keras.Input(features))
    assert known.shape == tuple(eager.shape) and known.dtype == eager.dtype.name
    assert unknown.shape == (None, *eager.shape[1:])
    assert layer.compute_output_shape(inputs.shape) == tuple(eager.shape)


@pytest.fixture(scope="module")
def trained_step():
    """By layer, the weights behind it and its own after one step: eager and compiled, all layers in one model."""
    rng, trained = np.random.default_rng(0), []
    inputs = [rng.normal(size=(4, *features)).astype("float32") for _, features in LAYERS.values()]
    for options in ({"run_eagerly": True}, {"jit_compile": False}):
        keras.utils.set_random_seed(1)
        single = [
            keras.Sequential([keras.Input(features), make(), keras.layers.Flatten(), keras.layers.Dense(1)])
            for make, features in LAYERS.values()
        ]
        outputs = keras.layers.Concatenate()([one.outputs[0] for one in single])
        model = keras.Model([one.inputs[0] for one in single], outputs)
        model.compile(keras.optimizers.SGD(0.01 * len(single)), "mse", **options)  # the loss is the mean over layers
        model.fit(inputs, np.ones((4, len(single))), batch_size=4, verbose=0)
        trained.append([one.get_weights() for one in single])
    return dict(zip(LAYERS, zip(*trained, strict=True), strict=True))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_compiled_training_step_equals_an_eager_one(layer, trained_step):
    for eager, compiled in zip(*trained_step[layer], strict=True):
        np.testing.assert_allclose(compiled, eager, atol=1e-5)


@EVERY_LAYER
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_half_and_trains_in_float32(make, features, rng, policy):
    keras.config.set_dtype_policy(policy)
    try:
        layer = make()
    finally:
        keras.config.set_dtype_policy("float32")
    with tf.GradientTape() as tape:
        outputs = layer(rng.normal(size=(2, *features)).astype("float32"))
        loss = tf.reduce_sum(tf.cast(outputs, "float32") ** 2)
    assert outputs.dtype == policy.removeprefix("mixed_")
    for weight, gradient in zip(
        layer.trainable_weights,
        tape.gradient(loss, [weight.value for weight in layer.trainable_weights]),
        strict=True,
    ):
        assert weight.dtype == "float32" and np.isfinite(gradient).all()


@EVERY_LAYER
def test_a_keras_file_round_trip_keeps_the_outputs(make, features, rng, tmp_path):
    model = keras.Sequential([keras.Input(features), make()])
    for weight in model.trainable_weights:
        weight.assign(weight * 1.5)
    model.save(tmp_path / "model.keras")
    inputs = rng.normal(size=(2, *features)).astype("float32")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(inputs), model(inputs))


def test_a_fresh_process_loads_a_trained_model_without_the_exporter(python, rng, tmp_path):
    inputs = rng.normal(size=(8, 6, 6, 1)).astype("float32")
    model = small_model()
    model.fit(inputs, np.ones((8, 3)), verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "inputs.npy", inputs)
    finished = python.run("-c", LOAD, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split()[-1] == "False"
    expected = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), expected, atol=1e-6)


def test_stateful_and_return_state_survive_a_file(rng, tmp_path):
    inputs = keras.Input(batch_shape=(2, 3, 5))
    model = keras.Model(inputs, TernaryLIF(stateful=True, return_state=True)(inputs))
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    sequences = rng.normal(size=(2, 6, 5)).astype("float32")
    for chunk in (sequences[:, :3], sequences[:, 3:]):
        for ours, expected in zip(copy(chunk), model(chunk), strict=True):
            np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(copy(sequences[:, 3:])[1], model(sequences[:, 3:])[1])


def test_initial_state_is_a_model_input(rng, tmp_path):
    sequence, state = keras.Input((3, 5)), keras.Input((5,))
    model = keras.Model([sequence, state], TernaryLIF(return_state=True)(sequence, initial_state=state))
    model.save(tmp_path / "model.keras")
    values = [rng.normal(size=(2, 3, 5)).astype("float32"), rng.normal(size=(2, 5)).astype("float32")]
    copy = keras.saving.load_model(tmp_path / "model.keras")
    for ours, expected in zip(copy(values), TernaryLIF(return_state=True)(values[0], values[1]), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_a_whole_network_learns_when_jit_compiled(rng):
    inputs = rng.normal(size=(8, 6, 6, 1)).astype("float32")
    model = small_model(jit_compile=True)
    before = [weight.numpy() for weight in model.trainable_weights]
    history = model.fit(inputs, np.ones((8, 3)), epochs=5, batch_size=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    for old, weight in zip(before, model.trainable_weights, strict=True):
        assert "batch_normalization" in weight.path or not np.array_equal(old, weight), weight.path
