"""What `import keras_ternary_spike` gives, how light it is, and that Keras finds the classes whatever comes first."""

import ast
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import keras_ternary_spike

CORE = Path(keras_ternary_spike.__file__).parent
FILES = sorted(CORE.glob("*/*.py"))
FRONT_DOORS = ("gradient", "sequence", "lif", "health")
FIRST = (
    *("keras", "keras_ternary_spike", "keras_ternary_spike.registration"),
    *(f"keras_ternary_spike.{path.parent.name}" for path in FILES if path.stem == "__init__"),
    *(
        f"keras_ternary_spike.{path.parent.name}.{path.stem}"
        for path in CORE.glob("*/*.py")
        if path.stem in FRONT_DOORS
    ),
)


def run_python(script, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_the_package_stays_light():
    script = """
        import sys
        before = {*sys.modules}
        import keras_ternary_spike
        print(keras_ternary_spike.__version__, "TernaryLIF" in dir(keras_ternary_spike))
        print(*sorted({name.partition(".")[0] for name in {*sys.modules} - before} - {*sys.stdlib_module_names}))
        """
    assert run_python(script).splitlines() == [f"{keras_ternary_spike.__version__} True", "keras_ternary_spike"]


@pytest.fixture(scope="module")
def first_imports():
    """By module, what of the package is there in a process that imports it, then Keras, then the package.

    Forks of one process that has imported Keras and forgotten its name, so that Keras's `__init__` runs again.
    """
    script = """
        import importlib.util, json, keras, os, sys
        first = {}
        del sys.modules["keras"]
        for module in sys.argv[1:]:
            reading, writing = os.pipe()
            if not os.fork():
                __import__(module)
                assert importlib.util.find_spec("keras")  # that somebody looks for Keras changes nothing
                import keras, keras_ternary_spike as kts
                held = {"resolved": "NeuronHealth" in vars(kts), "rooms": {*vars(kts)} & {"models", "export"} == set()}
                held["registered"] = "keras_ternary_spike>ExactLIF" in keras.saving.get_custom_objects()
                held["rooms"] &= hasattr(kts.models, "resnet20") and hasattr(kts.export, "flash")
                held["rooms"] &= hasattr(kts.compression, "Prune") and hasattr(kts.exact, "ExactLIF")
                os.write(writing, json.dumps(held).encode())
                os._exit(0)
            os.close(writing)
            first[module] = json.loads(os.read(reading, 1000))
            os.wait()
        print(json.dumps(first))
        """
    return json.loads(run_python(script, *FIRST))


@pytest.mark.parametrize("module", FIRST)
def test_keras_finds_the_classes_whatever_is_imported_first(first_imports, module):
    assert first_imports[module]["resolved"] and first_imports[module]["registered"]


@pytest.mark.parametrize("module", ["keras", "keras_ternary_spike"])
def test_rooms_resolve_on_first_use(first_imports, module):
    assert first_imports[module]["rooms"]


def test_every_public_name_resolves():
    for name in keras_ternary_spike.__all__:
        assert hasattr(keras_ternary_spike, name), name
    with pytest.raises(AttributeError, match="no attribute 'QuaternaryLIF'"):
        _ = keras_ternary_spike.QuaternaryLIF


@pytest.mark.parametrize("package", ["keras_ternary_spike", "keras_ternary_spike.export"])
def test_type_checkers_see_the_names_that_resolve(package):
    file = Path(sys.modules.get(package, __import__(package, fromlist=["_"])).__file__)
    block = next(node for node in ast.parse(file.read_text()).body if isinstance(node, ast.If))
    seen = {(node.module, alias.asname) for node in block.body for alias in node.names if node.module}
    assert seen == {(module, name) for name, module in sys.modules[package]._MODULES.items()}
    rooms = {alias.asname for node in block.body for alias in node.names if not node.module}
    assert rooms == {*getattr(sys.modules[package], "_ROOMS", ())}
