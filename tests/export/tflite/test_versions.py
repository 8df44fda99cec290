"""The versions of operators, and the release that a file asks for; values by hand from TensorFlow's tools."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from foreign_files import repacked
from keras_ternary_spike.export.program.builder import Builder
from keras_ternary_spike.export.program.grid import Grid
from keras_ternary_spike.export.tflite.flatbuffer import read, write
from keras_ternary_spike.export.tflite.versions import check_version
from random_programs import weighted

LINE, SEQUENCE = (4,), (2, 2, 2, 3)  # without the batch axis


def program(kind, shape=LINE, other=LINE, *, scale=1.0, constants=(), options=None):
    """One operator on one or two activations, or on one and constants."""
    builder = Builder()
    inputs = [builder.activation("one", shape, Grid(1.0))]
    if not constants:
        inputs.append(builder.activation("other", other, Grid(1.0)))
    operands = [*inputs, *(builder.constant(f"c{i}", np.int32(c)) for i, c in enumerate(constants))]
    output = builder.emit(kind, tuple(operands), "out", shape, Grid(scale), options=options or {})
    return builder.program("one", tuple(inputs), (output,))


def stated(tflite_bytes):
    """((kind, version), ...) and the metadata's release."""
    model = schema.ModelT.InitFromPackedBuf(tflite_bytes)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    release = next(model.buffers[m.buffer].data for m in model.metadata if m.name == b"min_runtime_version")
    return [(names[code.builtinCode], code.version) for code in model.operatorCodes], release.tobytes().decode()


BEGIN, PADS = [0] * 5, [[0, 0]] * 5
CASES = [
    (program("ADD"), ("ADD", 2), "1.14.0"),
    (program("MUL", scale=63 / 32), ("MUL", 2), "1.14.0"),  # 32/63 of the product
    (program("MUL"), ("MUL", 3), "1.15.0"),
    (program("SUB", SEQUENCE, SEQUENCE), ("SUB", 2), "1.14.0"),
    (program("SUB", SEQUENCE, (1, 1, 1, 1)), ("SUB", 3), "2.3.0"),
    (program("SLICE", constants=[[0, 0], [1, 4]]), ("SLICE", 2), "1.14.0"),
    (program("SLICE", SEQUENCE, constants=[BEGIN, [1, *SEQUENCE]]), ("SLICE", 5), "2.5.0"),
    (program("PAD", SEQUENCE, constants=[PADS]), ("PAD", 4), "2.6.0"),
    (weighted(np.random.default_rng(0), "TRANSPOSE_CONV"), ("TRANSPOSE_CONV", 3), "2.3.0"),
    (weighted(np.random.default_rng(0), "FULLY_CONNECTED"), ("FULLY_CONNECTED", 4), "1.14.0"),
]


@pytest.mark.parametrize(("program", "code", "release"), CASES, ids=lambda x: str(x) if isinstance(x, tuple) else "")
def test_a_file_states_the_lowest_version_and_the_first_release(program, code, release):
    written = write(program)
    assert stated(written) == ([code], release)
    assert write(read(written)) == written


def test_two_versions_of_one_kind_are_two_codes():
    builder = Builder()
    one, other = (builder.activation(name, LINE, Grid(1.0)) for name in ("one", "other"))
    product = builder.emit("MUL", (one, other), "product", LINE, Grid(1.0))
    half = builder.emit("MUL", (product, other), "half", LINE, Grid(63 / 32))
    assert stated(write(builder.program("two", (one, other), (half,)))) == ([("MUL", 3), ("MUL", 2)], "1.15.0")


def test_versions_that_do_not_have_int8_or_are_not_known_are_refused():
    written = write(program("MUL"))
    for version in (0, 1, 4, 2**31 - 1):
        file = repacked(written, lambda model, v=version: setattr(model.operatorCodes[0], "version", v))
        with pytest.raises(ValueError, match=f"The version of MUL must be 2 or 3. Received: {version}"):
            read(file)
    older = repacked(written, lambda model: setattr(model.operatorCodes[0], "version", 2))
    assert stated(write(read(older))) == stated(written)
    with pytest.raises(ValueError, match=r"The version of CONV_2D must be 3. Received: 8"):
        check_version("CONV_2D", 8)
