"""What spikes cost: latency against the same network with ReLU, both written by this package's emitter.

    python benchmarks/latency.py

Untrained weights: the time of a dense int8 operator does not depend on them. Prints medians and quartiles of ratios of
alternating runs on one XNNPACK thread. Wanted: 1, 2 and 4 timesteps at most 1.1, 2.3 and 4.6 times ReLU.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import setting  # first: quiet TensorFlow

# isort: split
import keras
import numpy as np
from keras import layers

import baseline
from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite, flatbuffer
from keras_ternary_spike.export.builder import Builder
from keras_ternary_spike.export.describe import describe
from keras_ternary_spike.export.folding import fold_network
from keras_ternary_spike.export.grid import Grid, input_grid
from keras_ternary_spike.export.linear import Target, emit_linear
from keras_ternary_spike.export.logits import worst_case_grid
from keras_ternary_spike.export.network import LIF, Input, Linear, Network, Repeat, Reshape, SumPool, TimeSum

ROUNDS = 200
TIMESTEPS = {1: 1.1, 2: 2.3, 4: 4.6}  # timesteps: wanted ratio to ReLU, at most
NETWORKS = {"16-32-32-64": (16, 32, 32, 64), "32-64-64-128": (32, 64, 64, 128)}
STRIDES = (1, 2, 1, 2)
SHAPE = (28, 28, 1)


def spiking(filters: tuple[int, ...], timesteps: int) -> keras.Model:
    """The example's network, excited so that an untrained one fires."""
    model = keras.Sequential([keras.Input(SHAPE), DirectEncoding(timesteps)])
    for count, stride in zip(filters, STRIDES, strict=True):
        model.add(PerTimestep(layers.Conv2D(count, 3, strides=stride, padding="same", use_bias=False)))
        model.add(PerTimestep(layers.BatchNormalization(gamma_initializer=keras.initializers.Constant(4.0))))
        model.add(TernaryLIF())
    model.add(PerTimestep(layers.GlobalAveragePooling2D()))
    model.add(PerTimestep(layers.Dense(10)))
    model.add(TimeAverage())
    return model


def relu_twin(network: Network) -> bytes:
    """The file of the same layers, once, with ReLU fused in the place of neurons."""
    builder, signals = Builder(), {}
    for node in network.nodes:
        if isinstance(node, Input):
            grid = input_grid(0.0, 1.0)
            signals[node.name] = builder.activation(node.name, node.shape, grid), grid
        elif isinstance(node, LIF | Repeat | TimeSum):
            signals[node.name] = signals[node.inputs[0]]
        else:
            signals[node.name] = emit(builder, network, node, *signals[node.inputs[0]])
    output = signals[network.outputs[0]][0]
    image = next(index for index, tensor in enumerate(builder.tensors) if tensor.data is None)
    return flatbuffer.write(builder.program("relu", (image,), (output,)))


def emit(builder: Builder, network: Network, node, tensor: int, grid: Grid) -> tuple[int, Grid]:
    if isinstance(node, Linear):
        target = worst_case_grid(node, grid)
        activation = "RELU" if any(isinstance(r, LIF | Repeat) for r in network.consumers(node.name)) else "NONE"
        target = Target(Grid(target.scale), activation)
        return emit_linear(builder, node, tensor, node.name, source=grid, target=target), target.grid
    if isinstance(node, SumPool):
        options = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
        options |= {"depth_multiplier": 1, "padding": "VALID"}
        ones = builder.constant("ones", np.ones((1, *node.size, node.shape[-1]), np.int8), 1.0, channel_axis=3)
        bias = builder.constant("zeros", np.zeros(node.shape[-1], np.int32), grid.scale)
        target = Grid(np.float32(grid.scale * node.size[0] * node.size[1]).item())
        operands = (tensor, ones, bias)
        return builder.emit("DEPTHWISE_CONV_2D", operands, node.name, node.shape, target, options=options), target
    assert isinstance(node, Reshape)
    shape = builder.constant("shape", np.array((1, *node.shape), np.int32))
    options = {"new_shape": (1, *node.shape)}
    return builder.emit("RESHAPE", (tensor, shape), node.name, node.shape, grid, options=options), grid


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(setting.describe(), end="\n\n")
    image = np.random.default_rng(0).random(SHAPE).astype("float32")
    rows = [("network", "timesteps", "operators", "latency", "times ReLU", "wanted")]
    for name, filters in NETWORKS.items():
        keras.utils.set_random_seed(0)
        models = {timesteps: spiking(filters, timesteps) for timesteps in TIMESTEPS}
        files = {str(timesteps): export_tflite(model) for timesteps, model in models.items()}
        files["relu"] = relu_twin(replace(fold_network(describe(models[1])), timesteps=1))
        times = baseline.time_calls(baseline.file_calls(files, image), rounds=ROUNDS)
        for key, tflite_bytes in files.items():
            wanted = f"<= {TIMESTEPS[int(key)]}" if key != "relu" else ""
            operators = str(len(flatbuffer.read(tflite_bytes).operators))
            ratio = setting.spread(times[key] / times["relu"], digits=2)
            rows.append((name, key, operators, setting.spread(times[key], " ms"), ratio, wanted))
    print(setting.table(rows))


if __name__ == "__main__":
    main()
