"""What `front_over_time` trains: a residual network and a plain one, alphabets, budgets and timesteps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import keras

from benchmarks.accuracy import front
from benchmarks.accuracy.front_networks import BINARY, DISTILLED, GRADED, NETWORKS, RELU, SIGNED_GRADED, TERNARY
from benchmarks.accuracy.trainer_over_time.layers import Layer
from keras_ternary_spike.models.blocks import conv, normalized
from keras_ternary_spike.models.plan import Plan, network
from keras_ternary_spike.models.resnet import membrane_block

STEM, STAGES = 16, ((16, 2), (32, 2), (64, 1))  # channels; channels and strides of each block


@network
def residual(plan: Plan) -> object:
    """A stream of currents through blocks of STAGES."""
    stream = plan.encoded(normalized(conv(plan.channels(STEM), "stem_conv1"), plan.image))
    for number, (channels, strides) in enumerate(STAGES, start=1):
        stream = membrane_block(stream, plan.channels(channels), strides, f"block{number}", plan.fire)
    return plan.logits(plan.fire("last_neuron", stream))


def _residual_layers() -> tuple[Layer, ...]:
    found = [Layer("stem_conv1", None, 0)]
    for number, (_, strides) in enumerate(STAGES, start=1):
        name, stream = f"block{number}", len(found)
        found.append(Layer(None, f"{name}_neuron1", stream))
        found.append(Layer(f"{name}_conv1", f"{name}_neuron2", len(found), strides))
        branch = len(found)
        if strides > 1:
            found.append(Layer(None, None, stream, strides))
        found.append(Layer(f"{name}_shortcut", None, len(found) if strides > 1 else stream))
        found.append(Layer(f"{name}_conv2", None, branch, addend=len(found)))
    return (*found, Layer(None, "last_neuron", len(found)))


@dataclass(frozen=True)
class Study:
    """A network, as Keras and as the trainer have it, and what is trained of it: alphabet, budget, timesteps."""

    build: Callable[..., keras.Model]
    layers: tuple[Layer, ...]
    kinds: tuple[tuple[str, float | None, int], ...]


STUDIES = {
    "residual": Study(
        residual,
        _residual_layers(),
        (
            *((RELU, None, 1), (DISTILLED, None, 1), (GRADED, 0.2, 1), (TERNARY, 0.25, 1)),
            *((GRADED, 0.1, 1), (BINARY, 0.25, 1), (SIGNED_GRADED, 0.25, 1)),
        ),
    ),
    "plain": Study(
        front.wide,
        tuple(
            Layer(f"conv{number}", f"neuron{number}", number - 1, strides)
            for number, strides in enumerate(front.STRIDES, start=1)
        ),
        (
            *((SIGNED_GRADED, 0.25, 1), (TERNARY, 0.25, 2), (GRADED, 0.1, 2), (BINARY, 0.25, 2)),
            *((TERNARY, 0.25, 4), (GRADED, 0.1, 4)),
        ),
    ),
}


@dataclass(frozen=True)
class Point:
    """A training."""

    network: str
    alphabet: str
    budget: float | None
    timesteps: int
    seed: int

    @property
    def study(self) -> Study:
        return STUDIES[self.network]

    @property
    def neuron(self) -> Mapping[str, object]:
        """`fast_front`'s options of it."""
        return NETWORKS[self.alphabet].neuron

    @property
    def relu(self) -> bool:
        return NETWORKS[self.alphabet].relu

    @property
    def teacher(self) -> Point | None:
        own = Point(self.network, RELU, None, 1, self.seed)
        return None if self == own else own

    @property
    def name(self) -> str:
        """Of its files."""
        return "-".join(str(value) for value in asdict(self).values()).replace(" ", "")
