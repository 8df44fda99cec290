"""What the kinds of nodes say about themselves is true, and all that folding needs of a kind it has never seen."""

import inspect
from dataclasses import dataclass, replace

import numpy as np
import pytest

from keras_ternary_spike.export.describe import assemble
from keras_ternary_spike.export.folding.passes import fold_network
from keras_ternary_spike.export.network import nodes
from keras_ternary_spike.export.network.queries import count_bound
from keras_ternary_spike.export.quantize.to_program import EMITTERS
from network_evaluation import evaluate

TIMESTEPS, SHAPE = 3, (4, 4, 2)
WINDOW = {"size": (2, 2), "strides": (2, 2), "shape": (2, 2, 2)}
SIDES = {"padding": ((1, 0), (0, 2)), "shape": (5, 6, 2)}
# Of every kind that reads one value and has neither numbers nor a state of its own: one that does something.
EXAMPLES = {
    nodes.MaxPool: WINDOW,
    nodes.AveragePool: WINDOW,
    nodes.SumPool: WINDOW,
    nodes.Upsample: {"factors": (2, 1), "shape": (8, 4, 2)},
    nodes.ZeroPad: SIDES,
    nodes.Crop: {"cropping": ((1, 0), (0, 2)), "shape": (3, 2, 2)},
    nodes.Reshape: {"shape": (8, 4)},
    nodes.Repeat: {},
    nodes.TimeAverage: {"temporal": False},
    nodes.TimeSum: {"temporal": False},
    nodes.TimeMax: {"temporal": False},
    nodes.Integrator: {"decay": np.array([0.25, 0.5])},
    nodes.LastTimestep: {"temporal": False},
    nodes.RecentTimesteps: {"timesteps": 2, "shape": (8, 4, 2)},
}
KERNEL = {"bias": np.array([0.5, -1.0]), "strides": (1, 1)}
KERNELS = {
    "Conv 3x3": (nodes.Conv, {**KERNEL, "kernel": (3, 3, 2, 2), "padding": ((1, 1), (1, 1))}),
    "Conv 1x1": (nodes.Conv, {**KERNEL, "kernel": (1, 1, 2, 2)}),
    "DepthwiseConv 3x3": (nodes.DepthwiseConv, {**KERNEL, "kernel": (3, 3, 2, 1), "padding": ((1, 1), (1, 1))}),
    "DepthwiseConv 1x1": (nodes.DepthwiseConv, {**KERNEL, "kernel": (1, 1, 2, 1)}),
    "ConvTranspose": (nodes.ConvTranspose, {**KERNEL, "kernel": (3, 3, 2, 2), "cropping": ((1, 1), (1, 1))}),
    "Dense": (nodes.Dense, {"bias": KERNEL["bias"], "kernel": (2, 2)}),
}
KINDS = [
    kind
    for _, kind in inspect.getmembers(nodes, inspect.isclass)
    if issubclass(kind, nodes.Node) and kind not in (nodes.Node, nodes.Linear, nodes.Windowed, nodes.Pool)
]


def network_of(kind, fields):
    temporal = kind is not nodes.Repeat
    source = nodes.Input(name="source", shape=SHAPE, temporal=temporal)
    node = kind(**{"name": "node", "inputs": ("source",), "shape": SHAPE, "temporal": True, **fields})
    return nodes.Network("one node", (source, node), ("node",), TIMESTEPS)


def function_of(network):
    return lambda x: evaluate(network, x)


def batch(network, rng, integers=False):
    shape = (5, *(TIMESTEPS,) * network["source"].temporal, *SHAPE)
    return rng.integers(-4, 5, shape).astype(float) if integers else rng.normal(size=shape)


def measured(network, rng):
    """The answers that the values of a node give."""
    f, x, y = function_of(network), batch(network, rng), batch(network, rng)
    whole, node, channels = f(batch(network, rng, integers=True)), network["node"], SHAPE[-1]
    linear = np.allclose(f(x + y), f(x) + f(y))
    constants = np.array([3.0, -5.0])
    behind = f(np.broadcast_to(constants, x.shape))
    return {
        "linear": linear,
        "monotone": not linear and np.allclose(f(2.5 * x), 2.5 * f(x)),
        "keeps_channels": node.shape[-1] == channels and all(only_moves(f, x, c) for c in range(channels)),
        "keeps_counts": bool(np.all(whole == np.rint(whole))),
        "keeps_zeros": not np.any(f(0 * x)),
        "keeps_constants": behind.shape[-1] == channels and np.allclose(behind, node.addends(TIMESTEPS) * constants),
        "stateless": network["source"].temporal and node.temporal and np.array_equal(f(x[:, ::-1]), f(x)[:, ::-1]),
        "pointwise": node.shape == SHAPE and np.allclose(f(x[..., ::-1, :]), f(x)[..., ::-1, :]),
        "mixes_channels": False,
    }


def only_moves(f, x, channel):
    """Whether another channel c changes channel c of the value, and no other."""
    changed = x.copy()
    changed[..., channel] += 1.0
    return [bool(np.any(moved)) for moved in np.moveaxis(f(changed) != f(x), -1, 0)] == [
        other == channel for other in range(x.shape[-1])
    ]


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_what_a_kind_says_is_what_its_values_show(kind, rng):
    network = network_of(kind, EXAMPLES[kind])
    answers = measured(network, rng)
    assert {name: getattr(network["node"], name) for name in answers} == answers


