"""MLPerf Tiny's networks with spikes, graded spikes and ReLU: the same integers everywhere, nothing left to the CPU."""

import keras
import pytest

from benchmarks.files import mlperf_tiny
from c_compilers import needs_compiler
from keras_ternary_spike import MultiLevelLIF, models
from keras_ternary_spike.export import check, export_tflite, verify

RUNTIMES = {"reference", "optimized", "xnnpack", "c"}
SMALL = {
    "ReLU": {"neuron": keras.layers.ReLU, "timesteps": 1},
    "graded": {"neuron": MultiLevelLIF, "levels": 4, "signed": False, "threshold": 0.25, "timesteps": 1},
    "ternary": {"timesteps": 2, "threshold": 0.25},
}


def check_everywhere(file, samples, model=None):
    report = verify(model, file, samples, also=("c",))
    assert set(report.runtimes) >= RUNTIMES
    assert {name: found.differing + found.output_differing for name, found in report.runtimes.items()} == dict.fromkeys(
        report.runtimes, 0
    )
    assert not report.improper_spikes
    assert not check(file, target=mlperf_tiny.ACCELERATOR).refused


@needs_compiler
@pytest.mark.parametrize(
    "activation", ["graded", *(pytest.param(name, marks=pytest.mark.extended) for name in ("ReLU", "ternary"))]
)
def test_a_small_keyword_spotter_is_exact_with_every_activation(activation, rng):
    """Of a ReLU the samples tell the range."""
    model = models.keyword_spotter((12, 6, 1), 4, width=1 / 16, **SMALL[activation])
    samples = rng.uniform(0, 1, (8, 12, 6, 1)).astype("float32")
    check_everywhere(export_tflite(model, samples=samples, verbose=0), samples[:2], model)


@needs_compiler
@pytest.mark.extended
@pytest.mark.parametrize("activation", ["ReLU", "{0..4}, T=1", "ternary, T=2"])
@pytest.mark.parametrize("name", mlperf_tiny.TASKS)
def test_a_network_of_mlperf_tiny_is_exact_at_full_size(name, activation):
    task = mlperf_tiny.TASKS[name]
    check_everywhere(mlperf_tiny.exported(task, activation), mlperf_tiny.samples_of(task, 1))
