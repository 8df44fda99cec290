"""Checkpoints with the names of Ternary Spike's released ResNets, against the same network stated anew in PyTorch."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("only PyTorch: make test-backends", allow_module_level=True)
import torch
from torch import nn

from keras_ternary_spike.export import export_tflite, verify
from keras_ternary_spike.export.__main__ import main
from keras_ternary_spike.imports import from_ternary_spike

TIMESTEPS, CLASSES, WIDTH = 3, 5, 4


class Held(nn.Module):
    """A layer under the name that the released wrappers give it; timesteps are folded into the batch."""

    def __init__(self, name, layer):
        super().__init__()
        self.add_module(name, layer)

    def forward(self, x):
        (layer,) = self.children()
        return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Fire(nn.Module):
    """Equations 7 and 8 of the paper, firing at half of V_th; `trained`: with the paper's amplitude."""

    def __init__(self, trained=False):
        super().__init__()
        if trained:
            self.V_th, self.fire_ratio = nn.Parameter(torch.tensor(0.7)), nn.Parameter(torch.tensor(1.3))

    def forward(self, x):
        threshold, amplitude = getattr(self, "V_th", 1.0) / 2, getattr(self, "fire_ratio", 1.0)
        membrane, spikes = torch.zeros_like(x[0]), []
        for current in x:
            membrane = 0.25 * membrane + current
            spike = torch.where(membrane.abs() >= threshold, membrane.sign(), 0.0)
            membrane = membrane * (1 - spike.abs())
            spikes.append(amplitude * spike)
        return torch.stack(spikes)


