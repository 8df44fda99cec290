"""What users have in models and no rule describes: the way out, by layer type and by the name of an operation."""

from __future__ import annotations

from collections.abc import Mapping

import keras

SPIKES = (
    "Put ReLU() in its place and train again; or TernaryLIF(), with DirectEncoding(timesteps) before the first of them "
    "and TimeAverage() at the end."
)
NORMALIZE = "Use BatchNormalization, which is folded into kernels: PerTimestep(BatchNormalization())."
JOIN = "Values of two layers are added, subtracted, averaged or concatenated: Add, Subtract, Average, Concatenate."
PRODUCTS = "Products of activations are not exported: use convolutions, one of keras_ternary_spike.models."
RECURRENT = "Neurons remember over time: Dense or convolutions in front of TernaryLIF or LeakyIntegrator."
ANOTHER = (
    "Use layers of docs/targets.md, convolutions and Dense, pools, shortcuts and neurons; or a Layer of your own whose "
    "`call` is made of them."
)

NOT_EXPORTED: Mapping[type, str] = {
    **dict.fromkeys((keras.layers.LeakyReLU, keras.layers.ELU, keras.layers.PReLU), SPIKES),
    **dict.fromkeys((keras.layers.GroupNormalization, keras.layers.UnitNormalization), NORMALIZE),
    **dict.fromkeys((keras.layers.LayerNormalization, keras.layers.RMSNormalization), NORMALIZE),
    **dict.fromkeys((keras.layers.Multiply, keras.layers.Dot, keras.layers.Maximum, keras.layers.Minimum), JOIN),
    **dict.fromkeys((keras.layers.Attention, keras.layers.AdditiveAttention), PRODUCTS),
    **dict.fromkeys((keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention), PRODUCTS),
    **dict.fromkeys((keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN), RECURRENT),
    **dict.fromkeys((keras.layers.ConvLSTM1D, keras.layers.ConvLSTM2D, keras.layers.ConvLSTM3D), RECURRENT),
    keras.layers.SpectralNormalization: "Put the layer that it wraps in its place, wrapper.layer: its kernel is the "
    "normalized one.",
    keras.layers.Embedding: "Give one-hot vectors to a Dense layer without bias, whose kernel is the embedding's.",
    keras.layers.EinsumDense: "On the last axis it is Dense, with a kernel of two axes.",
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
