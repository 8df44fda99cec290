"""Package mapping: the folder export/ is imported as keras_ternary_spike.export. Metadata: pyproject.toml."""

from setuptools import setup

setup(
    packages=["keras_ternary_spike", "keras_ternary_spike.export"],
    package_dir={"keras_ternary_spike": "keras_ternary_spike", "keras_ternary_spike.export": "export"},
)
