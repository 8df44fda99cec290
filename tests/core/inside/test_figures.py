"""Pictures show what was recorded; TensorBoard gets them."""

import keras
import numpy as np
import pytest

from keras_ternary_spike import MultiLevelLIF, PerTimestep, TernaryLIF, inside
from keras_ternary_spike.inside.figures import firing_map

pytest.importorskip("matplotlib", reason="figures need matplotlib")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    convolution = PerTimestep(keras.layers.Conv2D(3, 3, padding="same"))
    layers = [convolution, TernaryLIF(name="maps"), PerTimestep(keras.layers.Flatten())]
    layers += [PerTimestep(keras.layers.Dense(6)), MultiLevelLIF(levels=2, threshold=0.25, name="features")]
    return keras.Sequential([keras.Input((2, 4, 5, 1)), *layers])


@pytest.fixture(scope="module")
def recordings(model):
    return inside.record(model, np.random.default_rng(0).normal(size=(4, 2, 4, 5, 1)))


def test_membranes_are_counted_whole_and_thresholds_drawn(recordings):
    figure = inside.draw_membranes(recordings)
    for axes, recording in zip(figure.axes, recordings.values(), strict=True):
        bars, lines = axes.patches[: inside.figures.BINS], axes.patches[inside.figures.BINS :]
        assert sum(bar.get_height() for bar in bars) == recording.membranes.size
        assert [line.get_x() for line in lines] == pytest.approx(list(recording.thresholds.ravel()))


def test_a_raster_shows_the_spikes_of_a_sample(recordings):
    figure = inside.draw_raster(recordings, sample=1)
    maps, features = (axes.images[0].get_array() for axes in figure.axes)
    np.testing.assert_array_equal(maps, recordings["maps"].spikes[1].reshape(2, -1).T)
    np.testing.assert_array_equal(features, recordings["features"].spikes[1].T)
    assert inside.draw_raster(recordings, neurons=4).axes[0].images[0].get_array().shape == (4, 2)


def test_firing_maps_are_means_over_samples_and_timesteps(recordings):
    expected = np.abs(recordings["maps"].spikes).mean(axis=(0, 1))
    np.testing.assert_allclose(firing_map(recordings["maps"]), expected)
    shown = inside.draw_firing_maps(recordings).axes[0].images[0].get_array()
    np.testing.assert_allclose(shown[:4, :5], expected[..., 0])
    np.testing.assert_allclose(shown[:4, 6:11], expected[..., 1])


def test_entropies_stand_beside_their_bounds(recordings):
    (axes,) = inside.draw_information(recordings).axes
    assert [bar.get_height() for bar in axes.patches] == [recording.bits for recording in recordings.values()]
    assert [lines.get_segments()[0][0, 1] for lines in axes.collections] == pytest.approx([np.log2(3), np.log2(5)])


def test_no_layer_is_no_picture():
    with pytest.raises(ValueError, match="at least one layer's"):
        inside.draw_membranes({})


def test_tensorboard_gets_pictures_and_numbers(model, tmp_path):
    tf = pytest.importorskip("tensorflow", reason="event files are TensorFlow's")
    samples = np.random.default_rng(0).normal(size=(4, 2, 4, 5, 1))
    callback = inside.InsideTensorBoard(tmp_path, samples, every=2)
    callback.set_model(model)
    for epoch in range(4):
        callback.on_epoch_end(epoch)
    seen = {}
    for path in tmp_path.iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                seen.setdefault(value.tag, []).append((event.step, tf.make_ndarray(value.tensor)))
    pictures = {f"inside/{name}" for name in ("membranes", "spikes", "firing_maps", "information")}
    assert {*seen} == pictures | {
        f"{layer}/{what}" for layer in ("maps", "features") for what in ("firing_rate", "bits")
    }
    assert [step for step, _ in sorted(seen["maps/bits"])] == [1, 3]
    (_, rate), _ = seen["maps/firing_rate"]
    assert rate == pytest.approx(inside.record(model, samples)["maps"].firing_rate)


def test_samples_that_are_read_once_are_refused(tmp_path):
    with pytest.raises(ValueError, match="can be read once"):
        inside.InsideTensorBoard(tmp_path, iter([]))
    with pytest.raises(ValueError, match="`every` must be at least 1"):
        inside.InsideTensorBoard(tmp_path, [], every=0)
