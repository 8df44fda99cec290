"""Package mapping: the folder export/ is imported as keras_ternary_spike.export. Metadata: pyproject.toml."""

from setuptools import setup

setup(
    packages=[
        "keras_ternary_spike",
        "keras_ternary_spike.exact",
        "keras_ternary_spike.export",
        "keras_ternary_spike.models",
        "keras_ternary_spike.compression",
    ],
    package_dir={
        "keras_ternary_spike": "keras_ternary_spike",
        "keras_ternary_spike.exact": "keras_ternary_spike/exact",
        "keras_ternary_spike.export": "export",
        "keras_ternary_spike.models": "keras_ternary_spike/models",
        "keras_ternary_spike.compression": "keras_ternary_spike/compression",
    },
)
