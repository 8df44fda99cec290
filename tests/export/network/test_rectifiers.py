"""ReLUs in a file: neurons of many levels, whole steps of a range that samples tell."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, convert
from keras_ternary_spike.export import export_tflite, fold, quantize_aware, verify
from keras_ternary_spike.export.calibration.rectifier_ranges import with_rectifiers
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.network import nodes
from keras_ternary_spike.export.program.names import spike_levels
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer

SAMPLES = np.random.default_rng(0).uniform(0, 1, (24, 6, 6, 1)).astype("float32")


def sequential(*chain):
    return keras.Sequential([keras.Input((6, 6, 1)), *chain])


def rectified(model, samples=SAMPLES):
    network = describe(model)
    return with_rectifiers(network, None if samples is None else {name: samples for name in network.named_inputs})


def residual():
    """A shortcut of ReLUs into a sum that a ReLU reads, ReLUs joined, averaged over windows and over the image."""
    x = keras.ops.relu6(layers.Conv2D(4, 3, padding="same")(image := keras.Input((6, 6, 1))))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.ReLU(name="joint")(layers.Add()([x, layers.Conv2D(4, 3, padding="same")(y)]))
    x = layers.AveragePooling2D(2, name="means")(layers.Concatenate()([x, y]))
    x = layers.Conv2D(4, 2, activation="relu")(layers.MaxPooling2D(2, 1)(x))
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D(name="mean")(x)))


def mixed():
    """ReLUs on the still image, between spiking layers, and in front of the mean over time."""
    image = keras.Input((6, 6, 1))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image))
    x = TernaryLIF(name="first")(DirectEncoding(3)(layers.Conv2D(4, 3)(layers.ReLU(name="still")(x))))
    x = PerTimestep(layers.Conv2D(4, 3, activation="relu", name="between"))(x)
    x = TernaryLIF(name="second", reset="subtract")(PerTimestep(layers.Conv2D(4, 1))(x))
    x = PerTimestep(layers.Dense(5, activation="relu", name="late"))(PerTimestep(layers.Flatten())(x))
    return keras.Model(image, TimeAverage()(layers.Dense(3)(x)))


def test_integers_are_the_rounded_relus_of_numpy():
    """A Dense of whole numbers of steps: nothing is rounded but the ReLU."""
    rng = np.random.default_rng(1)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(5, name="first"), layers.ReLU(2.54), layers.Dense(2)])
    kernel, bias = rng.integers(-100, 101, (8, 5)) * 2.0, rng.integers(-500, 500, 5) * 2.0
    model.get_layer("first").set_weights([kernel / 508, bias / 508])  # 0.02 = 2.54 / 127 is a step, 1 an input
    program = quantize(fold_network(rectified(model, None)), input_range="int8")
    inputs = rng.integers(-3, 4, (200, 8)).astype(np.int8)
    trace = program.trace(inputs)
    spikes = next(values for name, values in trace.items() if name.endswith("/spike/0"))
    exact = (inputs @ kernel + bias) / 508 / 0.02
    expected = np.clip(np.floor(exact + 0.5), 0, 127)
    # The file's kernel is 8 bits of the largest weight: half a step each, over inputs of up to 3.
    worst = 3 * 8 * 0.5 * np.abs(kernel).max() / 508 / 0.02 / 127 + 1
    assert np.abs(spikes - expected).max() <= worst and np.mean(spikes == expected) > 0.8
    assert spikes.min() == 0 and spikes.max() > 60


@pytest.mark.parametrize("build", [residual, mixed])
def test_every_runtime_computes_the_same_integers(build):
    model = build()
    content = export_tflite(model, samples=SAMPLES, verbose=0)
    report = verify(model, content, SAMPLES[:4], also=("c",))
    assert {"c", "xnnpack"} <= set(report.runtimes)
    assert not any(found.differing or found.output_differing for found in report.runtimes.values())
    assert not report.improper_spikes and "ReLUs are rounded" in " ".join(report.notes)


def test_a_clipped_relu_needs_no_samples_and_reaches_its_clip():
    network = rectified(sequential(layers.Conv2D(2, 3, activation="relu6", name="conv")), None)
    lif = network["conv_relu"]
    assert (lif.levels, lif.signed, lif.decay) == (127, False, 0.0)
    assert lif.amplitude * 127 == pytest.approx(6) and lif.threshold == pytest.approx(3 / 127)


def test_the_range_of_a_relu_is_its_largest_value_on_the_samples():
    model = sequential(layers.Conv2D(2, 3, name="conv"), layers.ReLU(name="relu"), layers.Conv2D(1, 1))
    lif = rectified(model)["relu"]
    reached = np.asarray(keras.Model(model.inputs, model.get_layer("relu").output)(SAMPLES)).max()
    assert lif.amplitude * lif.levels == pytest.approx(reached, rel=1e-5)


def test_levels_leave_room_for_larger_addends_and_for_sums_over_time():
    network = rectified(residual())
    addends = [node for node in network.nodes if isinstance(node, nodes.Add)]
    assert len(addends) == 1 and network["joint"].levels <= 127
    late = rectified(mixed())["late_relu"]
    assert late.levels == 127 // 3  # three timesteps of them fit into int8


@pytest.mark.parametrize("build", [residual, mixed])
def test_without_samples_the_relus_are_named_and_the_advice_works(build):
    with pytest.raises(ValueError, match=r"no samples, and layers '.*Give samples=.*convert\(model, samples\)"):
        export_tflite(build())


def test_the_advice_to_convert_works():
    spiking = convert(residual(), SAMPLES, levels=3)
    assert export_tflite(spiking)


def test_folding_and_exact_training_refuse_relus_by_name():
    for function in (fold, quantize_aware):
        with pytest.raises(ValueError, match=r"ReLUs 'conv_relu'.*convert\(model, samples\)"):
            function(sequential(layers.Conv2D(2, 3, activation="relu", name="conv")))


def test_leaking_relus_are_refused_by_name():
    with pytest.raises(ValueError, match=r"'slope' with negative_slope=0\.1"):
        describe(sequential(layers.ReLU(negative_slope=0.1, name="slope")))


def test_a_mobilenet_needs_no_samples():
    backbone = keras.applications.MobileNet((32, 32, 3), alpha=0.25, weights=None, include_top=False)
    image = keras.Input((32, 32, 3))
    x = DirectEncoding(2)(layers.Dense(4)(layers.GlobalAveragePooling2D(name="mean")(backbone(image))))
    network = rectified(keras.Model(image, TimeAverage()(TernaryLIF(name="spikes")(x))), None)
    neurons = [node for node in network.nodes if isinstance(node, nodes.LIF)]
    assert len(neurons) == 1 + 2 * 13 + 1 + 1 and neurons[-1].name == "spikes"
    assert {(lif.levels, round(lif.amplitude * 127, 9), lif.temporal) for lif in neurons[:-1]} == {(127, 6.0, False)}


def test_means_at_a_far_stride_state_their_levels():
    model = keras.Sequential([keras.Input((10, 10, 1)), layers.Conv2D(2, 1, activation="relu6")])
    model.add(layers.AveragePooling2D(5, name="mean"))
    model.add(layers.Conv2D(2, 1, name="last"))
    program = flatbuffer.read(export_tflite(model, output_range=(-8, 8)))
    assert "MAX_POOL_2D" in {operator.kind for operator in program.operators}  # every fifth pixel
    assert set(spike_levels(program).values()) == {127}
