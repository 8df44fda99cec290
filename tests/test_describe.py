"""describe against the Keras model, through a small evaluator of Networks in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TernaryLIFCell, TimeAverage
from keras_ternary_spike.export import network as nodes
from keras_ternary_spike.export.describe import describe

T = 2
IMAGE = (7, 6, 2)


def evaluate(network, samples):
    """The network's output: one loop per window, one per timestep, in float64. samples: `(batch, ...)`."""
    values = {}
    for node in network.nodes:
        if isinstance(node, nodes.Input):
            values[node.name] = samples
            continue
        value = values[node.inputs[0]]
        if isinstance(node, nodes.Add):
            values[node.name] = sum(values[name] for name in node.inputs)
        elif isinstance(node, nodes.Concatenate):
            values[node.name] = np.concatenate([values[name] for name in node.inputs], axis=-1)
        elif isinstance(node, nodes.LIF):
            values[node.name] = integrate_and_fire(node, value)
        elif isinstance(node, nodes.Repeat):
            values[node.name] = np.stack([value] * network.timesteps, axis=1)
        elif isinstance(node, nodes.TimeAverage):
            values[node.name] = sum(value[:, t] for t in range(network.timesteps)) / network.timesteps
        elif node.temporal:
            values[node.name] = np.stack([at_once(node, value[:, t]) for t in range(network.timesteps)], axis=1)
        else:
            values[node.name] = at_once(node, value)
    return values[network.outputs[0]]


def integrate_and_fire(node, currents):
    membrane, outputs = np.zeros_like(currents[:, 0]), []
    for t in range(currents.shape[1]):
        membrane = node.decay * membrane + currents[:, t]
        spike = 1.0 * (membrane >= node.threshold) - node.signed * (membrane <= -node.threshold)
        outputs.append(node.amplitude * spike)
        membrane = membrane * (1 - np.abs(spike))
    return np.stack(outputs, axis=1)


def at_once(node, value):
    """A node without state on `(batch, *shape)`."""
    if isinstance(node, nodes.Affine):
        return node.scale * value + node.offset
    if isinstance(node, nodes.Dense):
        return value @ node.kernel + node.bias
    if isinstance(node, nodes.Reshape):
        return value.reshape(len(value), *node.shape)
    if isinstance(node, nodes.ConvTranspose):
        return spread(node, value)
    if isinstance(node, nodes.Upsample):
        return value.repeat(node.factors[0], axis=1).repeat(node.factors[1], axis=2)
    if isinstance(node, nodes.ZeroPad):
        return np.pad(value, ((0, 0), *node.padding, (0, 0)))
    if isinstance(node, nodes.Crop):
        return cropped(value, node.cropping)
    return windows(node, value)


def cropped(value, cropping):
    (top, bottom), (left, right) = cropping
    return value[:, top : value.shape[1] - bottom, left : value.shape[2] - right]


def spread(node, value):
    """Every input pixel adds its kernel to the output."""
    (height, width), (rows, columns), strides = value.shape[1:3], node.kernel.shape[:2], node.strides
    full = (height - 1) * strides[0] + rows, (width - 1) * strides[1] + columns
    result = np.zeros((len(value), *full, node.shape[-1]))
    for i, j in np.ndindex(height, width):
        top, left = i * node.strides[0], j * node.strides[1]
        result[:, top : top + rows, left : left + columns] += np.einsum("bi,hwio->bhwo", value[:, i, j], node.kernel)
    return cropped(result, node.cropping) + node.bias


def windows(node, value):
    pooling = isinstance(node, nodes.Pool)
    size, dilation = (node.size, (1, 1)) if pooling else (node.kernel.shape[:2], node.dilation)
    fill = -np.inf if isinstance(node, nodes.MaxPool) else 0.0
    padded = np.pad(value, ((0, 0), *node.padding, (0, 0)), constant_values=fill)
    result = np.zeros((len(value), *node.shape))
    for i, j in np.ndindex(*node.shape[:2]):
        rows = [i * node.strides[0] + k * dilation[0] for k in range(size[0])]
        columns = [j * node.strides[1] + k * dilation[1] for k in range(size[1])]
        patch = padded[:, rows][:, :, columns]
        if isinstance(node, nodes.MaxPool):
            result[:, i, j] = patch.max((1, 2))
        elif isinstance(node, nodes.AveragePool):
            result[:, i, j] = patch.mean((1, 2))
        elif isinstance(node, nodes.Conv):
            result[:, i, j] = np.einsum("bhwi,hwio->bo", patch, node.kernel) + node.bias
        else:
            products = np.einsum("bhwi,hwim->bim", patch, node.kernel)
            result[:, i, j] = products.reshape(len(value), -1) + node.bias
    return result


