"""The two functions users call on a Keras model: `export_tflite` and `fold`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import keras

from keras_ternary_spike.layers.overrides import as_functional
from keras_ternary_spike.layers.trace import Trace, trace

from .calibration.calibrate import calibrate, with_constants
from .calibration.output_extremes import output_ranges
from .calibration.rectifier_ranges import with_rectifiers
from .describe.assemble import assemble
from .describe.class_outputs import class_outputs
from .describe.model import describe
from .describe.signature import input_names
from .describe.told_ranges import told_ranges
from .folding.passes import fold_network
from .folding.separate_outputs import separate_outputs
from .network import nodes
from .network.nodes import Network
from .program.program import Program, check_batch, check_io
from .program.samples import Samples, by_name, check_arrays, count_samples
from .quantize.emit.context import Form
from .quantize.for_targets.fired_sums import with_fired_sums
from .quantize.for_targets.joined_timesteps import with_joined_timesteps
from .quantize.for_targets.stacked_neurons import with_stacked_neurons
from .quantize.for_targets.wide_pixels import with_wide_pixels
from .quantize.input_ranges import Ranges, check_told_ranges, input_shapes, warn_of_saturation
from .quantize.metadata import with_origin
from .quantize.output_ranges import warn_of_guesses
from .quantize.to_program import quantize
from .targets.check import CORTEX_M, LITERT, check, check_target, require
from .targets.vela import ACCELERATORS
from .tflite import flatbuffer

MAX_UNROLLED = 16  # timesteps
ANY_TIMESTEPS = 16  # stand for an unknown number of them: grids of outputs are found on so many


def export_tflite(
    model: keras.Model,
    *,
    input_range: Ranges | None = None,
    output_range: Ranges | None = None,
    form: Form = "unrolled",
    window: int | None = None,
    batch: int | None = 1,
    io: str = "int8",
    target: str | None = None,
    samples: Samples | None = None,
    verbose: int = 1,
) -> bytes:
    """Rewrites a trained spiking model as an exact int8 TFLite file. It may have ReLUs beside its spikes.

    Batch normalization, amplitudes and thresholds are folded into the kernels; every spike tensor is int8 with
    scale 1.0 and zero point 0, its values literally -1, 0 and 1. The timesteps are unrolled, what is constant over
    time is computed once, and every operator is a TFLite builtin. The same model gives the same bytes.

    Args:
        model: Built Keras model, with any number of inputs and outputs. Batch size and dtype do not matter. A layer or
            model of your own is exported where its `call` is made of layers that are.
        input_range: `(low, high)` of the samples in the units of the model's inputs. Values beyond saturate. For
            several inputs also a range for each, by name: `{"image": (0, 255), "motion": (-1, 1)}`. Default: None, what
            the first layers tell, `(0, 255)` of a model that starts with `Rescaling(1/255)`, else `(0, 1)`; then
            `samples` must lie within. "int8": the file's input is the samples' own integers, scale 1, zero point 0.
        output_range: `(low, high)` of the numbers that the model gives; those beyond saturate. For several outputs
            also a range for some of them, by name. Default: None, what the float model gives on `samples`, and a
            thirty-second of that more. Without samples a single number gets a range that it cannot leave, and several,
            as the logits of classes, twice what noise brings.
        form: `"unrolled"` computes all timesteps, at most 16, in one call. `"step"` computes one timestep a call, with
            the states as inputs and outputs paired by name; `StepRunner` drives it. Default: `"unrolled"`.
        window: With `form="step"`: averages over time are of the last so many timesteps, a stream without end. Before
            as many have come, those that are missing count as 0. Default: None, of all since the reset, which ends
            after as many timesteps as the model has.
        batch: how many samples a call of the file takes, the first axis of its tensors. None: one, and whoever runs the
            file may resize it to any number (`resize_tensor_input`); a TRANSPOSE_CONV does not allow it. Default: 1,
            which can be resized too where no SLICE or TRANSPOSE_CONV stands in the way.
        io: what the file takes and gives. `"int8"`: integers, which its tensors say how to read. `"float32"`: numbers,
            with a QUANTIZE behind each input and a DEQUANTIZE in front of each output, for programs that know no int8,
            such as LiteRT.js. The integers between are the same. Default: `"int8"`.
        target: refuse a file that would not run wholly on this target, such as `"ethos-u55-128"`; see `check`. For
            `"cortex-m"`, and for an Ethos-U where Vela finds it faster, neurons are convolutions; for `"litert"` a
            first layer of few channels computes several pixels at once, a layer with a large kernel all timesteps, and
            the last spikes of a neuron may have another scale than 1.0: other operators, the same integers. Default:
            None, any target; of operators that all of them run those that XNNPACK computes fastest.
        samples: Numbers as the model takes them, some hundred of what it will see, without labels: kernels and biases
            are rounded for them, layer by layer, instead of to nearest (see docs/rounding.md). For several inputs an
            array for each, by name. The same samples give the same bytes. The ranges of ReLUs are read from them,
            too; without samples every ReLU needs a `max_value`. Default: None, to nearest.
        verbose: 0 for no progress bar on the terminal while kernels are rounded for samples. Default: 1.

    Returns:
        The file's bytes. A final softmax is left out: the file emits logits. Inputs and outputs come in Keras's
        order; the file's signature names them by the model's dict keys, else by its input and output layers.

    Raises:
        ValueError: naming the layer, the rule and the way out, if the model cannot be exported exactly, or the target
            leaves an operator out. If `input_range` is left out and the first layers were adapted to other numbers
            than 0 to 1, or the samples are others.

    Warns:
        UserWarning: with the share of the samples' values that lie outside a given `input_range`; for outputs whose
            range is a guess from noise, unless a softmax or a loss says that they are classes.

    Example:
        >>> Path("model.tflite").write_bytes(export_tflite(model))
    """
    if target is not None:
        check_target(target)
    check_batch(batch)
    check_io(io)
    if form == "step" and batch != 1:
        raise ValueError(
            "`batch` must be 1 in the step form, whose states are those of one stream. Received: "
            f'batch={batch}. Use form="unrolled", or a StepRunner for each stream.'
        )
    layers = as_functional(model)
    calls = trace(layers)
    samples = None if samples is None else by_name(samples, input_names(layers))  # a generator is read once
    network = separate_outputs(_described(layers, calls, form, window, samples))
    if form == "unrolled" and network.timesteps > MAX_UNROLLED:
        raise ValueError(
            f"Timesteps must be 1 to {MAX_UNROLLED} to be unrolled in one file. Received: {network.timesteps} of "
            f'{network.name!r}. Export one timestep a call, form="step", for StepRunner.'
        )
    arrays = None if samples is None else check_arrays(input_shapes(network), samples)
    if arrays is not None and not count_samples(arrays):
        raise ValueError("`samples` must hold at least one sample. Received: 0")
    network = with_rectifiers(network, arrays)
    folded, ranges = fold_network(network), told_ranges(layers, calls) if input_range is None else input_range
    known = {"input_range": ranges, "output_ranges": output_ranges(folded, output_range, arrays)}
    program = quantize(folded, form=form, **known)
    if arrays is not None:
        unrolled = program if form == "unrolled" else quantize(folded, **known)
        if input_range is None:
            check_told_ranges(unrolled, ranges, arrays)
        else:
            warn_of_saturation(unrolled, arrays)
        program = with_constants(program, calibrate(unrolled, folded, arrays, verbose=verbose))
    warn_of_guesses(program, classes=class_outputs(layers, calls))
    return _written(replace(with_origin(program, network, model), batch=batch, io=io), target)


def _written(program: Program, target: str | None) -> bytes:
    """The file, in the operators that the target computes fastest: the same integers."""
    if target == CORTEX_M:
        program = with_stacked_neurons(program, in_place=False)
    if target == LITERT:
        program = with_fired_sums(with_joined_timesteps(with_wide_pixels(program)))
    tflite_bytes = flatbuffer.write(program)
    if target is None:
        return tflite_bytes
    facts = require(tflite_bytes, target).facts
    if target not in ACCELERATORS:
        return tflite_bytes
    stacked = flatbuffer.write(with_stacked_neurons(program, in_place=True))
    found = check(stacked, target=target)
    return stacked if found.accepted and found.facts["cycles"] < facts["cycles"] else tflite_bytes


def _described(model: keras.Model, calls: Trace, form: Form, window: int | None, samples: Samples | None) -> Network:
    """The network; what stands for an unknown number of timesteps, and whether they may go on without end."""
    if window is None:
        unknown = (_length(samples) or ANY_TIMESTEPS) if form == "step" else None
        return describe(model, unknown=unknown, calls=calls)
    if form != "step" or isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise ValueError(
            '`window` must be a number of timesteps, at least 1, of a stream, form="step". Received: '
            f"window={window!r}, form={form!r}"
        )
    network = replace(describe(model, unknown=window, averages=True, calls=calls), timesteps=window, endless=True)
    if not any(isinstance(node, nodes.TimeAverage) for node in network.nodes):
        raise ValueError(
            f"`window` is of averages over time. Received: window={window} for {network.name!r}, which has none. Leave "
            "`window` out."
        )
    return network


def _length(samples: Samples | None) -> int | None:
    """How many timesteps sequences among samples have; None where that is not told by their shapes."""
    arrays = samples.values() if isinstance(samples, Mapping) else [samples]
    lengths = {array.shape[1] for array in arrays if len(getattr(array, "shape", ())) > 2}
    return lengths.pop() if len(lengths) == 1 else None


def fold(model: keras.Model) -> keras.Model:
    """The re-parameterization of Ternary Spike as a Keras model: same outputs, spikes in {-1, 0, 1}.

    Batch normalization, amplitudes and thresholds move into the kernels beside them; averages of spikes become
    sums. Spiking layers keep their names, inputs and outputs their nesting.

    Raises:
        ValueError: as `export_tflite`.

    Reference: [Guo et al., 2024](https://arxiv.org/abs/2312.06372), eq. 15 to 17.
    """
    layers = as_functional(model)
    return assemble(fold_network(separate_outputs(describe(layers))), like=layers)
