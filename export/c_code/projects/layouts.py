"""Where each tool looks for sources, and the files in which it reads what to do with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

TEMPLATES = Path(__file__).with_name("templates")
Files = Mapping[str, bytes]  # by their paths in the folder


def layout(files: Files, *, name: str, project: str | None) -> dict[str, bytes]:
    """Files of C, each moved to where a tool looks for it, and the tool's own files.

    files: NAME.h, NAME.c, NAME_selftest.c and any others. project: one of PROJECTS; None for all in one folder.

    Raises: ValueError if there is no such layout.
    """
    if project is None:
        return dict(files)
    if project not in PROJECTS:
        raise ValueError(f"`project` must be one of {', '.join(PROJECTS)}. Received: project={project!r}")
    places = PROJECTS[project](name)
    moved = {places.get(path, path): content for path, content in files.items()}
    return moved | _templates(project, name)


def _cmake(name: str) -> dict[str, str]:
    return {
        f"{name}.h": f"include/{name}.h",
        f"{name}.c": f"src/{name}.c",
        f"{name}_selftest.c": f"selftest/{name}_selftest.c",
    }


def _arduino(name: str) -> dict[str, str]:
    sketch = f"examples/{name}_board"  # the sketch must be called as its folder is
    return {
        f"{name}.h": f"src/{name}.h",
        f"{name}.c": f"src/{name}.c",
        f"{name}_selftest.c": f"{sketch}/{name}_selftest.c",
    }


def _esp_idf(name: str) -> dict[str, str]:
    component = f"components/{name}"
    return {
        f"{name}.h": f"{component}/include/{name}.h",
        f"{name}.c": f"{component}/{name}.c",
        f"{name}_selftest.c": f"main/{name}_selftest.c",
    }


def _zephyr(name: str) -> dict[str, str]:
    return {
        f"{name}.h": f"include/{name}.h",
        f"{name}.c": f"src/{name}.c",
        f"{name}_selftest.c": f"samples/selftest/src/{name}_selftest.c",
    }


def _platformio(name: str) -> dict[str, str]:
    library = f"lib/{name}/src"
    return {
        f"{name}.h": f"{library}/{name}.h",
        f"{name}.c": f"{library}/{name}.c",
        f"{name}_selftest.c": f"src/{name}_selftest.c",
    }


PROJECTS: Mapping[str, Callable[[str], dict[str, str]]] = {
    "cmake": _cmake,
    "arduino": _arduino,
    "esp-idf": _esp_idf,
    "zephyr": _zephyr,
    "platformio": _platformio,
}


def _templates(project: str, name: str) -> dict[str, bytes]:
    """The tool's files, with the network's name in paths and texts."""
    folder = TEMPLATES / project
    values = {"@NAME@": name, "@UPPER@": name.upper()}

    def filled(text: str) -> str:
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        return text

    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {filled(path.relative_to(folder).as_posix()): filled(path.read_text()).encode() for path in found}
