"""A Network evaluated by its definitions: one loop per window, one per timestep, in NumPy's float64."""

import numpy as np

from keras_ternary_spike.export.network import nodes


def evaluate(network, samples, others=None):
    """The network's output.

    samples: `(batch, ...)`, with the time axis behind the batch if the input is temporal. others: {kind of node: its
    function of (node, `(batch, *shape)`)}, of kinds that the package does not know.
    """
    values = {}
    for node in network.nodes:
        if isinstance(node, nodes.Input):
            values[node.name] = samples
            continue
        value = values[node.inputs[0]]
        if isinstance(node, nodes.Add):
            values[node.name] = sum(values[name] for name in node.inputs)
        elif isinstance(node, nodes.Concatenate):
            values[node.name] = np.concatenate([values[name] for name in node.inputs], axis=-1)
        elif isinstance(node, nodes.LIF):
            values[node.name] = integrate_and_fire(node, value)
        elif isinstance(node, nodes.Repeat):
            values[node.name] = np.stack([value] * network.timesteps, axis=1)
        elif isinstance(node, nodes.TimeAverage):
            values[node.name] = sum(value[:, t] for t in range(network.timesteps)) / network.timesteps
        elif isinstance(node, nodes.TimeSum):
            values[node.name] = sum(value[:, t] for t in range(network.timesteps))
        elif isinstance(node, nodes.Integrator):
            values[node.name] = integrate(node, value)
        elif isinstance(node, nodes.TimeMax):
            values[node.name] = np.max([value[:, t] for t in range(network.timesteps)], axis=0)
        elif isinstance(node, nodes.LastTimestep):
            values[node.name] = value[:, network.timesteps - 1]
        elif isinstance(node, nodes.RecentTimesteps):
            before = np.zeros((len(value), node.timesteps - 1, *value.shape[2:]))
            padded = np.concatenate([before, value], axis=1)
            recent = [padded[:, t : t + node.timesteps] for t in range(network.timesteps)]
            values[node.name] = np.stack([rows.reshape(len(value), *node.shape) for rows in recent], axis=1)
        elif isinstance(node, nodes.TimestepAffine):
            pairs = zip(node.factors, node.offsets, strict=True)
            values[node.name] = np.stack([f * value[:, t] + o for t, (f, o) in enumerate(pairs)], axis=1)
        else:
            function = (others or {}).get(type(node), at_once)
            frames = [value[:, t] for t in range(network.timesteps)] if node.temporal else [value]
            values[node.name] = np.stack([function(node, frame) for frame in frames], axis=1)
            values[node.name] = values[node.name] if node.temporal else values[node.name][:, 0]
    return values[network.outputs[0]]


def integrate(node, currents):
    """The membranes of an integrator on `(batch, timesteps, *shape)`."""
    membrane, membranes = np.zeros_like(currents[:, 0]), []
    for t in range(currents.shape[1]):
        membrane = node.decay * membrane + currents[:, t]
        membranes.append(membrane)
    return np.stack(membranes, axis=1)


def integrate_and_fire(node, currents):
    """The outputs of a neuron with hard reset on `(batch, timesteps, *shape)`."""
    membrane, outputs = np.zeros_like(currents[:, 0]), []
    for t in range(currents.shape[1]):
        membrane = node.decay * membrane + currents[:, t]
        spike = 1.0 * (membrane >= node.threshold) - node.signed * (membrane <= -node.threshold)
        outputs.append(node.amplitude * spike)
        membrane = membrane * (1 - np.abs(spike))
    return np.stack(outputs, axis=1)


def at_once(node, value):
    """A node without state on `(batch, *shape)`."""
    if isinstance(node, nodes.Affine):
        return node.scale * value + node.offset
    if isinstance(node, nodes.Dense):
        return value @ node.kernel + node.bias
    if isinstance(node, nodes.Reshape):
        return value.reshape(len(value), *node.shape)
    if isinstance(node, nodes.ConvTranspose):
        return spread(node, value)
    if isinstance(node, nodes.Upsample):
        return value.repeat(node.factors[0], axis=1).repeat(node.factors[1], axis=2)
    if isinstance(node, nodes.ZeroPad):
        return np.pad(value, ((0, 0), *node.padding, (0, 0)))
    if isinstance(node, nodes.Crop):
        return cropped(value, node.cropping)
    return windows(node, value)


def cropped(value, cropping):
    (top, bottom), (left, right) = cropping
    return value[:, top : value.shape[1] - bottom, left : value.shape[2] - right]


def spread(node, value):
    """Every input pixel adds its kernel to the output."""
    (height, width), (rows, columns), strides = value.shape[1:3], node.kernel.shape[:2], node.strides
    full = (height - 1) * strides[0] + rows, (width - 1) * strides[1] + columns
    result = np.zeros((len(value), *full, node.shape[-1]))
    for i, j in np.ndindex(height, width):
        top, left = i * node.strides[0], j * node.strides[1]
        result[:, top : top + rows, left : left + columns] += np.einsum("bi,hwio->bhwo", value[:, i, j], node.kernel)
    return cropped(result, node.cropping) + node.bias


def windows(node, value):
    pooling = isinstance(node, nodes.Pool)
    size, dilation = (node.size, (1, 1)) if pooling else (node.kernel.shape[:2], node.dilation)
    fill = -np.inf if isinstance(node, nodes.MaxPool) else 0.0
    padded = np.pad(value, ((0, 0), *node.padding, (0, 0)), constant_values=fill)
    result = np.zeros((len(value), *node.shape))
    for i, j in np.ndindex(*node.shape[:2]):
        rows = [i * node.strides[0] + k * dilation[0] for k in range(size[0])]
        columns = [j * node.strides[1] + k * dilation[1] for k in range(size[1])]
        patch = padded[:, rows][:, :, columns]
        if isinstance(node, nodes.MaxPool):
            result[:, i, j] = patch.max((1, 2))
        elif isinstance(node, nodes.SumPool):
            result[:, i, j] = patch.sum((1, 2))
        elif isinstance(node, nodes.AveragePool):
            result[:, i, j] = patch.mean((1, 2))
        elif isinstance(node, nodes.Conv):
            result[:, i, j] = np.einsum("bhwi,hwio->bo", patch, node.kernel) + node.bias
        else:
            products = np.einsum("bhwi,hwim->bim", patch, node.kernel)
            result[:, i, j] = products.reshape(len(value), -1) + node.bias
    return result
