"""The contestants of steps.py that are PyTorch modules.

Time and batch share the first axis between layers: `(timesteps * batch, channels, height, width)`, timesteps outermost.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.training.contestant_task import (
    CLASSES,
    DECAY,
    FILTERS,
    SHAPES,
    STAGES,
    STRIDES,
    THRESHOLD,
    WIDTHS,
    Task,
)


class Straight(torch.autograd.Function):
    """The ternary spike with the straight-through surrogate."""

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

    def __init__(self, timesteps):
        super().__init__()
        self.timesteps = timesteps

    def forward(self, current):
        spikes, state = [], 0.0
        for now in current.chunk(self.timesteps):
            membrane = DECAY * state + now
            spikes.append(Straight.apply(membrane))
            state = membrane * (1 - spikes[-1].abs())
        return torch.cat(spikes)


class SnnTorch(nn.Module):
    def __init__(self, timesteps):
        super().__init__()
        import snntorch

        self.timesteps = timesteps
        self.leaky = snntorch.Leaky(beta=DECAY, threshold=THRESHOLD, reset_mechanism="zero")

    def forward(self, current):
        spikes, membrane = [], self.leaky.init_leaky()
        for now in current.chunk(self.timesteps):
            spike, membrane = self.leaky(now, membrane)
            spikes.append(spike)
        return torch.cat(spikes)


class SpikingJelly(nn.Module):
    def __init__(self, timesteps):
        super().__init__()
        from spikingjelly.activation_based import neuron

        self.timesteps = timesteps
        options = {"tau": 1 / (1 - DECAY), "decay_input": False, "v_threshold": THRESHOLD, "v_reset": 0.0}
        self.node = neuron.TernaryLIFNode(**options, step_mode="m")

    def forward(self, current):
        self.node.reset()
        return self.node(current.unflatten(0, (self.timesteps, -1))).flatten(0, 1)


NEURONS = {"torch_loop": Loop, "snntorch": SnnTorch, "spikingjelly": SpikingJelly}


class Repeat(nn.Module):
    """A still image as the current of every timestep."""

    def __init__(self, timesteps):
        super().__init__()
        self.timesteps = timesteps

    def forward(self, current):
        return current.repeat(self.timesteps, 1, 1, 1)


class Block(nn.Module):
    """A residual block that fires after the addition; neuron: makes one."""

    def __init__(self, entering, leaving, strides, neuron):
        super().__init__()
        self.first, self.second = normalized(entering, leaving, 3, strides), normalized(leaving, leaving, 3, 1)
        self.inner, self.outer, self.shortcut = neuron(), neuron(), nn.Identity()
        if entering != leaving:
            self.shortcut = nn.Sequential(nn.AvgPool2d(2), normalized(entering, leaving, 1, 1))

    def forward(self, spikes):
        return self.outer(self.second(self.inner(self.first(spikes))) + self.shortcut(spikes))


def normalized(entering: int, leaving: int, kernel: int, strides: int) -> nn.Module:
    convolution = nn.Conv2d(entering, leaving, kernel, strides, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(leaving))


def chain(task: Task, neuron: Callable[[], nn.Module]) -> list[nn.Module]:
    """Four convolutions, each with its neuron."""
    parts, entering = [], SHAPES[task.network][-1]
    for leaving, strides in zip(FILTERS, STRIDES, strict=True):
        parts += [normalized(entering, leaving, 3, strides), *([] if parts else [Repeat(task.timesteps)]), neuron()]
        entering = leaving
    return parts


def resnet20(task: Task, neuron: Callable[[], nn.Module]) -> list[nn.Module]:
    """As `keras_ternary_spike.models.resnet20`."""
    parts = [normalized(SHAPES[task.network][-1], 64, 3, 1), Repeat(task.timesteps), neuron()]
    for _ in range(2):
        parts += [normalized(64, 64, 3, 1), neuron()]
    parts.append(nn.AvgPool2d(2))
    entering = 64
    for leaving, strides in STAGES:
        parts += [Block(entering, leaving, strides, neuron), Block(leaving, leaving, 1, neuron)]
        entering = leaving
    return parts


NETWORKS = {"4conv": chain, "resnet20": resnet20}


def network(task: Task) -> nn.Module:
    parts = NETWORKS[task.network](task, lambda: NEURONS[task.name](task.timesteps))
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[task.network], CLASSES))


def training_step(task: Task) -> Callable[[], None]:
    """One training step; returns once it is done."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    memory_format = torch.channels_last if task.layout == "channels_last" else torch.contiguous_format
    images, labels = task.data()
    model = network(task).to(device=device, memory_format=memory_format).train()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=memory_format).to(device)
    y = torch.from_numpy(labels).to(device)
    optimizer, loss = torch.optim.Adam(model.parameters(), 1e-3, fused=True), nn.CrossEntropyLoss()
    run = torch.compile(model) if task.compiled else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = run(x)
        loss(logits.reshape(task.timesteps, task.batch, CLASSES).mean(0), y).backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step
