"""Files that `export_tflite` does not write, packed from the schema's own objects."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FLOAT32, INT32, BOOL, RESOURCE = (getattr(schema.TensorType, name) for name in ("FLOAT32", "INT32", "BOOL", "RESOURCE"))


def packed(graphs, codes, buffers=()):
    """A file. codes: pairs of BuiltinOperator's name and a custom code; buffers: bytes, from index 1 on."""
    numbers = [getattr(schema.BuiltinOperator, kind) for kind, _ in codes]
    model = schema.ModelT(version=3)
    model.operatorCodes = [
        schema.OperatorCodeT(deprecatedBuiltinCode=min(n, 127), builtinCode=n, customCode=custom, version=1)
        for n, (_, custom) in zip(numbers, codes, strict=True)
    ]
    model.buffers = [schema.BufferT(), *(schema.BufferT(data=np.frombuffer(data, np.uint8)) for data in buffers)]
    model.subgraphs = graphs
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def tensor(name, shape=(1, 4), dtype=FLOAT32, buffer=0):
    return schema.TensorT(name=name, shape=np.int32(shape).reshape(-1), type=dtype, buffer=buffer)


def operator(code, inputs, outputs, options=None):
    table = type(options).__name__.removesuffix("T")
    return schema.OperatorT(
        opcodeIndex=code,
        inputs=np.int32(inputs).reshape(-1),
        outputs=np.int32(outputs).reshape(-1),
        builtinOptions=options,
        builtinOptionsType=getattr(schema.BuiltinOptions, table) if options else 0,
    )


def graph(name, tensors, operators, inputs, outputs):
    indices = {"inputs": np.int32(inputs), "outputs": np.int32(outputs)}
    return schema.SubGraphT(name=name, tensors=tensors, operators=operators, **indices)


def with_custom_operator():
    """x -> ABS a -> MyOp b -> ABS c."""
    chain = [operator(0, [0], [1]), operator(1, [1], [2]), operator(0, [2], [3])]
    return packed([graph("main", [tensor(n) for n in "xabc"], chain, [0], [3])], [("ABS", None), ("CUSTOM", "MyOp")])


def with_loop():
    """i, x -> WHILE (i < 3: i + 1, x + x) -> i_out, y; y -> ABS z."""
    loop = schema.WhileOptionsT()
    loop.condSubgraphIndex, loop.bodySubgraphIndex = 1, 2
    main = [tensor("i", (), INT32), tensor("x"), tensor("i_out", (), INT32), tensor("y"), tensor("z")]
    cond = [tensor("ci", (), INT32), tensor("cx"), tensor("three", (), INT32, 1), tensor("less", (), BOOL)]
    body = [tensor("bi", (), INT32), tensor("bx"), tensor("one", (), INT32, 2), tensor("bi1", (), INT32), tensor("bx1")]
    sums = [operator(2, [0, 2], [3], schema.AddOptionsT()), operator(2, [1, 1], [4], schema.AddOptionsT())]
    graphs = [
        graph("main", main, [operator(0, [0, 1], [2, 3], loop), operator(3, [3], [4])], [0, 1], [4]),
        graph("cond", cond, [operator(1, [0, 2], [3], schema.LessOptionsT())], [0, 1], [3]),
        graph("body", body, sums, [0, 1], [3, 4]),
    ]
    codes = [("WHILE", None), ("LESS", None), ("ADD", None), ("ABS", None)]
    return packed(graphs, codes, [np.int32(3).tobytes(), np.int32(1).tobytes()])


def with_variable():
    """x -> variable -> v -> ABS y; the operator that assigns writes no tensor."""
    handle = schema.VarHandleOptionsT()
    handle.container, handle.sharedName = "", "v"
    operators = [
        operator(0, [], [1], handle),
        operator(1, [1, 0], [], schema.AssignVariableOptionsT()),
        operator(2, [1], [2], schema.ReadVariableOptionsT()),
        operator(3, [2], [3]),
    ]
    tensors = [tensor("x"), tensor("handle", (1,), RESOURCE), tensor("v"), tensor("y")]
    codes = [("VAR_HANDLE", None), ("ASSIGN_VARIABLE", None), ("READ_VARIABLE", None), ("ABS", None)]
    return packed([graph("main", tensors, operators, [0], [3])], codes)


def repacked(tflite_bytes, change):
    """A file whose model, in the schema's own objects, `change` has changed."""
    model = schema.ModelT.InitFromPackedBuf(tflite_bytes)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
