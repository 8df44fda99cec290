"""Integer-exact training: a Keras model whose forward pass is the integer program of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_ternary_spike import PerTimestep, exact
from keras_ternary_spike.layers.overrides import as_functional
from keras_ternary_spike.layers.trace import trace

from ..calibration.output_extremes import output_ranges
from ..describe.assemble import MERGES
from ..describe.class_outputs import left_out
from ..describe.model import describe
from ..describe.signature import input_structure, output_structure, packed
from ..describe.told_ranges import told_ranges
from ..folding.passes import fold_network
from ..network import nodes
from ..network.nodes import Node
from ..program.samples import Samples, check_arrays
from ..quantize.input_ranges import Ranges, input_shapes
from .decisions import DTYPE, Decisions, decide
from .layers import SEQUENCES, exact_add, exact_input, exact_layers


def quantize_aware(
    model: keras.Model,
    *,
    input_range: Ranges | None = None,
    output_range: Ranges | None = None,
    samples: Samples | None = None,
) -> keras.Model:
    """The model as its exported file computes it, for fine-tuning: what is trained is what is shipped.

    Batch normalization, amplitudes and thresholds are folded into the kernels and every grid of the file is fixed.
    The forward pass is the file's integer program in float32; gradients pass its rounding. Untrained, the new model's
    file is that of `model`. Compile and fit it as any model, with a small learning rate: Adam(1e-4), one epoch or two.
    `export_tflite` of it writes the integers it computes with: same spikes, same outputs, same accuracy.

    Args:
        model: Built Keras model, as for `export_tflite`. It stays as it is.
        input_range: `(low, high)` of the samples in the units of the model's inputs, for all or for each by name;
            values beyond saturate. It becomes part of the new model. Default: None, as for `export_tflite`.

        output_range, samples: What is known of the outputs, as for `export_tflite`; they become part of the new model.
            Samples choose nothing else: training rounds the kernels.

    Returns:
        Functional model with the inputs and outputs of `model`; layers keep their names. Outputs are real numbers,
        whole steps of the file's output. Losses and metrics are not taken over.

    Raises:
        ValueError: as `export_tflite`; if `model` was made by this function; or if a sum of products might exceed
            2**24, to which float32 counts exactly.

    Example:
        >>> qat = quantize_aware(model)
        >>> qat.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
        >>> qat.fit(images, labels, epochs=1)
        >>> Path("model.tflite").write_bytes(export_tflite(qat))
    """
    model = as_functional(model)
    calls = trace(model)
    network = describe(model, calls=calls)
    if network.exact:
        raise ValueError(
            f"A model can be made exact once. Received: {model.name!r}, which `quantize_aware` returned. Go on "
            "training it, or start from the float model."
        )
    folded, ranges = fold_network(network), told_ranges(model, calls) if input_range is None else input_range
    arrays = None if samples is None else check_arrays(input_shapes(folded), samples)
    decisions = decide(folded, ranges, output_ranges(folded, output_range, arrays))
    values: dict[str, Any] = {}
    inputs = []
    for node in decisions.folded.nodes:
        if isinstance(node, nodes.Input):
            inputs.append(_keras_input(decisions, node))
            values[node.name] = exact_input(decisions, node)(inputs[-1])
        else:
            values[node.name] = _value(decisions, node, values)
    outputs = [_output(decisions, index, values, function) for index, function in enumerate(left_out(model))]
    inputs, outputs = packed(input_structure(model), inputs), packed(output_structure(model), outputs)
    return keras.Model(inputs, outputs, name=network.name)


def _keras_input(decisions: Decisions, node: nodes.Input) -> Any:
    leading = (decisions.folded.timesteps,) if node.temporal else ()
    return keras.Input((*leading, *node.shape), name=node.name, dtype=DTYPE)


def _value(decisions: Decisions, node: Node, values: Mapping[str, Any]) -> Any:
    if isinstance(node, nodes.Add):
        return exact_add(decisions, node)([values[name] for name in node.inputs])
    if type(node) in MERGES:
        return MERGES[type(node)](name=node.name, dtype=DTYPE)([values[name] for name in node.inputs])
    value = values[node.inputs[0]]
    wrap = node.temporal and not isinstance(node, SEQUENCES)
    for layer, weights in exact_layers(decisions, node):
        value = PerTimestep(layer, name=f"{layer.name}_per_timestep", dtype=DTYPE)(value) if wrap else layer(value)
        layer.set_weights(weights)
    return value


def _output(decisions: Decisions, index: int, values: Mapping[str, Any], function: str | None) -> Any:
    """Real numbers, under the output's name where no layer has it, and the function that the model has behind them."""
    network, name = decisions.folded, decisions.folded.outputs[index]
    wanted = network.output_names[index]
    wanted = wanted if wanted not in values else f"{wanted}_output"
    scale = 1.0 if isinstance(network[name], nodes.Affine) else decisions.grid(name).scale
    real = exact.ExactOutput(scale, name=f"{wanted}_logits" if function else wanted, dtype=DTYPE)(values[name])
    return keras.layers.Activation(function, name=wanted, dtype=DTYPE)(real) if function else real
