"""What users have in models and no rule describes: the way out, by layer type and by the name of an operation."""

from __future__ import annotations

from collections.abc import Mapping

import keras

SPIKES = (
    "Put ReLU() in its place and train again; or TernaryLIF(), with DirectEncoding(timesteps) before the first of them "
    "and TimeAverage() at the end."
)
NORMALIZE = "Use BatchNormalization, which is folded into kernels: PerTimestep(BatchNormalization())."

NOT_EXPORTED: Mapping[type, str] = {
    **dict.fromkeys((keras.layers.LeakyReLU, keras.layers.ELU, keras.layers.PReLU), SPIKES),
    **dict.fromkeys((keras.layers.GroupNormalization, keras.layers.UnitNormalization), NORMALIZE),
    keras.layers.Masking: "A file computes every timestep: leave Masking out, pad with zeros, and train so.",
    keras.layers.Lambda: "What a function computes cannot be told: write it with layers or with arithmetic, x * 2 + 1.",
    keras.layers.Resizing: "Resize the samples before the network, or use AveragePooling2D or UpSampling2D.",
    keras.layers.CenterCrop: "Use Cropping2D, which crops the same from known sizes.",
}
OPERATIONS: Mapping[str, str] = {
    "GetItem": "Of timesteps the last one is exported, x[:, -1]. Instead of a part of an image: Cropping2D.",
    "Max": "Over time, axis=1, it is exported; over pixels use PerTimestep(GlobalMaxPooling2D()).",
    "Mean": "Over time, axis=1, it is TimeAverage(); over pixels use PerTimestep(GlobalAveragePooling2D()).",
    "Sum": "Over time, axis=1, it is exported, of a known number of timesteps; over pixels use "
    "PerTimestep(GlobalAveragePooling2D()).",
    "NotEqual": "It makes a mask, and a file computes every timestep: leave Masking and mask_zero out.",
}
