"""A program for processors whose fast kernels are those of convolutions: the same spikes, the same outputs.

A neuron with one decay that a spike clears, of which `drop` steps are left of a membrane that fires when it leaks:

    spike   = DEPTHWISE(clipped, [4])                                         @ 1
    leaked  = DEPTHWISE(clipped, [decay])                                     @ 1                    whole steps
    stacked = CONCATENATION(current, leaked, spike)                           @ 1                    three rows
    clipped = DEPTHWISE(stacked, [1, 1, -drop]) + RELU_N1_TO_1                @ 1 / (quiet_steps + 1)
    last timestep: spike = DEPTHWISE(stacked, [2, 2, -2 drop]) + RELU_N1_TO_1 @ 1

Where CMSIS-NN computes them, spike and leaked are MUL by a constant of the membrane's size. Two tensors that are added
up on one grid are two rows, too, and the first current of a neuron is clipped as it is summed.
A membrane that fires is clipped to quiet_steps + 1, so that what is left of it when it leaks is exactly what the spike
takes off. Every sum is a whole number of steps, and every spike that of the elementwise operators in the same program.
A step of a convolution's current is labelled 1; any other current keeps its label, and stacked spikes take it. Of
other neurons the operators that `factor_convolutions` knows are convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

import numpy as np

from ...program.builder import Builder
from ...program.grid import SPIKE, Grid, float32
from ...program.names import Name, layer_of, parse
from ...program.operators import ELEMENTWISE, Operator
from ...program.program import Program
from ...program.schedule import with_small_peak
from ..emit.neurons.firing import FACTOR
from .factor_convolutions import (
    SIGNS,
    as_image,
    can_be_factor,
    emit_factor,
    emit_stacked,
    emit_taps,
    grid_of,
)
from .recurrences import Recurrence, recurrences, whole_currents
from .row_sums import WindowSums, first_currents, joined_sums, window_sums

CLIP = "RELU_N1_TO_1"
WHOLE = Grid(1.0)  # of values in steps
WIDEST, WORD = 124, 4  # channels of which CMSIS-NN's depthwise kernels compute so many at a time
BRICK = 16  # channels, of which Ethos-U stores an image as all others store it, so that it may be cut into rows


@dataclass(frozen=True)
class Rewriting:
    """program: the elementwise one. neurons: by layer. in_place: see `with_stacked_neurons`.

    whole: of `whole_currents`. labels: what the scales of some of the program's constants are divided by.
    sums: of `joined_sums`. firsts: of `first_currents`. windows: those that come before sums.
    mapped: by the program's tensors, what stands for them in `builder`, an image perhaps as one row.
    """

    program: Program
    neurons: Mapping[str, Recurrence]
    in_place: bool
    whole: Mapping[int, float]
    labels: Mapping[int, float]
    sums: Set[int]
    firsts: Mapping[int, Recurrence]
    windows: WindowSums
    builder: Builder = field(default_factory=Builder)
    mapped: dict[int, int] = field(default_factory=dict)

    def grid(self, index: int) -> Grid:
        tensor = self.program.tensors[index]
        return WHOLE if index in self.whole else Grid(float(tensor.scale), tensor.zero_point)


def with_stacked_neurons(program: Program, *, in_place: bool) -> Program:
    """The program with convolutions where it has elementwise operators.

    in_place: for compilers of NPUs, which write a row in its place in the stack if nothing else reads it, and copy it
        if something does: spikes that are stacked are computed once more, and sums whose rows would be copied are left
        alone. False: for CMSIS-NN.
    """
    neurons = recurrences(program)
    sums = joined_sums(program, neurons, in_place=in_place)
    whole = whole_currents(program, neurons.values(), sums)
    labels = {i: whole[op.output] for op in program.operators if op.output in whole for i in op.inputs[1:]}
    windows = WindowSums({}, set()) if in_place else window_sums(program)
    work = Rewriting(program, neurons, in_place, whole, labels, sums, first_currents(program, neurons), windows)
    for index in program.inputs:
        _copied(work, index)
    for operator in program.operators:
        written = _written(work, operator)
        if written is not None:
            work.mapped[operator.output] = written
    inputs, outputs = (tuple(_read(work, index) for index in indices) for indices in (program.inputs, program.outputs))
    names = {_read(work, index): name for index, name in program.names.items()}
    written = work.builder.program(program.name, inputs, outputs, program.metadata)
    return with_small_peak(replace(written, names=names, batch=program.batch, io=program.io))


def _written(work: Rewriting, operator: Operator) -> int | None:
    """What stands for the output of an operator; None where nothing needs to."""
    tensors, output = work.program.tensors, work.program.tensors[operator.output]
    name, shape = parse(output.name), output.shape[1:]
    if name.layer in work.neurons and operator.kind in ELEMENTWISE:
        return _of_neuron(work, work.neurons[name.layer], name)
    if operator.output in work.windows.between:
        return None
    if operator.output in work.windows.terms:
        return _emit_windows(work, operator)
    if _fits(work, operator):
        return _emit_joined(work, operator)
    inputs = tuple(_read(work, index) for index in operator.inputs)
    if can_be_factor(operator, tensors):
        (read,) = (one for one, index in zip(inputs, operator.inputs, strict=True) if tensors[index].data is None)
        return emit_factor(
            work.builder, operator, tensors, read, work.grid(operator.output), layer_of(work.program, operator)
        )
    if _is_pointwise(work, operator):
        source, shape = tensors[operator.inputs[0]].shape[1:], _as_row(shape)
        inputs = (_read(work, operator.inputs[0], _as_row(source)), *inputs[1:])
    options = {"activation": operator.activation, "options": operator.options}
    return work.builder.emit(operator.kind, inputs, output.name, shape, work.grid(operator.output), **options)


def _fits(work: Rewriting, operator: Operator) -> bool:
    """Whether a sum or difference can be stacked as its tensors lie: for CMSIS-NN they may be moved, an NPU copies."""
    if operator.output not in work.sums:
        return False
    rows, builder = [work.mapped[index] for index in operator.inputs], work.builder
    moved = len({builder.shape(row) for row in rows}) > 1 or any(builder.kind(row) == "RESHAPE" for row in rows)
    return not moved or not work.in_place or operator.output in work.whole


def _emit_joined(work: Rewriting, operator: Operator) -> int:
    """A sum or difference, in one row; the first current of a neuron is clipped, too."""
    builder, output = work.builder, work.program.tensors[operator.output]
    name, shape = parse(output.name), output.shape[1:]
    rows = [work.mapped[index] for index in operator.inputs]
    if len({builder.shape(row) for row in rows}) > 1:
        rows = [_read(work, index) for index in operator.inputs]
    # Vela computes what the first row needs before all else: of timesteps all but the last, with the last in front.
    stacked = emit_stacked(builder, rows[::-1], name, _cut(work, rows[0]))
    grid, activation = work.grid(operator.output), operator.activation
    if operator.output in work.firsts and activation == "NONE":
        grid, activation = work.firsts[operator.output].clipped, CLIP
    options = {"taps": [SIGNS[operator.kind], 1], "multiplier": 1.0, "activation": activation}
    options["layer"] = layer_of(work.program, operator)
    if operator.output not in work.program.outputs or shape == (1, *builder.shape(stacked)[1:]):
        return emit_taps(builder, stacked, name, grid, **options)
    return builder.reshape(emit_taps(builder, stacked, name.part("rows"), grid, **options), name, shape, grid)


def _emit_windows(work: Rewriting, operator: Operator) -> int:
    """A sum over windows of a sum: the windows of each tensor, then their sum."""
    builder, output = work.builder, work.program.tensors[operator.output]
    name, shape, grid = parse(output.name), output.shape[1:], work.grid(operator.output)
    image, weights = work.program.tensors[operator.inputs[0]].shape[1:], [_read(work, i) for i in operator.inputs[1:]]
    terms, total = work.windows.terms[operator.output], None
    for t, term in enumerate(terms):
        inputs = (_read(work, term, image), *weights)
        summed = builder.emit(operator.kind, inputs, name.at(t), shape, grid, options=operator.options)
        so_far = name if t == len(terms) - 1 else name.at(t).part("full")
        total = summed if total is None else builder.emit("ADD", (total, summed), so_far, shape, grid)
    return total


def _cut(work: Rewriting, image: int) -> int | None:
    """Into how many channels a stack of images like this one is cut; None: as they are."""
    values = math.prod(work.builder.shape(image))
    widths = (width for width in range(WIDEST, 0, -WORD) if values % width == 0)
    return BRICK if work.in_place else next(widths, None)


def _is_pointwise(work: Rewriting, operator: Operator) -> bool:
    """Whether a current is computed pixel by pixel, in whatever rows they lie."""
    currents = {index for neuron in work.neurons.values() for index in neuron.currents.values()}
    if operator.output not in currents or operator.kind != "CONV_2D":
        return False
    one_by_one = work.program.tensors[operator.inputs[1]].shape[1:3] == (1, 1)
    return one_by_one and operator.options["stride_h"] == operator.options["stride_w"] == 1


def _as_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image whose pixels lie in one row: they need no RESHAPE to be stacked."""
    height, width, channels = shape
    return (1, height * width, channels)


