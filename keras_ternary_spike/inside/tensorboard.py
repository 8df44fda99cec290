"""The pictures of a network in training, in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from .figures import draw_firing_maps, draw_information, draw_membranes, draw_raster
from .recording import BATCH_SIZE, record

FIGURES: dict[str, Callable] = {
    "membranes": draw_membranes,
    "spikes": draw_raster,
    "firing_maps": draw_firing_maps,
    "information": draw_information,
}


class InsideTensorBoard(keras.callbacks.Callback):
    """Writes membranes, spikes, firing maps and entropies of every spiking layer to TensorBoard, after an epoch.

    Pictures under `inside/...`, firing rates and bits as numbers under `<layer>/...`, so that
    `tensorboard --logdir LOG_DIR` shows how they change. Give it the folder of `keras.callbacks.TensorBoard`, or one of
    its own.

    Args:
        log_dir: folder of the events.
        samples: a few dozen, as `record` takes them, that can be read again after each epoch.
        every: Integer >= 1. Epochs from one look to the next. Default: 1.
        batch_size: Integer >= 1. Default: 32.

    Raises:
        ValueError: if `every` is out of range, or samples can be read once only; in training, what `record` refuses.
        ImportError: in training, if matplotlib is not installed.

    Example:

    >>> model.fit(x, y, callbacks=[InsideTensorBoard("runs/logs", x[:32])])  # doctest: +SKIP
    """

    def __init__(self, log_dir: Any, samples: Any, *, every: int = 1, batch_size: int = BATCH_SIZE) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be at least 1. Received: every={every}")
        if isinstance(samples, Iterator):
            raise ValueError(
                f"`samples` are read after each epoch. Received: a {type(samples).__name__}, which can be read once. "
                "Pass an array, a list of batches in a dataset, or a keras.utils.PyDataset."
            )
        self.log_dir, self.samples, self.every, self.batch_size = str(log_dir), samples, every, batch_size

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        import tensorflow as tf  # its event files; the model may run on any backend

        recordings = record(self.model, self.samples, batch_size=self.batch_size)
        writer = tf.summary.create_file_writer(self.log_dir)
        with writer.as_default(step=epoch):
            for name, draw in FIGURES.items():
                tf.summary.image(f"inside/{name}", pixels(draw(recordings))[None])
            for name, recording in recordings.items():
                tf.summary.scalar(f"{name}/firing_rate", recording.firing_rate)
                tf.summary.scalar(f"{name}/bits", recording.bits)
        writer.close()


def pixels(figure: Any) -> np.ndarray:
    """A figure as uint8 `(height, width, 4)`."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())
