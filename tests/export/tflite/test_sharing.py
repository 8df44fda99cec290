"""Equal parts of a file stand once, different ones each for itself."""

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.tflite import flatbuffer
from keras_ternary_spike.export.tflite.sharing import SharingBuilder, shared

CHANNELS = 24


@pytest.fixture
def builder():
    return SharingBuilder(64)


@pytest.fixture(scope="module")
def tflite_bytes():
    """Of two convolutions with as many channels."""
    keras.utils.set_random_seed(0)
    body = [DirectEncoding(2), *(layer for _ in range(2) for layer in (conv(), TernaryLIF()))]
    head = [PerTimestep(keras.layers.Flatten()), PerTimestep(keras.layers.Dense(3)), TimeAverage()]
    return export_tflite(keras.Sequential([keras.Input((5, 5, 1)), *body, *head]))


def conv():
    return PerTimestep(keras.layers.Conv2D(CHANNELS, 3, padding="same", kernel_initializer="he_normal"))


def quantization(scale, axis=0):
    return shared(schema.QuantizationParametersT)(scale=np.float32(scale), quantizedDimension=axis)


def test_equal_vectors_stand_once(builder):
    first, again = (builder.CreateNumpyVector(np.array([1, 2, 3], "int32")) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("other", [np.array([1, 2, 4], "int32"), np.array([1, 2, 3], "float32")], ids=str)
def test_different_vectors_stand_apart(builder, other):
    assert builder.CreateNumpyVector(np.array([1, 2, 3], "int32")) != builder.CreateNumpyVector(other)


def test_bytes_of_equal_value_but_another_type_are_another_vector(builder):
    ones = np.array([1.0], "float32")
    assert builder.CreateNumpyVector(ones) != builder.CreateNumpyVector(ones.view("int32"))


def test_data_of_buffers_is_left_to_whoever_aligns_it(builder):
    data = np.arange(8, dtype="uint8")
    assert builder.CreateNumpyVector(data) != builder.CreateNumpyVector(data)


def test_equal_tables_stand_once(builder):
    assert quantization([0.5, 2.0]).Pack(builder) == quantization([0.5, 2.0]).Pack(builder)


@pytest.mark.parametrize("other", [quantization([0.5, 1.0]), quantization([0.5, 2.0], axis=3)], ids=["scale", "axis"])
def test_different_tables_stand_apart(builder, other):
    assert quantization([0.5, 2.0]).Pack(builder) != other.Pack(builder)


def test_tables_of_different_kinds_stand_apart(builder):
    tables = [shared(kind)() for kind in (schema.AddOptionsT, schema.SubOptionsT)]
    assert vars(tables[0]) == vars(tables[1])
    assert tables[0].Pack(builder) != tables[1].Pack(builder)


def test_grids_of_activations_stand_once_in_a_file(tflite_bytes):
    graph = schema.Model.GetRootAs(tflite_bytes).Subgraphs(0)
    tables = [graph.Tensors(index).Quantization() for index in range(graph.TensorsLength())]
    spikes = [table._tab.Pos for table in tables if table.ScaleLength() == 1 and table.Scale(0) == 1.0]
    assert len(spikes) > 4
    assert len(set(spikes)) == 1


def test_zero_points_of_all_channels_stand_once_in_a_file(tflite_bytes):
    assert tflite_bytes.count(np.zeros(CHANNELS, "int64").tobytes()) == 1


def test_a_file_with_shared_parts_is_read_back(tflite_bytes):
    assert flatbuffer.write(flatbuffer.read(tflite_bytes)) == tflite_bytes
