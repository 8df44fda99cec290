"""A certificate shows what compression saved."""

import keras
import numpy as np
from keras import layers

from keras_ternary_spike import DirectEncoding, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import certify, export_tflite
from keras_ternary_spike.export.certificate.cost_sections import flash
from keras_ternary_spike.export.costs.sizes import Flash


def test_the_page_has_both_files_sizes():
    page = flash((Flash(5000, 4000, 3000), Flash(2000, 1000, 700)))
    for number in ("5,000", "4,000", "3,000", "2,000", "1,000", "700"):
        assert number in page
    assert page.index("before compression") < page.index("this file")
    assert flash(None) == ""


def test_sizes_are_taken_where_the_file_before_compression_is_given(rng):
    layer = layers.Dense(32, name="a")
    model = keras.Sequential([keras.Input((16,)), DirectEncoding(1), PerTimestep(layer), TernaryLIF()])
    for part in (PerTimestep(layers.Dense(3)), TimeAverage()):
        model.add(part)
    before = export_tflite(model)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * (rng.random(kernel.shape) < 0.2), bias])
    after = export_tflite(model)
    certificate = certify(model, after, rng.random((3, 16), np.float32), before=before)
    assert [one.raw for one in certificate.flash] == [len(before), len(after)]
    assert certificate.flash[1].encoded < certificate.flash[0].encoded
    assert certificate.to_dict()["flash"][1]["gzip"] == certificate.flash[1].gzip
