"""Do ONNX Runtime and OpenVINO compute the integers of a file, and how fast?

    pip install 'keras-ternary-spike[onnx]' openvino
    python -m benchmarks.files.openvino
    python -m benchmarks.files.openvino --networks keyword_spotter resnet8 --timesteps 2

For each network of `benchmarks.files.zoo` with random weights: how many int8 outputs on random inputs differ from
`Program.run`, and the median time of a call on one thread. OpenVINO's CPU plugin reads the .tflite file and the ONNX
file in float32, with its default settings and with the execution hint ACCURACY: on CPUs with bfloat16 the default
computes float32 in bfloat16.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
from keras_ternary_spike.export import export_onnx
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.tflite import flatbuffer

NETWORKS = ("tiny", "keyword_spotter", "resnet8")
SAMPLES, CALLS = 20, 50
HEADER = ("network", "file", "runtime", "values that differ", "ms")
HINTS = {"default": {}, "ACCURACY": {"EXECUTION_MODE_HINT": "ACCURACY"}}

Run = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]  # one sample in, outputs in the order of the program


def onnx_runtime(data: bytes) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda sample: session.run(None, dict(sample))


def in_openvino(data: bytes, hint: str, suffix: str = ".onnx") -> Run:
    """suffix: of the file that `data` are, .onnx or .tflite."""
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, **HINTS[hint]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{suffix}"
        path.write_bytes(data)
        compiled = core.compile_model(core.read_model(path), "CPU", settings)
    return lambda sample: [value.copy() for value in compiled(list(sample.values())).values()]


def differing(program: Program, run: Run, seed: int = 0) -> tuple[int, int]:
    """(values that differ from Program.run, all values) of the outputs, on random integers."""
    inputs = random_inputs(program, seed)
    expected = program.trace(inputs, keep={program.tensors[index].name for index in program.outputs})
    wrong = every = 0
    for sample in range(SAMPLES):
        found = run({name: values[sample : sample + 1] for name, values in inputs.items()})
        for values, index in zip(found, program.outputs, strict=True):
            right = expected[program.tensors[index].name][sample : sample + 1]
            wrong, every = wrong + int(np.count_nonzero(values != right)), every + right.size
    return wrong, every


def random_inputs(program: Program, seed: int) -> dict[str, np.ndarray]:
    """int8, near the middle of their range, by name."""
    rng, named = np.random.default_rng(seed), program.named_inputs
    shapes = {name: (SAMPLES, *program.tensors[index].shape[1:]) for name, index in named.items()}
    return {name: rng.normal(0, 40, shape).clip(-128, 127).astype(np.int8) for name, shape in shapes.items()}


def milliseconds(program: Program, run: Run) -> float:
    sample = {name: values[:1] for name, values in random_inputs(program, 0).items()}
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        run(sample)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def runs(tflite_bytes: bytes) -> dict[tuple[str, str], Run]:
    """What runs a file, by the file and the runtime."""
    quantized, floats = export_onnx(tflite_bytes), export_onnx(tflite_bytes, operators="float32")
    found = {
        (f"onnx, {form}", "ONNX Runtime"): onnx_runtime(data)
        for form, data in (("quantized", quantized), ("float32", floats))
    }
    for file, data in (("tflite", tflite_bytes), ("onnx, float32", floats)):
        suffix = f".{file.split(',')[0]}"
        found |= {(file, f"OpenVINO, {hint}"): in_openvino(data, hint, suffix) for hint in HINTS}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--timesteps", type=int, default=2)
    options = parser.parse_args()
    from benchmarks.files import zoo
    from keras_ternary_spike.export import export_tflite

    print(setting.describe("onnx", "onnxruntime", "openvino"), flush=True)
    rows = [HEADER]
    for name in options.networks:
        tflite_bytes = export_tflite(zoo.randomized(name, timesteps=options.timesteps), verbose=0)
        program = flatbuffer.read(tflite_bytes)
        for (file, runtime), run in runs(tflite_bytes).items():
            wrong, every = differing(program, run)
            rows.append((name, file, runtime, f"{wrong} of {every}", f"{milliseconds(program, run):.3f}"))
    print(setting.table(rows))


if __name__ == "__main__":
    main()
