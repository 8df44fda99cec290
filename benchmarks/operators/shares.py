"""Where a file's time goes on XNNPACK: its operators by what they are for, beside TensorFlow's file with ReLU.

    python -m benchmarks.operators.shares
    python -m benchmarks.operators.shares --networks keyword_spotter --rounds 400

XNNPACK runs a file as one operator, so that none can be timed in it. Here files are cut behind an operator: what the
longer of two takes more is what the operators between them take. What neurons write and read lets convolutions find
less in the nearest cache, which a cut puts down to either; so one file has no neurons at all, each convolution reading
the currents of the one before: other outputs, the same operators. One thread, the fastest of alternating runs, which a
busy machine disturbs least; a difference of a few tenths of a microsecond, or below 0, is noise.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
import baseline
from benchmarks.files import zoo
from benchmarks.operators.operator_costs import seconds
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.program import names
from keras_ternary_spike.export.tflite.contents import FileOperator, contents

NETWORKS = ("keyword_spotter", "visual_wake_words", "resnet8")
TARGETS = {"": None, ", litert": "litert"}
ROUNDS = 200
STOCK, WITHOUT = "ReLU, stock", ", no neurons"
FIRST, LAYERS, FURTHER, NEURONS, REST = (
    "first layer",
    "other layers, one timestep",
    "layers, further timesteps",
    "neurons",
    "sums, pools, copies, classifier",
)
USES = (FIRST, LAYERS, FURTHER, NEURONS, REST)
OF_NEURONS = frozenset(names.NEURON) - {"sum"}  # also what averages are made of
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def files(name: str) -> Iterator[tuple[str, bytes]]:
    """One network's file with ReLU, and those of one and two timesteps, that for LiteRT where it is another."""
    images = zoo.images(name, 4).astype("float32")
    yield STOCK, baseline.convert_int8(zoo.with_relu(name), images)
    for timesteps in (1, 2):
        model, written = zoo.randomized(name, timesteps=timesteps), set()
        for label, target in TARGETS.items():
            tflite_bytes = export_tflite(model, target=target)
            if tflite_bytes not in written:
                yield f"T={timesteps}{label}", tflite_bytes
            written.add(tflite_bytes)
            if timesteps > 1 and target is None:
                yield f"T={timesteps}{WITHOUT}", without_neurons(tflite_bytes)


def use(operator: FileOperator, first: str) -> str:
    """What an operator is for. first: the tensor that the first convolution writes."""
    name = names.read(operator.name)
    if operator.name == first:
        return FIRST
    if operator.kind in CONVOLUTIONS and (name is None or name.role in ("", "current", "spike")):
        return FURTHER if name is not None and name.timestep else LAYERS
    return NEURONS if name is not None and name.role in OF_NEURONS and operator.kind != "RESHAPE" else REST


def uses(tflite_bytes: bytes) -> list[str]:
    """What each operator is for, in the order in which they run."""
    operators = contents(tflite_bytes).operators
    first = next(operator.name for operator in operators if operator.kind in CONVOLUTIONS)
    return [use(operator, first) for operator in operators]


def cut(tflite_bytes: bytes, count: int) -> bytes:
    """The first `count` operators of a file; its outputs are what none of them reads."""
    model = schema.ModelT.InitFromPackedBuf(tflite_bytes, 0)
    graph, model.signatureDefs = model.subgraphs[0], None
    graph.operators = graph.operators[:count]
    read = {int(index) for operator in graph.operators for index in operator.inputs}
    written = [int(index) for operator in graph.operators for index in operator.outputs]
    graph.outputs = np.array([index for index in written if index not in read], np.int32)
    return _packed(model)


def without_neurons(tflite_bytes: bytes) -> bytes:
    """The file with the current of each timestep in the place of its spikes."""
    model = schema.ModelT.InitFromPackedBuf(tflite_bytes, 0)
    graph, model.signatureDefs, currents, kept = model.subgraphs[0], None, {}, []
    for operator, told, use in zip(graph.operators, contents(tflite_bytes).operators, uses(tflite_bytes), strict=True):
        operator.inputs = np.array([currents.get(int(index), index) for index in operator.inputs], np.int32)
        if use == NEURONS:  # membrane = state + current, and all others begin with what they are made of
            currents[int(operator.outputs[0])] = operator.inputs[1 if told.kind == "ADD" else 0]
        else:
            kept.append(operator)
    graph.operators = kept
    return _packed(model)


def _packed(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def microseconds(files: Mapping[str, bytes], rounds: int) -> dict[str, dict[str, float]]:
    """The time of the operators of each use, for each file, all in turns."""
    found = {label: uses(tflite_bytes) for label, tflite_bytes in files.items()}
    ends = [(label, end) for label, its in found.items() for end in _ends(its)]
    times = iter(fastest([_call(cut(files[label], end)) for label, end in ends], rounds))
    shares: dict[str, dict[str, float]] = {label: defaultdict(float) for label in files}
    for label, its in found.items():
        before = 0.0
        for end in _ends(its):
            after = next(times)
            shares[label][its[end - 1]] += after - before
            before = after
    return shares


def _ends(found: Sequence[str]) -> list[int]:
    """How many operators there are up to the end of each run of one use."""
    return [n for n in range(1, len(found) + 1) if n == len(found) or found[n] != found[n - 1]]


def fastest(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Microseconds of each call, in turns."""
    best = [np.inf] * len(calls)
    for _ in range(rounds):
        for index, call in enumerate(calls):
            best[index] = min(best[index], 1e6 * seconds(call))
    return best


def _call(tflite_bytes: bytes) -> Callable[[], object]:
    interpreter = baseline.interpreter_of(tflite_bytes)
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    interpreter.invoke()
    return interpreter.invoke


def row(name: str, label: str, shares: Mapping[str, float], stock: float) -> tuple[str, ...]:
    total = sum(shares.values())
    return name, label, f"{total:.1f}", f"{total / stock:.2f}", *(f"{shares.get(each, 0):.1f}" for each in USES)


def rows(name: str, rounds: int) -> Iterator[tuple[str, ...]]:
    found = microseconds(dict(files(name)), rounds)
    stock = sum(found[STOCK].values())
    yield from (row(name, label, shares, stock) for label, shares in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=zoo.INPUTS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    header = ("network", "file", "microseconds", "times stock", *USES)
    print(setting.table([header, *(row for name in arguments.networks for row in rows(name, arguments.rounds))]))


if __name__ == "__main__":
    main()
