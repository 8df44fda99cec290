"""Samples choose the integers of a program: layer by layer, for the currents that the float network has on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..network import nodes
from ..network.nodes import Network
from ..program.grid import INT8_MAX
from ..program.names import KERNELS, KERNELS_AND_BIASES, parse
from ..program.operators import WEIGHTED, Operator, source_position
from ..program.program import Program
from ..program.samples import count_samples, dequantize_output, quantize_input
from ..quantize.to_program import current_units
from .float_currents import CHUNK, Currents, float_currents
from .integer_fit import Problem, fitted
from .patches import kernel_of, matrices, patches
from .progress import Progress

MOST_SAMPLES = 512  # evenly spaced ones of more
HELD_OUT = 4  # every fourth sample only judges


LARGEST_FAN_IN = 4608  # X^T X of so many weights takes 170 MB
SHARED = 2  # a kernel with so few different weights, on average that many alike, was clustered


def calibrate(program: Program, network: Network, samples: Mapping[str, np.ndarray], *, verbose: int = 1) -> Program:
    """The same operators with kernels and biases chosen for what the float network computes on samples.

    Layer by layer, with the spikes that the program itself has in front of the layer. A quarter of the samples is held
    out: a layer keeps its nearest integers unless the chosen ones bring the outputs there nearer to the float ones.

    Args:
        program: Of the unrolled form, of `network`.
        network: Folded.
        samples: As `check_samples` returns them.
        verbose: 0 for no progress bar on the terminal.
    """
    if not count_samples(samples):
        raise ValueError("`samples` must hold at least one sample. Received: 0")
    if reason := skipped(program, network):
        return _noted(program, f"Kernels and biases are rounded to nearest: {reason}.")
    samples = _spread(samples)
    held = np.arange(count_samples(samples)) % HELD_OUT == HELD_OUT - 1
    parts = (~held, held) if held.any() else (~held, ~held)
    fit, judge = ({name: values[which] for name, values in samples.items()} for which in parts)
    wanted = float_currents(network, judge, network.outputs)
    calibration = Calibration(program, network, fit, verbose)
    chosen = calibration.run(lambda program: output_error(program, judge, wanted))
    layers = ", ".join(map(repr, calibration.chosen)) or "no layer"
    return _noted(chosen, f"Kernels and biases of {layers} are rounded for {count_samples(fit)} samples.")


def output_error(program: Program, samples: Mapping[str, np.ndarray], wanted: Mapping[str, Currents]) -> float:
    """Mean square distance of the outputs from the float network's."""
    values = program.run(quantize_input(program, samples))
    values = values if isinstance(values, Mapping) else dict.fromkeys(program.named_outputs, values)
    errors = []
    for reals, currents in zip(dequantize_output(program, values).values(), wanted.values(), strict=True):
        count, steps, _, channels = currents.values.shape
        pixels = currents.pixels[:, None, :, None]
        reals = np.take_along_axis(reals.reshape(count, steps, -1, channels), pixels, axis=2)
        errors.append(float(np.mean((reals - currents.values) ** 2)))
    return sum(errors)


def with_constants(program: Program, chosen: Program) -> Program:
    """`program`, of another form, with the constants of `chosen`."""
    data = {tensor.name: tensor.data for tensor in chosen.tensors if parse(tensor.name).role in KERNELS_AND_BIASES}
    tensors = (replace(tensor, data=data.get(tensor.name, tensor.data)) for tensor in program.tensors)
    facts = replace(program.facts, notes=chosen.facts.notes)
    return replace(program, tensors=tuple(tensors), metadata=facts.to_json())


