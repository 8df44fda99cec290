"""The command that reads NIR graphs."""

import sys

import keras
import numpy as np
import pytest

from keras_models import computed
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.imports import from_nir

nir = pytest.importorskip("nir", reason="needs the extra [nir]")


@pytest.fixture
def network(tmp_path, rng):
    neuron = nir.LIF(*(np.full(3, number) for number in (5e-4, 5.0, 0.0, 1.0)))
    nodes = (nir.Input(np.array([4])), nir.Affine(rng.normal(size=(3, 4)), rng.normal(size=3)), neuron)
    nir.write(tmp_path / "network.nir", nir.NIRGraph.from_list(*nodes, nir.Output(np.array([3])), type_check=False))
    return tmp_path / "network.nir"


def test_a_graph_becomes_a_keras_model(network, tmp_path, capsys, rng):
    assert main(["import", str(network), "-o", str(tmp_path / "model.keras"), "--timesteps", "3", "--static"]) == 0
    assert "16 weights" in capsys.readouterr().out  # 3 * 4, 3 biases, an amplitude
    samples = rng.normal(size=(5, 4))
    found = computed(keras.models.load_model(tmp_path / "model.keras"), samples)
    np.testing.assert_array_equal(found, computed(from_nir(network, timesteps=3, static=True), samples))


def test_what_is_no_graph_is_refused(tmp_path, capsys):
    (tmp_path / "network.txt").write_bytes(b"")
    assert main(["import", str(tmp_path / "network.txt"), "-o", str(tmp_path / "model.keras"), "--timesteps", "3"]) == 1
    assert "nir.write" in capsys.readouterr().err


def test_a_checkpoint_without_torch_names_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "network.pt").write_bytes(b"")
    command = ["import", str(tmp_path / "network.pt"), "-o", str(tmp_path / "model.keras"), "--timesteps", "3"]
    assert main([*command, "--input-shape", "3", "8", "8"]) == 1
    assert "pip install 'keras-ternary-spike[torch]'" in capsys.readouterr().err
