"""What users see of options: `help()` and `inspect`, type checkers, and positions, which are part of the contract."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import keras_ternary_spike as kts
from keras_ternary_spike import models

NEURON = {
    **{"decay": 0.25, "threshold": 0.5, "trainable_amplitude": True, "amplitude_per": "layer"},
    **{"surrogate": "rectangular", "reset": "zero", "detach_reset": False, "amplitude_initializer": "ones"},
    **{"amplitude_regularizer": None, "amplitude_constraint": None},
}
BY_NAME = {
    **{"trainable_threshold": False, "threshold_per": "layer", "trainable_decay": False, "decay_per": "layer"},
    **{"snap_decay": False, "reset_amount": 1.0, "separate_bumps": False},
}
KERAS = {"name": None, "dtype": None, "trainable": True, "activity_regularizer": None}
RNN = dict.fromkeys(("return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask"), False)
SEQUENCE, SEQUENCE_BY_NAME = {"return_sequences": True}, {"spike_regularizer": None, **RNN}
LEAK = {name: BY_NAME[name] for name in ("trainable_decay", "decay_per", "snap_decay")}
SIGNED = {"signed": True, "dead_zone": 1.0}
RESET = typing.Literal["zero", "subtract", "none"]
NEW = {"levels": inspect.Parameter.empty}, {"memory": "static"}
CONSTRUCTORS = {
    kts.TernaryLIF: ({**NEURON, **SEQUENCE}, {**BY_NAME, **KERAS, **SEQUENCE_BY_NAME}),
    kts.BinaryLIF: ({**NEURON, **SEQUENCE}, {**BY_NAME, **KERAS, **SEQUENCE_BY_NAME}),
    kts.MultiLevelLIF: ({**NEW[0], **NEURON, **SEQUENCE}, {**SIGNED, **BY_NAME, **KERAS, **SEQUENCE_BY_NAME}),
    kts.ComplementedTernaryLIF: ({**NEW[1], **NEURON, **SEQUENCE}, {**BY_NAME, **KERAS, **SEQUENCE_BY_NAME}),
    kts.LeakyIntegrator: ({"decay": 0.9, **SEQUENCE}, {**LEAK, **KERAS, **RNN}),
    kts.LeakyIntegratorCell: ({"decay": 0.9}, {**LEAK, **KERAS}),
    kts.TernaryLIFCell: (NEURON, {**BY_NAME, **KERAS}),
    kts.BinaryLIFCell: (NEURON, {**BY_NAME, **KERAS}),
    kts.MultiLevelLIFCell: ({**NEW[0], **NEURON}, {**SIGNED, **BY_NAME, **KERAS}),
    kts.ComplementedTernaryLIFCell: ({**NEW[1], **NEURON}, {**BY_NAME, **KERAS}),
}
NETWORK = {"input_shape": inspect.Parameter.empty, "classes": inspect.Parameter.empty}
NETWORK_BY_NAME = {"timesteps": 2, "width": 1.0, "neuron": kts.TernaryLIF}


def defaults(function, kind):
    """Defaults by name, in their order."""
    parameters = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.default) for parameter in parameters if parameter.kind == kind]


@pytest.mark.parametrize("constructor", CONSTRUCTORS, ids=lambda constructor: constructor.__name__)
def test_a_neuron_shows_every_option_in_its_place_with_its_default_and_type(constructor):
    by_position, by_name = CONSTRUCTORS[constructor]
    assert defaults(constructor, inspect.Parameter.POSITIONAL_OR_KEYWORD) == list(by_position.items())
    assert dict(defaults(constructor, inspect.Parameter.KEYWORD_ONLY)) == by_name
    hints = typing.get_type_hints(constructor.__init__)
    assert hints.keys() == {*by_position, *by_name, "kwargs"}
    assert hints.get("reset", RESET) == RESET and hints["trainable_decay"] is bool


@pytest.mark.parametrize("network", models.NETWORKS, ids=lambda network: network.__name__)
def test_a_network_shows_its_arguments(network):
    assert defaults(network, inspect.Parameter.POSITIONAL_OR_KEYWORD) == list(NETWORK.items())
    assert dict(defaults(network, inspect.Parameter.KEYWORD_ONLY)) == NETWORK_BY_NAME
    assert typing.get_type_hints(network)["width"] is float
    assert network.__doc__ and network.__module__.startswith("keras_ternary_spike.models.")


def test_models_lists_its_networks():
    functions = {name for name, value in vars(models).items() if inspect.isfunction(value)}
    others = {"count_operations", "pretrained"}
    others |= {"anomaly_detector", "streaming_keyword_spotter", "streaming_wake_word"}  # of features, not of images
    assert {network.__name__ for network in models.NETWORKS} == functions - others


def test_wrong_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match=r"Unrecognized keyword arguments passed to TernaryLIF.*treshold"):
        kts.TernaryLIF(treshold=1.0)
    with pytest.raises(TypeError, match="missing a required argument: 'levels'"):
        kts.MultiLevelLIF()
    with pytest.raises(TypeError, match="too many positional arguments"):
        kts.TernaryLIFCell(*NEURON.values(), True)
    with pytest.raises(TypeError, match="missing a required argument: 'classes'"):
        models.tiny((8, 8, 1))


def test_layers_and_cells_show_the_options_that_are_not_defaults():
    layer = kts.TernaryLIF(0.5, [1.0, 2.0], reset="subtract", name="lif", surrogate=kts.ATan(2.0))
    options = "decay=0.5, threshold=[1.0, 2.0], surrogate=ATan(width=2.0), reset='subtract', built=False>"
    assert repr(layer) == f"<TernaryLIF name=lif, {options}"
    assert repr(layer.cell) == f"<TernaryLIFCell name=cell, {options}"
    assert repr(kts.MultiLevelLIFCell(3, name="cell")) == "<MultiLevelLIFCell name=cell, levels=3, built=False>"
    assert repr(kts.DirectEncoding(4, name="encoding")) == "<DirectEncoding name=encoding, timesteps=4, built=False>"


SCRIPT = """
import keras_ternary_spike as kts
from keras_ternary_spike import models