def conv(into, out, size=3, stride=1):
    return Held("pool", nn.Conv2d(into, out, size, stride, size // 2, bias=False))


def norm(channels, name="bn"):
    return Held(name, nn.BatchNorm2d(channels))


class Block(nn.Module):
    def __init__(self, into, out, stride, *, modified, trained):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv(into, out, stride=stride), norm(out), Fire(trained)
        self.conv2, self.bn2, self.output_act = conv(out, out), norm(out), Fire(trained)
        self.downsample = None
        if stride > 1 and modified:
            self.downsample = nn.Sequential(Held("pool", nn.AvgPool2d(2)), conv(into, out, 1), norm(out))
        elif stride > 1:
            self.downsample = nn.Sequential(conv(into, out, 1, stride), norm(out))

    def forward(self, x):
        current = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.output_act(current + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """kind: "small", "modified" or "large"; depths: blocks of each layer."""

    def __init__(self, kind, depths, *, trained=False):
        super().__init__()
        self.kind, self.layers = kind, len(depths)
        if kind == "modified":
            parts = [
                part for into in (3, WIDTH, WIDTH) for part in (conv(into, WIDTH), norm(WIDTH, "conv"), Fire(trained))
            ]
            self.conv1, self.pool = nn.Sequential(*parts), Held("pool", nn.AvgPool2d(2))
        else:
            size, stride = (7, 2) if kind == "large" else (3, 1)
            self.conv1, self.bn1, self.relu = conv(3, WIDTH, size, stride), norm(WIDTH, "conv"), Fire(trained)
            self.pool = Held("pool", nn.AvgPool2d(3, 2, 1)) if kind == "large" else None
        if kind != "large":
            self.scale = nn.Parameter(torch.ones(1, 1, 2048))
        into = WIDTH
        for number, depth in enumerate(depths, start=1):
            out = WIDTH * 2 ** (number - 1)
            strides = [1 if number == 1 else 2, *[1] * (depth - 1)]
            blocks = [
                Block(into if index == 0 else out, out, stride, modified=kind == "modified", trained=trained)
                for index, stride in enumerate(strides)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            into = out
        self.fc = Held("conv", nn.Linear(into, CLASSES))

    def forward(self, x):
        x = self.conv1(x)
        if self.kind != "modified":
            x = self.relu(self.bn1(x))
        x = x if self.pool is None else self.pool(x)
        for number in range(1, self.layers + 1):
            x = getattr(self, f"layer{number}")(x)
        features = x.mean((3, 4))
        if getattr(self, "scale", torch.ones(2048)).numel() == features.shape[-1]:
            features = features * self.scale
        return self.fc(features).mean(0)


class Released(nn.Module):
    """The network under the name `model`, fed the image at every timestep."""

    def __init__(self, *arguments, **options):
        super().__init__()
        self.model = ResNet(*arguments, **options)

    def forward(self, image):
        return self.model(image.expand(TIMESTEPS, *image.shape))


@pytest.fixture(autouse=True)
def seeded_torch():
    torch.manual_seed(0)


def trained(net):
    """Statistics as training leaves them."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.2, 0.5)
            module.weight.data.uniform_(1, 2)
            module.bias.data.normal_(0, 0.3)
    return net.eval()


def small():
    return trained(Released("small", (1, 1, 1)))


def compared(net, size, checkpoint=None):
    """The Keras model, whose logits are the network's."""
    images = torch.randn(4, 3, size, size)
    with torch.no_grad():
        expected = net(images).numpy()
    model = from_ternary_spike(checkpoint or net.state_dict(), (3, size, size), timesteps=TIMESTEPS)
    found = keras.ops.convert_to_numpy(model(images.movedim(1, -1).contiguous().numpy()))
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-5)  # a mean of as many spikes: a spike is worth 1e-3 and more
    return model


@pytest.mark.parametrize(
    ("kind", "depths", "size"), [("small", (3, 3, 2), 8), ("modified", (2, 2, 2, 2), 16), ("large", (2, 1, 1, 1), 32)]
)
def test_a_checkpoint_computes_the_released_networks_logits(kind, depths, size):
    compared(trained(Released(kind, depths)), size)


def test_trained_thresholds_amplitudes_and_features_scales_come_along():
    net = trained(Released("modified", (1, 1), trained=True))
    net.model.scale = nn.Parameter(torch.linspace(0.5, 2, 2 * WIDTH).reshape(1, 1, -1))
    model = compared(net, 8)
    assert model.get_layer("model_layer1_0_relu1").threshold == pytest.approx(0.35)


def test_an_imported_checkpoint_is_exported_exactly():
    model = compared(small(), 8)
    samples = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype("float32")
    assert verify(model, export_tflite(model, input_range=(-1, 1), output_range=(-4, 4), verbose=0), samples).exact


def test_a_file_is_read_as_data_parallel_training_saved_it(tmp_path):
    net = small()
    names = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": names}, tmp_path / "net.pth")
    compared(net, 8, tmp_path / "net.pth")


def test_the_command_reads_a_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(small().state_dict(), "net.pth")
    arguments = ["import", "net.pth", "-o", "net.keras", "--timesteps", "3"]
    assert main([*arguments, "--input-shape", "3", "8", "8"]) == 0
    assert keras.models.load_model("net.keras").input_shape == (None, 8, 8, 3)
    assert main(arguments) == 1
    assert "weights alone, so it needs --input-shape CHANNELS HEIGHT WIDTH" in capsys.readouterr().err


def changed(**changes):
    """The checkpoint of a small network with other weights by those names, `__` for a dot; None removes one."""
    weights = dict(small().state_dict())
    for name, value in changes.items():
        name = f"model.{name.replace('__', '.')}"
        if value is None:
            del weights[name]
        else:
            weights[name] = value
    return weights


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        (lambda: nn.Linear(2, 3).state_dict(), r"first convolution is.*Received: 'weight', 'bias'.*from_spikingjelly"),
        (lambda: changed(fc__conv__bias=None), r"must hold 'model\.fc\.conv\.bias'.*of another network"),
        (lambda: changed(bn1__conv__weight=torch.ones(7)), r"'model\.bn1\.conv\.weight' must have the shape \(4\)"),
        (lambda: changed(extra=torch.ones(2)), r"Cannot import 'model\.extra' of shape \(2,\)"),
        (lambda: changed(scale=torch.full((1, 1, 9), 2.0)), r"'model\.scale' must hold a number for each of 16"),
        (lambda: changed(relu__V_th=torch.ones(4)), r"'model\.relu\.V_th' must be one number"),
        (lambda: changed(conv1__pool__weight=torch.ones(4, 1, 3, 3)), r"must have the shape \(any, 3, any, any\)"),
        (lambda: {"a": 3}, "must be a state dict.*torch.save"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(checkpoint, message):
    with pytest.raises(ValueError, match=message):
        from_ternary_spike(checkpoint(), (3, 8, 8), timesteps=2)


def test_a_pickle_of_more_than_tensors_is_not_run(tmp_path):
    torch.save(small(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match="only files of tensors are read"):
        from_ternary_spike(tmp_path / "net.pt", (3, 8, 8), timesteps=2)
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(ValueError, match="only files of tensors are read"):
        from_ternary_spike(tmp_path / "text.pt", (3, 8, 8), timesteps=2)
