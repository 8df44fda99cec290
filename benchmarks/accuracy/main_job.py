"""The main job's figures: accuracy, latency, size, export time, folding, exactness, Ethos-U mapping.

    python -m benchmarks.accuracy.main_job   digits, and Fashion-MNIST where it is installed
    python -m benchmarks.accuracy.main_job --datasets fashion_mnist

Uses the network that examples/train_and_export.py trained, and trains it where runs/<dataset>/ is missing.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np

import baseline
import datasets
from keras_ternary_spike import TernaryLIF
from keras_ternary_spike.export import export_tflite, verify
from keras_ternary_spike.export.describe.assemble import assemble
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.folding.passes import fold_network

ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
FOLD_SAMPLES = 1000
VERIFY_SAMPLES = 100
EXPORTS = 5
TIMING_ROUNDS = 200
OURS, STOCK_INT8, STOCK_FLOAT32 = baseline.OURS, "stock TFLite int8", "stock TFLite float32"


def measure(model: keras.Model, data: datasets.Dataset) -> list[tuple[str, str, str]]:
    """Rows of (figure, measured, wanted)."""
    seconds = export_seconds(model)
    tflite_bytes = export_tflite(model)
    rows = [("seconds to export, after imports", setting.spread(seconds), "< 2")]
    rows += compare(model, tflite_bytes, data)
    rows += [row for dtype in ("float64", "float32") for row in fold_changes(model, data.test_images, dtype)]
    rows += exactness(verify(model, tflite_bytes, data.test_images[:VERIFY_SAMPLES]))
    rows += [(f"operators on the CPU, {name}", vela(tflite_bytes, name), "0") for name in ACCELERATORS]
    return rows


def export_seconds(model: keras.Model) -> list[float]:
    seconds = []
    for _ in range(EXPORTS):
        start = time.perf_counter()
        export_tflite(model)
        seconds.append(time.perf_counter() - start)
    return seconds


def compare(model: keras.Model, tflite_bytes: bytes, data: datasets.Dataset) -> list[tuple[str, str, str]]:
    """Accuracy and agreement over all test images, and paired ratios of latency."""
    results = baseline.compare(model, tflite_bytes, data)
    print(baseline.table(results), end="\n\n")
    loss = 100 * (results[baseline.KERAS]["accuracy"] - results[OURS]["accuracy"])
    files = {
        STOCK_FLOAT32: baseline.convert_float32(model),
        STOCK_INT8: baseline.convert_int8(model, data.train_images),
        OURS: tflite_bytes,
    }
    times = baseline.time_calls(baseline.file_calls(files, data.test_images[0]), rounds=TIMING_ROUNDS)
    return [
        ("accuracy below Keras, points", f"{loss:+.2f}", "<= 1.5"),
        ("same class as Keras", f"{results[OURS]['agreement']:.2%}", ">= 95 %"),
        *((f"latency, {name}", setting.spread(values, " ms", 4), "") for name, values in times.items()),
        ("times faster than stock int8", setting.spread(times[STOCK_INT8] / times[OURS], digits=2), ">= 4"),
        ("times faster than stock float32", setting.spread(times[STOCK_FLOAT32] / times[OURS], digits=2), ""),
        ("size against stock int8", f"{len(tflite_bytes) / len(files[STOCK_INT8]):.2f}", "< 1"),
    ]


def fold_changes(model: keras.Model, images: np.ndarray, dtype: str) -> list[tuple[str, str, str]]:
    """Spikes that differ between a model and its folded twin, and the largest difference of their outputs."""
    images = images[:FOLD_SAMPLES].astype(dtype)
    config = json.loads(json.dumps(model.get_config()).replace("float32", dtype))
    original = type(model).from_config(config)
    original.set_weights(model.get_weights())
    folded = assemble(fold_network(describe(model)), dtype=dtype)
    (spikes, outputs), (folded_spikes, folded_outputs) = run(original, images), run(folded, images)
    changed = sum(int((spikes[name] != folded_spikes[name]).sum()) for name in spikes)
    total = sum(values.size for values in spikes.values())
    literal = set().union(*(np.unique(values) for values in folded_spikes.values()))
    return [
        (f"spikes changed by folding, {dtype}, {len(images):,} images", f"{changed:,} of {total:,}", "0"),
        (f"largest change of an output, {dtype}", f"{np.abs(outputs - folded_outputs).max():.1e}", "<= 1e-4"),
        (f"values of the folded spikes, {dtype}", str(sorted(map(int, literal))), "[-1, 0, 1]"),
    ]


def run(model: keras.Model, images: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Spikes in {-1, 0, 1} of each neuron layer by name (the amplitude divided out), and the outputs."""
    neurons = [layer for layer in model.layers if isinstance(layer, TernaryLIF)]
    probe = keras.Model(model.inputs, [layer.output for layer in neurons] + model.outputs)
    *values, outputs = probe.predict([images], verbose=0)
    amplitudes = [np.asarray(layer.amplitude) for layer in neurons]
    spikes = [np.round(value / amplitude) for value, amplitude in zip(values, amplitudes, strict=True)]
    return {layer.name: spike for layer, spike in zip(neurons, spikes, strict=True)}, outputs


def exactness(report) -> list[tuple[str, str, str]]:
    print(report, end="\n\n")
    counts = report.runtimes.values()
    differing = sum(comparison.differing + comparison.output_differing for comparison in counts)
    compared = sum(comparison.values + comparison.output_values for comparison in counts)
    return [
        (f"int8 values that differ, {', '.join(report.runtimes)}", f"{differing:,} of {compared:,}", "0"),
        ("differing between two runtimes", f"{sum(report.pairs.values()):,}", "0"),
        ("tensors that are not int8 or int32", f"{len(report.float_tensors)}", "0"),
        ("improper spike tensors", f"{len(report.improper_spikes)} of {len(report.spike_tensors)}", "0"),
    ]


def vela(tflite_bytes: bytes, accelerator: str) -> str:
    """How many operators Vela leaves on the CPU, of how many after its own rewriting."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(tflite_bytes)
        command = [sys.executable, "-m", "ethosu.vela", str(path), "--output-dir", folder]
        result = subprocess.run(
            [*command, "--accelerator-config", accelerator], capture_output=True, text=True, check=False
        )
    counts: Mapping[str, str] = dict(re.findall(r"(CPU|NPU) operators = (\d+)", result.stdout))
    if result.returncode or len(counts) != 2:
        raise RuntimeError(f"Vela must print its operators. Received: {result.stdout}{result.stderr}")
    return f"{counts['CPU']} of {int(counts['CPU']) + int(counts['NPU'])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=datasets.NAMES)
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where the example wrote its models")
    arguments = parser.parse_args()
    names = arguments.datasets or ["digits", *(["fashion_mnist"] if setting.FASHION_MNIST.exists() else [])]
    print(setting.describe())
    for name in names:
        folder = setting.trained(name, arguments.output)
        model = keras.saving.load_model(folder / "model.keras")
        seed = json.loads((folder / "report.json").read_text())["arguments"]["seed"]
        data = datasets.load(name, data_dir=(setting.data_dir(name) or [None])[-1], seed=seed)
        print(f"\n{name}, median (quartiles) where there is a spread\n")
        print(setting.table([(name, "measured", "wanted"), *measure(model, data)]))


if __name__ == "__main__":
    main()
