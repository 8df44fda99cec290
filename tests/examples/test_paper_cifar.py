"""Each row of CIFAR goes the whole way on made images: data, training, export, certificate."""

import importlib
from pathlib import Path

import pytest

from dry_runs import CIFAR, dry_run, eagerly


@pytest.fixture
def paper(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    return importlib.import_module("paper")


@pytest.mark.slow
@pytest.mark.extended
@pytest.mark.parametrize("row", CIFAR)
def test_a_dry_run_goes_the_whole_way(row, paper, tmp_path):
    with eagerly(paper):
        dry_run(paper, row, tmp_path)
