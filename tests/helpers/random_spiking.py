"""Programs of one spiking layer behind spikes, and of several behind graded ones: kernels of every kind, every reset,
extreme weights, all densities."""

from fractions import Fraction
from itertools import count, cycle, islice

import numpy as np

from keras_ternary_spike.export.c_code.design import design
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.facts import Facts, NeuronFacts
from keras_ternary_spike.export.program.grid import SPIKE, Grid, firing_activation, float32, spike_grid
from keras_ternary_spike.export.quantize.emit.neurons.neuron import emit_neuron
from keras_ternary_spike.export.quantize.integer_neuron import Neuron, drop_steps
from random_programs import (
    image_of,
    kernel_of,
    kernel_shape,
    multipliers,
    weighted,
    window_options,
    with_no_zero_point,
)

DECAYS = (Fraction(0), Fraction(16, 63), Fraction(32, 63), Fraction(1))
RESETS = ("zero", "subtract", "none")
IMAGE = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
LEVELS = (2, 4, 9, 127)
PLAIN = dict.fromkeys(("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor", "depth_multiplier"), 1)
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


def neuron(rng):
    decay, reset = DECAYS[rng.integers(len(DECAYS))], str(rng.choice(RESETS))
    quiet_steps = int(rng.choice([1, 20, 60 if decay == 1 else 84 if decay > Fraction(1, 2) else 100]))
    drop = drop_steps(decay, quiet_steps) if reset == "subtract" else Fraction(0)
    return Neuron("layer_neuron", decay, quiet_steps, bool(rng.random() < 0.7), reset, drop)


def spiking(rng, kind, *, timesteps=None, shape=None, largest=None):
    """`timesteps` inputs of spikes, one layer with a kernel, its neuron; the outputs are the spikes."""
    timesteps, one = timesteps or int(rng.integers(1, 5)), neuron(rng)
    builder, shape = Builder(), shape or image_of(rng)
    inputs = tuple(builder.activation(f"in{t}", shape, Grid(1.0)) for t in range(timesteps))
    spikes = [fired(builder, tensor, shape, t) for t, tensor in enumerate(inputs)]
    if kind == "FULLY_CONNECTED":
        new_shape = builder.constant("flat/shape", np.array([1, int(np.prod(shape))], np.int32))
        options = {"new_shape": (1, int(np.prod(shape)))}
        spikes = [
            builder.emit(
                "RESHAPE", (spike, new_shape), f"flat/current/{t}", options["new_shape"][1:], SPIKE, options=options
            )
            for t, spike in enumerate(spikes)
        ]
    currents = weights(rng, builder, kind, spikes, Grid(one.step), largest)
    outputs = emit_neuron(builder, one, currents)
    levels = (-1, 0, 1) if one.signed else (0, 1)
    stated = NeuronFacts(one.name, one.decay, 2 * one.quiet_steps + 1, levels, one.reset, one.drop)
    facts = Facts(timesteps=timesteps, neurons=(stated,))
    return builder.program("spiking", inputs, tuple(dict.fromkeys(outputs)), facts.to_json())


def loud():
    """400 weights of 80 for each of 3 outputs, threshold 8,040: where all inputs fire, sums are 32,000 or -32,000."""
    builder, one = Builder(), Neuron("layer_neuron", Fraction(0), 100)
    image = builder.activation("in0", (10, 10, 4), Grid(1.0))
    shape = builder.constant("flat/shape", np.array([1, 400], np.int32))
    call = ("RESHAPE", (fired(builder, image, (10, 10, 4), 0), shape), "flat/current/0", (400,), SPIKE)
    flat = builder.emit(*call, options={"new_shape": (1, 400)})
    scale = np.full(3, one.step / 80, np.float32)
    kernel = builder.constant("layer/kernel", np.full((3, 400), 80, np.int8), scale, channel_axis=0)
    bias = builder.constant("layer/bias", np.zeros(3, np.int32), scale)
    current = builder.emit("FULLY_CONNECTED", (flat, kernel, bias), "layer/current/0", (3,), Grid(one.step))
    outputs = emit_neuron(builder, one, (current,))
    stated = NeuronFacts(one.name, one.decay, 2 * one.quiet_steps + 1, (-1, 0, 1), one.reset, one.drop)
    return builder.program("loud", (image,), tuple(outputs), Facts(timesteps=1, neurons=(stated,)).to_json())


