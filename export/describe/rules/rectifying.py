"""ReLU as a layer, and as the activation of another one: what a layer with weights does not clip a Relu clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from ...network import nodes
from ...network.node import like
from ...network.nodes import Node
from .rule import POINTWISE, Rule, rule

RECTIFIERS: Mapping[Any, float | None] = {keras.activations.relu: None, keras.activations.relu6: 6.0}


def rectifies(layer: Any) -> bool:
    """Whether a layer ends with a ReLU that its own rule does not describe."""
    return getattr(layer, "activation", None) in RECTIFIERS and not isinstance(layer, keras.layers.Activation)


def rectified(layer: Any, name: str, source: Node) -> nodes.Relu:
    """The ReLU that `layer` ends with."""
    return nodes.Relu(highest=RECTIFIERS[layer.activation], **like(name, source))


def _activation(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    return (rectified(layer, name, source),) if layer.activation in RECTIFIERS else ()


def _relu(layer: Any, name: str, source: Node) -> tuple[Node, ...]:
    if layer.negative_slope or layer.threshold:
        raise ValueError(
            f"A ReLU must be 0 up to 0 and rise from there. Received: layer {layer.name!r} with "
            f"negative_slope={layer.negative_slope}, threshold={layer.threshold}. Train with both 0."
        )
    highest = None if layer.max_value is None else float(layer.max_value)
    return (nodes.Relu(highest=highest, **like(name, source)),)


RECTIFYING: Mapping[type, Rule] = {
    keras.layers.Activation: rule(_activation, "activation", time=POINTWISE),
    keras.layers.ReLU: rule(_relu, "max_value negative_slope threshold", time=POINTWISE),
}
