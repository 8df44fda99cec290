"""Programs of one operator, drawn at random: shapes, strides, paddings, dilations, zero points, scales, densities."""

from dataclasses import replace

import numpy as np

from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid, float32
from keras_ternary_spike.export.quantize.weights import HALF_STEPS

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1")
SMALL_HALF_STEPS = HALF_STEPS[HALF_STEPS < 400]


def grid(rng):
    return Grid(float32(rng.uniform(0.001, 0.1)), int(rng.integers(-128, 128)))


def spikes_or_values(rng, shape, *, density=None):
    """int8: spikes of a density, or any values."""
    if density is None:
        return rng.integers(-128, 128, shape).astype(np.int8)
    return ((rng.random(shape) < density) * rng.choice([-1, 1], shape)).astype(np.int8)


def image_of(rng, largest=7):
    return (*rng.integers(1, largest + 1, 2).tolist(), int(rng.integers(1, 40)))


def multipliers(rng, channels):
    """(float multiplier, step of integers) of every channel, of the two families that never tie."""
    if rng.random() < 0.5:
        return rng.integers(32, 200, channels) / 63, 1
    return 1 / (2.0 * rng.choice(SMALL_HALF_STEPS, channels)), 2


def kernel_of(rng, shape, step):
    largest = int(rng.choice([1, 40, 127]))
    values = rng.integers(-largest, largest + 1, shape) * (rng.random(shape) < rng.choice([0.3, 1.0]))
    return (np.sign(values) * (np.abs(values) // step * step)).astype(np.int8)


def weighted(rng, kind, source=None, *, shape=None):
    """A program of one convolution, depthwise or transposed one, or matrix product."""
    builder, source = Builder(), source or grid(rng)
    shape = shape or (image_of(rng) if kind != "FULLY_CONNECTED" else (int(rng.integers(1, 80)),))
    tensor = builder.activation("in", shape, source)
    channels = shape[-1] * int(rng.integers(1, 4)) if kind == "DEPTHWISE_CONV_2D" else int(rng.integers(1, 40))
    taps = tuple(int(min(size, n)) for size, n in zip(shape[:2], rng.integers(1, 4, 2), strict=False))
    options, out_shape = window_options(rng, kind, shape, taps, channels)
    factor, step = multipliers(rng, channels)
    kernel = kernel_of(rng, kernel_shape(kind, taps, shape[-1], channels), step)
    bias = rng.integers(-300, 300, channels) // step * step
    target, scale = grid(rng), None
    scale = (factor * target.scale / source.scale).astype(np.float32)
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    weights = builder.constant("layer/kernel", kernel, scale, channel_axis=axis)
    biases = builder.constant("layer/bias", bias.astype(np.int32), scale * np.float32(source.scale))
    inputs = (tensor, weights, biases)
    if kind == "TRANSPOSE_CONV":
        inputs = (builder.constant("shape", np.array([1, *out_shape], np.int32)), weights, tensor, biases)
    activation = "NONE" if kind == "TRANSPOSE_CONV" else str(rng.choice(ACTIVATIONS))
    output = builder.emit(kind, inputs, "out", out_shape, target, activation=activation, options=options)
    return builder.program("random", (tensor,), (output,), {"timesteps": 1})


def kernel_shape(kind, taps, channels, out_channels):
    if kind == "FULLY_CONNECTED":
        return out_channels, channels
    return (1, *taps, out_channels) if kind == "DEPTHWISE_CONV_2D" else (out_channels, *taps, channels)


def window_options(rng, kind, shape, taps, channels):
    """The options of a window, and the output's shape."""
    if kind == "FULLY_CONNECTED":
        return {}, (channels,)
    stride = rng.integers(1, 4, 2).tolist()
    options = {"stride_h": stride[0], "stride_w": stride[1], "padding": str(rng.choice(["SAME", "VALID"]))}
    if kind == "TRANSPOSE_CONV":
        full = [(n - 1) * s + k for n, s, k in zip(shape[:2], stride, taps, strict=True)]
        same = [n * s for n, s in zip(shape[:2], stride, strict=True)]
        fits = all(s <= f for s, f in zip(same, full, strict=True))
        options["padding"] = "SAME" if fits else "VALID"
        return options, (*(same if fits else full), channels)
    dilation = [1, 1]
    if kind != "MAX_POOL_2D":
        fitting = [int((n - 1) // max(k - 1, 1)) for n, k in zip(shape[:2], taps, strict=True)]
        dilation = [int(rng.integers(1, max(min(3, most), 1) + 1)) for most in fitting]
        options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    if kind == "DEPTHWISE_CONV_2D":
        options["depth_multiplier"] = channels // shape[-1]
    extents = [(k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)]
    sizes = [
        -(-n // s) if options["padding"] == "SAME" else (n - extent) // s + 1
        for n, s, extent in zip(shape[:2], stride, extents, strict=True)
    ]
    return options, (*sizes, channels)


def max_pool(rng):
    builder, shape, source = Builder(), image_of(rng), grid(rng)
    tensor = builder.activation("in", shape, source)
    taps = tuple(int(min(size, n)) for size, n in zip(shape[:2], rng.integers(1, 4, 2), strict=True))
    options, out_shape = window_options(rng, "MAX_POOL_2D", shape, taps, shape[-1])
    options |= {"filter_height": taps[0], "filter_width": taps[1]}
    output = builder.emit("MAX_POOL_2D", (tensor,), "out", out_shape, source, options=options)
    return builder.program("random", (tensor,), (output,), {"timesteps": 1})


def elementwise(rng, kind):
    """Of two tensors, a tensor and a number, or a tensor and a number for every channel; nowhere a tie."""
    builder, shape = Builder(), image_of(rng)
    first = builder.activation("one", shape, Grid(float32(1.0), int(rng.integers(-9, 9))))
    inputs, how = (first,), rng.choice(["two", "number", "channels"])
    if how == "two":
        second = builder.activation("other", shape, Grid(float32(2.0), int(rng.integers(-9, 9))))
        inputs = (first, second)
    else:
        size = [1, 1, 1, 1 if how == "number" else shape[-1]]
        second = builder.constant("constant", rng.integers(-127, 128, size).astype(np.int8), 2.0)
    operands = (first, second) if rng.random() < 0.5 else (second, first)
    # Of sums any odd number; a product is rounded twice below 1/2.
    steps = [1.0, 3.0, 63 / 16] if kind == "MUL" else [3.0, 7.0, 21.0]
    target = Grid(float32(rng.choice(steps)), int(rng.integers(-20, 20)))
    output = builder.emit(kind, operands, "out", shape, target, activation=str(rng.choice(ACTIVATIONS[:2])))
    return builder.program("random", inputs, (output,), {"timesteps": 1})


def moved(rng, kind):
    """PAD, SLICE, CONCATENATION or RESHAPE."""
    builder, shape, source = Builder(), image_of(rng), grid(rng)
    tensor = builder.activation("in", shape, source)
    inputs, options = (tensor,), {}
    if kind == "PAD":
        pads = np.concatenate([[[0, 0]], rng.integers(0, 3, (3, 2))]).astype(np.int32)
        out = tuple(int(n) for n in np.array(shape) + pads[1:].sum(axis=1))
        operands = (tensor, builder.constant("pads", pads))
    elif kind == "SLICE":
        out = tuple(int(rng.integers(1, n + 1)) for n in shape)
        begin = [0, *(int(rng.integers(0, n - o + 1)) for n, o in zip(shape, out, strict=True))]
        operands = (
            tensor,
            builder.constant("begin", np.array(begin, np.int32)),
            builder.constant("size", np.array([1, *out], np.int32)),
        )
    elif kind == "CONCATENATION":
        axis = int(rng.integers(1, 4))
        other = [*shape]
        other[axis - 1] = int(rng.integers(1, 5))
        second = builder.activation("other", tuple(other), source)
        inputs, options = (tensor, second), {"axis": axis}
        operands = (tensor, second, tensor)
        out = tuple(2 * n + m if a == axis - 1 else n for a, (n, m) in enumerate(zip(shape, other, strict=True)))
    else:
        out = (int(np.prod(shape)),)
        operands = (tensor, builder.constant("new", np.array([1, *out], np.int32)))
        options = {"new_shape": (1, *out)}
    output = builder.emit(kind, operands, "out", out, source, options=options)
    return builder.program("random", inputs, (output,), {"timesteps": 1})


RANDOM = {
    **{
        kind: (lambda rng, kind=kind: weighted(rng, kind))
        for kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
    },
    **{kind: (lambda rng, kind=kind: elementwise(rng, kind)) for kind in ("ADD", "SUB", "MUL")},
    **{kind: (lambda rng, kind=kind: moved(rng, kind)) for kind in ("PAD", "SLICE", "CONCATENATION", "RESHAPE")},
    "MAX_POOL_2D": max_pool,
}  # every kind that a Program can hold


def random_inputs(rng, program, samples=3):
    """int8 for every input: ends, zero points and anything between."""
    found = {}
    for name, index in program.named_inputs.items():
        tensor = program.tensors[index]
        values = rng.integers(-128, 128, (samples, *tensor.shape[1:])).astype(np.int8)
        values[0] = rng.choice([-128, 127, tensor.zero_point], values[0].shape)
        found[name] = values
    return found


def with_no_zero_point(program):
    """The program as one of a network with a timestep, its output a current."""
    output = program.outputs[0]
    tensors = tuple(replace(t, zero_point=0) if index == output else t for index, t in enumerate(program.tensors))
    return replace(program, tensors=tensors, metadata={"timesteps": 1, "neurons": []})
