"""Networks of nodes with shortcuts, built by hand, and the comparison of their files with `Program.run`."""

import numpy as np

from keras_ternary_spike.export.network.nodes import (
    LIF,
    Add,
    Affine,
    Conv,
    Dense,
    Input,
    Network,
    Repeat,
    Reshape,
    SumPool,
    TimeSum,
)
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.runtimes.implementations import RUNTIMES, expose
from keras_ternary_spike.export.tflite import flatbuffer

SIZE, CHANNELS = 6, 5
SHAPE = (SIZE, SIZE, CHANNELS)
SAME = ((1, 1), (1, 1))


class Graph:
    """Nodes of one image size and channel count, unless a shape is given."""

    def __init__(self, rng, timesteps):
        self.rng, self.timesteps = rng, timesteps
        self.nodes = [Input(name="image", shape=(SIZE, SIZE, 2), temporal=False)]

    def add(self, kind, name, *inputs, shape=SHAPE, temporal=True, **fields):
        self.nodes.append(kind(name=name, inputs=inputs, shape=shape, temporal=temporal, **fields))
        return name

    def conv(self, name, source, *, fan_in=CHANNELS, filters=CHANNELS, gain=1.2, size=3, shape=SHAPE, temporal=True):
        kernel = self.rng.normal(0, gain / np.sqrt(size * size * fan_in), (size, size, fan_in, filters))
        bias, padding = self.rng.normal(0, 0.1, filters), SAME if size == 3 else ((0, 0), (0, 0))
        return self.add(Conv, name, source, kernel=kernel, bias=bias, padding=padding, shape=shape, temporal=temporal)

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
        return Network("graph", tuple(self.nodes), ("logits",), self.timesteps)


def assert_exact(network, rng, samples=5):
    program = quantize(network)
    tflite = flatbuffer.write(program)
    inputs = rng.integers(-128, 128, (samples, *program.tensors[program.inputs[0]].shape[1:])).astype(np.int8)
    trace = program.trace(inputs)
    for name, runtime in RUNTIMES.items():
        for tensor, values in runtime.run(expose(tflite), inputs).items():
            np.testing.assert_array_equal(values, trace[tensor], err_msg=f"{name}: {tensor}")
    return program, {name: values.astype(int) for name, values in trace.items()}


def identity_block(rng, timesteps, amplitude, decay=0.25):
    graph = Graph(rng, timesteps)
    spikes = graph.stem()
    current = graph.conv("conv1", spikes)
    shortcut = graph.add(Affine, "shortcut", spikes, scale=np.array(amplitude), offset=np.array(0.0))
    total = graph.add(Add, "add", current, shortcut)
    return graph.finish(graph.lif("lif1", total, decay=decay))
