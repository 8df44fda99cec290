"""Whole networks: weights, names, shapes, refusals."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import BinaryLIF, DirectEncoding, MultiLevelLIF, TernaryLIF, TimeAverage, convert

SAMPLES = np.random.default_rng(0).uniform(0, 255, (32, 8, 8, 1)).astype("float32")


def residual():
    """Every supported way to write a ReLU, a shortcut, a concatenation, a shared layer, a nested model."""
    keras.utils.set_random_seed(1)
    x = layers.Rescaling(1 / 255, name="scale")(image := keras.Input((8, 8, 1), name="image"))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(x)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    x = layers.MaxPooling2D(name="maximum")(x)
    shared = layers.SeparableConv2D(4, 3, padding="same", activation="relu", name="shared")
    y = shared(shared(x))
    x = layers.Activation("relu6", name="joint")(layers.Add(name="sum")([x, y]))
    block = [keras.Input((4, 4, 4)), layers.Conv2D(6, 1, name="inner"), layers.ReLU(2.0)]
    nested = keras.Sequential(block, name="block")
    x = layers.Concatenate(name="both")([nested(x), keras.ops.relu(y)])
    x = layers.Dropout(0.5, name="drop")(layers.GlobalAveragePooling2D(name="mean")(x))
    classes = layers.Dense(3, activation="softmax", name="classes")(x)
    return keras.Model({"image": image}, {"classes": classes, "size": layers.Dense(1, name="size")(x)})


def test_layers_keep_names_and_weights_and_outputs_their_nest():
    model = residual()
    spiking = convert(model, {"image": SAMPLES}, timesteps=3, correct=None)
    names = {layer.name for layer in spiking.layers}
    assert {"scale", "stem", "stem_norm", "stem_relu", "maximum", "shared", "joint", "sum", "inner", "both"} <= names
    assert {"shared_neuron", "shared_neuron_1", "drop", "mean", "classes", "classes_softmax", "size"} <= names
    neurons = [layer for layer in spiking.layers if isinstance(layer, BinaryLIF)]
    assert len(neurons) == 6 and {layer.output.shape[1] for layer in neurons} == {3}
    for name in ("stem", "stem_norm"):
        for theirs, ours in zip(model.get_layer(name).weights, spiking.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(theirs, ours)
    kernels = spiking.get_layer("shared").layer.get_weights()
    np.testing.assert_array_equal(kernels[0], model.get_layer("shared").get_weights()[0])
    found, wanted = (network({"image": SAMPLES}) for network in (spiking, model))
    assert {name: values.shape for name, values in found.items()} == {"classes": (32, 3), "size": (32, 1)}
    np.testing.assert_allclose(found["classes"].numpy().sum(-1), 1, rtol=1e-5)
    fine = convert(model, {"image": SAMPLES}, timesteps=32)({"image": SAMPLES})
    assert abs(fine["classes"] - wanted["classes"]).numpy().max() < 0.05


def test_the_first_model_stays_and_the_new_one_is_trained_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(2)])
    before = model.get_weights()
    spiking = convert(model, SAMPLES, levels=3)
    spiking.compile("adam", "mse")
    spiking.fit(SAMPLES / 255, np.zeros((32, 2)), verbose=0)
    for theirs, ours in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(theirs, ours)
    spiking.save(tmp_path / "spiking.keras")
    again = keras.saving.load_model(tmp_path / "spiking.keras")
    np.testing.assert_array_equal(again(SAMPLES), spiking(SAMPLES))


def test_adapted_statistics_and_frozen_layers_stay():
    normal = layers.Normalization(name="normal")
    normal.adapt(SAMPLES)
    dense = layers.Dense(4, activation="relu", trainable=False)
    model = keras.Sequential([keras.Input((8, 8, 1)), normal, layers.Flatten(), dense])
    spiking = convert(model, SAMPLES, timesteps=100)
    assert not spiking.get_layer(dense.name).trainable
    np.testing.assert_allclose(spiking(SAMPLES), model(SAMPLES), atol=0.05)


def test_a_maximum_over_several_timesteps_is_one_of_currents():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3, activation="relu", name="conv")])
    model.add(layers.MaxPooling2D(name="pool"))
    over_time = [layer.name for layer in convert(model, SAMPLES, timesteps=2).layers]
    assert over_time.index("pool") < over_time.index("conv_neuron")
    at_once = [layer.name for layer in convert(model, SAMPLES).layers]  # levels have the order of numbers
    assert at_once.index("pool") > at_once.index("conv_neuron")


def chain(*inner):
    return keras.Sequential([keras.Input((8, 8, 1)), *inner])


REFUSED = {
    "no relu": (chain(layers.Flatten(), layers.Dense(2)), "ReLUs.*without one"),
    "leaky": (chain(layers.Dense(2, "relu"), layers.LeakyReLU(name="leak")), r"'leak' \(LeakyReLU\).*ReLU\(\) in its"),
    "slope": (chain(layers.ReLU(negative_slope=0.1, name="slope")), "'slope' with negative_slope=0.1"),
    "threshold": (chain(layers.ReLU(threshold=1.0, name="late")), "'late'.*threshold=1.0"),
    "gelu": (chain(layers.Dense(2, "relu"), layers.Dense(2, "gelu", name="smooth")), "'gelu' in layer 'smooth'"),
    "softmax inside": (
        chain(layers.Dense(2, "relu"), layers.Softmax(name="inside"), layers.Dense(2)),
        "'softmax' in layer 'inside'",
    ),
    "norm": (
        chain(layers.Dense(2, "relu"), layers.LayerNormalization(name="ln")),
        r"'ln' \(LayerNormalization\)\. Supported: Activation",
    ),
    "time": (chain(layers.TimeDistributed(layers.Dense(2, "relu", name="d"))), "makes the time axis itself.*'d'"),
    "recurrent": (chain(layers.Reshape((8, 8)), layers.GRU(2, name="gru")), "makes the time axis itself.*'gru'"),
    "spiking": (chain(DirectEncoding(2), TernaryLIF(name="lif"), TimeAverage()), "does not spike yet.*unfold"),
    "graded": (chain(DirectEncoding(1), MultiLevelLIF(2, name="lif")), "does not spike yet"),
    "pixels": (
        keras.Model(image := keras.Input((8, 8, 1)), layers.Concatenate(1, name="rows")([layers.ReLU()(image)] * 2)),
        "last axis.*'rows'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_spikes_cannot_stand_for_is_refused_by_name(case):
    model, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        convert(model, SAMPLES)


RELU = chain(layers.Dense(2, "relu"))
BAD = {
    "few": ({"samples": SAMPLES[:5]}, "at least 16.*Received: 5"),
    "none": ({"samples": SAMPLES[:0]}, "at least one"),
    "shape": ({"samples": SAMPLES[:, :7]}, r"\(8, 8, 1\), behind the batch axis.*\(7, 8, 1\)"),
    "number": ({"samples": np.full_like(SAMPLES, np.nan)}, "finite"),
    "timesteps": ({"timesteps": 0}, "`timesteps`.*at least 1.*0"),
    "levels": ({"levels": 128}, "`levels`.*1 to 127.*128"),
    "boolean": ({"levels": True}, "`levels`.*True"),
    "percentile": ({"percentile": 0.0}, "`percentile`.*0.0"),
    "sharing": ({"scale_per": "pixel"}, "`scale_per` must be 'channel' or 'layer'.*'pixel'"),
    "correction": ({"correct": True}, "`correct` must be 'kernels', 'biases' or None.*True"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused_before_any_work(case):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        convert(RELU, **{"samples": SAMPLES, **arguments})


def test_a_class_of_the_users_own_is_refused():
    class Odd(layers.Dense):
        def call(self, inputs):
            return super().call(inputs) ** 2

    with pytest.raises(ValueError, match=r"'odd' \(Odd\)"):
        convert(chain(Odd(2, activation="relu")), SAMPLES)


def test_samples_come_in_batches_too():
    batches = [(SAMPLES[:16], np.zeros(16)), (SAMPLES[16:], np.zeros(16))]
    model = chain(layers.Flatten(), layers.Dense(3, "relu"))
    one, other = convert(model, iter(batches)), convert(model, SAMPLES)
    np.testing.assert_array_equal(one(SAMPLES), other(SAMPLES))


def channel_means(model, name):
    values = keras.Model(model.inputs, model.get_layer(name).output)(SAMPLES / 255).numpy()
    return values.reshape(-1, values.shape[-1]).mean(0)


@pytest.mark.parametrize("options", [{"levels": 3}, {"timesteps": 3}], ids=str)
def test_moved_biases_give_channels_the_means_of_the_relus(options):
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3, name="conv1"), layers.ReLU(name="relu1")])
    for layer in (layers.Conv2D(6, 3, use_bias=False, name="conv2"), layers.BatchNormalization(name="norm2")):
        model.add(layer)
    model.add(layers.ReLU(name="relu2"))
    corrected = convert(model, SAMPLES / 255, correct="biases", **options)
    as_it_was = convert(model, SAMPLES / 255, correct=None, **options)
    for name in ("relu1", "relu2"):
        wanted = channel_means(model, name)
        moved, still = (abs(channel_means(other, name) - wanted).max() for other in (corrected, as_it_was))
        assert moved < 0.5 * still
    for name in ("conv1", "conv2"):
        np.testing.assert_array_equal(weights_of(corrected, name)[0], weights_of(as_it_was, name)[0])


def weights_of(model, name):
    layer = model.get_layer(name)
    return getattr(layer, "layer", layer).get_weights()
