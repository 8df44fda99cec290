"""Files of every target are read back into one form, of which the C is made: that of a default file, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest

from c_compilers import needs_compiler, run_checked
from keras_ternary_spike.export.c_code.design import design
from keras_ternary_spike.export.c_code.normal_form.normal_form import normal_form
from keras_ternary_spike.export.c_code.report import report
from keras_ternary_spike.export.network.nodes import LIF, Add, Affine, Reshape, SumPool, TimeSum
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.program.names import Name, is_factor, spike_tensors
from keras_ternary_spike.export.quantize.for_targets.factor_convolutions import PIXEL, emit_stacked, emit_taps
from keras_ternary_spike.export.quantize.for_targets.fired_sums import with_fired_sums
from keras_ternary_spike.export.quantize.for_targets.joined_timesteps import with_joined_timesteps
from keras_ternary_spike.export.quantize.for_targets.stacked_neurons import with_stacked_neurons
from keras_ternary_spike.export.quantize.for_targets.wide_pixels import with_wide_pixels
from keras_ternary_spike.export.quantize.to_program import quantize
from keras_ternary_spike.export.tflite import flatbuffer
from node_graphs import SAME, SHAPE, Chain, Graph
from random_programs import random_inputs

TARGETS = {
    "cortex-m": lambda program: with_stacked_neurons(program, in_place=False),
    "ethos-u": lambda program: with_stacked_neurons(program, in_place=True),
    "litert": lambda program: with_fired_sums(with_joined_timesteps(with_wide_pixels(program))),
}
DECAYS = np.array([0.1, 0.25, 0.9, 1.0])


def sequence(rng, timesteps=2, decay=0.25, **fields):
    """Moving images behind neurons of a 3x3, a depthwise and a pointwise layer, and of vectors."""
    nodes = Chain(rng, timesteps, (4, 6, 1), temporal=True)
    nodes.conv("conv", 4, padding=SAME, gain=4.0).lif("block/lif1", decay)
    nodes.conv("depthwise", 1, padding=SAME, depthwise=True).lif("lif2", decay)
    nodes.conv("pointwise", 4, size=1).lif("lif3", decay)
    nodes.add(TimeSum, "time", temporal=False).add(SumPool, "pool", (2, 2, 4), size=(2, 3), strides=(2, 3))
    nodes.add(Reshape, "flat", (16,)).dense("logits", 3, gain=0.1)
    own = [replace(node, **fields) if isinstance(node, LIF) else node for node in nodes.nodes]
    return nodes.network().with_nodes(tuple(own))


def still(rng, timesteps):
    """A neuron whose current stays, and one behind it."""
    nodes = Chain(rng, timesteps, (4, 4, 1)).conv("conv", 4, padding=SAME, gain=4.0).repeat().lif("still")
    return nodes.conv("next", 3).lif("moving").head(classes=3).network()


def branches(rng, timesteps):
    """A shortcut of spikes, and two convolutions, added up in front of a neuron."""
    graph = Graph(rng, timesteps)
    spikes = graph.stem()
    shortcut = graph.add(Affine, "shortcut", spikes, scale=np.array(0.7), offset=np.array(0.0))
    spikes = graph.lif("lif1", graph.add(Add, "add1", graph.conv("conv1", spikes), shortcut))
    total = graph.add(Add, "add2", graph.conv("conv2", spikes), graph.conv("conv3", spikes))
    return graph.finish(graph.lif("lif2", total, shape=SHAPE))


def large_kernels(rng, timesteps):
    """Of more than 2^17 bytes: a convolution of images, and one of vectors."""
    nodes = Chain(rng, timesteps, (2, 3, 2), temporal=True).conv("conv1", 128, padding=SAME, gain=4.0).lif("lif1", 0.25)
    nodes.conv("conv2", 128, padding=SAME).lif("lif2", 0.25).add(Reshape, "flat", (768,))
    nodes.dense("dense", 352, gain=2.0).lif("lif3", 0.25).add(TimeSum, "time", temporal=False)
    return nodes.dense("logits", 3, gain=0.1).network()


FIELDS = {
    "hard reset": {},
    "no leak": {"decay": 1.0},
    "subtract": {"decay": 0.5, "reset": "subtract"},
    "none": {"decay": 1.0, "reset": "none"},
    "binary": {"signed": False},
    "levels": {"levels": 3},
    "decays": {"decay": DECAYS},
}
NETWORKS = {
    **{name: lambda rng, timesteps, own=own: sequence(rng, timesteps, **own) for name, own in FIELDS.items()},
    "still": still,
    "branches": branches,
    "large kernels": large_kernels,
}
UNKNOWN = ("levels", "decays")  # whose neurons no equation of one table stands for
LONGER = {name: 4 for name in NETWORKS} | {"still": 6}  # some timesteps of which share a current


def written(program):
    """As the file holds it."""
    return flatbuffer.read(flatbuffer.write(program))


def of_every_target(program):
    return [program, *(written(rewrite(program)) for rewrite in TARGETS.values())]


def assert_one_form(program):
    """Steps and RAM of the C are those of a default file."""
    default, *others = (design(one, "net") for one in of_every_target(program))
    for other in others:
        assert [step.kernels for step in other.steps] == [step.kernels for step in default.steps]
        assert [step.facts.how for step in other.steps] == [step.facts.how for step in default.steps]
        assert other.memory.size == default.memory.size


def assert_bits(programs, rng):
    """Spikes and outputs are those of the file in the operators of every target."""
    cases = []
    for program in programs:
        inputs = random_inputs(rng, program, samples=2)
        for one in of_every_target(program):
            indices = {tensor.name: index for index, tensor in enumerate(one.tensors)}
            spikes = tuple(indices[tensor.name] for _, tensor in spike_tensors(one))
            cases.append((replace(one, outputs=tuple(dict.fromkeys((*spikes, *one.outputs)))), inputs))
    for (program, inputs), outputs in zip(cases, run_checked(cases), strict=True):
        trace = program.trace(inputs)
        assert len(outputs) > 3
        for name, values in outputs.items():
            np.testing.assert_array_equal(values, trace[name], err_msg=name)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_c_of_a_file_for_a_target_is_that_of_a_default_file(rng, name):
    program = written(quantize(NETWORKS[name](rng, 2)))
    stated = [] if name in UNKNOWN else [neuron.name for neuron in program.facts.neurons]
    assert [layer.neuron.name for layer in normal_form(program).neurons] == stated
    assert_one_form(program)


@pytest.mark.extended
@pytest.mark.parametrize("name", NETWORKS)
def test_the_c_of_more_timesteps_is_that_of_a_default_file(rng, name):
    assert_one_form(written(quantize(NETWORKS[name](rng, LONGER[name]))))


@pytest.mark.parametrize("fields", [{}, {"signed": False, "reset": "subtract"}], ids=["zero", "subtract"])
def test_the_step_form_of_a_target_is_read_back_too(rng, fields):
    assert_one_form(written(quantize(sequence(rng, 2, 1.0, **fields), form="step")))


@needs_compiler
def test_spikes_and_outputs_of_every_target_are_the_programs_bits(rng):
    assert_bits([quantize(branches(rng, 2))], rng)


@pytest.mark.extended
@needs_compiler
def test_every_neuron_of_every_target_has_the_programs_bits(rng):
    assert_bits([quantize(NETWORKS[name](rng, 3)) for name in NETWORKS] + [quantize(still(rng, 6))], rng)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_stacked_neuron_whose_reset_is_off_by_one_step_is_left_to_its_operators(rng, change):
    stacked = with_stacked_neurons(quantize(sequence(rng)), in_place=True)
    rows = {one.output: stacked.tensors[one.inputs[1]].shape[1] for one in stacked.operators if is_factor(stacked, one)}
    index = next(one.inputs[1] for one in stacked.operators if rows.get(one.output) == 3)
    data = stacked.tensors[index].data.copy()
    data[0, 2] += 2 * change
    tensors = (replace(tensor, data=data) if i == index else tensor for i, tensor in enumerate(stacked.tensors))
    changed = replace(stacked, tensors=tuple(tensors))
    assert [layer.neuron.name for layer in normal_form(changed).neurons] == ["lif2", "lif3"]
    left = [layer for layer in report(design(changed, "net"))["layers"] if "depthwise_conv_2d" in layer["kernels"]]
    assert left and all("those of a neuron that no equation" in layer["why"] for layer in left)


def kinds(program):
    return [operator.kind for operator in normal_form(program).program.operators]


HALVES = Grid(0.5)


def joined(taps, *, activation="NONE", grid=HALVES, multiplier=1.0):
    """Two images as rows, summed by a convolution."""
    builder = Builder()
    images = tuple(builder.activation(f"in{n}", (2, 3, 4), HALVES) for n in range(2))
    stacked = emit_stacked(builder, images, Name("add", "sum", 1), 8)
    options = {"taps": taps, "multiplier": multiplier, "layer": "add", "activation": activation}
    outputs = (emit_taps(builder, stacked, Name("add", "sum", 1), grid, **options),)
    return builder.program("joined", images, outputs, {"timesteps": 1})


@pytest.mark.parametrize("taps, kind", [([1, 1], "ADD"), ([-1, 1], "SUB")])
def test_rows_that_are_added_up_are_a_sum_of_the_two_images(rng, taps, kind):
    program = joined(taps)
    form = normal_form(program).program
    inputs = {name: rng.integers(-128, 128, (5, 2, 3, 4), np.int8) for name in ("in0", "in1")}
    assert kinds(program) == [kind, "RESHAPE"]
    np.testing.assert_array_equal(form.run(inputs), program.run(inputs))


def test_rows_stay_where_others_than_neurons_see_that_their_sum_is_clipped():
    clipped = joined([1, 1], activation="RELU_N1_TO_1", grid=Grid(1 / 101))
    assert kinds(clipped) == ["CONCATENATION", "RESHAPE", "DEPTHWISE_CONV_2D"]
    assert kinds(joined([1, 2])) == kinds(joined([2, 1])) == kinds(joined([1, 1], multiplier=0.5)) == kinds(clipped)


@pytest.mark.parametrize("fires, expected", [(False, "DEPTHWISE_CONV_2D"), (True, "SUB")])
def test_what_is_taken_off_a_bias_is_a_difference_where_no_integer_tells_them_apart(rng, fires, expected):
    """1 - 127 x and 1 - x / 0.25, clipped at 0: of x = -1 they are 127 and 5."""
    builder = Builder()
    image = builder.activation("image", (2, 3, 4), Grid(1.0))
    source = builder.emit("MUL", (image, image), Name("lif", "fired", 0), (2, 3, 4), Grid(1.0)) if fires else image
    if fires:
        clip = {"taps": [1], "multiplier": 1.0, "layer": "lif", "activation": "RELU_N1_TO_1"}
        source = emit_taps(builder, source, Name("lif", "clipped", 0), Grid(1.0), **clip)
    options = {"taps": [-127], "multiplier": 1.0, "bias": [1], "layer": "lif", "activation": "RELU"}
    keep = emit_taps(builder, source, Name("lif", "keep", 0), Grid(0.25), **options)
    program = builder.program("keep", (image,), (keep,), {"timesteps": 1})
    assert kinds(program)[-1] == expected
    inputs = rng.integers(-3, 4, (5, 2, 3, 4), np.int8)
    np.testing.assert_array_equal(normal_form(program).program.run(inputs), program.run(inputs))


def windows(bound, *, also=False):
    """The sums over all pixels of two images of integers up to `bound`, added up. also: the first is an output, too."""
    builder, shape, total = Builder(), (2, 3, 4), (1, 1, 4)
    least = builder.scalar(Name("", "beyond", index="0"), 1, bound / 127, 3)
    ones = builder.constant(Name("pool", "ones", index="2x3"), np.ones((1, 2, 3, 4), np.int8), 1.0)
    weights = (ones, builder.constant(Name("", "zeros", index="4"), np.zeros(4, np.int32), 1.0))
    images, sums = [], []
    for t in range(2):
        images.append(builder.activation(f"in{t}", shape, Grid(1.0)))
        small = builder.emit("MUL", (images[t], least), Name("small", "scaled", t), shape, Grid(1.0))
        name = Name("pool", "sum", t)
        sums.append(builder.emit("DEPTHWISE_CONV_2D", (small, *weights), name, total, Grid(1.0), options=PIXEL))
    both = builder.emit("ADD", tuple(sums), Name("both", "sum", 1), total, Grid(1.0))
    return builder.program("windows", tuple(images), (both, *sums[:also]), {"timesteps": 1})


@pytest.mark.parametrize("program, count", [(windows(10), 1), (windows(11), 2), (windows(10, also=True), 2)])
def test_windows_are_summed_after_timesteps_where_nothing_can_be_clipped(rng, program, count):
    """6 pixels of 2 images: of 10 they come to 120, of 11 to 132, beyond int8."""
    inputs = {name: rng.integers(-128, 128, (5, 2, 3, 4), np.int8) for name in ("in0", "in1")}
    assert kinds(program).count("DEPTHWISE_CONV_2D") == count
    one, other = program.trace(inputs), normal_form(program).program.trace(inputs)
    for index in program.outputs:
        np.testing.assert_array_equal(other[program.tensors[index].name], one[program.tensors[index].name])


def test_a_pointwise_convolution_of_other_channels_than_its_image_stays(rng):
    nodes = Chain(rng, 1, (2, 4, 2)).add(Reshape, "moved", (4, 2, 2)).conv("same", 3, size=1)
    wider = Chain(rng, 1, (2, 4, 2)).add(Reshape, "moved", (2, 2, 4)).conv("other", 3, size=1)
    for chain, moved in ((nodes, 1), (wider, 2)):
        program = quantize(chain.add(Reshape, "flat", (24 // moved,)).dense("logits", 3, gain=0.1).network())
        inputs = random_inputs(rng, program)
        np.testing.assert_array_equal(normal_form(program).program.run(inputs), program.run(inputs))
        assert kinds(program).count("RESHAPE") == moved


def test_wide_pixels_are_the_convolution_that_they_were(rng):
    nodes = Chain(rng, 1, (4, 6, 1)).conv("conv", 4, padding=SAME, gain=4.0).conv("next", 3)
    program = quantize(nodes.add(Reshape, "flat", (24,)).dense("logits", 3, gain=0.1).network())
    wide = with_wide_pixels(program)
    form = normal_form(wide).program
    (kernel, found, expected) = (
        next(one.tensors[o.inputs[1]] for o in one.operators if o.kind == "CONV_2D") for one in (wide, form, program)
    )
    assert kernel.data.size > expected.data.size
    np.testing.assert_array_equal(found.data, expected.data)
    np.testing.assert_array_equal(found.scale, expected.scale)
    inputs = random_inputs(rng, program)
    np.testing.assert_array_equal(form.run(inputs), program.run(inputs))


def test_a_wide_kernel_with_one_weight_too_many_stays(rng):
    wide = with_wide_pixels(quantize(sequence(rng)))
    index = next(one.inputs[1] for one in wide.operators if one.kind == "CONV_2D")
    data = wide.tensors[index].data.copy()
    corner = tuple(np.argwhere(data == 0)[0])
    data[corner] = 1
    changed = replace(
        wide, tensors=tuple(replace(t, data=data) if i == index else t for i, t in enumerate(wide.tensors))
    )
    kernels = [
        {form.tensors[one.inputs[1]].shape for one in form.operators if one.kind == "CONV_2D"}
        for form in (normal_form(wide).program, normal_form(changed).program)
    ]
    assert data.shape in kernels[1] and data.shape not in kernels[0]
