"""The float description of a spiking network: frozen nodes in topological order, no Keras.

Every kind by its name: those with a kernel are in `kernels`, membranes in `membranes`, what reads several timesteps in
`over_time`; what a kind has to say about itself, in `node`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .kernels import Conv as Conv
from .kernels import ConvTranspose as ConvTranspose
from .kernels import Dense as Dense
from .kernels import DepthwiseConv as DepthwiseConv
from .kernels import Linear as Linear
from .kernels import Windowed as Windowed
from .membranes import FinalState as FinalState
from .membranes import Integrator as Integrator
from .node import NO_PADDING as NO_PADDING
from .node import Node as Node
from .node import Padding as Padding
from .over_time import LastTimestep as LastTimestep
from .over_time import RecentTimesteps as RecentTimesteps
from .over_time import TimeAverage as TimeAverage
from .over_time import TimeMax as TimeMax
from .over_time import TimeSum as TimeSum


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(Node):
    """What the user feeds, in the units of the Keras model's input.

    range: (low, high) of the samples where the model has fixed it, else None.
    """

    linear = monotone = keeps_channels = keeps_counts = keeps_zeros = False
    keeps_constants = stateless = pointwise = mixes_channels = takes_activation = False

    range: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(Node):
    """scale * x + offset, per channel (last axis): arrays of shape () or (channels,)."""

    keeps_channels = stateless = pointwise = True
    linear = monotone = keeps_counts = keeps_zeros = keeps_constants = mixes_channels = takes_activation = False

    scale: np.ndarray
    offset: np.ndarray

    @property
    def scale_offset(self) -> tuple[np.ndarray, np.ndarray]:
        return self.scale, self.offset


@dataclass(frozen=True, kw_only=True, eq=False)
class TimestepAffine(Node):
    """factors[t] * x[t] + offsets[t]: arrays (timesteps,) and (timesteps, channels).

    In a folded network it stands behind a Linear that nothing else reads: a kernel per timestep.
    """

    keeps_channels = pointwise = True
    linear = monotone = keeps_counts = keeps_zeros = keeps_constants = False
    stateless = mixes_channels = takes_activation = False

    factors: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Node, base=True):
    """Window over (height, width): the base of MaxPool, AveragePool and SumPool."""

    keeps_channels = keeps_zeros = keeps_constants = stateless = True
    pointwise = mixes_channels = takes_activation = False

    size: tuple[int, int]
    strides: tuple[int, int]
    padding: Padding = NO_PADDING


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pool):
    """Maximum over each window; padding never wins."""

    monotone = keeps_counts = True
    linear = False


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Pool):
    """Mean over each window (global pooling: a window as large as the image). Unpadded."""

    linear = True
    monotone = keeps_counts = False


@dataclass(frozen=True, kw_only=True, eq=False)
class SumPool(Pool):
    """Sum over each window: what an AveragePool becomes when its divisor is folded away. Unpadded.

    wide: whether its sums lie between 0 and 255: int8 holds them with the zero point -128.
    """

    wide: bool = False

    linear = keeps_counts = True
    monotone = False

    def addends(self, timesteps: int) -> int:
        return self.size[0] * self.size[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Node):
    """Elementwise sum of two or more different inputs of the value's shape, all with a time axis or all without.

    In a folded network an Affine in front of it has offset 0 and reads spikes, or sums and rearrangements of spikes: a
    shortcut's factor, a number or one per channel; where it is 1 the spikes come as they are. All other addends are
    in the sum's unit already: the neurons' (2 * threshold = 1) where neurons and kernels meet in the sum, the spike
    where only spikes do.
    """

    keeps_channels = keeps_counts = stateless = pointwise = takes_activation = True
    linear = monotone = keeps_zeros = keeps_constants = mixes_channels = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Concatenate(Node):
    """Inputs behind one another along the channels (last axis), all with a time axis or all without."""

    keeps_counts = stateless = pointwise = True
    linear = monotone = keeps_channels = keeps_zeros = keeps_constants = mixes_channels = takes_activation = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsample(Node):
    """Every pixel repeated: (rows, columns) times. Nearest-neighbour upsampling."""

    linear = keeps_channels = keeps_counts = keeps_zeros = keeps_constants = stateless = True
    monotone = pointwise = mixes_channels = takes_activation = False

    factors: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class ZeroPad(Node):
    """Pixels of value 0 around an image."""

    linear = keeps_channels = keeps_counts = keeps_zeros = stateless = True
    monotone = keeps_constants = pointwise = mixes_channels = takes_activation = False

    padding: Padding


@dataclass(frozen=True, kw_only=True, eq=False)
class Crop(Node):
    """An image without its outermost pixels."""

    linear = keeps_channels = keeps_counts = keeps_zeros = keeps_constants = stateless = True
    monotone = pointwise = mixes_channels = takes_activation = False

    cropping: Padding


@dataclass(frozen=True, kw_only=True, eq=False)
class Reshape(Node):
    """Same values in row-major order, another shape (Flatten among them)."""

    linear = keeps_counts = keeps_zeros = stateless = True
    monotone = keeps_channels = keeps_constants = pointwise = mixes_channels = takes_activation = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeat(Node):
    """The same value at every timestep (DirectEncoding)."""

    linear = keeps_channels = keeps_counts = keeps_zeros = keeps_constants = pointwise = True
    monotone = stateless = mixes_channels = takes_activation = False


@dataclass(frozen=True, kw_only=True, eq=False)
class LIF(Node):
    """Leaky integrate-and-fire; emits amplitude * spike.

    spike = round(membrane / (2 * threshold)), halves away from zero, clipped to [-levels, levels], or to [0, levels];
    with a dead zone level l starts at (dead_zone + 2 * l - 2) * threshold. In a folded network it is 1.

    decay in [0, 1]; threshold > 0, same units as its input; amplitude: each one number, or an array (channels,), last
    axis. signed: whether there are spikes below 0. reset: a spike clears the membrane ("zero"), takes the
    threshold off ("subtract", `reset_amount` times) or leaves it ("none"). quiet_steps: of a model trained on integers,
    the threshold lies at quiet_steps + 1/2 steps; else None. flipped: whether its spikes have the opposite sign of the
    Keras layer's; one boolean, or an array (channels,).
    """

    keeps_channels = keeps_zeros = pointwise = True
    linear = monotone = keeps_counts = keeps_constants = stateless = mixes_channels = takes_activation = False

    decay: float | np.ndarray
    threshold: float | np.ndarray
    amplitude: float | np.ndarray
    signed: bool = True
    reset: str = "zero"
    reset_amount: float = 1.0
    quiet_steps: int | None = None
    flipped: bool | np.ndarray = False
    levels: int = 1
    dead_zone: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Relu(Node):
    """min(max(x, 0), highest); highest None: nothing clips.

    Only in a network as Keras has it: before folding it becomes a LIF of many levels (`rectifiers`).
    """

    keeps_channels = keeps_zeros = stateless = pointwise = True
    linear = monotone = keeps_counts = keeps_constants = mixes_channels = takes_activation = False

    highest: float | None = None


@dataclass(frozen=True)
class Network:
    """A spiking network in float64.

    nodes: in topological order, every input before its reader.
    outputs: names of the nodes whose values leave the network.
    timesteps: length of the time axis of every temporal value.
    endless: whether any number of timesteps may come, and `timesteps` only stands for it.
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
    endless: bool = False

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
