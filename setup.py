"""Package mapping: the folder export/ is imported as keras_ternary_spike.export. Metadata: pyproject.toml."""

from setuptools import find_packages, setup

EXPORT = "keras_ternary_spike.export"

setup(
    packages=[
        *find_packages(include=["keras_ternary_spike*"]),
        EXPORT,
        *(f"{EXPORT}.{name}" for name in find_packages("export")),
    ],
    package_dir={EXPORT: "export"},
    include_package_data=False,  # what is not a module is named below
    package_data={
        "keras_ternary_spike": ["py.typed"],
        "keras_ternary_spike.models": ["trained/*"],
        f"{EXPORT}.c_code": ["kernels/*/*.h", "kernels/*/*.c"],
        f"{EXPORT}.c_code.projects": ["templates/**/*"],
        f"{EXPORT}.web": ["template/**/*"],
    },
)
