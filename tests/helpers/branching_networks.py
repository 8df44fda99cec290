"""Keras networks with shortcuts and branches, in float64 with random weights."""

import keras
import numpy as np
from keras import layers

from keras_models import in_float64, neurons
from keras_ternary_spike import BinaryLIF, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage

T = 3
IMAGE = (8, 6, 2)


def conv(filters=3, kernel=3, strides=1):
    return PerTimestep(layers.Conv2D(filters, kernel, strides=strides, padding="same"))


def conv_norm(x, filters=3, kernel=3, strides=1):
    return layers.BatchNormalization()(conv(filters, kernel, strides)(x))


def lif(x, **options):
    return TernaryLIF(**options)(x)


def pool(x):
    return PerTimestep(layers.AveragePooling2D(2))(x)


def head(x):
    x = PerTimestep(layers.GlobalAveragePooling2D())(x)
    return TimeAverage()(layers.Dense(4)(x))


def add(*values):
    return layers.Add()(list(values))


def post_add_identity(x):
    x = lif(conv_norm(x))
    for _ in range(2):
        x = lif(add(conv_norm(lif(conv_norm(x))), x))
    return head(x)


def post_add_projection(x):
    x = lif(conv_norm(x))
    x = lif(add(conv_norm(lif(conv_norm(x, 5, strides=2)), 5), conv_norm(pool(x), 5, 1)))
    return head(x)


def post_add_pooled_identity(x):
    x = lif(conv_norm(x))
    return head(lif(add(conv_norm(lif(conv_norm(x, strides=2))), pool(x))))


def norm_after_add(x):
    x = lif(conv_norm(x))
    return head(lif(layers.BatchNormalization()(add(conv(3)(lif(conv_norm(x))), x))))


def membrane_shortcut(x):
    x = conv_norm(x)
    for threshold in (0.5, 0.5, 0.8):
        x = add(conv_norm(lif(conv_norm(lif(x, threshold=threshold)))), x)
    return head(lif(x))


def membrane_shortcut_downsampled(x):
    x = conv_norm(x)
    x = add(conv_norm(lif(conv_norm(lif(x, threshold=1.0), 4, strides=2)), 4), conv_norm(pool(x), 4, 1))
    return head(lif(x, threshold=1.0))


def pre_activation(x):
    x = conv_norm(x)
    for _ in range(2):
        x = add(conv(3)(lif(layers.BatchNormalization()(x))), x)
    return head(lif(layers.BatchNormalization()(x)))


def spike_elementwise(x):
    x = lif(conv_norm(x))
    for _ in range(2):
        x = add(lif(conv_norm(lif(conv_norm(x)))), x)
    return head(x)


def spike_elementwise_depthwise(x):
    x = add(lif(conv_norm(x)), lif(conv_norm(x)))
    return head(lif(PerTimestep(layers.DepthwiseConv2D(3))(x)))


def spikes_added_then_norm(x):
    a, b = lif(conv_norm(x)), lif(conv_norm(x))
    return head(lif(layers.BatchNormalization()(add(a, b))))


def spikes_added_then_max_pool(x):
    a, b = lif(conv_norm(x)), lif(conv_norm(x))
    x = PerTimestep(layers.MaxPooling2D(2))(add(a, b))
    return head(lif(conv_norm(x)))


def concatenated(x):
    a = lif(conv_norm(x))
    b = lif(conv_norm(a, 4))
    x = layers.Concatenate()([a, b])
    return head(add(lif(conv_norm(x)), lif(conv_norm(x))))


def concatenated_currents(x):
    a = lif(conv_norm(x))
    x = layers.Concatenate()([conv(2)(a), a])
    return head(lif(layers.BatchNormalization()(x)))


def dense_block(x):
    x = conv_norm(x)
    for threshold in (0.5, 0.9):
        x = layers.Concatenate()([x, conv_norm(lif(x, threshold=threshold), 2)])
    return head(lif(x))


def two_neurons_on_one_current(x):
    x = conv_norm(x)
    return head(add(conv(3)(lif(x)), conv(3)(lif(x, threshold=0.3))))


def two_norms_on_one_current(x):
    x = conv(3)(x)
    a, b = lif(layers.BatchNormalization()(x)), lif(layers.BatchNormalization()(x))
    return head(lif(add(conv(3)(a), conv(3, 1)(b))))


def negative_amplitude_meets_max_pool(x):
    a = lif(conv_norm(x))
    b = PerTimestep(layers.MaxPooling2D(2))(a)
    return head(lif(add(conv_norm(b), conv_norm(a, strides=2))))


def binary_shortcut(x):
    x = BinaryLIF()(conv_norm(x))
    return head(BinaryLIF(threshold=0.3)(add(conv_norm(x), x)))


def operator_plus(x):
    x = lif(conv_norm(x))
    return head(lif(conv_norm(x) + x))


def added_twice(x):
    x = lif(conv_norm(x))
    return head(lif(add(x, conv_norm(x), x)))


def averaged_sum_of_classifiers(x):
    a = lif(conv_norm(x))
    b = lif(conv_norm(a))
    flat = PerTimestep(layers.Flatten())
    return TimeAverage()(add(layers.Dense(4)(flat(a)), layers.Dense(4)(flat(b))))


