"""The tutorials: each runs from top to bottom, and what is stored in it was printed by what stands in it."""

import importlib
import itertools
import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples/tutorials"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
LARGEST = 60_000  # bytes of one notebook: they stay in the repository's history


@pytest.fixture
def execute(monkeypatch):
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package, reason=f"{package} runs notebooks: pip install nbclient ipykernel")
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("execute")


def cells(name):
    return json.loads((FOLDER / name).read_text())["cells"]


def texts(outputs):
    """What a cell printed. Pictures and times are others on another machine."""
    return "".join("".join(output.get("text", "")) for output in outputs)


def kinds(outputs):
    """Of outputs, in order; a kernel cuts what a cell prints into one or more, as it comes."""
    return [kind for kind, _ in itertools.groupby(output["output_type"] for output in outputs)]


@pytest.mark.extended
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_tutorial_runs_from_top_to_bottom_and_says_what_it_said(name, execute):
    again = execute.executed(FOLDER / name).cells
    for before, cell in zip(cells(name), again, strict=True):
        if cell.cell_type == "code":
            verdicts = [
                re.findall("EXACT|PASS|this package: 0 of", texts(run)) for run in (before["outputs"], cell.outputs)
            ]
            assert verdicts[0] == verdicts[1], cell.source
            assert kinds(before["outputs"]) == kinds(cell.outputs), cell.source


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_tutorial_was_run_after_its_last_change(name, execute):
    notebook = execute.nbformat.read(FOLDER / name, as_version=4)
    assert notebook.metadata["executed"] == execute.fingerprint(notebook), "python examples/tutorials/execute.py"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_tutorial_is_small_and_its_links_lead_somewhere(name):
    assert (FOLDER / name).stat().st_size < LARGEST
    prose = "\n".join("".join(cell["source"]) for cell in cells(name) if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\((?!http)([^)#]+)", prose)
    assert links and [link for link in links if not (FOLDER / link).exists()] == []
