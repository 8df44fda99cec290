"""The trained networks that integer-exact training starts from: a chain of convolutions and a small ResNet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import setting  # first: puts the examples on the path

# isort: split
import keras
from keras import layers

import datasets
import train_and_export as example
from keras_ternary_spike import BatchNormalization, DirectEncoding, PerTimestep, TernaryLIF, TimeAverage

CHAIN, RESNET = "chain", "resnet"
NETWORKS = (CHAIN, RESNET)
RESNET_CHANNELS = {"digits": 8, "fashion_mnist": 16, "cifar10": 32}
RESNET_STRIDE = {"digits": 1, "fashion_mnist": 2, "cifar10": 2}  # of the first convolution
RESNET_BLOCKS = 2


@dataclass(frozen=True)
class Case:
    """What is trained.

    network: one of NETWORKS.
    samples: how many of the training samples, from the first on; None for all.
    seed: of weights, order, and the split of the digits.
    """

    dataset: str
    network: str = CHAIN
    timesteps: int = example.TIMESTEPS
    samples: int | None = None
    seed: int = 0

    @property
    def stem(self) -> str:
        """Of its file's name."""
        samples = f"-{self.samples}" if self.samples else ""
        return f"{self.dataset}-{self.network}-t{self.timesteps}{samples}-{self.seed}"

    def data(self) -> datasets.Dataset:
        """All test images."""
        data = datasets.load(self.dataset, data_dir=(setting.data_dir(self.dataset) or [None])[-1], seed=self.seed)
        return part(data, self.samples)


def part(data: datasets.Dataset, samples: int | None) -> datasets.Dataset:
    """All test images and the first `samples` of the others."""
    return replace(data, train_images=data.train_images[:samples], train_labels=data.train_labels[:samples])


def trained(case: Case, data: datasets.Dataset, output: Path) -> keras.Model:
    """The float network, from its file under `output` or trained as the example trains."""
    path = output / "aware" / f"{case.stem}.keras"
    if not path.exists():
        keras.utils.set_random_seed(case.seed)
        model = build(case, data.train_images.shape[1:], data.classes)
        example.compile_model(model, steps=steps(case, data))
        epochs = example.EPOCHS[case.dataset]
        model.fit(data.train_images, data.train_labels, batch_size=example.BATCH_SIZE, epochs=epochs, verbose=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return keras.saving.load_model(path)


def steps(case: Case, data: datasets.Dataset) -> int:
    return example.EPOCHS[case.dataset] * -(-len(data.train_images) // example.BATCH_SIZE)


def build(case: Case, shape: tuple[int, ...], classes: int) -> keras.Model:
    if case.network == RESNET:
        return resnet(case, shape, classes)
    return example.build(shape, classes, filters=example.FILTERS[case.dataset], timesteps=case.timesteps)


def resnet(case: Case, shape: tuple[int, ...], classes: int) -> keras.Model:
    """One convolution, blocks of two with an identity shortcut around them, and a linear layer."""
    channels, image = RESNET_CHANNELS[case.dataset], keras.Input(shape)
    current = example.convolution(channels, RESNET_STRIDE[case.dataset])(image)
    spikes = TernaryLIF()(DirectEncoding(case.timesteps)(BatchNormalization()(current)))
    for _ in range(RESNET_BLOCKS):
        inner = TernaryLIF()(convolved(spikes, channels))
        spikes = TernaryLIF()(layers.Add()([convolved(inner, channels), spikes]))
    features = PerTimestep(layers.GlobalAveragePooling2D())(spikes)
    return keras.Model(image, TimeAverage()(PerTimestep(layers.Dense(classes))(features)))


def convolved(spikes: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    return PerTimestep(BatchNormalization())(PerTimestep(example.convolution(channels, 1))(spikes))