def _of_neuron(work: Rewriting, neuron: Recurrence, name: Name) -> int | None:
    """The membrane or the spikes of a timestep; the others are emitted where they are stacked."""
    t, builder = name.timestep, work.builder
    fires = t == neuron.last and neuron.fires_stacked
    if name.role == "membrane" and not fires:
        return _emit_sum(work, neuron, t, name, neuron.clipped, 1)
    if name.role != "spike":
        return None
    if fires:
        return _emit_sum(work, neuron, t, name, SPIKE, 2)
    shape = builder.shape(work.mapped[neuron.currents[t]])
    spike = _emit_spike(work, neuron, t, name if len(shape) == 3 else name.part("full"), FACTOR)
    return builder.reshape(spike, name, shape, SPIKE)


def _emit_sum(work: Rewriting, neuron: Recurrence, t: int, name: Name, grid: Grid, factor: int) -> int:
    """The membrane of a timestep in steps, times `factor`, on `grid`: clipped, or rounded to a spike."""
    builder, layer, current = work.builder, neuron.layer, work.mapped[neuron.currents[t]]
    steps = grid_of(builder, current)
    tap, multiplier = neuron.leak
    leaked = _emit_scaled(work, neuron, t - 1, Name(layer, "leaked", t - 1), steps, tap, multiplier)
    rows = (current, leaked, _emit_drop(work, neuron, t - 1, steps))
    stacked = emit_stacked(builder, rows, name, _cut(work, current))
    taps = [factor, factor, -factor * neuron.drop]
    multiplier = 1.0 if grid == neuron.clipped else 1 / (factor * (2 * neuron.quiet_steps + 1))
    options = {"taps": taps, "multiplier": multiplier, "layer": layer, "activation": CLIP}
    shape, (_, *row) = builder.shape(current), builder.shape(stacked)
    whole = name if shape == (1, *row) else name.part("rows")
    return builder.reshape(emit_taps(builder, stacked, whole, grid, **options), name, shape, grid)