layer: kts.TernaryLIF = kts.TernaryLIF(0.5, threshold=[1.0, 2.0], reset="subtract", name="lif")
kts.MultiLevelLIF(3, decay=0.5)
kts.MultiLevelLIF(levels=3)
models.resnet20((32, 32, 3), 10, timesteps=4, decay=0.5)
kts.TernaryLIF(decay="x")
kts.TernaryLIF(treshold=1.0)
kts.BinaryLIF(reset="zer0")
kts.TernaryLIFCell(return_sequences=False)
kts.MultiLevelLIF(levels="many")
models.resnet20((32, 32, 3), "ten")
"""


def test_mypy_sees_options_and_their_types(tmp_path):
    pytest.importorskip("mypy", reason="checks types")
    (tmp_path / "script.py").write_text(SCRIPT)
    options = ("--ignore-missing-imports", "--follow-imports=silent", "--cache-dir", str(tmp_path), "--no-pretty")
    command = [sys.executable, "-m", "mypy", *options, "script.py"]
    path = {"MYPYPATH": str(Path(kts.__file__).parents[1])}
    result = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True)
    lines = [line for line in result.stdout.splitlines() if ": error: " in line]
    found = {line.split(":")[1]: line.split(": error: ")[1] for line in lines}
    assert list(found) == ["9", "10", "11", "12", "13", "14"], result.stdout + result.stderr
    for line, words in {
        "9": 'Argument "decay" to "TernaryLIF" has incompatible type "str"',
        "10": 'Unexpected keyword argument "treshold"',
        "11": "expected \"Literal['zero', 'subtract', 'none']\"",
        "12": 'Unexpected keyword argument "return_sequences"',
        "13": 'Argument "levels" to "MultiLevelLIF"',
        "14": 'Argument 2 to "resnet20" has incompatible type "str"; expected "int"',
    }.items():
        assert words in found[line]
