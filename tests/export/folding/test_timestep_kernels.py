"""tdBN and TEBN in the exporter: the fold spike for spike in float64, the file on every runtime, the refusals."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import (
    ComplementedTernaryLIF,
    ComplementedTernaryLIFCell,
    DirectEncoding,
    PerTimestep,
    TemporalEffectiveBatchNormalization,
    TernaryLIF,
    ThresholdDependentBatchNormalization,
    TimeAverage,
    TimestepAffine,
)
from keras_ternary_spike.export import export_tflite, fold, verify
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.network.linear_algebra import kernel_at
from keras_ternary_spike.export.network.nodes import Conv
from keras_ternary_spike.export.network.nodes import TimestepAffine as TimestepAffineNode

T = 3
IMAGE = (8, 7, 2)


def conv(filters=3, **options):
    return PerTimestep(layers.Conv2D(filters, 3, **options))


def tebn():
    return TemporalEffectiveBatchNormalization()


def head():
    return [PerTimestep(layers.GlobalAveragePooling2D()), layers.Dense(4), TimeAverage()]


def spiking(**options):
    return TernaryLIF(threshold=0.3, **options)


CHAINS = {
    "tdbn": lambda: [conv(), ThresholdDependentBatchNormalization(0.3, alpha=0.7), spiking(), *head()],
    "first": lambda: [conv(), tebn(), spiking(), *head()],
    "behind_spikes": lambda: [
        conv(),
        spiking(amplitude_initializer="random_normal"),
        conv(),
        tebn(),
        spiking(),
        *head(),
    ],
    "twice": lambda: [conv(), tebn(), spiking(), conv(padding="same"), tebn(), spiking(), *head()],
    "depthwise": lambda: [conv(), spiking(), PerTimestep(layers.DepthwiseConv2D(3)), tebn(), spiking(), *head()],
    "max_pool": lambda: [conv(), tebn(), PerTimestep(layers.MaxPooling2D()), spiking(), *head()],
    "upsampled": lambda: [conv(), tebn(), PerTimestep(layers.UpSampling2D()), spiking(), *head()],
    "average_pool": lambda: [conv(), tebn(), PerTimestep(layers.AveragePooling2D(2)), spiking(), *head()],
    "dense": lambda: [
        *(conv(), spiking(), PerTimestep(layers.Flatten())),
        *(layers.Dense(6), tebn(), spiking(), layers.Dense(4), TimeAverage()),
    ],
    "then_norm": lambda: [conv(), tebn(), layers.BatchNormalization(), spiking(), *head()],
}


def randomized(model, rng):
    for weight in model.weights:
        low, high = (0.3, 2.0) if weight.name in ("moving_variance", "factors") else (-0.8, 0.8)
        weight.assign(rng.uniform(low, high, weight.shape))
    return model


def chain(kind, rng):
    return randomized(keras.Sequential([keras.Input(IMAGE), DirectEncoding(T), *CHAINS[kind]()]), rng)


def encoded_behind_the_convolution(rng):
    image = keras.Input(IMAGE)
    x = DirectEncoding(T)(layers.Conv2D(3, 3)(image))
    for layer in (tebn(), spiking(), *head()):
        x = layer(x)
    return randomized(keras.Model(image, x), rng)


def residual(rng):
    frames = keras.Input((T, *IMAGE))
    spikes = spiking()(tebn()(conv(padding="same")(frames)))
    x = layers.Add()([tebn()(conv(padding="same")(spikes)), spikes])
    for layer in (spiking(), *head()):
        x = layer(x)
    return randomized(keras.Model(frames, x), rng)


def two_normalizations(rng):
    image = keras.Input(IMAGE)
    current = conv()(DirectEncoding(T)(image))
    spikes = [spiking()(tebn()(current)), spiking()(tebn()(current))]
    x = layers.Concatenate()(spikes)
    for layer in head():
        x = layer(x)
    return randomized(keras.Model(image, x), rng)


def frozen_factors(rng):
    image = keras.Input(IMAGE)
    x = TimestepAffine()(conv()(DirectEncoding(T)(image)))
    for layer in (spiking(), *head()):
        x = layer(x)
    return randomized(keras.Model(image, x), rng)


MODELS = {
    **{kind: lambda rng, kind=kind: chain(kind, rng) for kind in CHAINS},
    "encoded_behind_the_convolution": encoded_behind_the_convolution,
    "residual": residual,
    "two_normalizations": two_normalizations,
    "frozen_factors": frozen_factors,
}


@pytest.mark.parametrize("kind", MODELS)
def test_folding_keeps_the_outputs(kind, rng):
    model = MODELS[kind](rng)
    network = describe(model)
    x = rng.uniform(0, 1, (16, *model.input_shape[1:]))
    before = np.asarray(assemble(network, dtype="float64")(x))
    after = np.asarray(assemble(fold_network(network), dtype="float64")(x))
    np.testing.assert_allclose(before, np.asarray(model(x)), atol=1e-5)
    np.testing.assert_allclose(after, before, atol=1e-10)
    assert np.ptp(after) > 0.01  # something fires


@pytest.mark.parametrize("kind", ["tdbn", "twice", "residual", "upsampled", "average_pool"])
def test_files_hold_the_same_bits_everywhere(kind, rng):
    model = MODELS[kind](rng)
    samples = rng.uniform(0, 1, (8, *model.input_shape[1:])).astype("float32")
    result = verify(model, export_tflite(model), samples)
    assert result.exact


def test_tdbn_leaves_one_kernel(rng):
    assert not [
        node for node in fold_network(describe(chain("tdbn", rng))).nodes if isinstance(node, TimestepAffineNode)
    ]


def test_kernels_of_the_timesteps_are_written_out():
    conv_node = Conv(
        name="conv", shape=(1, 1, 2), temporal=True, kernel=np.ones((1, 1, 1, 2)), bias=np.array([1.0, 2.0])
    )
    affine = TimestepAffineNode(
        name="norm",
        inputs=("conv",),
        shape=(1, 1, 2),
        temporal=True,
        factors=np.array([2.0, -1.0, 2.0]),
        offsets=np.array([[0.0, 1.0], [0.0, 0.0], [0.0, 1.0]]),
    )
    kernels = [kernel_at(conv_node, affine, timestep) for timestep in range(3)]
    assert [kernel.kernel.ravel().tolist() for kernel in kernels] == [[2, 2], [-1, -1], [2, 2]]
    assert [kernel.bias.tolist() for kernel in kernels] == [[2, 5], [-1, -2], [2, 5]]
    assert [kernel.name for kernel in kernels] == ["conv/0", "conv/1", "conv/0"]


def test_the_cost_is_noted_and_equal_kernels_are_stored_once(rng):
    model = chain("first", rng)
    notes = fold_network(describe(model)).notes
    assert notes == (f"{model.layers[1].layer.name!r} has a kernel of 54 weights for each of 3 timesteps.",)
    different = len(export_tflite(model))
    model.layers[2].factors.assign([0.5, 0.5, 0.5])
    assert len(export_tflite(model)) < different


def test_the_folded_model_folds_again(rng):
    model = chain("twice", rng)
    x = rng.uniform(0, 1, (8, *IMAGE)).astype("float32")
    folded = fold(model)
    np.testing.assert_allclose(fold(folded)(x), folded(x), atol=1e-5)


def test_no_kernel_in_front_is_refused(rng):
    model = keras.Sequential(
        [keras.Input((T, 4)), TemporalEffectiveBatchNormalization(name="norm"), spiking(), *head()[1:]]
    )
    with pytest.raises(
        ValueError, match=r"need a kernel in front.*'norm' behind.*Put Temporal.*directly behind a conv"
    ):
        export_tflite(model)


def test_no_neuron_behind_is_refused():
    model = keras.Sequential([keras.Input((T, 4)), spiking(), layers.Dense(3), tebn(), TimeAverage()])
    with pytest.raises(ValueError, match=r"need a neuron behind them.*Follow it with TernaryLIF"):
        export_tflite(model)


def test_the_step_form_is_refused(rng):
    with pytest.raises(ValueError, match=r'one kernel for all timesteps.*form="unrolled", or use Threshold'):
        export_tflite(chain("first", rng), form="step")


def test_a_normalization_without_time_axis_is_refused():
    model = keras.Sequential([keras.Input((T, 4, 2)), PerTimestep(tebn()), spiking(), PerTimestep(layers.Flatten())])
    with pytest.raises(ValueError, match="TemporalEffectiveBatchNormalization needs a sequence"):
        export_tflite(model)


@pytest.mark.parametrize("in_rnn", [False, True])
def test_complemented_neurons_are_refused(in_rnn):
    neurons = ComplementedTernaryLIF(name="lif")
    if in_rnn:
        neurons = layers.RNN(ComplementedTernaryLIFCell(), return_sequences=True, name="lif")
    model = keras.Sequential([keras.Input((T, 4)), layers.Dense(3), neurons, layers.Dense(2), TimeAverage()])
    message = "'lif' with a ComplementedTernaryLIFCell" if in_rnn else r"Cannot export layer 'lif' \(Complemented"
    with pytest.raises(ValueError, match=message):
        export_tflite(model)
