"""The page in headless Chromium: the bits of Program.run, every source, and a browser that cannot run it."""

import json
import re
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_ternary_spike import models
from keras_ternary_spike.export import export_tflite, export_web
from keras_ternary_spike.export.costs.operation_counts import count_operations, measure
from keras_ternary_spike.export.program.names import spike_tensors
from keras_ternary_spike.export.program.samples import quantize_input
from keras_ternary_spike.export.tflite.flatbuffer import read, write
from keras_ternary_spike.export.web.litert_js import litert_js

pytestmark = pytest.mark.extended

SAMPLES = 20
HOSTILE = "<img src=x onerror=document.title='taken'>"
NETWORKS = {
    "digits": lambda: models.tiny((8, 8, 1), 10),
    "colors": lambda: models.resnet8((9, 7, 3), 4, width=0.25),
    "frames": lambda: models.tiny((3, 12, 12, 1), 4, timesteps=3),
    "keywords": lambda: models.keyword_spotter((49, 10, 1), 12, width=1 / 8),
    "steps": lambda: models.tiny((8, 8, 1), 10),
    "stream": lambda: models.tiny((8, 8, 1), 10),  # without end
}
OPTIONS = {
    "steps": {"form": "step"},
    "stream": {"form": "step", "window": 4},
    "keywords": {"input_range": (-40, 40)},
    "frames": {"input_range": "int8"},
}
COMPARED = [name for name in NETWORKS if name != "stream"]  # no file computes all of a stream at once


