"""Dry runs of examples/paper.py: the rows, and one of them from made images to its files."""

import contextlib
import json

import keras
import tensorflow as tf

TERNARY_OR_BINARY = ("binary", "ternary", "trainable")
CIFAR = [
    *(
        f"{data}-{network}-{spikes}"
        for data in ("cifar10", "cifar100")
        for network in ("resnet20-t2", "resnet20-t4", "resnet19-t1", "resnet19-t2")
        for spikes in TERNARY_OR_BINARY
    ),
    *(f"{data}-{network}-t1-graded" for data in ("cifar10", "cifar100") for network in ("resnet20", "resnet19")),
]
IMAGENET = [
    f"imagenet-{network}-{spikes}"
    for network in ("resnet18", "resnet34")
    for spikes in (*(f"t4-{spikes}" for spikes in TERNARY_OR_BINARY), "t1-graded")
]
EVENTS = [
    f"cifar10_dvs-{network}-t10-{spikes}"
    for network in ("resnet20", "resnet19")
    for spikes in (*TERNARY_OR_BINARY, "graded")
]


@contextlib.contextmanager
def eagerly(paper):
    """Every operation by itself, and no strategy: one batch is done before graphs of it would be made."""
    make_strategy = paper.distributed.make_strategy
    paper.distributed.make_strategy = tf.distribute.get_strategy
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
        paper.distributed.make_strategy = make_strategy
        keras.utils.clear_session()


def dry_run(paper, name, output):
    """The results of a row that has gone the whole way."""
    paper.main(paper.command_line([name, "--dry-run", "--output", str(output)]))
    folder = output / f"dry-{name}"
    files = {"model.keras", "model.tflite", "certificate.html", "results.json"}
    assert {path.name for path in folder.iterdir()} == files
    results = json.loads((folder / "results.json").read_text())
    assert results["row"] == name and results["dry_run"] is True and results["file"]["exact"] is True
    assert results["file"]["bytes"] == (folder / "model.tflite").stat().st_size
    return results