def with_every_kernel(rng, each):
    """Random programs, `each[kernel]` whose C calls a kernel, by its name."""
    dense = (weighted(rng, kind) for kind in cycle(("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")))
    drawn = {
        "gather_values": map(with_no_zero_point, dense),
        "gather_wide": (spiking(rng, "CONV_2D", shape=(4, 5, 90), largest=127) for _ in count()),
        "scatter_layer": (spiking(rng, "DEPTHWISE_CONV_2D", timesteps=2) for _ in count()),
        "integrate_two": (spiking(rng, kind, timesteps=2) for kind in cycle(KINDS)),
        "integrate": (spiking(rng, kind, timesteps=3) for kind in cycle(KINDS)),
        "fire": (spiking(rng, kind, timesteps=1) for kind in cycle(KINDS)),
    }
    for kernel, programs in drawn.items():
        yield from ((kernel, one) for one in islice((one for one in programs if _calls(one, kernel)), each[kernel]))


def _calls(program, kernel):
    return any(kernel in step.kernels for step in design(program, "net").steps)


def fired(builder, tensor, shape, t):
    """Spikes: the signs of int8 values."""
    channels = shape[-1]
    kernel = builder.constant("fire/kernel", np.full((1, 1, 1, channels), 1, np.int8), 1.0, channel_axis=3)
    bias = builder.constant("fire/bias", np.zeros(channels, np.int32), 1.0)
    options = PLAIN | {"padding": "VALID"}
    call = ("DEPTHWISE_CONV_2D", (tensor, kernel, bias), f"source/spike/{t}", shape, SPIKE)
    return builder.emit(*call, activation="RELU_N1_TO_1", options=options)


