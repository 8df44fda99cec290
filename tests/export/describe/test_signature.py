"""The names of inputs and outputs: keys and names that users gave, told apart, and the same in every process."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, TernaryLIF, TimeAverage
from keras_ternary_spike.export import certify, export_tflite, load, verify
from keras_ternary_spike.export.describe.model import describe
from keras_ternary_spike.export.describe.signature import unique

T = 3


def test_the_keys_of_a_dict_are_the_names_of_the_inputs():
    inputs = {"b": keras.Input((4,)), "a": keras.Input((4,))}
    model = keras.Model(inputs, layers.Add(name="sum")([layers.Dense(2)(x) for x in inputs.values()]))
    assert describe(model).input_names == ("a", "b")  # in Keras's order, by key


def test_names_that_come_twice_are_told_apart_without_taking_anybody_elses():
    assert unique(["a", "a", "a_1", "b", "a"]) == ("a", "a_2", "a_1", "b", "a_3")


def two_vectors(keys, names=("left", "right")):
    """Two inputs of which the second counts double; a dict whose keys are, or are not, the names of the Inputs."""
    left, right = (keras.Input((5,), name=name) for name in names)
    ones = {"kernel_initializer": "ones", "bias_initializer": "zeros"}
    seen = [
        TernaryLIF(name=f"seen_{weight}")(DirectEncoding(T)(layers.Rescaling(weight)(layers.Dense(3, **ones)(value))))
        for value, weight in ((left, 0.1), (right, 0.2))
    ]
    scores = TimeAverage(name="scores")(layers.Dense(3, name="head", **ones)(layers.Concatenate()(seen)))
    return keras.Model(dict(zip(keys, (left, right), strict=True)), {"result": scores})


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict:UserWarning")
@pytest.mark.parametrize("keys", [("left", "right"), ("first", "second"), ("right", "left"), ("z", "a")])
def test_keys_of_a_dict_of_inputs_are_the_names_everywhere_whatever_the_inputs_are_called(keys, rng):
    model = two_vectors(keys)
    samples = {key: rng.uniform(0, 1, (20, 5)).astype("float32") for key in keys}
    samples[keys[0]][:10] = 0  # then the first cannot fire
    tflite_bytes = export_tflite(model)
    predictor = load(tflite_bytes)
    assert {*predictor.input_shape} == {*keys}
    np.testing.assert_allclose(
        predictor.predict(samples), model(samples)["result"], atol=2 * float(predictor.program.tensors[-1].scale)
    )
    report = verify(model, tflite_bytes, samples)
    assert report.exact and report.agreements["result"].compared == 20
    certificate = certify(model, tflite_bytes, samples)
    assert {layer.layer: layer.same / layer.compared for layer in certificate.spikes} == {"seen_0.1": 1, "seen_0.2": 1}


def test_the_number_that_keras_counts_is_no_part_of_an_outputs_name():
    def built():
        image = keras.Input((5,))
        spikes = TernaryLIF()(DirectEncoding(T)(layers.Dense(3)(image)))
        return keras.Model(image, [TimeAverage()(spikes), TimeAverage(name="mine_7")(layers.Dense(2)(spikes))])

    names = [load(export_tflite(built())).program.named_outputs.keys() for _ in range(2)]
    assert [*names[0]] == [*names[1]] == ["time_average", "mine_7"]
