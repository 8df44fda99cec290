"""Networks of other libraries against what those libraries compute, spike for spike. With their extras only."""

import keras
import numpy as np
import pytest

from keras_ternary_spike.export import export_tflite, verify
from keras_ternary_spike.imports import from_snntorch, from_spikingjelly

torch = pytest.importorskip("torch", reason="needs the extra [spikingjelly] or [snntorch]")
TIMESTEPS, SAMPLES = 4, 5


def spiking(kind, **options):
    nodes = pytest.importorskip("spikingjelly.activation_based.neuron", reason="needs the extra [spikingjelly]")
    return getattr(nodes, kind)(step_mode="m", **options)


def layer(kind, *arguments, **options):
    layers = pytest.importorskip("spikingjelly.activation_based.layer", reason="needs the extra [spikingjelly]")
    return getattr(layers, kind)(*arguments, step_mode="m", **options)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def trained(net):
    """Statistics and scales as training leaves them."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.2, 0.5)
            module.weight.data.uniform_(1, 2)
            module.bias.data.normal_(0, 0.3)
    return net.eval()


def images(channels=1, size=8):
    return torch.randn(SAMPLES, TIMESTEPS, channels, size, size) * 2


def in_keras(model, samples):
    """samples: `(batch, timesteps, channels, height, width)`, or features."""
    moved = samples.movedim(2, -1).contiguous().numpy()
    return keras.ops.convert_to_numpy(model(moved))


def in_spikingjelly(net, samples):
    with torch.no_grad():
        return net(samples.transpose(0, 1)).transpose(0, 1).numpy()


class Block(torch.nn.Module):
    """A shortcut, a join and a flatten in a forward."""

    def __init__(self):
        super().__init__()
        self.conv1 = layer("Conv2d", 4, 4, 3, padding=1, bias=False)
        self.norm1 = layer("BatchNorm2d", 4)
        self.fire1 = spiking("TernaryLIFNode", tau=4 / 3, decay_input=False)
        self.conv2 = layer("Conv2d", 4, 4, 3, padding=1, groups=2)
        self.fire2 = spiking("IFNode")

    def forward(self, x):
        x = x + self.fire1(self.norm1(self.conv1(x)))
        return torch.cat((x, self.fire2(self.conv2(x))), dim=2)


def plain():
    return torch.nn.Sequential(
        layer("Conv2d", 1, 4, 3, padding=1, bias=False),
        layer("BatchNorm2d", 4),
        spiking("LIFNode", tau=2.0),
        layer("Conv2d", 4, 6, 3, stride=2, padding=1),
        layer("BatchNorm2d", 6),
        spiking("TernaryLIFNode", tau=4 / 3, decay_input=False),
        layer("MaxPool2d", 2),
        layer("Dropout", 0.5),
        layer("Flatten"),
        layer("Linear", 6 * 2 * 2, 10),
        spiking("ParametricLIFNode", init_tau=1.5, v_reset=None, v_threshold=0.25),
    )


def residual():
    return torch.nn.Sequential(
        layer("Conv2d", 1, 4, 3, stride=2, padding=1),
        layer("BatchNorm2d", 4),
        spiking("LIFNode", tau=1.5),
        Block(),
        layer("AvgPool2d", 2),
        layer("Flatten"),
        layer("Linear", 8 * 2 * 2, 7, bias=False),
        spiking("TernaryIFNode", v_threshold=0.5),
    )


@pytest.mark.parametrize("build", [plain, residual])
def test_spikingjelly_fires_alike(build):
    net, samples = trained(build()), images()
    expected = in_spikingjelly(net, samples)
    model = from_spikingjelly(net, (1, 8, 8), timesteps=TIMESTEPS, average=False)
    assert 0.05 < np.abs(expected).mean() < 0.9
    np.testing.assert_array_equal(in_keras(model, samples), expected)


@pytest.mark.parametrize("decode", [None, "mean-mem", "last_mem", "max-mem"])
@pytest.mark.parametrize(("kind", "options"), [("NonSpikingLIFNode", {"tau": 3.0}), ("NonSpikingIFNode", {})])
def test_membranes_are_read_alike(kind, options, decode):
    nodes = pytest.importorskip("spikingjelly.activation_based.neuron", reason="needs the extra [spikingjelly]")
    net = torch.nn.Sequential(
        layer("Linear", 5, 6), spiking("LIFNode"), layer("Linear", 6, 4), getattr(nodes, kind)(decode=decode, **options)
    )
    samples = torch.randn(SAMPLES, TIMESTEPS, 5)
    with torch.no_grad():
        found = net(samples.transpose(0, 1))
    expected = torch.stack(found, dim=1) if decode is None else found
    model = from_spikingjelly(net, (5,), timesteps=TIMESTEPS, average=False)
    np.testing.assert_allclose(in_keras(model, samples), expected.numpy(), atol=2e-6)
    if decode is not None:
        averaged = from_spikingjelly(net, (5,), timesteps=TIMESTEPS)  # the module has read all timesteps already
        np.testing.assert_allclose(in_keras(averaged, samples), expected.numpy(), atol=2e-6)


def test_what_decodes_ends_a_network():
    nodes = pytest.importorskip("spikingjelly.activation_based.neuron", reason="needs the extra [spikingjelly]")
    net = torch.nn.Sequential(layer("Linear", 5, 6), nodes.NonSpikingIFNode("last_mem"), layer("Linear", 6, 4))
    with pytest.raises(ValueError, match=r"'2' \(Linear\) must have timesteps to read"):
        from_spikingjelly(net, (5,), timesteps=2)
    net = torch.nn.Sequential(layer("Linear", 5, 6), nodes.NonSpikingIFNode("max-abs-mem"))
    with pytest.raises(ValueError, match=r"must decode by one of 'mean-mem', 'last_mem', 'max-mem'.*'max-abs-mem'"):
        from_spikingjelly(net, (5,), timesteps=2)


def test_a_still_image_is_repeated_and_its_mean_taken():
    net, image = trained(plain()), images()[:, :1]
    expected = in_spikingjelly(net, image.repeat(1, TIMESTEPS, 1, 1, 1)).mean(axis=1)
    model = from_spikingjelly(net, (1, 8, 8), timesteps=TIMESTEPS, static=True)
    found = keras.ops.convert_to_numpy(model(image[:, 0].movedim(1, -1).contiguous().numpy()))
    np.testing.assert_allclose(found, expected, atol=1e-6)  # one rounding of a mean


def test_an_imported_network_is_exported_exactly():
    net = trained(residual())
    model = from_spikingjelly(net, (1, 8, 8), timesteps=TIMESTEPS)
    samples = images().movedim(2, -1).contiguous().numpy().clip(-1, 1)
    content = export_tflite(model, input_range=(-1, 1))
    assert verify(model, content, samples).exact


def test_weights_and_names_are_the_networks():
    net = trained(plain())
    model = from_spikingjelly(net, (1, 8, 8), timesteps=TIMESTEPS)
    kernel = net[3].weight.detach().numpy()
    inner = {wrapper.layer.name: wrapper.layer for wrapper in model.layers if hasattr(wrapper, "layer")}
    found = keras.ops.convert_to_numpy(inner["3"].kernel)
    np.testing.assert_array_equal(found, kernel.transpose(2, 3, 1, 0))
    assert model.get_layer("2").threshold == pytest.approx(2.0)  # membranes are those of the library times tau


def leaky(init_hidden=True, **options):
    library = pytest.importorskip("snntorch", reason="needs the extra [snntorch]")
    return library.Leaky(init_hidden=init_hidden, **options)


def in_snntorch(net, samples):
    for module in net.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    with torch.no_grad():
        return torch.stack([net(samples[:, t]) for t in range(TIMESTEPS)], dim=1).numpy()


@pytest.mark.parametrize("mechanism", ["subtract", "zero", "none"])
def test_snntorch_fires_alike(mechanism):
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        leaky(beta=0.9, reset_mechanism=mechanism),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 4 * 4, 10),
        leaky(beta=0.5, threshold=0.4, learn_beta=True, learn_threshold=True, reset_mechanism=mechanism),
    )
    net, samples = trained(net), images()
    expected = in_snntorch(net, samples)
    model = from_snntorch(net, (1, 8, 8), timesteps=TIMESTEPS, average=False)
    assert 0.05 < np.abs(expected).mean() < 0.9
    np.testing.assert_array_equal(in_keras(model, samples), expected)


def test_betas_of_features_stay_with_them():
    betas = torch.linspace(0.1, 0.9, 6)
    net = torch.nn.Sequential(torch.nn.Linear(5, 6), leaky(beta=betas, threshold=0.3, reset_mechanism="zero"))
    samples = torch.randn(SAMPLES, TIMESTEPS, 5)
    model = from_snntorch(net, (5,), timesteps=TIMESTEPS, average=False)
    np.testing.assert_array_equal(in_keras(model, samples), in_snntorch(net, samples))


class OwnLoop(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(5, 6)

    def forward(self, x):
        return torch.stack([self.linear(step) for step in x])


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.GELU()), r"layer '1' \(GELU\): nothing is known"),
        (lambda: torch.nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), "must pad with zeros"),
        (lambda: torch.nn.MaxPool2d(3, padding=1), "without padding, dilation and ceil_mode"),
        (lambda: torch.nn.Sequential(spiking("LIFNode", v_reset=-1.0)), r"reset to 0 or by subtraction.*v_reset=-1"),
        (lambda: torch.nn.Sequential(spiking("KLIFNode")), r"\(KLIFNode\): nothing is known of it"),
        (lambda: OwnLoop(), "cannot be followed.*init_hidden=True"),
        (lambda: torch.nn.Flatten(), "must not end in a Flatten"),
    ],
)
def test_what_is_not_known_is_refused_by_name(module, message):
    module = module()
    module = module if isinstance(module, torch.nn.Sequential | OwnLoop) else torch.nn.Sequential(module)
    with pytest.raises(ValueError, match=message):
        from_spikingjelly(module, (2, 8, 8) if "Flatten" in message else (1, 8, 8), timesteps=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init_hidden": False}, "init_hidden=False. Build the network with init_hidden=True"),
        ({"state_quant": lambda membrane: membrane}, "must have no state_quant"),
        ({"reset_delay": False}, "must subtract with a delay"),
    ],
)
def test_leaky_that_does_more_is_refused(options, message):
    net = torch.nn.Sequential(torch.nn.Linear(5, 6), leaky(beta=0.9, **options))
    with pytest.raises(ValueError, match=message):
        from_snntorch(net, (5,), timesteps=2)


def test_hooks_and_shapes_that_do_not_fit_are_refused():
    net = torch.nn.Sequential(torch.nn.Linear(5, 6))
    with pytest.raises(ValueError, match="put a Flatten in front of the Linear"):
        from_spikingjelly(net, (1, 2, 2), timesteps=2)
    with pytest.raises(ValueError, match=r"\(channels, height, width\) or \(features,\)"):
        from_spikingjelly(net, (2, 5), timesteps=2)
    with pytest.raises(ValueError, match="`timesteps` must be at least 1"):
        from_spikingjelly(net, (5,), timesteps=0)
    net[0].register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match="must have no hooks"):
        from_spikingjelly(net, (5,), timesteps=2)
