"""Damaged files: how many are refused with ValueError, how many run, and whether anything else happens.

    python -m benchmarks.files.fuzz FOLDER --count 10000      (a folder of .tflite, .keras or .toml files)

Every file is tried in a forked process with at most MEMORY more bytes and SECONDS. The same seed damages the same way.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import resource
import select
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.files import mutations

MEMORY = 2 * 2**30  # bytes, beyond what the process has
SECONDS = 30
LARGEST = 200_000  # bytes of the files that are damaged
WRONG = ("abort", "traceback", "hang")


def try_tflite(data: bytes, original: bytes) -> str:
    """Reads, loads and runs one file on every runtime."""
    from keras_ternary_spike.export.program.step_form import is_step
    from keras_ternary_spike.export.runtimes.implementations import installed
    from keras_ternary_spike.export.runtimes.predictor import load
    from keras_ternary_spike.export.tflite.flatbuffer import read, write
    from keras_ternary_spike.export.tflite.inspection import inspect

    with contextlib.suppress(ValueError):
        inspect(data)
    try:
        program = read(data)
    except ValueError:
        return "refused"
    rng = np.random.default_rng(0)
    feeds = {
        name: rng.integers(-128, 128, (1, *program.tensors[index].shape[1:])).astype(np.int8)
        for name, index in program.named_inputs.items()
    }
    try:
        if not is_step(program):
            load(data)
        results = [runtime.run(data, feeds) for runtime in installed().values()]
    except ValueError:
        return "refused by a runtime"
    expected = program.trace(feeds)
    if not all(np.array_equal(values, expected[name]) for found in results for name, values in found.items()):
        return "runs, runtimes differ"
    return "runs, same file" if write(program) == original else "runs"


def try_keras(data: bytes, original: bytes) -> str:
    from keras_ternary_spike.export.cli.export_command import load_model

    path = Path(f"/tmp/fuzz-{os.getpid()}.keras")
    path.write_bytes(data)
    try:
        load_model(path)
    except (ValueError, OSError):
        return "refused"
    finally:
        path.unlink()
    return "loaded"


def try_toml(data: bytes, original: bytes) -> str:
    from keras_ternary_spike.export.sweep.config import read_config

    path = Path(f"/tmp/fuzz-{os.getpid()}.toml")
    path.write_bytes(data)
    try:
        read_config(path)
    except (ValueError, OSError):
        return "refused"
    finally:
        path.unlink()
    return "read"


TRIES: dict[str, Callable[[bytes, bytes], str]] = {".tflite": try_tflite, ".keras": try_keras, ".toml": try_toml}


def damaged(files: list[Path], seed: int) -> tuple[Path, bytes, bytes, str]:
    """(file, its bytes, damaged bytes, how) for a seed."""
    rng = np.random.default_rng(seed)
    path = files[rng.integers(len(files))]
    data = path.read_bytes()
    hows = {".tflite": mutations.TFLITE, ".keras": mutations.KERAS}.get(path.suffix, mutations.BYTES)
    how = hows[rng.integers(len(hows))]
    return path, data, how(rng, data), how.__name__


def worker(files: list[Path], seeds: range, pipe: int) -> None:
    """The child: a line for every seed, before it and after it."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    for seed in seeds:
        path, data, changed, how = damaged(files, seed)
        os.write(pipe, f"start {seed} {path.name} {how}\n".encode())
        try:
            verdict = TRIES[path.suffix](changed, data)
        except Exception as error:  # whatever it is, it is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            said = " ".join(str(error).split())[:100]
            verdict = f"traceback {type(error).__name__} {Path(place.filename).name}:{place.lineno} {said}"
        os.write(pipe, f"end {verdict}\n".encode())


def run(files: list[Path], seeds: range) -> tuple[Counter, list[str]]:
    """Counts of verdicts, and a line for each wrong one."""
    counts, wrong, seed = Counter(), [], seeds.start
    while seed < seeds.stop:
        out, into = os.pipe()
        child = os.fork()
        if not child:
            try:
                worker(files, range(seed, seeds.stop), into)
            finally:
                os._exit(0)
        os.close(into)
        seed = follow(child, out, seed, counts, wrong)
        os.close(out)
    return counts, wrong


def follow(child: int, out: int, seed: int, counts: Counter, wrong: list[str]) -> int:
    """Reads a child's lines until it ends. Returns the seed after the last one tried."""
    pending, rest, begun = None, b"", time.monotonic()
    while True:
        ready, _, _ = select.select([out], [], [], SECONDS)
        chunk = os.read(out, 65536) if ready else b""
        rest += chunk
        *lines, rest = rest.split(b"\n")
        for line in lines:
            word, _, text = line.decode().partition(" ")
            if word == "start":
                pending, seed, begun = text, int(text.split()[0]) + 1, time.monotonic()
            else:
                if text.startswith(WRONG):
                    wrong.append(f"{pending}: {text}")
                counts[text.split()[0] if text.startswith(WRONG) else text] += 1
                pending = None
        if chunk:
            continue
        if not ready:
            os.kill(child, 9)
        _, status = os.waitpid(child, 0)
        if pending:
            verdict = "abort" if ready else "hang"
            counts[verdict] += 1
            wrong.append(f"{pending}: {verdict} {status} after {time.monotonic() - begun:.0f} s")
        return seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    files = sorted(p for p in options.folder.iterdir() if p.suffix in TRIES and p.stat().st_size <= LARGEST)
    preload(files)
    counts, wrong = run(files, range(options.seed, options.seed + options.count))
    print(f"{sum(counts.values()):,} damaged files, of {len(files)} whole ones")
    for verdict, count in counts.most_common():
        print(f"{count:7,}  {verdict}")
    print("\n".join(wrong))


def preload(files: list[Path]) -> None:
    """Imports here what children would import each time; TensorFlow computes nothing before it is forked."""
    kinds = {path.suffix: path for path in files}
    if ".tflite" in kinds:
        try_tflite(kinds[".tflite"].read_bytes(), b"")
    if ".keras" in kinds:
        importlib.import_module("h5py")
        importlib.import_module("tensorflow")
        importlib.import_module("keras_ternary_spike.layers")


if __name__ == "__main__":
    main()
