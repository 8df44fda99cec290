"""The folder that a command runs in, with the model of all tests of commands and samples for it."""

import shutil

import pytest

from command_folder import fill, small_model


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def filled(model, tmp_path_factory):
    """Written once: tests work on copies."""
    folder = tmp_path_factory.mktemp("filled")
    fill(folder, model)
    return folder


@pytest.fixture
def folder(filled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return tmp_path
