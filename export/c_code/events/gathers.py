"""How the sums of a layer are added up: from spikes, from int8 values that are not 0, or from currents at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...program.operators import Operator, source_position
from ..arithmetic.rescaling import reference, stepping_values
from ..plain import Source, window_of
from .gather import DSP, HALF_BYTES, HELIUM, LANES, SIGNED, VECTORS, Gather
from .known_sums import known_sums, layer_name, scale_of
from .packing import (
    BLOCK,
    CURRENT_MAX,
    CURRENT_MIN,
    IN_ORDER,
    ZERO,
    Accumulators,
    blocks,
    filled_up,
    lanes,
    nine_weights,
    rounding_multiplier,
    scattered_weights,
    signed_lanes,
    spike_weights,
    value_pairs,
    value_scaling,
    value_weights,
    vector_weights,
)

LONGEST_LIST, LARGEST_SCRATCH, LARGEST_ROW = 512, 2**13, 2**16 - 1
EVENT_BYTES = 4
SHORT_LIST = 255  # as in gather_wide.c
MOST_TAPS = 8  # as in scatter_layer.c
WEIGHT_MAX = 127  # what its weights may be negated from
CURRENT = (-128, 127)
ZERO_POINT = 14  # of window_t's members


def same_weights(source: Source, operators: Sequence[Operator]) -> bool:
    """Whether operators differ in their images and labels only."""
    first = operators[0]
    return all(
        operator.kind == first.kind and operator.options == first.options and _same_constants(source, operator, first)
        for operator in operators
    )


def _same_constants(source: Source, one: Operator, other: Operator) -> bool:
    pairs = ((source.tensor(one.inputs[at]).data, source.tensor(other.inputs[at]).data) for at in (1, -1))
    shapes = source.tensor(one.output).shape == source.tensor(other.output).shape
    if one.kind == "TRANSPOSE_CONV":
        pairs = ((source.tensor(one.inputs[at]).data, source.tensor(other.inputs[at]).data) for at in (0, 1, -1))
    return shapes and all(np.array_equal(a, b) for a, b in pairs)


def spike_gather(source: Source, operators: Sequence[Operator], spikes: Sequence[Sequence[int]]) -> Gather | None:
    """Adds rows of weights where spikes are; None where 16 bits do not hold the sums."""
    operator, shape = operators[-1], source.tensor(spikes[0][0]).shape
    image = operator.inputs[source_position(operator)]
    dense = operator.kind == "FULLY_CONNECTED"
    if not dense and shape[-1] != source.tensor(image).shape[-1]:  # pixels may lie in other rows
        return None
    sums, kernel, bias, half = known_sums(source, operator)
    window, name = window_of(source, operator, image), layer_name(source, operator)
    if not sums.fits or kernel.shape[1] > LARGEST_ROW:
        return None
    if dense:
        window = dense_window(source, operator, shape)
    scales = tuple(scale_of(source, each) * half for each in operators)
    limit, sources = None, without_copies(spikes)
    begun = filled_up(bias - sums.centre)
    starts = source.constants.either(SIGNED, f"{name}_bias", signed_lanes(begun), lanes(begun + ZERO))
    if operator.kind == "DEPTHWISE_CONV_2D":
        if operator.options["depth_multiplier"] != 1:
            return None
        found = None if kernel.min() < -WEIGHT_MAX else ring(window, len(sources))
        if found is None:
            made, size = "gather_depthwise", 0
            weights = source.constants.array(f"{name}_kernel", kernel.T.astype(np.int8))
        else:
            made, (size, limit) = "spread_spikes", found
            weights = scattered(source, f"{name}_kernel", kernel.reshape(-1, *window[6:8]))
    else:
        weights = _added(source, f"{name}_kernel", kernel)
        made, size = "gather_spikes", max(BLOCK, min(kernel.shape[1], LONGEST_LIST))
    return Gather(
        made,
        sources,
        "words",
        window,
        size,
        sums,
        scales,
        operator.kind == "TRANSPOSE_CONV",
        {"weights": weights, "bias": starts},
        limit,
    )


def without_copies(spikes: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Sources of every timestep; of one where all have the same."""
    sources = tuple(map(tuple, spikes))
    return sources if len(set(sources)) > 1 else sources[:1]


