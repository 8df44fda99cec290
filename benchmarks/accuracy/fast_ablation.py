"""The ablation with many seeds: `examples/ablation.py` trained by a C program, the same networks and the same order.

    python -m benchmarks.accuracy.fast_ablation --samples 20000 --seeds 10
    python -m benchmarks.accuracy.fast_ablation --report

Options are those of the example; results go to runs/fast_ablation. Keras makes each network and its first weights,
`trainer_over_time/` trains and tests it in 32-bit floats, as Keras does but for the order of additions and of images
(`tests/examples/test_fast_ablation.py` compares them). It needs gcc and vectors of 8 floats.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
import numpy as np

import ablation
from ablation import Training
from benchmarks.accuracy.trainer_over_time.layers import Layer, arrays, described, written
from keras_ternary_spike.data import Dataset

TRAINER = Path(__file__).parent / "trainer_over_time" / "trainer.c"
COMPILE = ("gcc", "-O3", "-march=native", "-ffast-math")
KINDS = {"binary": "u", "graded": "u", "ReLU": "r"}  # all others are signed
AMPLITUDES = {"trainable, layer": "l", "trainable, channel": "c"}  # of all others they stay


PLAIN = tuple(Layer(f"conv{number}", f"neuron{number}", number - 1, 2) for number in (1, 2, 3))
LAYERS = {
    "plain": PLAIN,
    "wider": PLAIN,
    "residual": (
        Layer("stem_conv1", "stem_neuron1", 0),
        Layer("block1_conv1", "block1_neuron1", 1),
        Layer("block1_conv2", "block1_neuron2", 2, addend=1),
        Layer("block2_conv1", "block2_neuron1", 3, 2),
        Layer("block2_shortcut", None, 3, 2),
        Layer("block2_conv2", "block2_neuron2", 4, addend=5),
        Layer("block3_conv1", "block3_neuron1", 6, 2),
        Layer("block3_shortcut", None, 6, 2),
        Layer("block3_conv2", "block3_neuron2", 7, addend=8),
    ),
}


def options(training: Training, model: keras.Model, data: Dataset) -> dict[str, object]:
    """The trainer's."""
    neuron = ablation.ARMS[training.arm][1]
    return {
        "layers": described(model, LAYERS[training.network]),
        "size": model.input_shape[1],
        "train": len(data.train_labels),
        "test": len(data.test_labels),
        "epochs": training.epochs,
        "timesteps": training.timesteps,
        "seed": training.seed,
        "rate": ablation.LEARNING_RATE,
        "kind": KINDS.get(training.arm, "s"),
        "levels": neuron.get("levels", 1),
        "threshold": training.setting.threshold,
        "surrogate": training.setting.surrogate[0],
        "trained": AMPLITUDES.get(training.arm, "n"),
    }


def packed(training: Training, data: Dataset) -> bytes:
    """Images as bytes, then labels."""
    images = np.concatenate([data.train_images, data.test_images])
    pixels = np.rint(255 * ablation.images_for(training.network, images)).astype("uint8")
    return pixels.tobytes() + np.concatenate([data.train_labels, data.test_labels]).astype("uint8").tobytes()


def trained(training: Training, data: Dataset, folder: Path, **further: object) -> tuple[dict, np.ndarray]:
    """(what the trainer prints, the trained weights)."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(training.seed)
    model = ablation.build(training, data)
    file, weights = folder / f"{training.kind}-{training.network}-{len(data.train_labels)}", folder / "weights"
    if not file.exists():
        file.write_bytes(packed(training, data))
    written(list(arrays(model, LAYERS[training.network]))).tofile(weights)
    words = [f"{name}={value}" for name, value in {**options(training, model, data), **further}.items()]
    done = subprocess.run([compiled(folder), file, weights, *words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout), np.fromfile(weights, "float32")


def compiled(folder: Path) -> Path:
    program = folder / "trainer"
    if not program.exists():
        subprocess.run([*COMPILE, "-o", program, TRAINER, "-lm"], check=True)
    return program


def measured(training: Training, data: Dataset, folder: Path) -> dict[str, float]:
    """As the example's, but of all test images."""
    found, _ = trained(training, data, folder)
    accuracy = {"accuracy": 100 * found["accuracy"]}
    if training.arm == "ReLU":
        return accuracy
    shares = [np.array(layer) for layer in found["shares"]]
    rates = [1 - layer[len(layer) // 2] for layer in shares]
    bits = [-np.sum(layer[layer > 0] * np.log2(layer[layer > 0])) for layer in shares]
    return {**accuracy, "firing_rate": float(np.mean(rates)), "bits": float(np.mean(bits))}


def main() -> None:
    defaults = ["--output", "runs/fast_ablation"]
    if setting.FASHION_MNIST.exists():
        defaults += ["--data-dir", str(setting.FASHION_MNIST)]
    arguments = ablation.command_line([*defaults, *sys.argv[1:]])
    folder = arguments.output / arguments.data
    folder.mkdir(parents=True, exist_ok=True)
    print(setting.describe(), flush=True)
    ablation.main(arguments, lambda training, data: measured(training, data, folder))


if __name__ == "__main__":
    main()
