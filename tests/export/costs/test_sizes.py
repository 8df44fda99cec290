"""The three sizes of a file, on kernels whose entropy is known."""

import gzip

import numpy as np
import pytest

from keras_ternary_spike.export.costs.sizes import flash
from keras_ternary_spike.export.program.operators import Operator, Tensor
from keras_ternary_spike.export.program.program import Program
from keras_ternary_spike.export.tflite.flatbuffer import write

SHAPE = (32, 3, 3, 32)
WEIGHTS = 32 * 3 * 3 * 32


def file(kernel):
    one = np.float32(1)
    tensors = (
        Tensor("in", (1, 8, 8, 32), one),
        Tensor("kernel", SHAPE, np.full(32, one), data=kernel.astype(np.int8), channel_axis=0),
        Tensor("bias", (32,), np.full(32, one), dtype="int32", data=np.zeros(32, np.int32), channel_axis=0),
        Tensor("out", (1, 8, 8, 32), np.float32(63 / 32)),
    )
    options = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1, "padding": "SAME"}
    return write(Program("conv", tensors, (Operator("CONV_2D", (0, 1, 2), 3, options=options),), (0,), (3,)))


def test_sizes_are_those_of_the_file_of_gzip_and_of_vela(rng):
    """Even int8 numbers have 8 bits each, signs and zeros log2(3) = 1.58: nothing encodes them in fewer."""
    dense = file(rng.integers(-127, 128, SHAPE))
    ternary = file(16 * rng.integers(-1, 2, SHAPE))
    large, small = flash(dense), flash(ternary)
    assert (large.raw, small.raw) == (len(dense), len(ternary))
    assert large.gzip == len(gzip.compress(dense, mtime=0)) > WEIGHTS
    assert WEIGHTS < large.encoded < 1.25 * WEIGHTS
    assert 1.58 / 8 * WEIGHTS < small.encoded < large.encoded / 3
    assert 1.58 / 8 * WEIGHTS < small.gzip < large.gzip / 3


def test_a_file_that_vela_refuses_is_an_error(rng):
    with pytest.raises(ValueError, match="Vela refuses the file"):
        flash(file(rng.integers(-127, 128, SHAPE))[:200])