class Calibration:
    """One pass through a program: the values of its tensors so far, and the constants chosen so far."""

    def __init__(self, program: Program, network: Network, samples: Mapping[str, np.ndarray], verbose: int):
        self.program, self.network = program, network
        self.tensors = list(program.tensors)
        self.values = dict(program.feeds(quantize_input(program, samples)))
        self.layers = layers(program, network)
        self.currents, self.units = float_currents(network, samples, tuple(self.layers)), current_units(network)
        self.progress = Progress("Rounding kernels", total=len(self.layers), verbose=verbose)
        self.done = 0
        self.chosen: list[str] = []

    def run(self, error: Callable[[Program], float]) -> Program:
        """The program with the integers of every layer whose choice makes `error` of the program smaller."""
        smallest = error(self.program)
        for name, positions in self.layers.items():
            before = list(self.tensors)
            self._choose(name, positions)
            reached = error(replace(self.program, tensors=tuple(self.tensors)))
            if reached < smallest:
                smallest = reached
                self.chosen.append(name)
            else:
                self.tensors = before
            self.progress.step(name)
        return replace(self.program, tensors=tuple(self.tensors))

    def _advance(self, end: int) -> None:
        """Runs the operators before position `end` that did not run yet."""
        operators, self.done = self.program.operators[self.done : end], max(self.done, end)
        written = [operator.output for operator in operators]
        read = (index for operator in operators for index in operator.inputs)
        needed = dict.fromkeys(i for i in read if i not in written and self.tensors[i].data is None)
        if operators:
            part = Program("calibration", tuple(self.tensors), operators, tuple(needed), ())
            traced = part.trace({self.tensors[index].name: self.values[index] for index in needed})
            self.values |= {index: traced[self.tensors[index].name] for index in written}

    def _choose(self, name: str, positions: Sequence[int]) -> None:
        """Replaces the kernel and the bias that the operators at `positions` share, but for the scales of the first."""
        operators = [self.program.operators[position] for position in positions]
        inputs, wanted = [], []
        for position, operator in zip(positions, operators, strict=True):
            self._advance(position)
            rows, values = self._rows(name, operator)
            inputs.append(rows)
            wanted.append(values)
        operator, inputs, wanted = operators[-1], np.concatenate(inputs, axis=1), np.concatenate(wanted, axis=0)
        kernel, bias = self.tensors[operator.inputs[1]], self.tensors[operator.inputs[-1]]
        start = np.concatenate([matrices(operator, kernel.data), bias.data.reshape(len(inputs), 1, -1)], axis=1)
        problems = self._problems(name, operator, inputs, wanted, start.astype(np.float64))
        chosen = np.stack([fitted(*pair) for pair in zip(problems, start.astype(np.float64), strict=True)])
        data = np.ascontiguousarray(kernel_of(operator, chosen[:, :-1], kernel.data.shape)).astype(np.int8)
        biases = chosen[:, -1].reshape(-1).astype(np.int32)
        for operator in operators:
            for index, values in ((operator.inputs[1], data), (operator.inputs[-1], biases)):
                self.tensors[index] = replace(self.tensors[index], data=values)

    def _rows(self, name: str, operator: Operator) -> tuple[np.ndarray, np.ndarray]:
        """X as `(groups, rows, weights)`, and the wanted reals `(rows, channels)`."""
        position = operator.inputs[source_position(operator)]
        kernel, source = self.tensors[operator.inputs[1]].data, self.tensors[position]
        currents, values = self.currents[name], self.values[position]
        timestep = parse(self.tensors[operator.output].name).timestep or 0
        rows = []
        for start in range(0, len(values), CHUNK):
            chunk = values[start : start + CHUNK].astype(np.float32) - np.float32(source.zero_point)
            rows.append(patches(operator, kernel, chunk, currents.pixels[start : start + CHUNK]))
        inputs = np.concatenate(rows, axis=1)
        ones = np.ones((*inputs.shape[:2], 1), np.float32)
        wanted = currents.values[:, timestep].reshape(inputs.shape[1], -1) * self.units.get(name, 1.0)
        return np.concatenate([inputs, ones], axis=2), wanted

    def _problems(
        self, name: str, operator: Operator, inputs: np.ndarray, wanted: np.ndarray, start: np.ndarray
    ) -> list[Problem]:
        """One for each group of channels. start: `(groups, weights, channels)`."""
        groups, bias, output = len(inputs), self.tensors[operator.inputs[-1]], self.tensors[operator.output]
        unit = np.broadcast_to(bias.scale.astype(np.float64), bias.data.shape)
        multiplier = unit / float(output.scale)
        edge = (1 if operator.activation == "RELU_N1_TO_1" else INT8_MAX) / multiplier
        step = np.where(2 * multiplier >= 1, 1.0, 2.0)  # `granularity`, of either family of multipliers
        free = movable(self.network[name], operator, start)
        edge, unit, step = (values.reshape(groups, -1) for values in (edge, unit, step))
        wanted = wanted.reshape(len(wanted), groups, -1).transpose(1, 0, 2)
        return [Problem(inputs[g], wanted[g] / unit[g], edge[g], step[g], free[g]) for g in range(groups)]


def layers(program: Program, network: Network) -> dict[str, list[int]]:
    """Positions of the operators with a kernel whose integers are chosen, by layer, in order of execution."""
    names = {node.name for node in network.nodes if isinstance(node, nodes.Linear)}
    found: dict[str, list[int]] = {}
    for position, operator in enumerate(program.operators):
        if operator.kind not in WEIGHTED:
            continue
        kernel, output = (parse(program.tensors[index].name) for index in (operator.inputs[1], operator.output))
        chosen = kernel.role in KERNELS and kernel.layer in names
        whole = "full" not in output.parts  # otherwise a SLICE behind it leaves a part
        if chosen and whole and _fan_in(program, operator) <= LARGEST_FAN_IN:
            found.setdefault(kernel.layer, []).append(position)
    return found


def movable(node: nodes.Linear, operator: Operator, start: np.ndarray) -> np.ndarray:
    """Booleans, which integers may change: biases always; no weight of 0 of a pruned kernel; none of a clustered one.

    start: `(groups, weights, channels)`, the last weight is the bias.
    """
    free = np.ones(start.shape, bool)
    values = node.kernel.reshape(-1, node.kernel.shape[-1])
    different = sum(len(np.unique(channel)) for channel in values.T)
    widened = isinstance(node, nodes.DepthwiseConv) and operator.kind == "CONV_2D"
    if len(values) > 2 * SHARED and different * SHARED <= np.count_nonzero(values):
        free[:, :-1] = False
    elif widened or not values.all():
        free[:, :-1] = start[:, :-1] != 0
    return free


def skipped(program: Program, network: Network) -> str | None:
    """Why no integers are chosen, or None."""
    if network.exact:
        return "its kernels were trained as integers"
    if any(isinstance(node, nodes.LIF) and node.reset != "zero" for node in network.nodes):
        return "what is proven of membranes that a spike does not clear holds for the nearest integers"
    return None if layers(program, network) else "no layer fits"


def _fan_in(program: Program, operator: Operator) -> int:
    return matrices(operator, program.tensors[operator.inputs[1]].data).shape[1]


def _spread(samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """At most MOST_SAMPLES of them, evenly spaced."""
    count = count_samples(samples)
    which = np.linspace(0, count - 1, min(count, MOST_SAMPLES)).astype(int)
    return {name: values[which] for name, values in samples.items()}


def _noted(program: Program, note: str) -> Program:
    facts = program.facts
    return replace(program, metadata=replace(facts, notes=(*facts.notes, note)).to_json())
