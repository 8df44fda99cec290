"""One contestant of benchmarks/training.py: a network in one library, which takes training steps when it is told to.

    python benchmarks/contestants.py <name> <network> --timesteps 4 --batch 64

Reads a number of steps from each line of its input and answers with one line of JSON: the seconds they took, and the
memory of the process at its peak, in MiB beyond what it had before its first step.

Names: "keras_ternary_spike"; "keras_relu", the same network with ReLU; "keras_plain", the neuron's equations as a loop
that Keras differentiates; "spikingjelly", "snntorch", "torch_loop" with the neuron that is nearest to ours. All compute
the same convolutions: the first, on a still image, once.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

KERAS = ("keras_ternary_spike", "keras_relu", "keras_plain")
TORCH = ("spikingjelly", "snntorch", "torch_loop")
FILTERS, STRIDES = (32, 64, 64, 128), (1, 2, 1, 2)
SHAPES = {"4conv": (28, 28, 1), "resnet20": (32, 32, 3)}
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # of ResNet-20: channels, strides of the first of two blocks
CLASSES, DECAY, THRESHOLD = 10, 0.25, 0.5
PROCESS = Path("/proc/self")


def keras_step(name: str, network: str, timesteps: int, images: np.ndarray, labels: np.ndarray) -> Callable:
    """One training step; returns once it is done."""
    import keras
    from keras import layers, ops

    from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage, models

    class Rectifier(layers.Layer):
        def call(self, current):
            return ops.relu(current)

    class PlainLoop(layers.Layer):
        """Every operation of every timestep differentiated on its own; the surrogate is straight-through."""

        def call(self, current):
            outputs, state = [], ops.zeros_like(current[:, 0])
            for t in range(current.shape[1]):
                membrane = DECAY * state + current[:, t]
                line = ops.clip(membrane / (2 * THRESHOLD), -1.0, 1.0)
                fired = ops.cast(membrane >= THRESHOLD, line.dtype) - ops.cast(membrane <= -THRESHOLD, line.dtype)
                spike = line + ops.stop_gradient(fired - line)
                state = membrane * (1.0 - ops.abs(spike))
                outputs.append(spike)
            return ops.stack(outputs, axis=1)

    neuron = {"keras_ternary_spike": TernaryLIF, "keras_relu": Rectifier, "keras_plain": PlainLoop}[name]
    if network == "resnet20":
        model = models.resnet20(SHAPES[network], CLASSES, timesteps=timesteps, neuron=neuron)
    else:
        model = keras.Sequential([keras.Input(SHAPES[network])])
        for index, (filters, strides) in enumerate(zip(FILTERS, STRIDES, strict=True)):
            wrap = PerTimestep if index else lambda layer: layer
            model.add(wrap(layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)))
            model.add(wrap(layers.BatchNormalization(momentum=0.9)))
            if not index:
                model.add(DirectEncoding(timesteps))
            model.add(neuron())
        for layer in (PerTimestep(layers.GlobalAveragePooling2D()), PerTimestep(layers.Dense(CLASSES)), TimeAverage()):
            model.add(layer)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # On CPUs TensorFlow's steps are faster without XLA around the convolutions; other backends choose themselves.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=jit)
    return lambda: model.train_on_batch(images, labels)


def torch_step(
    name: str, network: str, timesteps: int, images: np.ndarray, labels: np.ndarray, layout: str, compiled: bool
) -> Callable:
    """One training step; returns once it is done."""
    import torch
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    neuron = torch_neuron(name, timesteps)

    def normalized(entering, leaving, kernel, strides):
        convolution = nn.Conv2d(entering, leaving, kernel, strides, padding=kernel // 2, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(leaving))

    class Repeat(nn.Module):
        def forward(self, current):
            return current.repeat(timesteps, 1, 1, 1)

    class Block(nn.Module):
        def __init__(self, entering, leaving, strides):
            super().__init__()
            self.first, self.second = normalized(entering, leaving, 3, strides), normalized(leaving, leaving, 3, 1)
            self.inner, self.outer, self.shortcut = neuron(), neuron(), nn.Identity()
            if entering != leaving:
                self.shortcut = nn.Sequential(nn.AvgPool2d(2), normalized(entering, leaving, 1, 1))

        def forward(self, spikes):
            return self.outer(self.second(self.inner(self.first(spikes))) + self.shortcut(spikes))

    channels = SHAPES[network][-1]
    if network == "resnet20":
        parts = [normalized(channels, 64, 3, 1), Repeat(), neuron()]
        for _ in range(2):
            parts += [normalized(64, 64, 3, 1), neuron()]
        parts.append(nn.AvgPool2d(2))
        entering = 64
        for leaving, strides in STAGES:
            parts += [Block(entering, leaving, strides), Block(leaving, leaving, 1)]
            entering = leaving
    else:
        parts = []
        for entering, leaving, strides in zip((channels, *FILTERS), FILTERS, STRIDES, strict=False):
            parts += [normalized(entering, leaving, 3, strides), *([] if parts else [Repeat()]), neuron()]
    model = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(parts_width(network), CLASSES))
    memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = model.to(device=device, memory_format=memory_format).train()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=memory_format).to(device)
    y = torch.from_numpy(labels).to(device)
    optimizer, loss = torch.optim.Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss()
    run = torch.compile(model) if compiled else model

    def step():
        reset_states(name, model)
        optimizer.zero_grad(set_to_none=True)
        logits = run(x)
        loss(logits.reshape(timesteps, len(x), CLASSES).mean(0), y).backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def parts_width(network: str) -> int:
    return STAGES[-1][0] if network == "resnet20" else FILTERS[-1]


def torch_neuron(name: str, timesteps: int) -> Callable:
    """A class of neurons on `(timesteps * batch, channels, height, width)`."""
    import torch
    from torch import nn

    class Straight(torch.autograd.Function):
        @staticmethod
        def forward(context, membrane):
            context.save_for_backward(membrane)
            return (membrane >= THRESHOLD).to(membrane.dtype) - (membrane <= -THRESHOLD).to(membrane.dtype)

        @staticmethod
        def backward(context, upstream):
            (membrane,) = context.saved_tensors
            return upstream * (membrane.abs() <= 2 * THRESHOLD) / (2 * THRESHOLD)

    class Loop(nn.Module):
        """The paper's equations, timestep by timestep."""

        def forward(self, current):
            spikes, state = [], 0.0
            for now in current.chunk(timesteps):
                membrane = DECAY * state + now
                spikes.append(Straight.apply(membrane))
                state = membrane * (1 - spikes[-1].abs())
            return torch.cat(spikes)

    class SnnTorch(nn.Module):
        def __init__(self):
            super().__init__()
            import snntorch

            self.leaky = snntorch.Leaky(beta=DECAY, threshold=THRESHOLD, reset_mechanism="zero")

        def forward(self, current):
            spikes, membrane = [], self.leaky.init_leaky()
            for now in current.chunk(timesteps):
                spike, membrane = self.leaky(now, membrane)
                spikes.append(spike)
            return torch.cat(spikes)

    class SpikingJelly(nn.Module):
        def __init__(self):
            super().__init__()
            from spikingjelly.activation_based import neuron

            options = {"tau": 1 / (1 - DECAY), "decay_input": False, "v_threshold": THRESHOLD, "v_reset": 0.0}
            self.node = neuron.TernaryLIFNode(**options, step_mode="m")

        def forward(self, current):
            return self.node(current.unflatten(0, (timesteps, -1))).flatten(0, 1)

    return {"torch_loop": Loop, "snntorch": SnnTorch, "spikingjelly": SpikingJelly}[name]


def reset_states(name: str, model) -> None:
    if name == "spikingjelly":
        from spikingjelly.activation_based import functional

        functional.reset_net(model)


def memory(field: str) -> float:
    """MiB of VmRSS (now) or VmHWM (at the peak); 0 where the system does not say."""
    status = PROCESS / "status"
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0


def serve(step: Callable) -> None:
    before = memory("VmRSS")
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step()
        answer = {"seconds": time.perf_counter() - start, "peak_mib": memory("VmHWM") - before}
        print(json.dumps(answer), flush=True)


def main(arguments: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    images = rng.random((arguments.batch, *SHAPES[arguments.network]), "float32")
    labels = rng.integers(0, CLASSES, arguments.batch)
    task = (arguments.name, arguments.network, arguments.timesteps, images, labels)
    serve(keras_step(*task) if arguments.name in KERAS else torch_step(*task, arguments.layout, arguments.compile))


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=(*KERAS, *TORCH))
    parser.add_argument("network", choices=tuple(SHAPES))
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--layout", choices=("channels_last", "contiguous"), default="channels_last", help="of PyTorch")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    return parser.parse_args()


if __name__ == "__main__":
    main(command_line())
