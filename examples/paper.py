"""Trains one row of the paper's tables with its published settings, exports it and certifies the file.

    python examples/paper.py --list                                   the rows, reported beside measured
    python examples/paper.py cifar10-resnet20-t4-trainable            trains it: days of a GPU, less with several
    python examples/paper.py cifar10-resnet20-t4-trainable --dry-run  the same way in a minute, on made images

Killed and started again, it goes on from the last whole epoch. All GPUs of the machine take part, and with TF_CONFIG
all machines of a cluster, as in train_distributed.py. Writes model.keras, model.tflite, certificate.html and
results.json into <output>/<row>/.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from dataclasses import fields
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import paper_data
import train_distributed as distributed
from keras_ternary_spike.export import certify, export_tflite
from paper_rows import ROWS, Recipe, Row

DRY_WIDTH = 1 / 32
NOT_KNOWN = "-"


def compile_model(model: keras.Model, recipe: Recipe, *, epochs: int, steps: int) -> None:
    """Weight decay is the gradient of a penalty, as in PyTorch, so that it goes through the momentum."""
    for weight in model.trainable_weights:
        if weight.name in ("kernel", "bias"):
            weight.regularizer = keras.regularizers.L2(recipe.weight_decay / 2)
    schedule = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, epochs * steps)
    optimizer = keras.optimizers.SGD(schedule, momentum=recipe.momentum)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)


def train(row: Row, arguments: argparse.Namespace, folder: Path) -> tuple[keras.Model, paper_data.Batches, float, bool]:
    """(model, its data, accuracy on the test images, whether this process writes)."""
    strategy = distributed.make_strategy()
    writes = getattr(strategy, "is_chief", True)
    if arguments.mixed_precision:
        keras.mixed_precision.set_global_policy("mixed_float16")
    keras.utils.set_random_seed(arguments.seed)
    data = paper_data.batches(row, data_dir=arguments.data_dir, seed=arguments.seed, dry=arguments.dry_run)
    recipe, epochs = row.source.recipe, epochs_of(row, arguments)
    with strategy.scope():
        model = row.build(width=DRY_WIDTH, small=True) if arguments.dry_run else row.build()
        compile_model(model, recipe, epochs=epochs, steps=data.steps)
    print(f"{row.name}: {epochs} epochs of {data.steps} steps, {strategy.num_replicas_in_sync} replicas", flush=True)
    callbacks = [distributed.backup(folder / "backup", writes=writes)]
    model.fit(data.train, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=2)
    accuracy = model.evaluate(data.test, verbose=0, return_dict=True)["accuracy"]
    return model, data, accuracy, writes


def epochs_of(row: Row, arguments: argparse.Namespace) -> int:
    return arguments.epochs or (1 if arguments.dry_run else row.source.recipe.epochs)


def ship(row: Row, model: keras.Model, data: paper_data.Batches, folder: Path) -> dict[str, object]:
    """Writes the model, its file and the certificate. Returns what the results say of them."""
    input_range = "int8" if row.source.events else (0, 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The range of output .* is a guess", UserWarning)
        tflite_bytes = export_tflite(model, input_range=input_range)
    certificate = certify(model, tflite_bytes, data.samples, file="model.tflite")
    model.save(folder / "model.keras")
    (folder / "model.tflite").write_bytes(tflite_bytes)
    (folder / "certificate.html").write_text(certificate.to_html())
    return {"bytes": len(tflite_bytes), "exact": certificate.exact, "sha256": certificate.sha256}


def settings(row: Row) -> dict[str, object]:
    """The recipe as a results file has it."""
    recipe = row.source.recipe
    names = [augmentation.__qualname__.split(".")[0] for augmentation in recipe.augmentations(row.source.shape[-2])]
    return {field.name: getattr(recipe, field.name) for field in fields(recipe)} | {"augmentations": names}


def main(arguments: argparse.Namespace) -> None:
    row = ROWS[arguments.row]
    folder = arguments.output / (f"dry-{row.name}" if arguments.dry_run else row.name)
    folder.mkdir(parents=True, exist_ok=True)
    model, data, accuracy, writes = train(row, arguments, folder)
    if not writes:
        return
    results = {
        "row": row.name,
        "dry_run": arguments.dry_run,
        "seed": arguments.seed,
        "settings": settings(row) | {"epochs": epochs_of(row, arguments), "mixed_precision": arguments.mixed_precision},
        "accuracy": round(100 * float(accuracy), 2),
        "file": ship(row, model, data, folder),
    }
    (folder / "results.json").write_text(json.dumps(results, indent=2))
    print(table([row], arguments.output))
    print(f"Written to {folder}: model.keras, model.tflite, certificate.html, results.json")


def table(rows: list[Row], output: Path) -> str:
    """The rows with what is reported and what `output` holds of this command's own results, in percent."""
    lines = [f"{'row':36} {'reported':>12} {'measured by this command':>26}"]
    for row in rows:
        reported = NOT_KNOWN if row.reported is None else f"{row.reported:.2f} (2nd)"
        lines.append(f"{row.name:36} {reported:>12} {measured(row, output):>26}")
    return "\n".join([*lines, "(2nd): at second hand, from another paper's text; -: not known, or not run."])


def measured(row: Row, output: Path) -> str:
    """Dry runs measure nothing, and runs of other lengths say so."""
    file = output / row.name / "results.json"
    if not file.exists():
        return NOT_KNOWN
    results = json.loads(file.read_text())
    epochs, published = results["settings"]["epochs"], row.source.recipe.epochs
    return f"{results['accuracy']:.2f}" + ("" if epochs == published else f" ({epochs} of {published} epochs)")


def command_line(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", nargs="?", help="one of those that --list prints")
    parser.add_argument("--list", action="store_true", help="print all rows, reported beside measured")
    parser.add_argument("--dry-run", action="store_true", help="the whole way on made images, at a small width")
    parser.add_argument("--data-dir", help="where tensorflow-datasets or tonic keeps its data")
    parser.add_argument("--output", type=Path, default=Path("runs/paper"))
    parser.add_argument("--epochs", type=distributed.train_and_export.positive, help="default: the published ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mixed-precision", action="store_true", help="float16 where it is safe, for GPUs")
    arguments = parser.parse_args(words)
    if not arguments.list and arguments.row not in ROWS:
        parser.error(f"the row must be one of {', '.join(ROWS)}. Received: {arguments.row}")
    return arguments


if __name__ == "__main__":
    given = command_line()
    if given.list:
        print(table([*ROWS.values()], given.output))
    else:
        main(given)