def each(layer, x):
    return PerTimestep(layer)(x)


def u_net(x):
    a = lif(conv_norm(x))
    b = lif(conv_norm(PerTimestep(layers.MaxPooling2D(2))(a), 4))
    up = layers.BatchNormalization()(each(layers.Conv2DTranspose(3, 3, strides=2, padding="same"), b))
    x = lif(conv_norm(layers.Concatenate()([lif(up), a])))
    return head(lif(conv_norm(layers.Concatenate()([each(layers.UpSampling2D(2), b), x]))))


def borders(x):
    a = lif(layers.BatchNormalization()(each(layers.Conv2D(3, 3), each(layers.ZeroPadding2D((1, 2)), x))))
    b = each(layers.Cropping2D(((1, 0), (0, 1))), a)
    c = each(layers.Conv2DTranspose(2, 2, strides=2), b)
    x = layers.BatchNormalization()(each(layers.Cropping2D(1), each(layers.UpSampling2D((1, 2)), c)))
    x = lif(x)
    return TimeAverage()(layers.Dense(3)(each(layers.GlobalMaxPooling2D(), x)))


def separable_and_grouped(x):
    a = lif(layers.BatchNormalization()(each(layers.SeparableConv2D(4, 3, padding="same"), x)))
    x = lif(add(layers.BatchNormalization()(each(layers.Conv2D(4, 3, groups=2, padding="same"), a)), a))
    return head(x)


def lines(x):
    x = each(layers.Reshape((48, 2)), x)
    x = lif(layers.BatchNormalization()(each(layers.Conv1D(4, 5, strides=2), x)))
    shortcut = x
    x = lif(layers.BatchNormalization()(each(layers.DepthwiseConv1D(3, padding="same"), x)))
    x = lif(add(layers.BatchNormalization()(each(layers.Conv1D(4, 3, padding="causal"), x)), shortcut))
    x = each(layers.MaxPooling1D(2), each(layers.SeparableConv1D(3, 3), each(layers.AveragePooling1D(2), x)))
    return TimeAverage()(layers.Dense(3)(each(layers.GlobalAveragePooling1D(), lif(x))))


def shared_convolution(x):
    conv_shared, norm_shared = conv(3), layers.BatchNormalization()
    x = lif(conv_norm(x))
    x = lif(norm_shared(conv_shared(x)))
    return head(lif(norm_shared(conv_shared(x))))


def nested_block(x):
    inner = keras.Input((*IMAGE[:2], 3))
    value = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(inner))
    block = keras.Model(inner, layers.Add()([value, layers.Conv2D(3, 1)(inner)]))
    return head(lif(PerTimestep(block)(lif(conv_norm(x)))))


def pooled_sum_of_currents(x):
    a = lif(conv_norm(x))
    return head(lif(pool(add(conv_norm(a), conv_norm(a, 3, 1)))))


BLOCKS = {
    block.__name__: block
    for block in (
        *(post_add_identity, post_add_projection, post_add_pooled_identity, norm_after_add),
        *(membrane_shortcut, membrane_shortcut_downsampled, pre_activation),
        *(spike_elementwise, spike_elementwise_depthwise, spikes_added_then_norm, spikes_added_then_max_pool),
        *(concatenated, concatenated_currents, dense_block),
        *(two_neurons_on_one_current, two_norms_on_one_current, negative_amplitude_meets_max_pool),
        *(binary_shortcut, operator_plus, added_twice, averaged_sum_of_classifiers, pooled_sum_of_currents),
        *(u_net, borders, separable_and_grouped, lines, shared_convolution, nested_block),
    )
}


def built(block, rng, *, static=False, amplitudes=None):
    """A model in float64 with random weights; amplitudes random unless given."""

    def build():
        inputs = keras.Input(IMAGE if static else (T, *IMAGE))
        value = layers.Rescaling(1.5, -0.3)(inputs)
        return keras.Model(inputs, block(DirectEncoding(T)(value) if static else value))

    model = in_float64(build)
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        for part in getattr(inner, "layers", [inner]):
            randomize(part, rng)
    for layer, amplitude in zip(neurons(model), amplitudes or (), strict=False):
        layer.set_weights([np.asarray(amplitude)])
    return model


def randomize(layer, rng):
    if isinstance(layer, layers.BatchNormalization):
        size = layer.gamma.shape[0]
        gamma = rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size)
        layer.set_weights([gamma, rng.normal(0, 0.3, size), rng.normal(0, 0.3, size), rng.uniform(0.5, 2, size)])
    elif isinstance(layer, TernaryLIF | BinaryLIF):
        layer.set_weights([np.asarray(rng.uniform(0.4, 1.7) * (rng.choice([-1, 1])))])
    elif layer.weights:
        *kernels, bias = layer.get_weights()
        layer.set_weights([*(rng.normal(0, 1.5 / np.sqrt(k[..., 0].size), k.shape) for k in kernels), bias + 0.1])


# Refused by name: sums that no neuron reads, and sums that leave int8.
REFUSED = {
    "averaged_sum_of_classifiers",
    "concatenated",
    "spike_elementwise",
    "spikes_added_then_max_pool",
    "two_neurons_on_one_current",
}