@pytest.mark.parametrize("case", KERNELS)
def test_what_a_kernel_says_is_what_its_values_show(case, rng):
    kind, fields = KERNELS[case]
    network = network_of(kind, {**fields, "kernel": rng.normal(size=fields["kernel"])})
    node, f, x, y = network["node"], function_of(network), batch(network, rng), batch(network, rng)
    assert node.linear and node.stateless
    np.testing.assert_allclose(f(x + y) + f(0 * x), f(x) + f(y))  # the bias counts once
    np.testing.assert_array_equal(f(x[:, ::-1]), f(x)[:, ::-1])
    assert node.mixes_channels == (not only_moves(f, x, 0))
    turned = np.allclose(f(x[:, :, ::-1]), f(x)[:, :, ::-1]) and np.allclose(f(x[..., ::-1, :]), f(x)[..., ::-1, :])
    assert node.pointwise == turned


def test_every_kind_has_answers_and_an_emitter_and_a_keras_layer():
    assert {*EXAMPLES, *(kind for kind, _ in KERNELS.values())} == {*KINDS} - {
        *(nodes.Input, nodes.LIF, nodes.FinalState, nodes.Affine, nodes.TimestepAffine, nodes.Add, nodes.Concatenate),
        nodes.Relu,
    }
    # Of these folding makes sums, and neurons of many levels come in the place of ReLUs before it.
    assert {*EMITTERS} == {*KINDS} - {nodes.AveragePool, nodes.TimeAverage, nodes.Relu}
    assert {*assemble.SINGLE, *assemble.SEQUENCE, *assemble.MERGES} == {*KINDS} - {nodes.Input}


def test_a_kind_that_leaves_a_question_open_is_an_error():
    with pytest.raises(TypeError, match=r"must say whether it is keeps_counts, keeps_zeros\. Received: Blur"):

        class Blur(nodes.Node):
            linear = keeps_channels = keeps_constants = stateless = True
            monotone = pointwise = mixes_channels = takes_activation = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Mirror(nodes.Node):
    """An image from right to left: a kind that no pass has heard of."""

    linear = keeps_channels = keeps_counts = keeps_zeros = keeps_constants = stateless = True
    monotone = pointwise = mixes_channels = takes_activation = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip(nodes.Node):
    """No value below 0: neither factors nor offsets pass, but a factor that is not negative."""

    monotone = keeps_channels = keeps_counts = keeps_zeros = stateless = pointwise = True
    linear = keeps_constants = mixes_channels = takes_activation = False


FUNCTIONS = {Mirror: lambda node, value: value[:, :, ::-1], Clip: lambda node, value: np.maximum(value, 0)}
LIF = {"decay": 0.25, "threshold": 2.0, "amplitude": np.array([0.5, -2.0])}


def chain(*parts):
    """A Network of (kind, fields), each reading the one before, on images of SHAPE that are the same at all times."""
    chained = [
        nodes.Input(name="image", shape=SHAPE, temporal=False),
    ]
    for count, (kind, fields) in enumerate(parts):
        common = {"name": f"n{count}", "inputs": (chained[-1].name,), "shape": SHAPE, "temporal": True}
        chained.append(kind(**{**common, **fields}))
    return nodes.Network("chain", tuple(chained), (chained[-1].name,), TIMESTEPS)


def conv(rng):
    return nodes.Conv, {"kernel": rng.normal(size=(1, 1, 2, 2)), "bias": rng.normal(size=2)}


def kinds(network):
    return [type(node).__name__ for node in network.nodes]


def test_factors_offsets_and_time_pass_a_kind_that_no_pass_has_heard_of(rng):
    norm = nodes.Affine, {"scale": rng.normal(size=2), "offset": rng.normal(size=2)}
    mean, layer = (nodes.TimeAverage, {"temporal": False}), (Mirror, {})
    network = chain((nodes.Repeat, {}), conv(rng), layer, norm, (nodes.LIF, LIF), layer, conv(rng), layer, mean)
    folded = fold_network(network)
    # The still image is convolved once; spikes are summed over time before they are mirrored and convolved.
    assert kinds(folded) == ["Input", "Conv", "Mirror", "Repeat", "LIF", "TimeSum", "Mirror", "Conv", "Mirror"]
    assert count_bound(folded, folded["n5"]) == TIMESTEPS
    images = rng.normal(size=(6, *SHAPE))
    np.testing.assert_allclose(evaluate(folded, images, FUNCTIONS), evaluate(network, images, FUNCTIONS), atol=1e-12)


def test_a_kind_that_takes_no_negative_factor_gets_none(rng):
    norm = nodes.Affine, {"scale": np.array([2.0, -1.0]), "offset": np.zeros(2)}
    network = chain((nodes.Repeat, {}), conv(rng), (Clip, {}), norm, (nodes.LIF, {**LIF, "amplitude": 1.0}), conv(rng))
    folded = fold_network(network)
    images = rng.normal(size=(6, *SHAPE))
    np.testing.assert_allclose(evaluate(folded, images, FUNCTIONS), evaluate(network, images, FUNCTIONS), atol=1e-12)
    stuck = replace(network, nodes=tuple(replace(n, signed=False) if n.name == "n4" else n for n in network.nodes))
    with pytest.raises(ValueError, match="negative factor"):
        fold_network(stuck)
