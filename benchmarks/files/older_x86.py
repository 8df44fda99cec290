"""Does ONNX Runtime compute the file's integers on x86 without VNNI, where sums of two products saturate in int16?

    pip install 'keras-ternary-spike[onnx]'; apt-get install qemu-user
    python -m benchmarks.files.older_x86
    python -m benchmarks.files.older_x86 --cpus Haswell Nehalem

Random programs of one operator and three networks, written by `export_onnx` and, beside them, with int8 weights
everywhere; each is run by a Python under `qemu-x86_64 -cpu CPU`. Some minutes for each CPU.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks import setting  # first: quiet TensorFlow

# isort: split
sys.path.insert(0, str(setting.ROOT / "tests" / "helpers"))
from keras_ternary_spike.export.onnx import quantized
from keras_ternary_spike.export.onnx.export_onnx import onnx_bytes
from keras_ternary_spike.export.program.program import Program, unwrapped

NETWORKS = ("tiny", "keyword_spotter", "resnet8")
EACH = 40
EMULATED = """
import collections, pickle, sys
import numpy, onnxruntime
onnxruntime.set_default_logger_severity(3)
wrong, every = collections.Counter(), collections.Counter()
for files, inputs, expected in pickle.load(open(sys.argv[1], "rb")):
    for name, data in files.items():
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        for output, values in zip(session.get_outputs(), session.run(None, inputs)):
            wrong[name] += int((values != expected[output.name]).sum())
            every[name] += values.size
for name in every:
    print(f"{name}: {wrong[name]:,} of {every[name]:,} values differ")
"""


def programs(rng: np.random.Generator) -> list[Program]:
    import random_programs as draw
    from benchmarks.files import zoo
    from keras_ternary_spike.export import export_tflite
    from keras_ternary_spike.export.tflite import flatbuffer

    kinds = [kind for kind in draw.RANDOM if kind not in ("PAD", "SLICE", "CONCATENATION", "RESHAPE", "MAX_POOL_2D")]
    single = [draw.RANDOM[kind](rng) for _ in range(EACH) for kind in kinds]
    models = (zoo.randomized(name, timesteps=2) for name in NETWORKS)
    files = (export_tflite(model, output_range=(-8, 8), verbose=0) for model in models)
    return [replace(program, batch=None) for program in (*single, *map(flatbuffer.read, files))]


def case(program: Program, rng: np.random.Generator) -> tuple[dict[str, bytes], dict, dict]:
    """Files, inputs and expected outputs."""
    from random_programs import random_inputs

    inputs = random_inputs(rng, program)
    files = {form: onnx_bytes(program, form) for form in ("quantized", "float32")}
    with mock.patch.object(quantized, "_pairs_fit", return_value=True):
        files["int8 weights everywhere"] = onnx_bytes(program, "quantized")
    outputs = program.run(unwrapped(inputs))
    return files, inputs, outputs if isinstance(outputs, dict) else dict.fromkeys(program.named_outputs, outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpus", nargs="+", default=["Haswell"])
    options, rng = parser.parse_args(), np.random.default_rng(0)
    print(setting.describe("onnx", "onnxruntime"), flush=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder) / "cases.pickle"
        cases.write_bytes(pickle.dumps([case(program, rng) for program in programs(rng)]))
        for cpu in options.cpus:
            print(cpu, flush=True)
            python = os.path.realpath(sys.executable)
            command = ["qemu-x86_64", "-cpu", cpu, python, "-c", EMULATED, str(cases)]
            subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