def _drawn(rng, kind, taps, inputs, channels, largest):
    """Kernel, bias, and the channels' factors between currents and what is fired. largest: of all weights, or None."""
    factor, step = multipliers(rng, channels)
    kernel = kernel_of(rng, kernel_shape(kind, taps, inputs, channels), step)
    if largest is not None:
        kernel = np.full_like(kernel, largest // step * step) * rng.choice([-1, 1], kernel.shape).astype(np.int8)
    bias = rng.integers(-300, 300, channels) // step * step
    if kind == "FULLY_CONNECTED":  # one scale for all channels
        factor = np.full(channels, factor[0])
    return kernel, bias.astype(np.int32), factor


def weights(rng, builder, kind, spikes, target, largest):
    """One operator with the same kernel for each of some spike tensors."""
    shape = builder.shape(spikes[0])
    channels = shape[-1] if kind == "DEPTHWISE_CONV_2D" else int(rng.integers(1, 40))
    taps = tuple(int(min(size, n)) for size, n in zip(shape[:2], rng.integers(1, 4, 2), strict=False))
    options, out_shape = window_options(rng, kind, shape, taps, channels)
    kernel, bias, factor = _drawn(rng, kind, taps, shape[-1], channels, largest)
    scale = (factor * target.scale).astype(np.float32)
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    operands = (
        builder.constant("layer/kernel", kernel, scale, channel_axis=axis),
        builder.constant("layer/bias", bias, scale),
    )
    size = builder.constant("layer/size", np.array([1, *out_shape], np.int32)) if kind == "TRANSPOSE_CONV" else None
    return tuple(
        builder.emit(
            kind,
            (size, operands[0], spike, operands[1]) if kind == "TRANSPOSE_CONV" else (spike, *operands),
            f"layer/current/{t}",
            out_shape,
            target,
            options=options,
        )
        for t, spike in enumerate(spikes)
    )


def spike_inputs(rng, program, samples=4):
    """Sources that fire at densities from nowhere to everywhere."""
    densities = (0.0, 0.03, 0.3, 1.0)[:samples]
    shape = program.tensors[program.inputs[0]].shape[1:]
    return {
        name: np.stack([(rng.random(shape) < d) * rng.choice([-1, 1], shape) for d in densities]).astype(np.int8)
        for name in program.named_inputs
    }


def graded(rng, kinds, *, levels=None, signed=False, shape=None, largest=None, near=False):
    """Levels {0..k} or {-k..k} of an image, and a layer of each kind that grades anew but for the last, whose output
    holds numbers. largest: of all weights, all of them that large. near: windows of 3 x 3, stride 1, within "SAME".
    """
    spikes = spike_grid(levels or int(rng.choice(LEVELS)), signed=signed)
    builder, shape = Builder(), shape or (*rng.integers(2, 8, 2).tolist(), int(rng.choice([3, 16, 20, 32])))
    image = builder.activation("in0", shape, Grid(1.0))
    found = _levels_of(builder, image, spikes)
    for number, kind in enumerate(kinds):
        last = number + 1 == len(kinds)
        target, activation = (Grid(float32(0.1)), "RELU") if last else (spikes, firing_activation(spikes))
        if kind == "MAX_POOL_2D":
            found = _pooled(rng, builder, found, spikes, number)
            continue
        if kind == "FULLY_CONNECTED":
            found = _flat(builder, found, spikes, number)
        found = _graded_layer(rng, builder, kind, f"layer{number}", found, target, activation, largest, near)
    return builder.program("graded", (image,), (found,), {"timesteps": 1, "neurons": []})


def _levels_of(builder, image, spikes):
    """Levels: int8 values as they are, clipped."""
    shape = builder.shape(image)
    kernel = builder.constant("first/kernel", np.ones((1, 1, 1, shape[-1]), np.int8), spikes.scale, channel_axis=3)
    bias = builder.constant("first/bias", np.zeros(shape[-1], np.int32), spikes.scale)
    call = ("DEPTHWISE_CONV_2D", (image, kernel, bias), "first/spike/0", shape, spikes)
    return builder.emit(*call, activation=firing_activation(spikes), options=PLAIN | {"padding": "VALID"})


def _flat(builder, source, spikes, number):
    size = int(np.prod(builder.shape(source)))
    shape = builder.constant(f"flat{number}/shape", np.array([1, size], np.int32))
    options = {"new_shape": (1, size)}
    return builder.emit("RESHAPE", (source, shape), f"flat{number}/reshaped", (size,), spikes, options=options)


def _graded_layer(rng, builder, kind, name, source, target, activation, largest, near):
    shape = builder.shape(source)
    channels = shape[-1] if kind == "DEPTHWISE_CONV_2D" else int(rng.integers(1, 40))
    taps = (3, 3) if near else tuple(int(min(n, k)) for n, k in zip(shape[:2], rng.integers(1, 4, 2), strict=False))
    options, out_shape = window_options(rng, kind, shape, taps, channels)
    if near and kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        options, out_shape = options | PLAIN | {"padding": "SAME"}, (*shape[:2], channels)
        if kind == "CONV_2D":
            del options["depth_multiplier"]
    kernel, bias, factor = _drawn(rng, kind, taps, shape[-1], channels, largest)
    image = np.float32(builder.tensors[source].scale)
    scale = (factor * target.scale / image).astype(np.float32)
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    weights = builder.constant(f"{name}/kernel", kernel, scale, channel_axis=axis)
    inputs = (source, weights, builder.constant(f"{name}/bias", bias, scale * image))
    if kind == "TRANSPOSE_CONV":
        size = builder.constant(f"{name}/size", np.array([1, *out_shape], np.int32))
        inputs, activation = (size, weights, source, inputs[-1]), "NONE"
    role = "current/0" if activation in ("NONE", "RELU") else "spike/0"
    return builder.emit(kind, inputs, f"{name}/{role}", out_shape, target, activation=activation, options=options)


def _pooled(rng, builder, source, spikes, number):
    shape = builder.shape(source)
    taps = tuple(int(min(n, k)) for n, k in zip(shape[:2], rng.integers(1, 4, 2), strict=True))
    options, out_shape = window_options(rng, "MAX_POOL_2D", shape, taps, shape[-1])
    options |= {"filter_height": taps[0], "filter_width": taps[1]}
    return builder.emit("MAX_POOL_2D", (source,), f"pool{number}/max/0", out_shape, spikes, options=options)


def level_inputs(rng, program, samples=4):
    """Images of which nothing, little, most and everything is a level above 0; some of them beyond the highest."""
    shape = program.tensors[program.inputs[0]].shape[1:]
    images = [(rng.random(shape) < d) * rng.integers(-128, 128, shape) for d in (0.0, 0.03, 0.4, 1.0)[:samples]]
    return {name: np.stack(images).astype(np.int8) for name in program.named_inputs}
