"""Our counts against those of the neurobench package, on a network of PyTorch made of the file's integers."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_ternary_spike import DirectEncoding, MultiLevelLIF, PerTimestep, TernaryLIF, TimeAverage
from keras_ternary_spike.export import energy, export_tflite
from keras_ternary_spike.export.program.samples import check_samples, quantize_input
from keras_ternary_spike.export.tflite import flatbuffer

WAY = "needs the extra neurobench"
torch = pytest.importorskip("torch", reason=WAY)
pytest.importorskip("neurobench", reason=WAY)

pytestmark = pytest.mark.filterwarnings("ignore:The range of output")
SAMPLES = 6


def network(neuron):
    """Kernels without zeros, which the two count differently; the first convolution is padded."""
    keras.utils.set_random_seed(5)

    def kernel(shape, dtype=None):
        signs = keras.random.randint(shape, 0, 2) * 2 - 1
        return keras.ops.cast(signs, "float32") * keras.random.uniform(shape, 0.2, 0.4)

    options = {"kernel_initializer": kernel}
    image = keras.Input((7, 7, 1))
    currents = layers.Conv2D(4, 3, padding="same", **options)(image)
    spikes = neuron(DirectEncoding(1)(currents))
    spikes = neuron(PerTimestep(layers.Conv2D(5, 3, strides=2, **options))(spikes))
    logits = PerTimestep(layers.Dense(3, **options))(PerTimestep(layers.Flatten())(spikes))
    return keras.Model(image, TimeAverage()(logits))


class Fires(torch.nn.Module):
    """Rounds sums of integers to levels, as the file's fused activation does."""

    def __init__(self, multipliers, levels):
        super().__init__()
        self.multipliers, self.levels = torch.tensor(multipliers)[:, None, None], levels

    def forward(self, sums):
        return torch.clamp(torch.round(sums * self.multipliers), *self.levels)


class Channels(torch.nn.Module):
    """(channels, height, width) as the file flattens them."""

    def forward(self, spikes):
        return spikes.permute(0, 2, 3, 1).flatten(1)


def weighted(kernel, bias, **options):
    if kernel.ndim == 4:
        layer = torch.nn.Conv2d(kernel.shape[3], kernel.shape[0], kernel.shape[1:3], dtype=torch.float64, **options)
        kernel = kernel.transpose(0, 3, 1, 2)
    else:
        layer = torch.nn.Linear(*kernel.shape[::-1], dtype=torch.float64)
    layer.weight.data, layer.bias.data = (torch.tensor(array.astype(float)) for array in (kernel, bias))
    return layer


def twin(program, levels):
    """Of the program's integers; its input is the image's, less the zero point."""
    modules = []
    for operator in program.operators:
        if operator.kind not in ("CONV_2D", "FULLY_CONNECTED"):
            continue
        source, kernel, bias = (program.tensors[index] for index in operator.inputs)
        stride = operator.options.get("stride_h")
        options = {"stride": stride, "padding": 1 if operator.options["padding"] == "SAME" else 0} if stride else {}
        modules += [] if stride else [Channels()]
        modules.append(weighted(kernel.data, bias.data, **options))
        if stride:
            scales = np.atleast_1d(source.scale).astype(float) * np.atleast_1d(kernel.scale)
            modules.append(Fires(scales / float(program.tensors[operator.output].scale), levels))
    return torch.nn.Sequential(*modules)


@pytest.mark.parametrize(
    "neuron, levels, spiking",
    [
        (lambda x: TernaryLIF(threshold=0.4)(x), (-1, 1), True),
        (lambda x: MultiLevelLIF(3, signed=False, threshold=0.2)(x), (0, 3), False),
    ],
)
def test_effective_and_dense_operations_are_those_of_neurobench(rng, neuron, levels, spiking):
    from neurobench.hooks.layer import LayerHook
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import TorchModel

    images = rng.uniform(0.1, 1, (SAMPLES, 7, 7, 1)).astype("float32")  # no pixel is 0
    content = export_tflite(network(neuron))
    program = flatbuffer.read(content)
    ((name, integers),) = quantize_input(program, check_samples(program, images)).items()
    model = TorchModel(twin(program, levels))
    assert all(torch.all(layer.weight != 0) for layer in model.connection_layers())
    model.connection_hooks = [LayerHook(layer) for layer in model.connection_layers()]
    zero_point = program.tensors[program.inputs[0]].zero_point
    inputs = torch.tensor((integers.astype(float) - zero_point).transpose(0, 3, 1, 2))
    found = model(inputs)
    theirs = SynapticOperations()(model, found, (inputs, None))
    ours = energy(content, images)
    assert theirs["Effective_ACs"] == pytest.approx(ours.additions, rel=1e-12)
    assert theirs["Effective_MACs"] == pytest.approx(ours.multiply_accumulates, rel=1e-12)
    assert theirs["Dense"] == ours.dense
    assert (ours.additions > 0) == spiking
    spikes = [values for name, values in program.trace({name: integers}).items() if "/spike/" in name]
    assert {np.sign(levels[0]), 0, 1} <= {*np.unique(np.sign(spikes[0]))}
