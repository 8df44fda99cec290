"""The networks of keras_ternary_spike.models at full size: exact on every runtime, and exported how fast.

    python benchmarks/networks.py
    python benchmarks/networks.py --models resnet19 --timesteps 1 4 --targets ethos-u55-128

Weights are drawn as training could leave them: negative batch-norm gammas, amplitudes from 0.3 to 1.2.
"""

from __future__ import annotations

import argparse
import resource
import time

import setting  # first: quiet TensorFlow

# isort: split
import keras
import numpy as np

from keras_ternary_spike import models
from keras_ternary_spike.export import check, export_tflite, verify

INPUTS = {
    "resnet19": (32, 32, 3),
    "resnet20": (32, 32, 3),
    "ms_resnet": (32, 32, 3),
    "vgg": (32, 32, 3),
    "keyword_spotter": (49, 10, 1),
    "tiny": (28, 28, 1),
}
TIMESTEPS = (2,)
CLASSES = 10
DRAWS = {
    "gamma": lambda rng, shape: rng.normal(1, 0.7, shape),
    "beta": lambda rng, shape: rng.normal(0, 0.2, shape),
    "moving_mean": lambda rng, shape: rng.normal(0, 0.3, shape),
    "moving_variance": lambda rng, shape: rng.uniform(0.3, 2, shape),
    "amplitude": lambda rng, shape: rng.uniform(0.3, 1.2, shape),
}
HEADER = ("network", "timesteps", "weights", "export", "peak memory", "file", "operators", "differing int8 values")


def randomized(name: str, timesteps: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = getattr(models, name)(INPUTS[name], CLASSES, timesteps=timesteps)
    for weight in model.weights:
        if weight.name in DRAWS:
            weight.assign(DRAWS[weight.name](rng, tuple(weight.shape)))
    return model


def row(name: str, timesteps: int, targets: list[str]) -> tuple[str, ...]:
    """Exports and verifies one network on one random image."""
    model = randomized(name, timesteps)
    start = time.perf_counter()
    tflite_bytes = export_tflite(model)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # GiB, with Keras and TensorFlow
    image = np.random.default_rng(1).random((1, *INPUTS[name]))
    report = verify(None, tflite_bytes, image)
    compared = sum(one.values + one.output_values for one in report.runtimes.values())
    differing = sum(one.differing + one.output_differing for one in report.runtimes.values())
    refused = [f"{target}: {len(check(tflite_bytes, target=target).refused)}" for target in targets]
    return (
        name,
        str(timesteps),
        f"{model.count_params():,}",
        f"{seconds:.1f} s",
        f"{memory:.2f} GiB",
        f"{len(tflite_bytes):,}",
        str(sum(report.operators.values())),
        f"{differing} of {compared:,}",
        ", ".join(refused),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(INPUTS), default=list(INPUTS), metavar="NAME")
    parser.add_argument("--timesteps", type=int, nargs="+", default=TIMESTEPS)
    parser.add_argument("--targets", nargs="*", default=[], help="also: operators that each target refuses")
    arguments = parser.parse_args()
    print(setting.describe(), end="\n\n")
    rows = [row(name, t, arguments.targets) for name in arguments.models for t in arguments.timesteps]
    print(setting.table([(*HEADER, "refused operators" if arguments.targets else ""), *rows]))


if __name__ == "__main__":
    main()
