"""Does Apache TVM, a reader of its own with a compiler behind it, compute the integers of a file?

    pip install apache-tvm tflite
    python -m benchmarks.files.apache_tvm FILE.tflite ...

Each file is imported by `tvm.relax.frontend.tflite`, compiled for this machine's CPU and run on random integers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from keras_ternary_spike.export.tflite.flatbuffer import read

SAMPLES = 4


def run(tflite_bytes: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """int8 in, int8 out, in the order of the graph. inputs: `(samples, *shape)`."""
    import tflite
    import tvm
    from tvm import relax
    from tvm.relax.frontend.tflite import from_tflite

    module = from_tflite(tflite.Model.GetRootAsModel(tflite_bytes, 0))
    machine = relax.VirtualMachine(relax.build(module, tvm.target.Target("llvm")), tvm.cpu())
    found = []
    for sample in range(len(inputs[0])):
        values = machine["main"](*(tvm.runtime.tensor(array[sample : sample + 1]) for array in inputs))
        found.append([value.numpy() for value in ([values] if hasattr(values, "numpy") else values)])
    return [np.concatenate(output) for output in zip(*found, strict=True)]


def differing(tflite_bytes: bytes, seed: int = 0) -> tuple[int, int]:
    """(values that differ from Program.run, all values) of the outputs."""
    program, rng = read(tflite_bytes), np.random.default_rng(seed)
    shapes = {name: program.tensors[index].shape[1:] for name, index in program.named_inputs.items()}
    feeds = {name: rng.integers(-128, 128, (SAMPLES, *shape)).astype(np.int8) for name, shape in shapes.items()}
    expected = program.trace(feeds, keep={program.tensors[index].name for index in program.outputs})
    pairs = zip(run(tflite_bytes, list(feeds.values())), program.outputs, strict=True)
    counts = [(values != expected[program.tensors[index].name], values.size) for values, index in pairs]
    return sum(int(np.count_nonzero(wrong)) for wrong, _ in counts), sum(size for _, size in counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    for path in parser.parse_args().files:
        wrong, values = differing(path.read_bytes())
        print(f"{path.name}: {wrong} of {values} values differ", flush=True)


if __name__ == "__main__":
    main()