def _emit_drop(work: Rewriting, neuron: Recurrence, t: int, steps: Grid) -> int:
    """The spikes of a timestep on the grid of what they are stacked with."""
    factor, grid = 2 * FACTOR if work.in_place else FACTOR, SPIKE if steps == WHOLE else steps
    return _emit_spike(work, neuron, t, Name(neuron.layer, "drop", t), factor, grid)


def _emit_spike(work: Rewriting, neuron: Recurrence, t: int, name: Name, factor: int, grid: Grid = SPIKE) -> int:
    """The spikes of a clipped membrane, which is never rounded to more than one step of any grid."""
    factor = factor if work.in_place else max(neuron.leak[0], FACTOR)  # one constant for both
    multiplier = 1 / (factor * (2 * neuron.quiet_steps + 1))
    return _emit_scaled(work, neuron, t, name, grid, factor, multiplier, CLIP if grid == SPIKE else "NONE")


def _emit_scaled(
    work: Rewriting,
    neuron: Recurrence,
    t: int,
    name: Name,
    grid: Grid,
    factor: int,
    multiplier: float,
    activation: str = "NONE",
) -> int:
    """A clipped membrane times `factor` times `multiplier`, in integers: for an NPU a convolution, else MUL.

    CMSIS-NN has a kernel for MUL of two tensors of one size. Of equal constants the file has one.
    """
    builder, membrane = work.builder, _membrane(work, neuron, t)
    if work.in_place:
        taps = {"taps": [factor], "multiplier": multiplier, "layer": neuron.layer, "activation": activation}
        return emit_taps(builder, membrane, name, grid, **taps)
    shape, scale = builder.shape(membrane), float32(multiplier * grid.scale / float(builder.tensors[membrane].scale))
    index = f"{factor}@{scale:.9g}@{'x'.join(map(str, shape))}"
    constant = builder.constant(Name("", "factor", index=index), np.full((1, *shape), factor, np.int8), scale)
    return builder.emit("MUL", (membrane, constant), name, shape, grid, activation=activation)


def _membrane(work: Rewriting, neuron: Recurrence, t: int) -> int:
    """The membrane of a timestep, clipped: the first is the current, which a convolution may have clipped."""
    builder, layer = work.builder, neuron.layer
    name, current = Name(layer, "clipped", t), work.mapped[neuron.currents[0]]
    if t:
        return as_image(builder, work.mapped[neuron.membranes[t].output], name)
    image = as_image(builder, current, name.part("rows"))
    if builder.is_clipped(current, neuron.clipped.scale):
        return image
    return emit_taps(builder, image, name, neuron.clipped, taps=[1], multiplier=1.0, layer=layer, activation=CLIP)


def _read(work: Rewriting, index: int, shape: tuple[int, ...] | None = None) -> int:
    """What stands for a tensor, in a shape; by default in that of the program."""
    builder, copied = work.builder, _copied(work, index)
    tensor = work.program.tensors[index]
    shape = tensor.shape[1:] if shape is None else shape
    if tensor.data is not None or builder.shape(copied) == shape:
        return copied
    name = parse(builder.tensors[copied].name).part("rows" if len(shape) == 3 and shape[0] == 1 else "full")
    return builder.reshape(copied, name, shape, grid_of(builder, copied))


def _copied(work: Rewriting, index: int) -> int:
    """What stands for a tensor; an input and a constant are copied when they are first met."""
    if index not in work.mapped:
        tensor, builder = work.program.tensors[index], work.builder
        if tensor.data is None:
            work.mapped[index] = builder.activation(tensor.name, tensor.shape[1:], work.grid(index))
        else:
            labels = {"zero_point": tensor.zero_point, "channel_axis": tensor.channel_axis}
            scale = np.float32(tensor.scale / np.float64(work.labels.get(index, 1.0)))
            work.mapped[index] = builder.constant(tensor.name, tensor.data, scale, **labels)
    return work.mapped[index]
