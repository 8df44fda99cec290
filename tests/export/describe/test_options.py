"""Every option of every supported layer: honoured, refused by name, or without a part in what the layer computes."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import (
    BatchNormalization,
    BinaryLIF,
    BinaryLIFCell,
    DirectEncoding,
    LastTimestep,
    LeakyIntegrator,
    MultiLevelLIF,
    RecentTimesteps,
    TemporalEffectiveBatchNormalization,
    TernaryLIF,
    TernaryLIFCell,
    ThresholdDependentBatchNormalization,
    TimeAverage,
    TimeMax,
    TimestepAffine,
    exact,
)
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.describe.rules.merging import MERGES
from keras_ternary_spike.export.describe.rules.options import NO_PART, check_options, is_known
from keras_ternary_spike.export.describe.rules.reshaping import UNCHANGED
from keras_ternary_spike.export.describe.rules.rule import rule
from keras_ternary_spike.export.describe.rules.spiking import CELL
from keras_ternary_spike.export.describe.rules.table import RULES

IMAGE, ROW, SEQUENCE, VECTOR = (6, 5, 4), (6, 4), (3, 4), (4,)
WINDOW = {
    "kernel_size": 2,
    "strides": 2,
    "padding": "same",
    "data_format": "channels_first",
    "dilation_rate": 2,
    "activation": "softmax",
    "use_bias": False,
}
CONVOLUTION = {"filters": 6, "groups": 2, **WINDOW}
SEPARABLE = {"filters": 6, "depth_multiplier": 2, **WINDOW}
POOL = {"pool_size": 3, "strides": 1, "padding": "same", "data_format": "channels_first"}
GLOBAL = {"data_format": "channels_first", "keepdims": True}
NORM = {
    **{"axis": 1, "momentum": 0.5, "epsilon": 0.3, "center": False, "scale": False, "synchronized": True},
    **{"renorm": True, "renorm_clipping": {"rmax": 2.0}, "renorm_momentum": 0.5},
}
RECURRENT = {
    **{"return_sequences": False, "return_state": True, "go_backwards": True, "stateful": True},
    **{"unroll": True, "zero_output_for_mask": True},
}
NEURON = {
    **{"decay": 0.7, "decay_per": "channel", "snap_decay": True, "threshold": 0.9, "threshold_per": "channel"},
    **{"amplitude_per": "channel", "reset": "subtract", "trainable_decay": True, "trainable_threshold": True},
    **{"trainable_amplitude": False, "detach_reset": True, "separate_bumps": True},
}
LEAK = {name: NEURON[name] for name in ("decay", "decay_per", "snap_decay", "trainable_decay")}
LAYER = {**NEURON, **RECURRENT, "spike_regularizer": None}
# Of every supported layer: the shape that it reads, what it must be built with, and another value for every option.
CASES = {
    layers.Dense: (VECTOR, {"units": 3}, {"units": 5, "activation": "relu6", "use_bias": False}),
    layers.Conv2D: (IMAGE, {"filters": 4, "kernel_size": 3}, CONVOLUTION),
    layers.Conv1D: (ROW, {"filters": 4, "kernel_size": 3}, CONVOLUTION),
    layers.DepthwiseConv2D: (IMAGE, {"kernel_size": 3}, {"depth_multiplier": 2, **WINDOW}),
    layers.DepthwiseConv1D: (ROW, {"kernel_size": 3}, {"depth_multiplier": 2, **WINDOW}),
    layers.SeparableConv2D: (IMAGE, {"filters": 4, "kernel_size": 3}, SEPARABLE),
    layers.SeparableConv1D: (ROW, {"filters": 4, "kernel_size": 3}, SEPARABLE),
    layers.Conv2DTranspose: (
        IMAGE,
        {"filters": 4, "kernel_size": 3},
        {"filters": 6, "output_padding": 1, **WINDOW},
    ),
    layers.MaxPooling2D: (IMAGE, {}, POOL),
    layers.MaxPooling1D: (ROW, {}, POOL),
    layers.AveragePooling2D: (IMAGE, {"pool_size": 2}, POOL),
    layers.AveragePooling1D: (ROW, {"pool_size": 2}, POOL),
    layers.GlobalMaxPooling2D: (IMAGE, {}, GLOBAL),
    layers.GlobalMaxPooling1D: (ROW, {}, GLOBAL),
    layers.GlobalAveragePooling2D: (IMAGE, {}, GLOBAL),
    layers.GlobalAveragePooling1D: (ROW, {}, GLOBAL),
    layers.UpSampling2D: (IMAGE, {}, {"size": 3, "data_format": "channels_first", "interpolation": "bilinear"}),
    layers.ZeroPadding2D: (IMAGE, {}, {"padding": ((1, 0), (0, 2)), "data_format": "channels_first"}),
    layers.Cropping2D: (IMAGE, {"cropping": 1}, {"cropping": ((1, 0), (0, 2)), "data_format": "channels_first"}),
    layers.UpSampling1D: (ROW, {}, {"size": 3}),
    layers.ZeroPadding1D: (ROW, {}, {"padding": (1, 2), "data_format": "channels_first"}),
    layers.Cropping1D: (ROW, {"cropping": 1}, {"cropping": (1, 2)}),
    layers.Conv1DTranspose: (
        ROW,
        {"filters": 4, "kernel_size": 3},
        {**{option: CONVOLUTION[option] for option in CONVOLUTION if option != "groups"}, "output_padding": 0},
    ),
    layers.Flatten: (IMAGE, {}, {"data_format": "channels_first"}),
    layers.Reshape: (IMAGE, {"target_shape": (30, 4)}, {"target_shape": (5, 24)}),
    layers.Permute: ((1, 4), {"dims": (1, 2)}, {"dims": (2, 1)}),
    layers.Dropout: (VECTOR, {"rate": 0.5}, {"rate": 0.2, "seed": 3, "noise_shape": (1, 4)}),
    layers.SpatialDropout1D: (ROW, {"rate": 0.5}, {"rate": 0.2, "seed": 3}),
    layers.SpatialDropout2D: (IMAGE, {"rate": 0.5}, {"rate": 0.2, "seed": 3, "data_format": "channels_first"}),
    layers.GaussianDropout: (VECTOR, {"rate": 0.5}, {"rate": 0.2, "seed": 3}),
    layers.GaussianNoise: (VECTOR, {"stddev": 0.5}, {"stddev": 0.2, "seed": 3}),
    layers.Activation: (VECTOR, {"activation": "linear"}, {"activation": "relu"}),
    layers.ReLU: (VECTOR, {}, {"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.2}),
    layers.Softmax: (IMAGE, {}, {"axis": 1}),
    layers.Rescaling: (IMAGE, {"scale": 0.5}, {"scale": 0.3, "offset": 2.0}),
    layers.Normalization: (
        IMAGE,
        {"mean": 0.5, "variance": 4.0, "axis": None},
        {"mean": -2.0, "variance": 9.0, "invert": True},
    ),
    layers.BatchNormalization: (IMAGE, {}, NORM),
    BatchNormalization: (IMAGE, {}, NORM),
    ThresholdDependentBatchNormalization: (
        SEQUENCE,
        {"threshold": 0.5},
        {"threshold": 0.8, "alpha": 0.6, "epsilon": 0.3, "momentum": 0.5},
    ),
    TemporalEffectiveBatchNormalization: (SEQUENCE, {}, {"epsilon": 0.3, "momentum": 0.5}),
    TimestepAffine: (SEQUENCE, {}, {}),
    DirectEncoding: (VECTOR, {"timesteps": 2}, {"timesteps": 3}),
    TimeAverage: (SEQUENCE, {}, {}),
    TimeMax: (SEQUENCE, {}, {}),
    LastTimestep: (SEQUENCE, {}, {}),
    RecentTimesteps: ((3, 2, 4, 1), {"timesteps": 2}, {"timesteps": 3}),
    LeakyIntegrator: (SEQUENCE, {}, {**LEAK, **RECURRENT}),
    TernaryLIF: (SEQUENCE, {}, LAYER),
    BinaryLIF: (SEQUENCE, {}, LAYER),
    MultiLevelLIF: (SEQUENCE, {"levels": 2}, {"levels": 3, "signed": False, **LAYER}),
    layers.RNN: (SEQUENCE, {"cell": TernaryLIFCell(), "return_sequences": True}, RECURRENT),
}
MERGED = {layers.Add: {}, layers.Average: {}, layers.Subtract: {}, layers.Concatenate: {"axis": 1}}
VARIANTS = [(kind, option) for kind, (_, _, others) in CASES.items() for option in others]


def randomized(model, rng):
    for weight in model.weights:
        if "float" in weight.dtype and "seed" not in weight.name:
            low, high = (0.5, 2.0) if weight.name in ("moving_variance", "threshold", "factors") else (-0.8, 0.8)
            low, high = (0.2, 0.9) if weight.name == "decay" else (low, high)
            weight.assign(rng.uniform(low, high, weight.shape))
    return model


def alone(layer, shape, rng):
    """A model of one layer with random weights, and samples."""
    inputs = keras.Input(batch_shape=(3, *shape))
    values = keras.tree.flatten(layer(inputs))
    return randomized(keras.Model(inputs, values[0]), rng), rng.normal(size=(3, *shape)).astype("float32")


@pytest.mark.parametrize("kind", [*CASES, *MERGED], ids=lambda kind: f"{kind.__module__.split('.')[0]}.{kind.__name__}")
def test_every_option_of_a_layer_is_known_to_its_rule(kind):
    layer = kind(**CASES[kind][1]) if kind in CASES else kind()
    unknown = [option for option in layer.get_config() if not is_known(option, (RULES | MERGES)[kind])]
    assert [option for option in unknown if option != "quantization_config"] == []


def test_every_layer_with_a_rule_is_walked():
    walked = {*CASES, *MERGED, *EXACT, *UNCHANGED}
    assert set(RULES | MERGES) == walked


LINEAR = {"multipliers": ["1/6"], "input_scale": 1.0, "output_scale": 1.0, "input_bound": 1}
EXACT = {
    exact.ExactInput: {"input_range": (0, 1), "scale": 1 / 255, "zero_point": -128},
    exact.ExactShift: {"steps": 1, "offset": 1.0},
    exact.ExactDense: LINEAR,
    exact.ExactConv2D: {**LINEAR, "kernel_size": (1, 1)},
    exact.ExactDepthwiseConv2D: {**LINEAR, "kernel_size": (1, 1)},
    exact.ExactConv2DTranspose: {**LINEAR, "kernel_size": (1, 1), "strides": (1, 1), "cropping": ((0, 0), (0, 0))},
    exact.ExactLIF: {"decay": "1/3", "half": 5},
    exact.ExactShortcut: {"steps": [1], "scale": 1.0},
    exact.ExactSumPooling2D: {"pool_size": (2, 2), "strides": (2, 2)},
    exact.ExactTimeSum: {},
    exact.ExactOutput: {"scale": 1.0},
    exact.ExactAdd: {"factors": [1, 1]},
}


@pytest.mark.parametrize("kind", EXACT, ids=lambda kind: kind.__name__)
def test_every_option_of_an_exact_layer_is_known_to_its_rule(kind):
    rule = (RULES | MERGES)[kind]
    assert [option for option in kind(**EXACT[kind]).get_config() if not is_known(option, rule)] == []


def test_every_option_of_a_neuron_cell_is_known():
    for cell in (TernaryLIFCell(), BinaryLIFCell()):
        assert [option for option in cell.get_config() if not is_known(option, CELL)] == []


@pytest.mark.parametrize("kind, option", VARIANTS, ids=lambda x: getattr(x, "__name__", x))
def test_another_value_of_an_option_is_computed_or_refused(kind, option, rng):
    shape, needed, others = CASES[kind]
    options = {**needed, option: others[option]}
    if option == "dilation_rate":
        options["strides"] = 1  # Keras has no strides between the taps of a dilated kernel
    if option == "output_padding":
        options["strides"] = 2
    model, samples = alone(kind(**options, name="layer"), shape, rng)
    try:
        network = describe(model)
    except ValueError as refusal:
        assert "'layer'" in str(refusal) and option in (RULES | MERGES)[kind].honours
        return
    computed = np.asarray(assemble(network, dtype="float64")(samples))
    wanted = np.asarray(model(samples))
    if others[option] == "softmax":
        computed = np.asarray(keras.ops.softmax(computed))
    np.testing.assert_allclose(computed, wanted, atol=1e-5)
    assert np.ptp(wanted) > 0


def test_an_option_of_a_later_keras_may_stay_at_its_default():
    class Later(layers.Layer):
        def __init__(self, mode="plain", **kwargs):
            super().__init__(**kwargs)
            self.mode = mode

        def get_config(self):
            return {**super().get_config(), "mode": self.mode}

    check_options(Later(), rule(None))
    with pytest.raises(ValueError, match=r"layer 'new' \(Later\) with mode='other'. Leave 'mode' at its default"):
        check_options(Later("other", name="new"), rule(None))
    check_options(Later("other"), rule(None, "mode"))


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_flatten_of_channels_first_moves_no_value_or_is_refused(rank, rng):
    shape = {2: (1, 6), 3: (1, 5, 4), 4: (3, 2, 2, 2)}[rank]
    flatten = layers.Flatten(data_format="channels_first", name="layer")
    model, samples = alone(flatten, shape, rng)
    if rank == 4:
        with pytest.raises(ValueError, match=r"only move axes of size 1.*'layer' with data_format='channels_first'"):
            describe(model)
    else:
        np.testing.assert_array_equal(assemble(describe(model))(samples), model(samples))


def test_flatten_reads_the_format_that_keras_is_set_to():
    keras.config.set_image_data_format("channels_first")
    try:
        model = keras.Sequential([keras.Input((4, 5)), layers.Flatten(name="layer"), layers.Dense(3)])
    finally:
        keras.config.set_image_data_format("channels_last")
    with pytest.raises(ValueError, match="'layer' with data_format='channels_first'"):
        describe(model)


def test_what_never_matters_is_what_training_alone_reads():
    assert {"name", "trainable", "dtype", "autocast", "activity_regularizer"} == NO_PART
