"""One amplitude per layer, per channel or per element: values, gradients, constraint, export."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_models import computed
from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TernaryLIFCell, TimeAverage
from keras_ternary_spike.export import export_tflite, fold, verify
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe

SHAPES = {"layer": (), "channel": (3,), "element": (4, 5, 3)}
SEQUENCE = (2, 3, 4, 5, 3)  # batch, timesteps, height, width, channels


@pytest.mark.parametrize("amplitude_per, shape", SHAPES.items())
@pytest.mark.parametrize("neuron", [TernaryLIF, BinaryLIF])
def test_amplitudes_multiply_the_spikes_of_their_neurons(rng, neuron, amplitude_per, shape):
    sequences, amplitude = rng.normal(size=SEQUENCE).astype("float32"), rng.normal(size=shape).astype("float32")
    layer, unscaled = neuron(amplitude_per=amplitude_per), neuron(trainable_amplitude=False)
    layer.build(SEQUENCE)
    assert layer.amplitude.shape == shape and np.all(layer.amplitude.numpy() == 1)
    layer.amplitude.assign(amplitude)
    spikes = unscaled(sequences).numpy()
    assert set(np.unique(spikes)) == ({-1, 0, 1} if neuron is TernaryLIF else {0, 1})
    np.testing.assert_array_equal(layer(sequences), amplitude * spikes)
    np.testing.assert_array_equal(layer(sequences, mask=np.ones((2, 3), bool)), amplitude * spikes)


@pytest.mark.usefixtures("unroll_limit")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("amplitude_per, axes", [("layer", None), ("channel", (0, 1, 2, 3)), ("element", (0, 1))])
def test_gradient_sums_the_spikes_that_share_an_amplitude(rng, amplitude_per, axes, training):
    sequences = tf.constant(rng.normal(size=(2, 6, 4, 5, 3)), "float32")
    upstream = rng.normal(size=sequences.shape)
    layer = TernaryLIF(amplitude_per=amplitude_per)
    with tf.GradientTape() as tape:
        outputs = layer(sequences, training=training)
    gradient = tape.gradient(outputs, layer.amplitude.value, output_gradients=tf.constant(upstream, "float32"))
    expected = (upstream * TernaryLIF()(sequences).numpy()).sum(axis=axes)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


def test_gradient_of_the_current_is_scaled_by_its_own_amplitude(rng):
    sequences = tf.constant(rng.uniform(-0.4, 0.4, (2, 1, 3)), "float32")  # silent, and within the paper's rectangle
    layer = TernaryLIF(amplitude_per="channel")
    layer(sequences)
    layer.amplitude.assign([2.0, -3.0, 0.0])
    with tf.GradientTape() as tape:
        tape.watch(sequences)
        outputs = layer(sequences)
    assert tape.gradient(outputs, sequences).numpy().tolist() == [[[2.0, -3.0, 0.0]]] * 2


def test_a_non_negative_amplitude_stays_so_in_training(rng):
    spikes = TernaryLIF(amplitude_per="channel", amplitude_constraint=keras.constraints.NonNeg())
    model = keras.Sequential([keras.Input((2, 4)), spikes])
    model.compile(optimizer=keras.optimizers.SGD(10.0), loss="mse")
    sequences = rng.normal(size=(8, 2, 4)).astype("float32")
    # The best amplitude is -1 in two channels and 1 in the others.
    targets = TernaryLIF()(sequences).numpy() * [1, -1, 1, -1]
    model.fit(sequences, targets, epochs=1, batch_size=8, verbose=0)
    amplitude = spikes.amplitude.numpy()
    assert amplitude[1] == 0 and amplitude[3] == 0 and amplitude[0] == 1 and amplitude[2] == 1


def test_a_cell_in_keras_rnn_has_an_amplitude_per_channel(rng):
    sequences = rng.normal(size=(2, 4, 3)).astype("float32")
    initializer = keras.initializers.RandomNormal(seed=1)
    options = {"amplitude_per": "channel", "amplitude_initializer": initializer}
    rnn = layers.RNN(TernaryLIFCell(**options), return_sequences=True)
    np.testing.assert_allclose(rnn(sequences), TernaryLIF(**options)(sequences), atol=1e-6)
    assert len(np.unique(rnn.cell.amplitude.numpy())) == 3


@pytest.mark.parametrize(
    "amplitude_per, what", [("channel", "channels, the last axis"), ("element", "every feature axis")]
)
def test_unknown_sizes_are_refused(amplitude_per, what):
    with pytest.raises(
        ValueError, match=rf"amplitude_per='{amplitude_per}'.*{what}.*\(6, None\).*amplitude_per=\"layer\""
    ):
        TernaryLIF(amplitude_per=amplitude_per)(keras.Input((2, 6, None)))


def test_channels_suffice_where_pixels_are_unknown(rng):
    inputs = keras.Input((3, None, None, 3))
    model = keras.Model(inputs, TernaryLIF(amplitude_per="channel")(inputs))
    sequences = rng.normal(size=SEQUENCE).astype("float32")
    np.testing.assert_array_equal(model(sequences), TernaryLIF()(sequences))


@pytest.mark.parametrize("neuron", [TernaryLIF, TernaryLIFCell])
def test_unknown_sharing_lists_the_known_ones(neuron):
    with pytest.raises(ValueError, match=r"`amplitude_per` must be 'layer', 'channel' or 'element'. Received.*'pixel'"):
        neuron(amplitude_per="pixel")


def network(
    rng, amplitude_per="channel", neuron=TernaryLIF, pooling=layers.MaxPooling2D, positive=False, shortcut=False
):
    """Convolutions, pools and a Dense layer, with an amplitude of its own for every channel or element."""

    def spikes(x, name):
        return neuron(amplitude_per=amplitude_per, name=name)(x)

    def conv(x):
        return PerTimestep(layers.Conv2D(3, 3, padding="same", kernel_initializer="he_normal"))(x)

    image = keras.Input((6, 6, 2))
    x = first = spikes(conv(DirectEncoding(2)(image)), "first")
    x = spikes(layers.Add()([conv(x), first]) if shortcut else conv(x), "second")
    x = PerTimestep(pooling(2))(x)
    x = PerTimestep(layers.Flatten())(spikes(conv(x), "third"))
    model = keras.Model(image, TimeAverage()(layers.Dense(4)(x)))
    for name in ("first", "second", "third"):
        amplitude, low = model.get_layer(name).amplitude, 0.4 if not shortcut else 0.2
        signs = 1.0 if positive else rng.choice([-1.0, 1.0], amplitude.shape)
        amplitude.assign(signs * rng.uniform(low, 2.0 * low, amplitude.shape))
    return model


@pytest.mark.parametrize(
    "options",
    [{}, {"pooling": layers.AveragePooling2D}, {"neuron": BinaryLIF, "positive": True}, {"shortcut": True}],
    ids=["max pool", "average pool", "binary", "shortcut"],
)
def test_amplitudes_per_channel_fold_and_export_exactly(rng, options):
    model, images = network(rng, **options), rng.normal(0, 2, (16, 6, 6, 2)).astype("float32")
    expected = computed(model, images)
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(computed(assemble(describe(model)), images), expected, atol=1e-4)
    np.testing.assert_allclose(computed(fold(model), images), expected, atol=1e-4)
    assert verify(model, export_tflite(model, input_range=(-6, 6)), images[:4]).exact


def test_a_vector_has_one_amplitude_per_element_and_exports(rng):
    inputs = keras.Input((6,))
    x = TernaryLIF(amplitude_per="element", amplitude_initializer="random_normal")(
        DirectEncoding(2)(layers.Dense(5)(inputs))
    )
    model = keras.Model(inputs, TimeAverage()(layers.Dense(4)(x)))
    samples = rng.normal(0, 2, (16, 6)).astype("float32")
    expected = computed(model, samples)
    np.testing.assert_allclose(computed(fold(model), samples), expected, atol=1e-5)


def test_amplitudes_per_element_of_images_are_refused_by_name(rng):
    with pytest.raises(ValueError, match=r"per channel.*'first'.*\(6, 6, 3\).*amplitude_per=\"channel\""):
        describe(network(rng, "element"))


@pytest.mark.parametrize("shortcut", [False, True])
def test_channels_of_amplitude_0_export_exactly(rng, shortcut):
    model, images = network(rng, shortcut=shortcut), rng.normal(0, 2, (16, 6, 6, 2)).astype("float32")
    for name in ("first",) if shortcut else ("first", "second", "third"):
        amplitude = model.get_layer(name).amplitude
        amplitude.assign(amplitude * rng.permutation([0.0, 1.0, 1.0]))
    expected = computed(model, images)
    assert np.std(expected) > 0.03
    np.testing.assert_allclose(computed(fold(model), images), expected, atol=1e-4)
    assert verify(model, export_tflite(model, input_range=(-6, 6)), images[:4]).exact


def test_a_layer_of_amplitude_0_is_refused_by_name(rng):
    model = network(rng)
    model.get_layer("second").amplitude.assign([0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"`amplitude` must not be 0.*'second'"):
        describe(model)


def test_a_negative_amplitude_of_a_binary_neuron_before_max_pooling_is_refused(rng):
    with pytest.raises(ValueError, match=r"negative amplitude.*binary neuron.*'second'.*TernaryLIF"):
        fold(network(np.random.default_rng(3), neuron=BinaryLIF))