@pytest.fixture(scope="session")
def litert(tmp_path_factory):
    """LiteRT.js from npm, once."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed (Debian package npm): LiteRT.js cannot be had.")
    try:
        runtime = litert_js()
    except ValueError as error:
        if "npm failed" not in str(error):
            raise
        pytest.skip(f"LiteRT.js cannot be had: {error}")
    folder = tmp_path_factory.mktemp("litert")
    for path, data in runtime.files.items():
        target = folder / "node_modules/@litertjs" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def pages(litert, tmp_path_factory):
    """`pages(name)`: (folder, program, int8 samples) of a network, written once."""
    made = {}

    def page(name):
        if name not in made:
            made[name] = _page(name, tmp_path_factory.mktemp(name) / "page", litert)
        return made[name]

    return page


def _page(name, folder, litert):
    keras.utils.set_random_seed(0)
    model = NETWORKS[name]()
    file = export_tflite(model, **OPTIONS.get(name, {}))
    unrolled = {"input_range": OPTIONS.get(name, {}).get("input_range")}
    program, whole = read(file), read(export_tflite(model, **unrolled))
    rng = np.random.default_rng(0)
    tensor = whole.tensors[whole.inputs[0]]
    integers = rng.integers(-128, 128, (SAMPLES, *tensor.shape[1:]), np.int8)
    samples = float(tensor.scale) * (integers.astype(float) - tensor.zero_point)
    np.testing.assert_array_equal(quantize_input(whole, samples), integers)
    export_web(file, folder, samples=samples, litert=litert)
    return folder, program, whole, integers


def text(page, element):
    return page.value(f"document.getElementById('{element}').textContent")


def press(page, label):
    page.value(f"[...document.querySelectorAll('button')].find((one) => one.textContent === '{label}').click()")


def check(page):
    page.value("document.getElementById('checkrun').click()")
    page.wait("document.getElementById('checked').textContent")
    return json.loads(text(page, "integers"))


@pytest.mark.parametrize(
    "name, relaxed", [*((name, True) for name in COMPARED), ("digits", False), ("keywords", False)]
)
def test_twenty_samples_have_the_bits_and_the_additions_of_program(name, relaxed, pages, browser):
    folder, _, whole, integers = pages(name)
    page = browser(folder, relaxed=relaxed)
    found = check(page)
    expected = whole.run(integers)
    np.testing.assert_array_equal([outputs[0] for outputs in found["integers"]], expected.reshape(SAMPLES, -1))
    assert re.fullmatch(r"20 samples, 0 of [\d,]+ integers differ from Program.run\.", text(page, "checked"))
    variant = "litert_wasm_internal" if relaxed else "litert_wasm_compat_internal"
    assert f"/litert/core/wasm/{variant}.wasm" in page.asked
    if name != "steps":  # there the states of the first timestep are computed, too
        for sample in range(3):
            trace = whole.trace(integers[sample : sample + 1])
            counts = count_operations(whole, measure(whole, trace))
            assert found["additions"][sample] == counts.total.additions_measured
    assert page.errors == []


def test_the_spikes_of_every_layer_and_timestep_are_shown(pages, browser):
    folder, _, whole, integers = pages("digits")
    page = browser(folder)
    press(page, "Samples")
    trace = whole.trace(integers[:1])
    fired = {}
    for layer, tensor in spike_tensors(whole):
        fired[layer] = fired.get(layer, 0) + np.count_nonzero(trace[tensor.name])
    shown = f"{fired['neuron1']} of "
    page.wait(f"document.getElementById('layers').textContent.includes('{shown}')")
    rows = page.value("[...document.querySelectorAll('.layer')].map((row) => row.textContent)")
    assert [int(re.search(r"(\d+) of \d+ fired", row)[1]) for row in rows] == list(fired.values())
    assert page.value("document.querySelectorAll('.layer canvas').length") == 2 * len(fired)
    page.value("document.getElementById('slow').click()")
    press(page, "Back"), press(page, "Next")
    for part in (f"{np.count_nonzero(trace['neuron1/spike/0'])} of 128", shown):  # timestep after timestep
        page.wait(f"document.querySelector('.layer').textContent.includes('{part}')")
    # The first picture, pixel by pixel: tiles of 4x4.
    colors = page.value(
        "(() => { const canvas = document.querySelector('.layer canvas');"
        "return [canvas.width, ...canvas.getContext('2d').getImageData(0, 0, 4, 4).data]; })()"
    )
    up, down = [194, 65, 12, 255], [29, 78, 216, 255]
    pixels = np.reshape(colors[1:], (4, 4, 4)).tolist()
    first = trace["neuron1/spike/0"][0, :, :, 0]
    assert [[(pixel == up) - (pixel == down) for pixel in row] for row in pixels] == first.tolist()


def test_a_drawing_is_answered_stroke_by_stroke(pages, browser):
    page = browser(pages("digits")[0])
    before = text(page, "scores"), text(page, "work")
    left, top, side = page.value(
        "(() => { const box = document.getElementById('field').getBoundingClientRect();"
        "return [box.left, box.top, box.width]; })()"
    )
    page.stroke(*((left + side * (0.2 + 0.1 * step), top + side * 0.5) for step in range(7)))
    page.wait(f"document.getElementById('scores').textContent !== {json.dumps(before[0])}")
    assert text(page, "work") != before[1]
    seen = page.value(
        "(() => { const canvas = document.querySelector('#seen canvas');"
        "return [...canvas.getContext('2d').getImageData(0, 0, 8, 8).data]; })()"
    )
    rows = np.reshape(seen, (8, 8, 4))[..., 0].sum(axis=1)
    assert rows[3:5].min() > 1000 and rows[[0, 1, 6, 7]].max() == 0  # fitted: as wide as the field, in its middle
    assert page.errors == []


@pytest.mark.parametrize(
    "name, label, start",
    [
        *((name, "Camera", "Start the camera") for name in ("colors", "frames", "steps", "stream")),
        ("keywords", "Microphone", "Listen"),
    ],
)
def test_camera_and_microphone_are_answered_again_and_again(name, label, start, pages, browser):
    page = browser(pages(name)[0])
    press(page, label)
    press(page, start)
    for _ in range(3):
        page.wait(f"document.getElementById('work').textContent !== {json.dumps(text(page, 'work'))}")
    press(page, "Samples")
    page.wait("document.getElementById('hint').textContent === 'Sample 1 of 20.'")
    check(page)
    assert text(page, "checked").startswith("20 samples, 0 of ")
    assert page.errors == []


def test_a_browser_without_simd_is_told_so(pages, browser):
    page = browser(pages("digits")[0], simd=False)
    assert "This browser has no WebAssembly SIMD, which LiteRT.js needs." in text(page, "problem")
    assert page.value("document.querySelector('main').hidden")


def test_a_phone_scrolls_in_one_direction_only(pages, browser):
    for name in ("digits", "keywords"):
        page = browser(pages(name)[0], width=390)
        assert page.value("document.documentElement.scrollWidth") == 390


def test_names_of_anybody_do_nothing(pages, litert, browser, tmp_path):
    program = pages("digits")[1]
    layers = [layer for layer, _ in spike_tensors(program)]
    renamed = tuple(
        replace(tensor, name=tensor.name.replace(layers[0], HOSTILE.replace("/", ""))) for tensor in program.tensors
    )
    named = replace(program, name=HOSTILE, tensors=renamed, names={index: HOSTILE for index in program.outputs})
    export_web(write(named), tmp_path / "page", class_names=[HOSTILE] * 10, litert=litert)
    page = browser(tmp_path / "page")
    check(page)
    assert page.value("document.title") == text(page, "title") == HOSTILE
    assert text(page, "scores").count(HOSTILE) == 10 and HOSTILE in text(page, "layers")
    assert page.value("document.querySelectorAll('img, main script').length") == 0


def test_a_page_asks_for_its_own_files_only_and_each_is_there(pages, browser):
    folder = pages("digits")[0]
    page = browser(folder)
    check(page)
    own = "(entry) => entry.name.startsWith(location.origin)"
    assert page.value(f"performance.getEntriesByType('resource').every({own})")
    assert [path for path in page.asked if not (folder / path.lstrip("/")).is_file()] == []
