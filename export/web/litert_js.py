"""LiteRT.js, which runs the file in the browser: from npm, or from a folder of the user's."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VERSION = "2.5.3"
SECONDS = 300  # for npm


@dataclass(frozen=True)
class Package:
    """One package of npm. files: what a page needs of it; integrity: SHA-512 of its archive, of VERSION."""

    name: str
    files: tuple[str, ...]
    integrity: str

    @property
    def folder(self) -> str:
        return self.name.split("/")[1]


# The variants with threads (servers must send headers) and for WebGPU stay away. "compat" is for browsers without
# relaxed SIMD.
VARIANTS = ("litert_wasm_internal", "litert_wasm_compat_internal")
PACKAGES = (
    Package(
        "@litertjs/core",
        ("package.json", "dist/index.js", *(f"wasm/{name}.{kind}" for name in VARIANTS for kind in ("js", "wasm"))),
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    ),
    Package(
        "@litertjs/wasm-utils",
        ("package.json", "dist/index.js"),
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
    ),
)
INSTALL = f"npm install @litertjs/core@{VERSION}"
NOTICE = """LiteRT.js {version}, unmodified: the packages {names} of npm.
Copyright Google LLC. Licensed under the Apache License, Version 2.0: LICENSE.txt in the folder above.
"""


@dataclass(frozen=True)
class LiteRtJs:
    """version: of @litertjs/core. files: by their paths under "litert/"."""

    version: str
    files: Mapping[str, bytes]


def litert_js(folder: Path | None = None) -> LiteRtJs:
    """The files of LiteRT.js.

    folder: where npm installed it: the folder with node_modules, or one in it. None: from npm, checked by SHA-512.

    Raises:
        ValueError: if there is no npm, it fails, or the folder does not hold the packages.
    """
    found = _from_npm() if folder is None else _from_folder(folder)
    version = _version(found[PACKAGES[0].name]["package.json"])
    if version != VERSION:
        warnings.warn(
            f"LiteRT.js {version} was not tested. Tested: {VERSION}. Press the page's check.", UserWarning, stacklevel=3
        )
    files = {f"{package.folder}/{path}": data for package in PACKAGES for path, data in found[package.name].items()}
    names = " and ".join(package.name for package in PACKAGES)
    return LiteRtJs(version, files | {"NOTICE.txt": NOTICE.format(version=version, names=names).encode()})


def _from_folder(folder: Path) -> dict[str, dict[str, bytes]]:
    places = [folder / inside for inside in ("node_modules/@litertjs", "@litertjs", ".", "..")]
    place = next((place for place in places if all((place / p.folder).is_dir() for p in PACKAGES)), None)
    missing = [path for p in PACKAGES for path in p.files if place is None or not (place / p.folder / path).is_file()]
    if place is None or missing:
        lacks = "no node_modules/@litertjs/core and wasm-utils" if place is None else f"no {missing[0]}"
        raise ValueError(f"{folder} must hold LiteRT.js as npm installs it. It has {lacks}. In that folder: {INSTALL}")
    return {p.name: {path: (place / p.folder / path).read_bytes() for path in p.files} for p in PACKAGES}


def _from_npm() -> dict[str, dict[str, bytes]]:
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(
            f"npm, which gets LiteRT.js, was not found. Install Node.js; or run {INSTALL} elsewhere and give that "
            "folder: --litert FOLDER, litert=FOLDER."
        )
    with tempfile.TemporaryDirectory() as folder:
        _pack(npm, folder)
        return {package.name: _unpacked(package, Path(folder)) for package in PACKAGES}


def _pack(npm: str, folder: str) -> None:
    """The archives of the packages, as npm has checked them. No script of a package runs."""
    wanted = [f"{package.name}@{VERSION}" for package in PACKAGES]
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, *wanted]
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"npm must get LiteRT.js in {SECONDS} seconds. It did not. {_WAY_OUT}") from error
    if run.returncode:
        said = [line for line in (run.stderr + run.stdout).splitlines() if line.strip()]
        raise ValueError(f"npm failed: {said[-1].strip() if said else f'exit code {run.returncode}'}. {_WAY_OUT}")


def _unpacked(package: Package, folder: Path) -> dict[str, bytes]:
    archive = folder / f"{package.name[1:].replace('/', '-')}-{VERSION}.tgz"
    data = archive.read_bytes()
    found = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != package.integrity:
        raise ValueError(f"{package.name} {VERSION} must have the SHA-512 {package.integrity}. Received: {found}")
    with tarfile.open(fileobj=io.BytesIO(data)) as members:
        return {path: members.extractfile(f"package/{path}").read() for path in package.files}


def _version(package_json: bytes) -> str:
    try:
        return str(json.loads(package_json)["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"package.json of LiteRT.js must state its version. It does not: {error}") from error


_WAY_OUT = f"Or run {INSTALL} elsewhere and give that folder: --litert FOLDER, litert=FOLDER."
