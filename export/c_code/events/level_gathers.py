"""How the sums of a layer behind levels are added up: rows of weights, each times its level, where that is not 0."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...program.operators import Operator, source_position
from ..plain import Source, window_of
from .gather import DSP, HALF_BYTES, HELIUM, SIGNED, VECTORS, Gather
from .gathers import (
    EVENT_BYTES,
    LARGEST_ROW,
    LARGEST_SCRATCH,
    LONGEST_LIST,
    as_currents,
    dense_window,
    ring,
    scattered,
    value_members,
    without_copies,
)
from .known_sums import known_sums, layer_name, scale_of
from .packing import (
    BLOCK,
    IN_ORDER,
    ZERO,
    blocks,
    filled_up,
    lanes,
    signed_lanes,
    spike_weights,
    value_pairs,
    vector_weights,
)

EVENT_HALVES = EVENT_BYTES // HALF_BYTES
END = 1  # event behind a list


def level_gather(source: Source, operators: Sequence[Operator], levels: Sequence[Sequence[int]]) -> Gather | None:
    """Adds up in 16 bits; None where they do not hold the sums."""
    operator = operators[-1]
    sums, kernel, bias, half = known_sums(source, operator)
    window, name = _window(source, operator, levels[0][0]), layer_name(source, operator)
    if not sums.fits or window is None or kernel.shape[1] > LARGEST_ROW:
        return None
    sources, begun = without_copies(levels), filled_up(bias - sums.centre)
    if operator.kind == "DEPTHWISE_CONV_2D":
        found = ring(window, len(sources))
        if found is None:
            return None
        made, (size, limit) = "spread_levels", found
        weights = scattered(source, f"{name}_kernel", kernel.reshape(-1, *window[6:8]))
    else:
        limit = _list_length(kernel)
        made, size = "gather_levels", EVENT_HALVES * (limit + END)
        values = {VECTORS: spike_weights(kernel, 0, order=IN_ORDER), HELIUM: spike_weights(kernel, 0)}
        weights = source.constants.variants(f"{name}_kernel", values, spike_weights(kernel))
    starts = source.constants.either(SIGNED, f"{name}_bias", signed_lanes(begun), lanes(begun + ZERO))
    return Gather(
        made,
        sources,
        "levels",
        window,
        size,
        sums,
        tuple(scale_of(source, each) * half for each in operators),
        operator.kind == "TRANSPOSE_CONV",
        {"weights": weights, "bias": starts},
        limit,
    )


def wide_level_gather(source: Source, operators: Sequence[Operator], images: Sequence[int]) -> Gather | None:
    """Adds up in 32 bits, and scales to currents; None where that does not fit.

    With DSP rows are taken in pairs, with vectors all of them, as in `value_gather`.
    """
    operator = operators[-1]
    sums, kernel, bias, _ = known_sums(source, operator, halved=False)
    rows, image = kernel.shape[1], math.prod(source.tensor(images[0]).shape)
    window = _window(source, operator, images[0])
    fits = rows <= LARGEST_ROW and EVENT_BYTES * rows <= max(LARGEST_SCRATCH, EVENT_BYTES * image)
    depthwise = operator.kind == "DEPTHWISE_CONV_2D"
    if window is None or not fits or (window[2] % 2 and not depthwise):
        return None
    found = value_members(source, operators, sums, bias, rounded=not depthwise)
    if found is None:
        return None
    name, wide = layer_name(source, operator), BLOCK * blocks(len(bias))
    if depthwise:
        made, limit, size = "gather_levels_depthwise", 0, wide
        weights = source.constants.array(f"{name}_kernel", kernel.T.astype(np.int8))
    else:
        made, limit = "gather_levels_wide", rows + BLOCK
        size = wide + limit + END
        by_rows = np.ascontiguousarray(spike_weights(kernel, 0, order=IN_ORDER)).view(np.int8)
        values = {HELIUM: vector_weights(kernel), f"({DSP}) || {VECTORS}": value_pairs(kernel)}
        weights = source.constants.variants(f"{name}_weights", values, by_rows)
    return Gather(
        made,
        without_copies([(image,) for image in images]),
        "levels",
        window,
        EVENT_HALVES * size,
        *as_currents(sums),
        operator.kind == "TRANSPOSE_CONV",
        found | {"weights": weights},
        limit,
    )


def _window(source: Source, operator: Operator, levels: int) -> tuple[int, ...] | None:
    """Over the pixels of a tensor of levels; None where they lie in other rows than those of the operator's image."""
    image, shape = operator.inputs[source_position(operator)], source.tensor(levels).shape
    if operator.kind == "FULLY_CONNECTED":
        return dense_window(source, operator, shape)
    multiplied = operator.options.get("depth_multiplier", 1) != 1
    alike = shape[-1] == source.tensor(image).shape[-1]
    return window_of(source, operator, image) if alike and not multiplied else None


def _list_length(kernel: np.ndarray) -> int:
    """Events that a list holds."""
    return max(BLOCK, min(kernel.shape[1], LONGEST_LIST))