def in_float64(build):
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(previous)


def norm():
    """Batch normalization with statistics and factors away from 0 and 1, negative gammas among them."""
    uniform = keras.initializers.RandomUniform
    return layers.BatchNormalization(
        gamma_initializer=uniform(-1, 2, seed=1),
        beta_initializer=uniform(-0.5, 0.5, seed=2),
        moving_mean_initializer=uniform(-0.5, 0.5, seed=3),
        moving_variance_initializer=uniform(0.2, 1, seed=4),
    )


CHAINS = {
    "same_and_strides": lambda: [
        layers.Rescaling(2.0, 0.5),
        layers.Conv2D(3, (3, 2), strides=2, padding="same", bias_initializer="ones"),
        norm(),
        DirectEncoding(T),
        TernaryLIF(amplitude_initializer=keras.initializers.Constant(-0.7), threshold=0.3),
        PerTimestep(layers.MaxPooling2D(3, strides=2, padding="same")),
        PerTimestep(layers.Flatten()),
        layers.Dense(4, bias_initializer="ones"),
        TimeAverage(),
    ],
    "dilation_and_depthwise": lambda: [
        DirectEncoding(T),
        PerTimestep(layers.Conv2D(3, 2, dilation_rate=2, padding="same", use_bias=False)),
        PerTimestep(layers.SpatialDropout2D(0.5)),
        PerTimestep(layers.DepthwiseConv2D((2, 3), depth_multiplier=2, padding="same")),
        BinaryLIF(decay=1.0, threshold=0.2),
        PerTimestep(layers.AveragePooling2D((2, 1))),
        PerTimestep(layers.GlobalAveragePooling2D()),
        TimeAverage(),
    ],
    "nested_block": lambda: [
        DirectEncoding(T),
        PerTimestep(keras.Sequential([layers.Conv2D(4, 3), norm(), layers.MaxPooling2D()])),
        TernaryLIF(decay=0.0),
        PerTimestep(layers.GlobalAveragePooling2D(keepdims=True)),
        TimeAverage(),
    ],
    "separable_and_grouped": lambda: [
        layers.SeparableConv2D(4, 3, depth_multiplier=2, strides=2, padding="same", bias_initializer="ones"),
        layers.Conv2D(6, (2, 1), groups=2, bias_initializer="ones"),
        layers.GlobalMaxPooling2D(keepdims=True),
        layers.Reshape((3, 2)),
    ],
    "transposed_same": lambda: [
        layers.Conv2DTranspose(3, (3, 4), strides=2, padding="same", bias_initializer="ones"),
        layers.Conv2DTranspose(2, 1, strides=(2, 3), padding="same"),
    ],
    "transposed_valid": lambda: [
        layers.Conv2DTranspose(3, (3, 1), strides=(1, 2), bias_initializer="ones"),
        layers.Conv2DTranspose(2, 2, strides=3, use_bias=False),
    ],
    "borders_and_sizes": lambda: [
        layers.ZeroPadding2D(((1, 0), (2, 1))),
        layers.UpSampling2D((2, 3)),
        layers.Cropping2D(((0, 1), (3, 0))),
        layers.GlobalMaxPooling2D(),
        layers.Reshape((1, 2, 1)),
        layers.Permute((2, 1, 3)),
    ],
    "lines": lambda: [
        layers.Reshape((21, 4)),
        layers.Conv1D(3, 4, strides=2, padding="same", bias_initializer="ones"),
        DirectEncoding(T),
        PerTimestep(layers.SeparableConv1D(5, 3, padding="same", dilation_rate=2)),
        PerTimestep(layers.Conv1D(5, 3, padding="causal", dilation_rate=2)),
        TernaryLIF(threshold=0.1),
        PerTimestep(layers.MaxPooling1D(2)),
        PerTimestep(layers.DepthwiseConv1D(2, depth_multiplier=2)),
        PerTimestep(layers.AveragePooling1D(2)),
        PerTimestep(layers.GlobalMaxPooling1D()),
        TimeAverage(),
    ],
    "statistics_per_channel": lambda: [
        layers.Normalization(mean=[0.5, -1.0], variance=[2.0, 0.3]),
        layers.Rescaling([2.0, -1.0], [0.5, 0.25]),
        layers.Reshape((-1, 2)),
        layers.GlobalAveragePooling1D(),
    ],
    "cell_in_rnn": lambda: [
        layers.Flatten(),
        DirectEncoding(T),
        layers.TimeDistributed(layers.Dense(5)),
        layers.RNN(TernaryLIFCell(), return_sequences=True),
    ],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("functional", [False, True])
def test_a_described_chain_computes_what_keras_computes(name, functional, rng):
    model = in_float64(lambda: keras.Sequential([keras.Input(IMAGE), *CHAINS[name]()]))
    if functional:
        value = inputs = keras.Input(IMAGE, dtype="float64")
        for layer in model.layers:
            value = layer(value)
        model = keras.Model(inputs, value)
    samples = rng.normal(0, 1, (4, *IMAGE)).astype("float32").astype("float64")  # Keras rounds them
    np.testing.assert_allclose(evaluate(describe(model), samples), model.predict(samples, verbose=0), atol=1e-12)


def test_a_layer_used_twice_is_described_twice(rng):
    shared = in_float64(lambda: layers.Dense(4, name="shared"))
    inputs = in_float64(lambda: keras.Input((4,)))
    model = keras.Model(inputs, shared(shared(inputs)))
    network = describe(model)
    assert [node.name for node in network.nodes] == ["input", "shared", "shared_1"]
    samples = rng.normal(0, 1, (3, 4)).astype("float32").astype("float64")
    np.testing.assert_allclose(evaluate(network, samples), model.predict(samples, verbose=0), atol=1e-12)


def test_a_nested_model_is_described_layer_by_layer(rng):
    def block():
        inner = keras.Input((T, 4))
        return keras.Model(inner, layers.Add()([layers.Dense(4)(TernaryLIF()(inner)), inner]), name="block")

    def build():
        inputs = keras.Input((T, 4))
        nested = block()
        return keras.Model(inputs, nested(nested(inputs)))

    model = in_float64(build)
    samples = rng.normal(0, 1, (3, T, 4)).astype("float32").astype("float64")
    np.testing.assert_allclose(evaluate(describe(model), samples), model.predict(samples, verbose=0), atol=1e-12)


def test_a_part_of_a_layer_takes_no_name_of_another_layer():
    chain = [layers.Dense(2, name="pool_flatten"), layers.GlobalAveragePooling2D(name="pool"), layers.Dense(1)]
    names = [node.name for node in describe(keras.Sequential([keras.Input((3, 3, 1)), *chain])).nodes]
    assert names[1:4] == ["pool_flatten", "pool", "pool_flatten_1"]


def test_a_described_model_is_left_as_it_is():
    inputs = keras.Input((4,))
    dense = layers.Dense(2)
    model = keras.Model(inputs, dense(inputs))
    model.compile("adam", "mse")
    describe(model)
    assert dense.output is model.outputs[0]  # raises if the layer had been called a second time
    assert model.compiled


def test_nodes_are_named_after_layers():
    model = keras.Sequential(
        [keras.Input(IMAGE, name="image"), layers.Conv2D(2, 3, name="conv"), DirectEncoding(T), TernaryLIF(name="lif")]
    )
    names = [node.name for node in describe(model).nodes]
    assert (names[0], names[1], names[-1]) == ("image", "conv", "lif")


def test_same_padding_is_spelt_out():
    model = keras.Sequential([keras.Input((6, 5, 1)), layers.Conv2D(1, (3, 4), strides=2, padding="same", name="conv")])
    conv = describe(model)["conv"]
    assert conv.padding == ((0, 1), (1, 2))  # height: 2*2 + 3 - 6 = 1; width: 2*2 + 4 - 5 = 3
    assert conv.shape == (3, 3, 1)


def test_an_input_is_temporal_if_its_time_axis_is_used():
    sequence = keras.Sequential([keras.Input((T, 5)), layers.Dense(3), TernaryLIF()])
    static = keras.Sequential([keras.Input((T, 5)), layers.Dense(3), DirectEncoding(3), TernaryLIF()])
    temporal, constant = describe(sequence), describe(static)
    assert (temporal.nodes[0].temporal, temporal.nodes[0].shape, temporal.timesteps) == (True, (5,), 2)
    assert (constant.nodes[0].temporal, constant.nodes[0].shape, constant.timesteps) == (False, (2, 5), 3)


@pytest.mark.parametrize(
    "ending",
    [
        lambda: [layers.Dense(3, activation="softmax")],
        lambda: [layers.Dense(3), layers.Softmax()],
        lambda: [layers.Dense(3), layers.Activation("softmax")],
        lambda: [layers.Dense(3), layers.Softmax(), layers.Activation("linear")],
    ],
)
def test_a_softmax_at_the_end_is_left_out_with_a_note(ending):
    network = describe(keras.Sequential([keras.Input((4,)), *ending()]))
    assert [type(node) for node in network.nodes] == [nodes.Input, nodes.Dense]
    assert network.notes == ("softmax left out: the file's outputs are logits",)


def values_meeting(merge):
    """A value without time axis, and the same repeated, in one merging layer."""

    def build():
        inputs = keras.Input((4,))
        value = layers.Dense(3)(inputs)
        return keras.Model(inputs, TernaryLIF()(merge([TernaryLIF()(DirectEncoding(T)(value)), value])))

    return build


def test_a_value_without_time_axis_is_repeated_where_it_is_added_to_one_with_it(rng):
    model = in_float64(values_meeting(layers.Add(name="sum")))
    network = describe(model)
    assert [network[name].temporal for name in network["sum"].inputs] == [True, True]
    repeat = network[network["sum"].inputs[1]]
    assert (type(repeat), network.nodes[0].temporal) == (nodes.Repeat, False)


def test_x_plus_y_is_an_add():
    inputs = keras.Input((4,))
    dense = layers.Dense(4)
    network = describe(keras.Model(inputs, dense(inputs) + inputs))
    assert [type(node) for node in network.nodes] == [nodes.Input, nodes.Dense, nodes.Add]


def test_a_value_that_is_added_twice_counts_twice():
    inputs = keras.Input((4,))
    value = layers.Dense(4)(inputs)
    network = describe(keras.Model(inputs, layers.Add(name="sum")([value, value])))
    assert (type(network["sum"]), float(network["sum"].scale)) == (nodes.Affine, 2.0)


def two_sides(merge, change, shape=(5, 4, 2)):
    def build():
        inputs = keras.Input(shape)
        return keras.Model(inputs, merge([inputs, change(inputs)]))

    return build


def different_timesteps():
    inputs = keras.Input((4,))
    encoded = [DirectEncoding(steps, name=f"code_{steps}")(inputs) for steps in (1, 2)]
    return keras.Model(inputs, layers.Add()([TernaryLIF()(value) for value in encoded]))


def spiking(*chain, shape=(T, 4)):
    return lambda: keras.Sequential([keras.Input(shape), *chain])


def infinite_kernel():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, name="head")])
    model.layers[0].kernel.assign(np.full((4, 1), np.inf))
    return model


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


