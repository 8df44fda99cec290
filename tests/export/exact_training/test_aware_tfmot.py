"""The kernels of integer-exact training are those of tensorflow-model-optimization's quantizers on the same grid."""

import importlib.util

import keras
import numpy as np
import pytest

from keras_ternary_spike.compression.toolkit import NEEDED, load_tfmot
from keras_ternary_spike.exact import ExactConv2D, ExactDense

missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}"),
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="tensorflow-model-optimization needs TensorFlow"
    ),
]

INPUT_SCALE, OUTPUT_SCALE = 0.5, 0.25
# Above 1/2 the integers are -127 to 127; below, the even ones of them, which are as many as 7 bits hold.
CASES = [("40/63", 8), ("1/6", 7)]


def quantized_by_tfmot(kernel, bits, largest):
    """Its weight quantizer: symmetric, so that 0 is exact, and narrow, so that -largest has an opposite."""
    quantizers = load_tfmot("python.core.quantization.keras.quantizers")
    quantizer = quantizers.LastValueQuantizer(num_bits=bits, per_axis=False, symmetric=True, narrow_range=True)
    ranges = {name: keras.ops.convert_to_tensor(end) for name, end in (("min_var", -largest), ("max_var", largest))}
    return quantizer(kernel, training=False, weights=ranges)


@pytest.mark.parametrize("multiplier, bits", CASES)
@pytest.mark.parametrize("kind", [ExactDense, ExactConv2D])
def test_kernel_integers_are_tfmots(multiplier, bits, kind, rng):
    window = {"kernel_size": (3, 3)} if kind is ExactConv2D else {}
    scales = {"input_scale": INPUT_SCALE, "output_scale": OUTPUT_SCALE, "input_bound": 1}
    layer = kind(multipliers=[multiplier] * 4, **scales, **window)
    layer.build((None, 8, 8, 5))
    numerator, denominator = map(int, multiplier.split("/"))
    unit = OUTPUT_SCALE / INPUT_SCALE * numerator / denominator  # real value of the integer 1
    step, count = (1, 127) if bits == 8 else (2, 63)
    kernel = rng.normal(0, 0.5 * count * step * unit, layer.kernel.shape).astype("float32")
    layer.kernel.assign(kernel)
    integers = np.asarray(layer.kernel_integers())
    assert np.abs(integers).max() == count * step  # some saturate
    expected = np.asarray(quantized_by_tfmot(layer.kernel.value, bits, np.float32(count * step * unit)))
    np.testing.assert_array_equal(integers, np.rint(expected / unit))
    np.testing.assert_allclose(integers * unit, expected, rtol=1e-5)
