"""The float description of a spiking network: frozen nodes in topological order, no Keras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

Padding = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right)), in pixels
NO_PADDING: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operation.

    name: unique; the Keras layer's name where there is one.
    inputs: names of the nodes whose values it reads.
    shape: of its value at one timestep, without the batch axis.
    temporal: whether the value has a time axis (then every timestep has its own, or the same repeated).
    """

    name: str
    inputs: tuple[str, ...] = ()
    shape: tuple[int, ...]
    temporal: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(Node):
    """What the user feeds, in the units of the Keras model's input.

    range: (low, high) of the samples where the model has fixed it, else None.
    """

    range: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(Node):
    """scale * x + offset, per channel (last axis): arrays of shape () or (channels,)."""

    scale: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class TimestepAffine(Node):
    """factors[t] * x[t] + offsets[t]: arrays (timesteps,) and (timesteps, channels).

    In a folded network it stands behind a Linear that nothing else reads: a kernel per timestep.
    """

    factors: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Node):
    """A kernel and a bias: the base of the convolutions and Dense. bias: (channels of the output,).

    Of a model trained on integers, else None: multipliers, output steps per accumulator step of every channel;
    scale, real units per step of the output.
    """

    kernel: np.ndarray
    bias: np.ndarray
    multipliers: tuple[Fraction, ...] | None = None
    scale: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Linear):
    """2-D convolution over (height, width, channels), zero-padded. kernel: (kh, kw, in, out)."""

    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthwiseConv(Linear):
    """Depthwise 2-D convolution, zero-padded. kernel: (kh, kw, in, multiplier); output channel in*multiplier + m."""

    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvTranspose(Linear):
    """Transposed 2-D convolution, cropped. kernel: (kh, kw, in, out), each at least as large as its stride.

    full[i * stride + k] = sum of kernel[k] * x[i], a full output of (size - 1) * stride + kernel pixels; the value is
    what `cropping` leaves of it, plus the bias. TensorFlow's paddings: "valid" crops nothing, "same" kernel - stride.
    """

    strides: tuple[int, int] = (1, 1)
    cropping: Padding = NO_PADDING


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Linear):
    """Matrix product over the last axis. kernel: (in, units)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Node):
    """Window over (height, width): the base of MaxPool, AveragePool and SumPool."""

    size: tuple[int, int]
    strides: tuple[int, int]
    padding: Padding = NO_PADDING


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pool):
    """Maximum over each window; padding never wins."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Pool):
    """Mean over each window (global pooling: a window as large as the image). Unpadded."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SumPool(Pool):
    """Sum over each window: what an AveragePool becomes when its divisor is folded away. Unpadded."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Node):
    """Elementwise sum of two or more different inputs of the value's shape, all with a time axis or all without.

    In a folded network an Affine in front of it has offset 0 and reads spikes, or sums and rearrangements of spikes: a
    shortcut's factor, a number or one per channel; where it is 1 the spikes come as they are. All other addends are
    in the sum's unit already: the neurons' (2 * threshold = 1) where neurons and kernels meet in the sum, the spike
    where only spikes do.
    """


@dataclass(frozen=True, kw_only=True, eq=False)
class Concatenate(Node):
    """Inputs behind one another along the channels (last axis), all with a time axis or all without."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsample(Node):
    """Every pixel repeated: (rows, columns) times. Nearest-neighbour upsampling."""

    factors: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class ZeroPad(Node):
    """Pixels of value 0 around an image."""

    padding: Padding


@dataclass(frozen=True, kw_only=True, eq=False)
class Crop(Node):
    """An image without its outermost pixels."""

    cropping: Padding


@dataclass(frozen=True, kw_only=True, eq=False)
class Reshape(Node):
    """Same values in row-major order, another shape (Flatten among them)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeat(Node):
    """The same value at every timestep (DirectEncoding)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LIF(Node):
    """Leaky integrate-and-fire; emits amplitude * spike.

    decay in [0, 1]; threshold > 0, same units as its input; amplitude: each one number, or an array (channels,), last
    axis. signed: spikes in {-1, 0, 1}, otherwise {0, 1}. reset: a spike clears the membrane ("zero"), takes the
    threshold off ("subtract", `reset_amount` times) or leaves it ("none"). half: of a model trained on integers, the
    threshold lies at half + 1/2 steps; else None.
    """

    decay: float | np.ndarray
    threshold: float | np.ndarray
    amplitude: float | np.ndarray
    signed: bool = True
    reset: str = "zero"
    reset_amount: float = 1.0
    half: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeAverage(Node):
    """Mean over timesteps."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeSum(Node):
    """Sum over timesteps: what a TimeAverage becomes when its divisor is folded away."""


@dataclass(frozen=True)
class Network:
    """A spiking network in float64.

    nodes: in topological order, every input before its reader.
    outputs: names of the nodes whose values leave the network.
    timesteps: length of the time axis of every temporal value.
    notes: what a reader of the report should know, one sentence each ("softmax left out").
    input_names, output_names: what users call them, in order; () where those are the nodes' own names.
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    timesteps: int
    notes: tuple[str, ...] = ()
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """Nodes that read the value of node `name`, in order."""
        return tuple(node for node in self.nodes if name in node.inputs)

    @property
    def named_inputs(self) -> dict[str, Input]:
        """Every Input by the name that users give it, in order."""
        inputs = [node for node in self.nodes if isinstance(node, Input)]
        return dict(zip(self.input_names or [node.name for node in inputs], inputs, strict=True))

    @property
    def exact(self) -> bool:
        """Whether it was trained on integers: its kernels are whole numbers of steps, and its grids are fixed."""
        return any(isinstance(node, Linear) and node.multipliers is not None for node in self.nodes)

    def with_nodes(self, nodes: tuple[Node, ...]) -> Network:
        return replace(self, nodes=tuple(nodes))
