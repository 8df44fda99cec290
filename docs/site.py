"""What the docs site holds besides the pages of docs/: README, the root's other pages, tutorials, and the reference.

A hook of mkdocs, see mkdocs.yml. The reference lists what each room's `__all__` names, so that nothing is listed twice.
"""

import atexit
import base64
import importlib
import inspect
import json
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
FIRST = ("TernaryLIF", "DirectEncoding", "PerTimestep", "TimeAverage", "export_tflite", "verify", "load")
TUTORIALS = "examples/tutorials"
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
    for file in tree.rglob("*.py"):  # Keras says Example, what reads docstrings knows Examples
        file.write_text(re.sub(r"^( +)Example:$", r"\1Examples:", file.read_text(), flags=re.M))
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [str(tree)]
    return config


def on_files(files, config):
    for source, place in PAGES.items():
        files.append(File.generated(config, place, content=page((ROOT / source).read_text())))
    files.append(File.generated(config, "CITATION.cff", content=(ROOT / "CITATION.cff").read_text()))
    for notebook in sorted((ROOT / TUTORIALS).glob("*.ipynb")):
        for place, content in tutorial(notebook).items():
            files.append(File.generated(config, f"tutorials/{place}", content=content))
    for name, (title, module) in REFERENCE.items():
        files.append(File.generated(config, f"api/{name}.md", content=reference(title, module)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links to a notebook lead to its page."""
    return re.sub(rf"\]\((?:\.\./)?{TUTORIALS}/([\w-]+)\.ipynb", r"](tutorials/\1.md", markdown)


def on_page_content(html, page, config, files):
    """Options that share a line have defaults, which the reference cannot tell one by one: they are not "required"."""
    several = r'<tr class="doc-section-item">\s*<td>\s*<code>(?:[^<]*,[^<]*|\*[^<]*)</code>'
    rows = rf"({several}(?:(?!</tr>).)*?)<em>required</em>"
    return re.sub(rows, r"\1", html, flags=re.S)


def page(text):
    """A page of the root, its links as the site has them."""
    text = re.sub(r"\]\(docs/", "](", text)
    for source, place in PAGES.items():
        text = text.replace(f"]({source})", f"]({place})")
    return text


def tutorial(path):
    """A notebook as it was stored: its page, its pictures and itself, by the name of the file."""
    files = {path.name: path.read_text()}
    parts = []
    for cell in json.loads(files[path.name])["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"\]\((?!http)([\w-]+)\.ipynb", r"](\1.md", source.replace("](../../docs/", "](../")))
        else:
            parts.append(f"```python\n{source}\n```\n" + "".join(shown(cell["outputs"], path.stem, files)))
    title, *others = parts
    title = f"{title}\n\n[This page as a notebook]({path.name}){{ download }}"
    return files | {f"{path.stem}.md": "\n\n".join([title, *others])}


def shown(outputs, name, files):
    """What a cell printed and drew, under it. Pictures are added to the files."""
    for output in outputs:
        if picture := output.get("data", {}).get("image/png"):
            file = f"{name}-{sum(each.endswith('.png') for each in files) + 1}.png"
            files[file] = base64.b64decode(picture)
            yield f'<div class="result" markdown>\n![What the code above draws]({file})\n</div>\n'
        else:
            text = "".join(output["text"] if "text" in output else output["data"]["text/plain"])
            yield f'<div class="result" markdown>\n``` {{ .text .no-copy }}\n{text.rstrip()}\n```\n</div>\n'


def reference(title, module):
    """A page with the docstring of every public class and function of a module."""
    lines = [f"# {title}", "", f"Names of `{module}`.", ""]
    for value in public_values(importlib.import_module(module)):
        lines += [f"::: {value.__module__}.{value.__qualname__}", ""]  # where it stands: names may resolve on first use
    return "\n".join(lines)


def public_values(module):
    """Classes and functions that a module hands on: those in its `__all__`, or in what stands in its `__init__`."""
    names = getattr(module, "__all__", None) or sorted(vars(module))
    names = sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    values = [getattr(module, name) for name in names if not name.startswith("_")]
    return [
        value
        for value in values
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith(PACKAGE)
    ]
