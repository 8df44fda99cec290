"""What the dry runs of examples/paper.py share."""

import json

import keras
import pytest
import tensorflow as tf

import paper


@pytest.fixture
def eagerly(monkeypatch):
    """Every operation by itself, and no strategy: one batch is done before graphs of it would be made."""
    monkeypatch.setattr(paper.distributed, "make_strategy", tf.distribute.get_strategy)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    keras.utils.clear_session()


@pytest.fixture
def dry_run(tmp_path):
    """The results of a row that has gone the whole way."""

    def run(name):
        paper.main(paper.command_line([name, "--dry-run", "--output", str(tmp_path)]))
        folder = tmp_path / f"dry-{name}"
        files = {"model.keras", "model.tflite", "certificate.html", "results.json"}
        assert {path.name for path in folder.iterdir()} == files
        results = json.loads((folder / "results.json").read_text())
        assert results["row"] == name and results["dry_run"] is True and results["file"]["exact"] is True
        assert results["file"]["bytes"] == (folder / "model.tflite").stat().st_size
        return results

    return run
