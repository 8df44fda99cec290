"""ONNX files of Programs, run by ONNX Runtime and compared with `Program.trace`."""

from dataclasses import replace

import numpy as np
import pytest

from keras_ternary_spike.export.onnx.export_onnx import onnx_bytes
from keras_ternary_spike.export.program.program import unwrapped


@pytest.fixture
def run_onnx():
    """What ONNX Runtime computes on one thread: `run_onnx(data, inputs)`, both arrays by name."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3

    def run(data, inputs):
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        found = session.run(None, dict(inputs))
        return dict(zip([output.name for output in session.get_outputs()], found, strict=True))

    return run


@pytest.fixture
def assert_every_tensor_equals(run_onnx):
    """`(program, inputs, operators)`: every value of every tensor on ONNX Runtime is `Program.trace`'s."""

    def compare(program, inputs, operators):
        expected = program.trace(unwrapped(inputs))
        found = run_onnx(onnx_bytes(with_every_output(program), operators), inputs)
        assert set(found) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=f"{program.name}: {name}")

    return compare


def with_every_output(program):
    """The program with every activation as an output, of any number of samples a call."""
    written = tuple(operator.output for operator in program.operators)
    names = {index: name for index, name in program.names.items() if index not in written}
    return replace(program, outputs=written, names=names, batch=None)
