"""What the page computes itself, in Node.js: integers of an input, and the cepstrum of sound."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from keras_ternary_spike import models
from keras_ternary_spike.export import export_tflite
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.tflite.flatbuffer import read
from keras_ternary_spike.export.web import litert_js as litert_js_module

TEMPLATE = Path(litert_js_module.__file__).with_name("template")
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed (Debian package nodejs)")


def in_node(module, expression):
    """The JSON value of an expression about `m`, a module of the template."""
    address = (TEMPLATE / "js" / module).as_uri()
    script = f"const m = await import('{address}'); console.log(JSON.stringify({expression}))"
    command = ["node", "--input-type=module", "-"]
    run = subprocess.run(command, input=script, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_javascript_rounds_and_saturates_as_numpy_does():
    program = read(export_tflite(models.tiny((8, 8, 1), 3, width=0.25)))
    tensor = program.tensors[program.inputs[0]]
    scale, zero = float(tensor.scale), tensor.zero_point
    numbers = [*np.linspace(-0.2, 1.2, 301), *(np.float64(scale) * (np.arange(-3, 259) + 0.5))]
    grid = json.dumps({"scale": scale, "zero_point": zero})
    found = in_node("grid.js", f"Array.from(m.integers({json.dumps(numbers)}, {grid}))")
    one_pixel = np.repeat(np.array(numbers)[:, None], 64, 1).reshape(-1, 8, 8, 1)
    np.testing.assert_array_equal(found, quantize_input(program, one_pixel)[:, 0, 0, 0])


def test_javascripts_cepstrum_is_the_one_of_training():
    from keras_ternary_spike.data.speech import mfcc

    time = np.arange(16000) / 16000
    noise = np.random.default_rng(0).normal(0, 0.01, 16000)  # in silence float32's own errors would be heard
    audio = (0.5 * np.sin(2 * np.pi * 440 * time * (1 + time)) + noise).astype("float32")
    found = in_node("mfcc.js", f"Array.from(m.mfcc({json.dumps(audio.tolist())}, 49, 10))")
    # TensorFlow's float32: 513 products of relative error 6e-8, beside sums of 0.1 and more; their logarithms added up.
    np.testing.assert_allclose(np.reshape(found, (49, 10)), mfcc(audio[None])[0, ..., 0], atol=1e-3)
