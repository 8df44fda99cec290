"""One convolution for all timesteps of a layer as one for each: images beside each other, their rows in turns.

A dilation of as many rows as there are timesteps keeps the images apart, so that each window sees one of them, padded
as it would be alone.
"""

from __future__ import annotations

from dataclasses import replace

from ...padding import same_padding
from ...program.operators import Operator, Tensor
from .reading import Reading


def timestep_apart(reading: Reading, operator: Operator) -> int | None:
    """A SLICE of one timestep's sums: the convolution of its image, or vector, alone; None for others."""
    convolution = reading.source(operator.inputs[0])
    if convolution is None or convolution.kind != "CONV_2D":
        return None
    joined = reading.source(convolution.inputs[0])
    if joined is None or joined.kind != "CONCATENATION":
        return None
    images, output = joined.inputs, reading.tensor(operator.output)
    place, image = _place(reading, operator), reading.tensor(images[0])
    alike = len({(reading.tensor(one).shape, float(reading.tensor(one).scale)) for one in images}) == 1
    whole = reading.tensor(operator.inputs[0]).shape == _beside(output, len(images))
    beside = joined.options["axis"] == _axis(image) and reading.tensor(joined.output).shape == _beside(
        image, len(images)
    )
    if place is None or not alike or not whole or not beside:
        return None
    if len(image.shape) == 2:
        return _dense(reading, convolution, images[place], output)
    return _alone(reading, convolution, images[place], output, len(images))


def _alone(reading: Reading, convolution: Operator, image: int, output: Tensor, count: int) -> int | None:
    """One image through the kernel, without the dilation that kept it apart."""
    rows, taps = reading.tensor(image).shape[1], reading.tensor(convolution.inputs[1]).shape[1]
    turns, options = reading.tensor(convolution.inputs[0]).shape, convolution.options
    dilation, apart = divmod(options["dilation_h_factor"], count)
    if turns[1:3] != (count * rows, reading.tensor(image).shape[2]) or apart or options["stride_h"] > 1:
        return None
    padding = tuple(count * each for each in same_padding(rows, taps, 1, dilation))
    if options["padding"] == "SAME" and same_padding(count * rows, taps, 1, count * dilation) != padding:
        return None
    inputs = (reading.read(image), *map(reading.read, convolution.inputs[1:]))
    return reading.emit("CONV_2D", inputs, output, convolution, options={**options, "dilation_h_factor": dilation})


def _dense(reading: Reading, convolution: Operator, vector: int, output: Tensor) -> int | None:
    """A vector, which was a row of one pixel, times the kernel."""
    kernel = reading.tensor(convolution.inputs[1])
    if reading.tensor(convolution.inputs[0]).shape[2] != 1 or kernel.shape[1:3] != (1, 1):
        return None
    matrix = replace(kernel, data=kernel.data[:, 0, 0], shape=(kernel.shape[0], kernel.shape[3]))
    inputs = (reading.read(vector), reading.constant(matrix), reading.read(convolution.inputs[2]))
    return reading.emit("FULLY_CONNECTED", inputs, output, convolution, options={})


def _place(reading: Reading, operator: Operator) -> int | None:
    """Which of the images side by side a SLICE takes."""
    begin, output = reading.tensor(operator.inputs[1]).data, reading.tensor(operator.output)
    axis = _axis(output)
    place, rest = divmod(int(begin[axis]), output.shape[axis])
    return None if rest or any(begin[:axis]) or any(begin[axis + 1 :]) else place


def _axis(tensor: Tensor) -> int:
    """Of columns; of a vector its only one."""
    return max(len(tensor.shape) - 2, 1)


def _beside(tensor: Tensor, count: int) -> tuple[int, ...]:
    shape, axis = tensor.shape, _axis(tensor)
    return (*shape[:axis], count * shape[axis], *shape[axis + 1 :])
