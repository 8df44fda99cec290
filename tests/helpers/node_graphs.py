"""Networks of nodes with random weights, as chains and with shortcuts, and their files on every runtime."""

import numpy as np

from every_runtime import assert_every_tensor_equals, assert_outputs_equal
from keras_ternary_spike.export.network.nodes import (
    LIF,
    NO_PADDING,
    Add,
    Affine,
    Conv,
    Dense,
    DepthwiseConv,
    Input,
    Network,
    Repeat,
    Reshape,
    SumPool,
    TimeSum,
)
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer

SIZE, CHANNELS = 6, 5
SHAPE = (SIZE, SIZE, CHANNELS)
SAME = ((1, 1), (1, 1))


class Nodes:
    """Nodes that grow from an image or a vector; every value after `repeat` or a temporal input has a time axis."""

    def __init__(self, rng, timesteps, shape, temporal=False):
        self.rng, self.timesteps = rng, timesteps
        self.nodes = [Input(name="image", shape=shape, temporal=temporal)]

    def append(self, kind, name, inputs, shape, temporal, **fields):
        self.nodes.append(kind(name=name, inputs=inputs, shape=shape, temporal=temporal, **fields))

    def weights(self, shape, fan_in, gain, biases):
        """Kernel and bias: currents of variance gain ** 2 for inputs of variance 1."""
        kernel = self.rng.normal(0, gain / np.sqrt(fan_in), shape)
        return {"kernel": kernel, "bias": self.rng.normal(0, 0.1, biases)}

    def network(self):
        return Network("nodes", tuple(self.nodes), (self.nodes[-1].name,), self.timesteps)


class Chain(Nodes):
    """Each node reads the one before."""

    @property
    def shape(self):
        return self.nodes[-1].shape

    def add(self, kind, name, shape=None, temporal=None, **fields):
        last = self.nodes[-1]
        temporal = last.temporal if temporal is None else temporal
        self.append(kind, name, (last.name,), last.shape if shape is None else shape, temporal, **fields)
        return self

    def repeat(self):
        return self.add(Repeat, "repeat", temporal=True)

    def conv(
        self, name, channels, size=3, strides=(1, 1), dilation=(1, 1), padding=NO_PADDING, depthwise=False, gain=1.2
    ):
        height, width, fan_in = self.shape
        rows, columns = (
            (n + sum(pad) - (size - 1) * d - 1) // s + 1
            for n, pad, d, s in zip((height, width), padding, dilation, strides, strict=True)
        )
        kind, out = (DepthwiseConv, fan_in * channels) if depthwise else (Conv, channels)
        inputs = size * size * (1 if depthwise else fan_in)
        weights = self.weights((size, size, fan_in, channels), inputs, gain, out)
        window = {"strides": strides, "dilation": dilation, "padding": padding}
        return self.add(kind, name, (rows, columns, out), **weights, **window)

    def lif(self, name, decay=0.25, signed=True):
        return self.add(LIF, name, decay=decay, threshold=0.5, amplitude=1.0, signed=signed)

    def dense(self, name, units, gain=1.0):
        return self.add(Dense, name, (units,), **self.weights((self.shape[-1], units), self.shape[-1], gain, units))

    def head(self, classes=10):
        height, width, channels = self.shape
        return (
            self.add(TimeSum, "time", temporal=False)
            .add(SumPool, "sum", (1, 1, channels), size=(height, width), strides=(height, width))
            .add(Reshape, "flat", (channels,))
            .dense("logits", classes, gain=0.1)
        )


class Graph(Nodes):
    """Nodes name what they read; of one image size and channel count, unless a shape is given."""

    def __init__(self, rng, timesteps):
        super().__init__(rng, timesteps, (SIZE, SIZE, 2))

    def add(self, kind, name, *inputs, shape=SHAPE, temporal=True, **fields):
        self.append(kind, name, inputs, shape, temporal, **fields)
        return name

    def conv(self, name, source, *, fan_in=CHANNELS, filters=CHANNELS, gain=1.2, size=3, shape=SHAPE, temporal=True):
        weights = self.weights((size, size, fan_in, filters), size * size * fan_in, gain, filters)
        padding = SAME if size == 3 else NO_PADDING
        return self.add(Conv, name, source, padding=padding, shape=shape, temporal=temporal, **weights)

    def lif(self, name, source, *, shape=SHAPE, decay=0.25):
        return self.add(LIF, name, source, shape=shape, decay=decay, threshold=0.5, amplitude=1.0)

    def stem(self):
        stem = self.conv("stem", "image", fan_in=2, gain=4.0, temporal=False)
        return self.lif("lif0", self.add(Repeat, "repeat", stem))

    def finish(self, source, shape=SHAPE):
        total = self.add(TimeSum, "time", source, shape=shape, temporal=False)
        size = shape[:2]
        pooled = self.add(SumPool, "sum", total, size=size, strides=size, shape=(1, 1, shape[2]), temporal=False)
        flat = self.add(Reshape, "flat", pooled, shape=shape[2:], temporal=False)
        kernel = self.rng.normal(0, 0.1, (shape[2], 3))
        self.add(Dense, "logits", flat, kernel=kernel, bias=np.zeros(3), shape=(3,), temporal=False)
        return self.network()


def assert_exact(network, rng, samples=5, **options):
    """The program and all runtimes agree on every tensor, exposed and as shipped. Returns the program and its trace."""
    program = quantize(network, **options)
    tflite = flatbuffer.write(program)
    shape = program.tensors[program.inputs[0]].shape[1:]
    inputs = rng.integers(-128, 128, (samples, *shape)).astype(np.int8)
    trace = program.trace(inputs)
    assert_every_tensor_equals(trace, tflite, inputs)
    assert_outputs_equal(trace, tflite, inputs)
    assert_spikes_are_literal(program, trace)
    return program, {name: values.astype(int) for name, values in trace.items()}


def assert_spikes_are_literal(program, trace):
    for tensor in program.tensors:
        assert tensor.dtype == "int8" or tensor.data is not None
        if "/spike/" in tensor.name:
            assert tensor.scale == 1.0 and tensor.zero_point == 0
            assert set(np.unique(trace[tensor.name])) <= {-1, 0, 1}


def identity_block(rng, timesteps, amplitude, decay=0.25):
    graph = Graph(rng, timesteps)
    spikes = graph.stem()
    current = graph.conv("conv1", spikes)
    shortcut = graph.add(Affine, "shortcut", spikes, scale=np.array(amplitude), offset=np.array(0.0))
    total = graph.add(Add, "add", current, shortcut)
    return graph.finish(graph.lif("lif1", total, decay=decay))