def _added(source: Source, name: str, kernel: np.ndarray) -> str:
    """The weights of add_rows, `(channels, rows)`."""
    values = {VECTORS: spike_weights(kernel, 0, order=IN_ORDER), LANES: spike_weights(kernel, 0)}
    return source.constants.variants(name, values, spike_weights(kernel))


def scattered(source: Source, name: str, kernel: np.ndarray) -> str:
    """The weights of scatter_layer, `(channels, taps_y, taps_x)`."""
    packed = {DSP: nine_weights(kernel)} if kernel.shape[1:] == (3, 3) else {}
    gathered = {f"{HELIUM} || {VECTORS}": scattered_weights(kernel[:, :, ::-1])}
    return source.constants.variants(name, gathered | packed, scattered_weights(kernel))


def ring(window: tuple[int, ...], sums: int) -> tuple[int, int] | None:
    """(16-bit numbers of scratch, blocks of channels at a time) of scatter_layer; None where the window does not suit.

    Blocks are cut into equal parts, as few as the scratch holds; those of layers with an incomplete block not at all.
    """
    _, width, _, _, _, channels, taps_y, taps_x, *strides_and_dilation = window[:12]
    size, count = taps_y * sums * (width + taps_x - 1) * BLOCK, blocks(channels)
    parts = [n for n in range(count, 0, -1) if n == count or (count % n == 0 and channels % BLOCK == 0)]
    found = next((n for n in parts if HALF_BYTES * size * n <= LARGEST_SCRATCH), None)
    suits = max(taps_y, taps_x) <= MOST_TAPS and window[3] + taps_y > window[12] + 1 and size > sums * BLOCK
    return (size * found, found) if found and suits and set(strides_and_dilation) == {1} else None


def wide_gather(source: Source, operators: Sequence[Operator], spikes: Sequence[Sequence[int]]) -> Gather | None:
    """As `spike_gather`, with sums of 32 bits; they are scaled already, and so currents."""
    operator, shape = operators[-1], source.tensor(spikes[0][0]).shape
    image = operator.inputs[source_position(operator)]
    dense = operator.kind == "FULLY_CONNECTED"
    if operator.kind == "DEPTHWISE_CONV_2D" or not (dense or shape[-1] == source.tensor(image).shape[-1]):
        return None
    sums, kernel, bias, _ = known_sums(source, operator, halved=False)
    found = value_members(source, operators, sums, bias)
    if found is None or kernel.shape[1] > LARGEST_ROW:
        return None
    weights = _added(source, f"{layer_name(source, operator)}_kernel", kernel)
    return Gather(
        "gather_wide",
        without_copies(spikes),
        "words",
        dense_window(source, operator, shape) if dense else window_of(source, operator, image),
        2 * BLOCK * blocks(len(bias)) + SHORT_LIST,
        *as_currents(sums),
        operator.kind == "TRANSPOSE_CONV",
        found | {"weights": weights},
        SHORT_LIST,
    )


