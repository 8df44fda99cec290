"""What every runtime computes, compared with `Program.run` tensor by tensor and integer by integer."""

import numpy as np

from keras_ternary_spike.export.runtimes.implementations import RUNTIMES, expose


def assert_every_tensor_equals(trace, tflite_bytes, inputs):
    """Every tensor of the file on every runtime is the one in `trace`, as `Program.trace(inputs)` gives it."""
    assert_outputs_equal(trace, expose(tflite_bytes), inputs)


def assert_outputs_equal(trace, tflite_bytes, inputs):
    """The same of the file as it is shipped: its outputs alone."""
    for name, runtime in RUNTIMES.items():
        for tensor, values in runtime.run(tflite_bytes, inputs).items():
            np.testing.assert_array_equal(values, trace[tensor], err_msg=f"{name}: {tensor}")
