"""One convolution and one neuron from Keras to bytes, stage by stage: what each stage makes of them, in numbers.

    python examples/follow_a_neuron.py

docs/architecture.md shows what it prints, and names the file of every step.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_ternary_spike import PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import load
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer

TIMESTEPS, DECAY, THRESHOLD = 2, 0.25, 1.0
KERNEL = np.float32([[0.5, -0.25], [0.125, 0.75]])
BIAS = np.float32([0.1])
FRAMES = np.float32([[[0.5, 0.0], [0.2, 0.5]], [[0.5, 0.0], [0.5, 0.65]]])  # currents 0.75 and 0.9; 0.25 * 0.75 is left


def build():
    """Frames of 2x2 pixels, one convolution of one filter over all of them, one neuron, the mean of its spikes."""
    convolution = keras.layers.Conv2D(1, 2, name="conv")
    neuron = TernaryLIF(DECAY, THRESHOLD, name="neuron")
    frames = keras.Input((TIMESTEPS, 2, 2, 1), name="frames")
    model = keras.Sequential([frames, PerTimestep(convolution), neuron, TimeAverage(name="mean")])
    convolution.set_weights([KERNEL.reshape(2, 2, 1, 1), BIAS])
    return model


def show_network(title, network):
    print(f"\n{title}")
    for node in network.nodes:
        numbers = [f"{name} {flat(getattr(node, name))}" for name in ("kernel", "bias") if hasattr(node, name)]
        numbers += [f"{name} {getattr(node, name):g}" for name in ("decay", "threshold") if hasattr(node, name)]
        print(f"  {type(node).__name__:<11} {node.name:<16} {node.shape!s:<10} {', '.join(numbers)}".rstrip())


def show_program(title, program, trace):
    print(f"\n{title}")
    for tensor in program.tensors:
        if tensor.data is not None:
            numbers = f"{flat(tensor.data)} x {float(np.max(tensor.scale)):.6g}"
            print(f"  constant     {tensor.name:<30} {tensor.shape!s:<14} {numbers}")
    for index in program.inputs:
        show_value("input", program.tensors[index], trace)
    for operator in program.operators:
        show_value(operator.kind, program.tensors[operator.output], trace)


def show_value(kind, tensor, trace):
    integers = flat(trace[tensor.name])
    real = f"{float(tensor.scale):.6g}" + (f", zero at {tensor.zero_point}" if tensor.zero_point else "")
    print(f"  {kind:<12} {tensor.name:<30} {tensor.shape!s:<14} {integers} x {real}")


def flat(values):
    return " ".join(f"{value:.6g}" for value in np.ravel(values))


def main():
    model = build()
    network = describe(model)
    show_network("describe", network)
    folded = fold_network(network)
    show_network("fold", folded)
    program = quantize(folded)
    frames = FRAMES.reshape(1, TIMESTEPS, 2, 2, 1)
    integers = quantize_input(program, frames)
    show_program("quantize, and Program.run on one sequence", program, {"frames": integers, **program.trace(integers)})
    tflite_bytes = flatbuffer.write(program)
    outputs = f"LiteRT {flat(load(tflite_bytes).predict(frames))}, Keras {flat(model(frames))}"
    print(f"\nwrite, read and run\n  bytes 4 to 7 {tflite_bytes[4:8].decode()}; {outputs}")


if __name__ == "__main__":
    main()