def dense_window(source: Source, operator: Operator, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A matrix product as a window over all pixels of its source."""
    window = window_of(source, operator, operator.inputs[0])
    pixels = math.prod(shape[:-1])
    return (1, pixels, shape[-1], *window[3:6], 1, pixels, *window[8:])


def as_currents(sums: Accumulators) -> tuple[Accumulators, tuple[np.ndarray, ...]]:
    """What is known of sums behind their scaling."""
    low, high = (
        np.clip(np.rint(edge * sums.scale), CURRENT_MIN, CURRENT_MAX).astype(np.int64) for edge in (sums.low, sums.high)
    )
    return _of_currents(low, high)


def _of_currents(low: np.ndarray, high: np.ndarray) -> tuple[Accumulators, tuple[np.ndarray, ...]]:
    """What is known of currents that are stored as sums."""
    unit = np.ones_like(low)
    return Accumulators(low, high, unit, unit.astype(np.float64), centred=False), (unit.astype(np.float64),)


def value_members(
    source: Source,
    operators: Sequence[Operator],
    sums: Accumulators,
    bias: np.ndarray,
    moved: np.ndarray | int = 0,
    *,
    rounded: bool = False,
) -> dict[str, str] | None:
    """value_scale and value_shift of layer_t; None where they would not round for every timestep as the file does.

    moved: what the sums of values have more where zero_point is not taken from them, as with Helium.
    rounded: whether a shift of 0 stands for products that round, with DSP.
    """
    found, name = value_scaling(sums), layer_name(source, operators[-1])
    values = stepping_values(sums.scale, sums.low, sums.high, sums.unit)
    expected = reference(values, sums.scale)
    if found is None or any(np.any(reference(values, scale_of(source, each)) != expected) for each in operators):
        return None
    rounding = rounding_multiplier(sums) if rounded else None
    with_dsp = found[0] if rounding is None else rounding
    pairs, moved_pairs, dsp_pairs = (
        np.stack([filled_up(multiplier), filled_up(start)], axis=1).astype(np.int32)
        for multiplier, start in ((found[0], bias), (found[0], bias - moved), (with_dsp, bias))
    )
    shift = filled_up(found[1], 1).astype(np.uint8)
    dsp_shift = shift if rounding is None else np.zeros_like(shift)
    variants, eights = source.constants.variants, np.moveaxis(pairs.reshape(-1, 8, 2), 1, 2)
    vectors = {VECTORS: eights} if rounded else {}
    return {
        "value_scale": variants(f"{name}_scale", {HELIUM: moved_pairs, DSP: dsp_pairs, **vectors}, pairs),
        "value_shift": variants(f"{name}_shift", {HELIUM: shift, DSP: dsp_shift}, shift),
    }


def value_gather(source: Source, operators: Sequence[Operator], images: Sequence[int]) -> Gather | None:
    """Multiplies and adds rows of weights where values are not 0, and scales to int8; None where that does not fit.

    Its sums are currents: scaled already.
    """
    operator = operators[-1]
    sums, kernel, bias, _ = known_sums(source, operator, halved=False)
    rows, image = kernel.shape[1], math.prod(source.tensor(images[0]).shape)
    fits = rows <= LARGEST_ROW and EVENT_BYTES * rows <= max(LARGEST_SCRATCH, EVENT_BYTES * image)
    several = len(set(images)) > 1 and any(image in source.program.inputs for image in images)
    if operator.kind == "DEPTHWISE_CONV_2D" or not fits or several:
        return None
    window = window_of(source, operator, operator.inputs[source_position(operator)])
    found = value_members(source, operators, sums, bias, window[ZERO_POINT] * kernel.sum(axis=1), rounded=True)
    if found is None:
        return None
    helium = vector_weights(kernel)
    weights = source.constants.variants(
        f"{layer_name(source, operator)}_weights",
        {HELIUM: helium, f"({DSP}) || {VECTORS}": value_pairs(kernel)},
        value_weights(kernel),
    )
    return Gather(
        "gather_values",
        tuple((image,) for image in images) if len(set(images)) > 1 else ((images[0],),),
        "values",
        window,
        max(EVENT_BYTES * rows, helium.shape[1] * BLOCK) // HALF_BYTES,
        *as_currents(sums),
        operator.kind == "TRANSPOSE_CONV",
        found | {"weights": weights},
    )


def current_gather(source: Source, currents: Sequence[int]) -> Gather:
    """Reads currents that are stored as int8 values."""
    shape = source.tensor(currents[0]).shape
    channels = shape[-1]
    unit = np.ones(channels, np.int64)
    window = (1, math.prod(shape[:-1]), channels, 1, math.prod(shape[:-1]), channels, *(1,) * 6, 0, 0, 0, 0, *CURRENT)
    sources = tuple((current,) for current in currents)
    return Gather("gather_currents", sources, "values", window, 0, *_of_currents(CURRENT[0] * unit, CURRENT[1] * unit))
