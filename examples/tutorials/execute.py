"""Runs the tutorials from top to bottom and stores what they print and draw.

    python examples/tutorials/execute.py                 all of them, some minutes
    python examples/tutorials/execute.py why_exact       one

A notebook is stored with the hash of what was run: a test finds one that was changed and not run again. Needs nbclient
and ipykernel (extra `test`).
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
NOTEBOOKS = tuple(sorted(FOLDER.glob("*.ipynb")))
SECONDS = 600  # for one cell, on a busy machine
KEPT = ("image/png", "text/plain")  # the richest first
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def executed(path):
    """The notebook with fresh outputs. Raises: nbclient.exceptions.CellExecutionError, with cell and traceback."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=resources).execute()
    return plain(notebook)


def plain(notebook):
    """Without what changes from run to run and machine to machine but the results themselves."""
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [plain_output(output) for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = METADATA | {"executed": fingerprint(notebook)}
    return notebook


def plain_output(output):
    if output.output_type == "stream":
        return output
    kind = next(kind for kind in KEPT if kind in output.data)
    return nbformat.v4.new_output("display_data", {kind: output.data[kind]})


def fingerprint(notebook):
    """Of the sources, in hexadecimal."""
    sources = "\0".join(f"{cell.cell_type}\0{cell.source}" for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(sources.encode()).hexdigest()[:16]


def main(names):
    for path in NOTEBOOKS:
        if not names or path.stem in names:
            print(path.name, flush=True)
            nbformat.write(executed(path), path)


if __name__ == "__main__":
    main(sys.argv[1:])
