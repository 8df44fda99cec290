"""Compiled and plain path: equal numbers; which of the two runs when; what a converter sees."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_ternary_spike import (
    ATan,
    BinaryLIF,
    ComplementedTernaryLIF,
    DirectEncoding,
    PerTimestep,
    TernaryLIF,
    TimeAverage,
)
from keras_ternary_spike.backend import gradient
from keras_ternary_spike.neuron.dynamics import Dynamics
from keras_ternary_spike.neuron.sequence import lif_sequence
from keras_ternary_spike.neuron.surrogate import Surrogate

FEATURES = (3, 5)
DYNAMICS = {
    "ternary": Dynamics(),
    "detached": Dynamics(detach_reset=True),
    "subtract": Dynamics(reset="subtract", reset_amount=1.5),
    "no reset": Dynamics(reset="none"),
    "binary": Dynamics(levels="binary"),
    "arctangent": Dynamics(surrogate=ATan(0.5)),
    "levels": Dynamics(levels=3),
    "separate": Dynamics(separate_bumps=True),
}


def values_and_gradients(tensors, upstream, dynamics, *, fuse):
    """Outputs, last state, and gradients of current, state and amplitude, and of decay and threshold if given."""
    current, state, amplitude, *rest = tensors
    numbers = dict(zip(("decay", "threshold"), rest or (0.25, 0.5), strict=True))
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        results = lif_sequence(current, state, amplitude=amplitude, dynamics=dynamics, fuse=fuse, **numbers)
    return [*results, *tape.gradient(results, tensors, output_gradients=upstream)]


def draw(rng, timesteps):
    """Multiples of 1/4: some membranes meet the thresholds exactly."""
    current, state = rng.integers(-6, 7, (2, timesteps, *FEATURES)) / 4, rng.integers(-6, 7, (2, *FEATURES)) / 4
    tensors = [tf.constant(value, "float32") for value in (current, state, 1.75)]
    return tensors, [tf.constant(rng.normal(size=tensor.shape), "float32") for tensor in tensors[:2]]


def calls_compiled_functions(function, *specs):
    """Whether the graph of `function` calls a function that XLA is to compile."""
    graph = tf.function(function).get_concrete_function(*specs).graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    attributes = [inner.attr for inner in graph.library.function] + [node.attr for node in nodes]
    return any(attribute["_XlaMustCompile"].b for attribute in attributes if "_XlaMustCompile" in attribute)


@pytest.mark.parametrize(
    "timesteps, dynamics, trained",
    [
        (5, "ternary", [0.25, 0.4]),
        (1, "ternary", []),
        (2, "detached", []),
        (5, "subtract", [0.3, [0.3, 0.4, 0.6, 0.7, 0.9]]),
        (5, "no reset", [[0.1, 0.3, 0.5, 0.7, 0.9], 0.4]),
        (2, "binary", []),
        (2, "arctangent", []),
        (2, "levels", [0.25, 0.4]),
        (5, "separate", [0.25, 0.4]),
    ],
)
def test_compiled_path_equals_the_plain_one(rng, timesteps, dynamics, trained):
    dynamics = DYNAMICS[dynamics]
    tensors, upstream = draw(rng, timesteps)
    tensors += [tf.constant(value) for value in trained]
    compiled, plain = (values_and_gradients(tensors, upstream, dynamics, fuse=fuse) for fuse in (True, False))
    assert len(compiled) == len(plain) == 5 + len(trained)
    for ours, expected in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("timesteps, fuse", [(1, False), (5, False), (5, True)])
def test_no_state_equals_zeros(rng, timesteps, fuse):
    (current, state, amplitude), upstream = draw(rng, timesteps)
    results = []
    for given in ([tf.zeros_like(state)], []):
        tensors = [current, amplitude, tf.constant(0.25)]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs, _ = lif_sequence(
                current, *given, amplitude=amplitude, decay=tensors[2], return_state=not given, fuse=fuse
            )
        results.append([outputs, *tape.gradient(outputs, tensors, output_gradients=upstream[0])])
    for zeros, nothing in zip(*results, strict=True):
        np.testing.assert_allclose(zeros, nothing, rtol=1e-5, atol=1e-5)


def test_compiled_functions_nest(rng):
    tensors, upstream = draw(rng, 5)
    compute = tf.function(lambda: values_and_gradients(tensors, upstream, Dynamics(), fuse=True), jit_compile=True)
    plain = values_and_gradients(tensors, upstream, Dynamics(), fuse=False)
    for ours, expected in zip(compute(), plain, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_compiled_path_does_not_hide_a_non_finite_current():
    current = np.zeros((1, 5, 4), "float32")
    current[0, 1, :3] = [np.nan, np.inf, -np.inf]
    outputs, _ = lif_sequence(current, fuse=True)
    assert np.isnan(outputs[0, 1:, :3]).all()
    assert np.isfinite(outputs[0, :, 3]).all()


def test_surrogates_that_compare_equal_are_compiled_apart():
    class Constant(Surrogate):
        def __init__(self, height):
            super().__init__()
            object.__setattr__(self, "height", height)

        def __call__(self, distance):
            return keras.ops.full_like(distance, self.height)

    assert Constant(1.0) == Constant(3.0)
    slopes = []
    for height in (1.0, 3.0):
        current = tf.constant([[[0.25]]])
        with tf.GradientTape() as tape:
            tape.watch(current)
            outputs, _ = lif_sequence(current, dynamics=Dynamics(surrogate=Constant(height)), fuse=True)
        slopes.append(tape.gradient(outputs, current).numpy().item())
    assert slopes == [2.0, 6.0]


@pytest.mark.parametrize(
    "shape, training, compiled",
    [
        ((None, 4, 6, 3), True, True),
        ((None, 4, 6, 3), False, False),
        ((None, None, 6, 3), True, False),
        ((None, 4, None, 3), True, False),
        ((None, 40, 6, 3), True, True),
        ((None, 40, 6, 3), False, False),
    ],
    ids=["training", "inference", "unknown timesteps", "unknown size", "in chunks", "loop"],
)
@pytest.mark.parametrize("kind", [TernaryLIF, BinaryLIF, ComplementedTernaryLIF])
def test_path_is_chosen_by_use_and_sizes(kind, shape, training, compiled):
    layer = kind()
    layer.build(shape)
    found = calls_compiled_functions(lambda current: layer(current, training=training), tf.TensorSpec(shape))
    assert found == compiled


def test_plain_path_is_taken_where_nothing_compiles(monkeypatch):
    monkeypatch.setattr(gradient, "can_fuse", lambda: False)
    layer, spec = TernaryLIF(), tf.TensorSpec((None, 4, 3))
    layer.build(spec.shape)
    assert not calls_compiled_functions(lambda current: layer(current, training=True), spec)


@pytest.mark.parametrize("jit_compile", [False, True, "auto"])
def test_training_is_the_same_however_the_model_is_compiled(rng, jit_compile, monkeypatch):
    inputs, targets = rng.normal(size=(12, 2, 5)).astype("float32"), rng.normal(size=(12, 2)).astype("float32")

    def train(**options):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((2, 5)), TernaryLIF(), keras.layers.Flatten(), keras.layers.Dense(2)])
        model.compile(optimizer="sgd", loss="mse", **options)
        # the last batch is a smaller one
        model.fit(inputs, targets, batch_size=8, epochs=2, shuffle=False, verbose=0)
        return model.get_weights()

    ours = train(jit_compile=jit_compile)
    monkeypatch.setattr(gradient, "can_fuse", lambda: False)
    for weight, expected in zip(ours, train(run_eagerly=True), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("int8", [False, True])
def test_stock_converter_writes_builtin_operators_after_training(rng, int8):
    images = rng.normal(size=(8, 6, 6, 1)).astype("float32")
    layers = [PerTimestep(keras.layers.Conv2D(2, 3)), TernaryLIF(), PerTimestep(keras.layers.Flatten())]
    layers += [keras.layers.Dense(3), BinaryLIF(), TimeAverage()]
    model = keras.Sequential([keras.Input((6, 6, 1)), DirectEncoding(2), *layers])
    model.compile(optimizer="sgd", loss="mse", jit_compile=False)
    model.fit(images, np.ones((8, 3)), verbose=0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images[:1])
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert outputs.shape == (1, 3)
    if not int8:
        np.testing.assert_allclose(outputs, model(images[:1]), atol=1e-5)
