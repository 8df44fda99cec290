"""The cells as Keras RNN cells."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import BinaryLIFCell, TernaryLIF, TernaryLIFCell, Triangular


def test_cell_follows_the_equations_over_three_timesteps():
    cell = TernaryLIFCell(decay=0.5, threshold=1.0)
    cell.build((None, 2))
    cell.amplitude.assign(3.0)
    outputs, states = [], cell.get_initial_state(batch_size=1)
    for current in ([0.75, -0.5], [0.625, -0.5], [0.5, -0.625]):
        output, states = cell(np.array([current], "float32"), states)
        outputs.append(output.numpy()[0].tolist())
    # membranes: 0.75, -0.5; then 1.0, -0.75; then 0.5 (cleared), -1.0
    assert outputs == [[0.0, 0.0], [3.0, 0.0], [0.0, -3.0]]
    assert states[0].numpy().tolist() == [[0.5, 0.0]]


def test_binary_cell_never_emits_a_negative_spike():
    cell = BinaryLIFCell()
    output, _ = cell(np.array([[-2.0, 0.5, 0.25]], "float32"), [np.zeros((1, 3), "float32")])
    assert output.numpy().tolist() == [[0.0, 1.0, 0.0]]


def test_keras_rnn_of_the_cell_equals_the_layer(rng):
    sequences = rng.normal(size=(2, 5, 7)).astype("float32")
    rnn = keras.layers.RNN(TernaryLIFCell(), return_sequences=True)
    np.testing.assert_allclose(rnn(sequences), TernaryLIF()(sequences), atol=1e-6)


def test_keras_rnn_of_the_cell_works_symbolically_and_stacked(rng):
    inputs = keras.Input((5, 7))
    outputs = keras.layers.RNN([TernaryLIFCell(), TernaryLIFCell()])(inputs)
    assert outputs.shape == (None, 7)
    model = keras.Model(inputs, outputs)
    assert model(rng.normal(size=(2, 5, 7)).astype("float32")).shape == (2, 7)


def test_sizes_are_those_of_the_features():
    vector, image = TernaryLIFCell(), TernaryLIFCell()
    vector.build((None, 7))
    image.build((None, 4, 5, 6))
    assert vector.output_size == 7 and vector.state_size == [7]
    assert image.output_size == (4, 5, 6) and image.state_size == [(4, 5, 6)]
    assert image.get_initial_state(batch_size=2)[0].shape == (2, 4, 5, 6)


def test_amplitude_is_one_scalar_weight():
    cell = TernaryLIFCell()
    cell.build((None, 7))
    assert [weight.path.split("/")[-1] for weight in cell.trainable_weights] == ["amplitude"]
    assert cell.amplitude.shape == () and float(cell.amplitude) == 1.0


def test_a_fixed_amplitude_is_kept_but_not_trained():
    cell = TernaryLIFCell(trainable_amplitude=False, amplitude_initializer=keras.initializers.Constant(2.0))
    cell.build((None, 7))
    assert cell.trainable_weights == [] and float(cell.amplitude) == 2.0


@pytest.mark.parametrize("cell_class", [TernaryLIFCell, BinaryLIFCell])
def test_config_round_trip_keeps_every_argument(cell_class):
    cell = cell_class(
        decay=0.75,
        threshold=2.0,
        trainable_amplitude=False,
        amplitude_per="channel",
        surrogate=Triangular(0.5),
        reset="none",
        detach_reset=True,
        amplitude_initializer=keras.initializers.Constant(2.0),
        amplitude_regularizer="l2",
        amplitude_constraint="non_neg",
        name="cell_under_test",
    )
    copy = cell_class.from_config(cell.get_config())
    assert copy.get_config() == cell.get_config()
    assert copy.dynamics == cell.dynamics and copy.decay == 0.75
    assert isinstance(copy.amplitude_constraint, keras.constraints.NonNeg)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_membrane_is_float32_under_half_precision_policies(policy):
    cell = TernaryLIFCell(dtype=policy)
    output, states = cell(np.ones((1, 2), "float16"), [np.zeros((1, 2), "float32")])
    assert output.dtype == "float32" and states[0].dtype == "float32"
    # 255/1024 + 1/1024 is 1/4 in float32, and rounded away in bfloat16 beside 1/4
    rnn = keras.layers.RNN(TernaryLIFCell(decay=1.0, dtype=policy), return_sequences=True, dtype=policy)
    outputs = keras.ops.cast(rnn(np.array([[[0.25], [255 / 1024], [1 / 1024]]])), "float32")
    assert outputs.numpy().ravel().tolist() == [0.0, 0.0, 1.0]


def test_initial_state_of_an_unbuilt_cell_is_refused():
    with pytest.raises(ValueError, match=r"needs a fixed size of every feature axis.*built=False"):
        TernaryLIFCell().get_initial_state(batch_size=1)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"decay": 1.5}, r"`decay` must lie in \[0, 1\]. Received: decay=1.5"),
        ({"threshold": -1}, r"`threshold` must be positive and finite in float32. Received: threshold=-1.0"),
        ({"reset": "hard"}, r"`reset` must be 'zero', 'subtract' or 'none'. Received: reset='hard'"),
        ({"surrogate": "box"}, r"`surrogate` must be one of 'rectangular'.*Received: surrogate='box'"),
    ],
)
@pytest.mark.parametrize("neuron", [TernaryLIFCell, BinaryLIFCell, TernaryLIF])
def test_bad_arguments_are_refused(neuron, options, message):
    with pytest.raises(ValueError, match=message):
        neuron(**options)
