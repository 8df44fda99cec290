"""Networks of frames: every timestep sees its own."""

import numpy as np
import pytest

from keras_ternary_spike import models
from keras_ternary_spike.export import export_tflite, load


@pytest.mark.parametrize("network", [models.tiny, models.resnet8])
def test_equal_frames_are_an_image_shown_as_often(rng, network):
    of_image = network((8, 8, 1), 3, timesteps=3, width=0.25)
    of_frames = network((3, 8, 8, 1), 3, width=0.25)
    of_frames.set_weights(of_image.get_weights())
    image = rng.integers(-1, 2, (2, 8, 8, 1)).astype("float32")
    frames = np.repeat(image[:, None], 3, axis=1)
    np.testing.assert_allclose(of_frames(frames), of_image(image), atol=1e-5)


def test_a_network_of_frames_is_exported_and_its_input_is_the_signs(rng):
    model = models.tiny((2, 8, 8, 1), 3, width=0.25)
    predictor = load(export_tflite(model, input_range="int8", output_range=(-8, 8)))
    frames = rng.integers(-1, 2, (4, 2, 8, 8, 1)).astype("float32")
    assert predictor.predict(frames).shape == (4, 3)
