"""What the docs site holds besides the pages of docs/: README, the root's other pages, and the reference.

A hook of mkdocs, see mkdocs.yml. The reference lists what each room's `__all__` names, so that nothing is listed twice.
"""

import atexit
import importlib
import inspect
import re
import shutil
import tempfile
from pathlib import Path

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "keras_ternary_spike"
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
PAGES |= {"SECURITY.md": "security.md"}
REFERENCE = {
    "layers": ("Layers and training", PACKAGE),
    "export": ("Export", f"{PACKAGE}.export"),
    "models": ("Networks", f"{PACKAGE}.models"),
    "compression": ("Compression", f"{PACKAGE}.compression"),
    "exact": ("Exact integers", f"{PACKAGE}.exact"),
    "imports": ("From other libraries", f"{PACKAGE}.imports"),
    "data": ("Data", f"{PACKAGE}.data"),
    "inside": ("A look inside", f"{PACKAGE}.inside"),
}


@event_priority(100)  # before mkdocstrings reads its options
def on_config(config):
    """The reference reads a tree in which export/ lies where it is imported from."""
    tree = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, tree)
    shutil.copytree(ROOT / PACKAGE, tree / PACKAGE)
    shutil.copytree(ROOT / "export", tree / PACKAGE / "export")
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [str(tree)]
    return config


def on_files(files, config):
    for source, place in PAGES.items():
        files.append(File.generated(config, place, content=page((ROOT / source).read_text())))
    files.append(File.generated(config, "CITATION.cff", content=(ROOT / "CITATION.cff").read_text()))
    for name, (title, module) in REFERENCE.items():
        files.append(File.generated(config, f"api/{name}.md", content=reference(title, module)))
    return files


def page(text):
    """A page of the root, its links as the site has them."""
    text = re.sub(r"\]\(docs/", "](", text)
    for source, place in PAGES.items():
        text = text.replace(f"]({source})", f"]({place})")
    return text


def reference(title, module):
    """A page with the docstring of every public class and function of a module."""
    lines = [f"# {title}", "", f"Names of `{module}`.", ""]
    for value in public_values(importlib.import_module(module)):
        lines += [f"::: {value.__module__}.{value.__qualname__}", ""]  # where it stands: names may resolve on first use
    return "\n".join(lines)


def public_values(module):
    """Classes and functions that a module hands on: those in its `__all__`, or in what stands in its `__init__`."""
    names = getattr(module, "__all__", None) or sorted(vars(module))
    values = [getattr(module, name) for name in names if not name.startswith("_")]
    return [
        value
        for value in values
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith(PACKAGE)
    ]