REFUSED = {
    "not_a_model": (lambda: 3, r"must be a Keras model.*3.*int"),
    "subclassed": (Subclassed, r"built Sequential or functional model.*Subclassed.*keras.Model\(inputs, outputs\)"),
    "never_built": (lambda: keras.Sequential([layers.Dense(2)]), r"built Sequential or functional.*keras.Input"),
    "unsupported": (
        lambda: keras.Sequential([keras.Input((4,)), layers.LayerNormalization(name="norm")]),
        r"Cannot export layer 'norm' \(LayerNormalization\).*Supported: .*Conv2D.*TernaryLIF",
    ),
    "relu": (
        spiking(layers.Dense(2, activation="relu", name="fc"), TernaryLIF()),
        "activation 'relu'.*'fc'.*TernaryLIF",
    ),
    "activation": (spiking(layers.Activation("tanh", name="act"), TernaryLIF()), "activation 'tanh'.*'act'"),
    "softmax_inside": (spiking(layers.Softmax(name="soft"), TernaryLIF()), "softmax may stand at the very end.*'soft'"),
    "timesteps": (spiking(TernaryLIF(), shape=(None, 4)), r"timesteps must be known.*None.*keras.Input\(\(timesteps"),
    "too_many_timesteps": (spiking(DirectEncoding(17, name="code"), TernaryLIF(), shape=(4,)), "1 to 16.*17.*'code'"),
    "two_lengths": (
        spiking(TernaryLIF(), TimeAverage(), DirectEncoding(3), TernaryLIF()),
        "timesteps of a model must be equal",
    ),
    "size": (
        lambda: keras.Sequential([keras.Input((None, 8, 1), name="image"), layers.Conv2D(1, 3)]),
        "size of the input must be known.*'image'",
    ),
    "infinite": (infinite_kernel, "must be finite.*'kernel' of layer 'head'"),
    "amplitude": (
        spiking(TernaryLIF(amplitude_initializer="zeros", name="lif")),
        "`amplitude` must not be 0.*'lif'",
    ),
    "last_only": (
        spiking(TernaryLIF(return_sequences=False, name="lif")),
        r"`return_sequences` must be True.*'lif'.*TimeAverage\(\)",
    ),
    "backwards": (spiking(TernaryLIF(go_backwards=True, name="lif")), "`go_backwards` must be False.*'lif'"),
    "foreign_cell": (
        spiking(layers.RNN(layers.LSTMCell(3), return_sequences=True, name="lstm")),
        "Of recurrent layers only.*'lstm'.*LSTMCell",
    ),
    "channels_first": (
        lambda: keras.Sequential([keras.Input((4, 8, 8)), layers.MaxPooling2D(data_format="channels_first", name="p")]),
        "channels_last.*'p'",
    ),
    "padded_average": (
        lambda: keras.Sequential([keras.Input((5, 5, 1)), layers.AveragePooling2D(2, padding="same", name="p")]),
        "divides by fewer pixels at the border.*'p'.*padding=\"valid\"",
    ),
    "permuted": (
        lambda: keras.Sequential([keras.Input((5, 4, 1)), layers.Permute((2, 1, 3), name="turn")]),
        r"Permute may only move axes of size 1.*'turn'.*\(2, 1, 3\).*\(5, 4, 1\)",
    ),
    "interpolated": (
        lambda: keras.Sequential([keras.Input((5, 4, 1)), layers.UpSampling2D(interpolation="bilinear", name="up")]),
        "must be \"nearest\".*'up'.*bilinear.*Conv2DTranspose",
    ),
    "output_padding": (
        lambda: keras.Sequential(
            [keras.Input((5, 4, 1)), layers.Conv2DTranspose(1, 3, strides=2, output_padding=1, name="up")]
        ),
        "`output_padding` must be None.*'up'",
    ),
    "dilated_transposed": (
        lambda: keras.Sequential([keras.Input((5, 4, 1)), layers.Conv2DTranspose(1, 3, dilation_rate=2, name="up")]),
        "must not be dilated.*'up'",
    ),
    "inverted": (
        lambda: keras.Sequential([keras.Input((5,)), layers.Normalization(mean=1, variance=2, invert=True, name="n")]),
        "must not be inverted.*'n'",
    ),
    "convolved_over_time": (
        spiking(layers.Conv1D(3, 2, padding="causal", name="over_time"), TernaryLIF()),
        r"Conv1D would mix timesteps.*'over_time'.*PerTimestep\(Conv1D",
    ),
    "attention": (
        two_sides(layers.Attention(name="look"), layers.Dense(4), shape=(T, 4)),
        r"Cannot export layer 'look' \(Attention\)",
    ),
    "axis": (
        lambda: keras.Sequential([keras.Input((5, 4)), layers.BatchNormalization(axis=1, name="bn")]),
        "`axis` must be the last.*'bn'",
    ),
    "flattened_time": (
        spiking(TernaryLIF(), layers.Flatten(name="flat")),
        r"Flatten would mix timesteps.*'flat'.*PerTimestep\(Flatten",
    ),
    "broadcast": (
        two_sides(layers.Add(name="sum"), layers.Conv2D(1, 1)),
        r"Add needs equal shapes.*\(5, 4, 2\).*\(5, 4, 1\).*'sum'",
    ),
    "broadcast_ranks": (
        two_sides(layers.Add(name="sum"), layers.GlobalAveragePooling2D()),
        "Add needs equal ranks.*'sum'",
    ),
    "concatenated_rows": (
        two_sides(layers.Concatenate(axis=1, name="join"), layers.Conv2D(2, 1)),
        "along the channels.*axis=1.*'join'.*axis=-1",
    ),
    "different_timesteps": (different_timesteps, "timesteps of a model must be equal.*'code_2': 2, 'code_1': 1"),
    "multiplied": (
        two_sides(layers.Multiply(name="gate"), layers.Conv2D(2, 1)),
        r"Cannot export layer 'gate' \(Multiply\).*Supported: .*Add",
    ),
    "no_time_axis": (
        spiking(TernaryLIF(), TimeAverage(), TernaryLIF(name="late"), shape=(T, 3, 4)),
        "needs a sequence.*'late'.*DirectEncoding",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_described_is_refused_by_name(name):
    build, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        describe(build())
