"""Offsets per channel behind an input, in front of a zero-padded convolution: a 1x1 kernel, or one zero point."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, load, quantize_aware, verify
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.network import nodes
from keras_ternary_spike.export.tflite import flatbuffer

IMAGE, RANGE = (7, 6, 3), (0, 255)
MEANS, VARIANCES = [123.7, 116.3, 103.5], [3411.0, 3260.0, 3295.0]


def normalization(mean=MEANS, variance=VARIANCES):
    return layers.Normalization(mean=mean, variance=variance, name="front")


FRONTS = {
    "Normalization": lambda: [normalization()],
    "Rescaling": lambda: [layers.Rescaling([1 / 58, -1 / 57, 1 / 50], [-2.0, 1.9, -1.8], name="front")],
    "BatchNormalization": lambda: [layers.BatchNormalization(name="front")],
    "two in a row": lambda: [layers.Rescaling(1 / 255), normalization([0.5, 0.4, 0.3], [0.05, 0.06, 0.07])],
}
# The same x - 100 for all channels, and its scale in the kernel; the same factor, and an offset for each channel.
ONE_ZERO_POINT = normalization(100.0, 9.0), normalization([100.0] * 3, [4.0, 9.0, 16.3])


def model_behind(front, rng, encoded=True):
    behind = [DirectEncoding(2)] if encoded else []
    convolution = layers.Conv2D(4, 3, padding="same")
    image = keras.Input(IMAGE if encoded else (2, *IMAGE))
    value = image
    front = [layer if encoded else PerTimestep(layer) for layer in front]
    for layer in (*front, *behind, PerTimestep(convolution), TernaryLIF(), PerTimestep(layers.Flatten())):
        value = layer(value)
    model = keras.Model(image, TimeAverage()(layers.Dense(4)(value)))
    for weight in model.weights:
        low, high = {"moving_mean": (90, 130), "moving_variance": (2000, 4000)}.get(weight.name, (-0.6, 0.6))
        weight.assign(rng.uniform(low, high, weight.shape))
    return model, rng.uniform(*RANGE, (12, *image.shape[1:])).astype("float32")


@pytest.mark.parametrize("encoded", [True, False], ids=["still", "sequence"])
@pytest.mark.parametrize("front", FRONTS)
def test_folding_keeps_the_outputs(front, encoded, rng):
    model, samples = model_behind(FRONTS[front](), rng, encoded)
    network = describe(model)
    folded = fold_network(network)
    assert not any(isinstance(node, nodes.Affine) for node in folded.nodes)
    before, after = (np.asarray(assemble(x, dtype="float64")(samples)) for x in (network, folded))
    np.testing.assert_allclose(after, before, atol=1e-9)
    assert np.ptp(before) > 0.01


@pytest.mark.parametrize("front", ["Normalization", "Rescaling"])
def test_files_hold_the_same_bits_everywhere_and_aware_models_compute_them(front, rng):
    model, samples = model_behind(FRONTS[front](), rng)
    file = export_tflite(model, input_range=RANGE)
    assert verify(model, file, samples).exact
    aware = quantize_aware(model, input_range=RANGE)
    np.testing.assert_array_equal(aware.predict(samples), load(file).predict(samples))


def test_the_normalized_image_is_as_fine_as_the_image(rng):
    model, samples = model_behind(FRONTS["Normalization"](), rng)
    program = flatbuffer.read(export_tflite(model, input_range=RANGE))
    front = next(tensor for tensor in program.tensors if tensor.name == "front/current")
    # The next kernel takes the factors: x - 103.5 to x - 123.7 are 255 + 20.2 units, on 255 steps.
    scale = float(front.scale)
    assert scale == pytest.approx((255 + 123.7 - 103.5) / 255, rel=0.03)
    values = program.trace({program.tensors[program.inputs[0]].name: integers(program, samples)})
    reals = scale * (values["front/current"].astype(float) - front.zero_point)
    np.testing.assert_allclose(reals, samples - MEANS, atol=1 + 0.51 * scale)  # of input, offset and value


def integers(program, samples):
    tensor = program.tensors[program.inputs[0]]
    return np.clip(np.rint(samples / float(tensor.scale)) + tensor.zero_point, -128, 127).astype(np.int8)


@pytest.mark.parametrize("front", ONE_ZERO_POINT, ids=["one factor", "a factor per channel"])
def test_what_all_channels_share_is_a_zero_point(front, rng):
    model, _ = model_behind([front], rng)
    folded = fold_network(describe(model))
    shift, *others = [node for node in folded.nodes if isinstance(node, nodes.Affine)]
    assert others == [] and (np.ravel(shift.scale) == 1).all()
    np.testing.assert_allclose(np.ravel(shift.offset), -100, atol=1e-9)
    assert np.ptp(shift.offset) == 0
    operators = [operator.kind for operator in flatbuffer.read(export_tflite(model, input_range=RANGE)).operators]
    assert "DEPTHWISE_CONV_2D" not in operators
