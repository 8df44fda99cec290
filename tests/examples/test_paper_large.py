"""Each row of ImageNet and of CIFAR10-DVS goes the whole way on made images, one of them as graphs."""

import importlib
from pathlib import Path

import pytest

from dry_runs import EVENTS, IMAGENET, dry_run, eagerly


@pytest.fixture
def paper(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    return importlib.import_module("paper")


@pytest.mark.slow
@pytest.mark.extended
@pytest.mark.parametrize("row", [*IMAGENET, *EVENTS])
def test_a_dry_run_goes_the_whole_way(row, paper, tmp_path):
    with eagerly(paper):
        dry_run(paper, row, tmp_path)


@pytest.mark.slow
@pytest.mark.extended
def test_a_dry_run_as_users_start_it(paper, tmp_path, capsys):
    results = dry_run(paper, "cifar10_dvs-resnet19-t10-ternary", tmp_path)
    assert results["settings"]["augmentations"] == ["flip_events", "roll_events"]
    # A dry run measures nothing.
    assert f"{results['row']:36} {'-':>12} {'-':>26}" in capsys.readouterr().out
