"""Published operator lists of targets that cannot be run here. Every row has its source.

A kind that is not in a table is unknown, not refused: the lists change, and nobody ran the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..tflite.contents import FileOperator

# ARTPEC-7's accelerator is an Edge TPU, its models pass the Edge TPU compiler.
AXIS = "https://developer.axis.com/computer-vision/on-device/system-on-chip/artpec-7/supported-ops/"
# A copy of the table in Coral's "TensorFlow models on the Edge TPU".
CORAL = "https://github.com/dgist-datalab/Datalab_Intern/blob/master/Edge_TPU/convert_model_for_Edge_TPU.md"
QNN = "https://github.com/google-ai-edge/LiteRT/blob/main/litert/vendors/qualcomm/compiler/Qualcomm_QNN_Compiler.md"

EDGETPU_NAME, QUALCOMM_NAME = "Edge TPU", "Qualcomm AI Engine Direct"


@dataclass(frozen=True)
class ListedOperator:
    """One operator of a published list.

    source: address of the list.
    limits: what the list says of it, in our words; "" where it says nothing.
    fuses: whether the list allows a fused activation.
    """

    source: str
    limits: str = ""
    fuses: bool = True


EDGETPU: Mapping[str, ListedOperator] = {
    "ADD": ListedOperator(AXIS),
    "CONCATENATION": ListedOperator(
        AXIS, "no fused activation; a constant input must be the second of two, all zeros", False
    ),
    "CONV_2D": ListedOperator(AXIS, "equal dilation in x and y"),
    "DEPTHWISE_CONV_2D": ListedOperator(AXIS, "equal dilation in x and y"),
    "FULLY_CONNECTED": ListedOperator(AXIS, "weights in the default format, one-dimensional output"),
    "MAX_POOL_2D": ListedOperator(AXIS, "no fused activation", False),
    "MUL": ListedOperator(AXIS),
    "PAD": ListedOperator(AXIS, "no padding of the batch axis"),
    "RESHAPE": ListedOperator(AXIS, "may stay on the CPU for large tensors"),
    "RESIZE_NEAREST_NEIGHBOR": ListedOperator(CORAL, "may stay on the CPU, depending on the sizes"),
    "SLICE": ListedOperator(CORAL),
    "STRIDED_SLICE": ListedOperator(CORAL, "all strides 1"),
    "SUB": ListedOperator(CORAL),
    # Not written by `export_tflite`.
    **dict.fromkeys(("LOGISTIC", "MAXIMUM", "MINIMUM", "RELU", "RELU6", "RELU_N1_TO_1", "TANH"), ListedOperator(CORAL)),
    **dict.fromkeys(("L2_NORMALIZATION", "SPACE_TO_DEPTH", "SPLIT"), ListedOperator(CORAL)),
    "AVERAGE_POOL_2D": ListedOperator(CORAL, "no fused activation", False),
    "MEAN": ListedOperator(CORAL, "over x and y only"),
    "RESIZE_BILINEAR": ListedOperator(CORAL, "may stay on the CPU, depending on the sizes"),
    "SOFTMAX": ListedOperator(CORAL, "one axis of at most 16,000 elements"),
    "SQUEEZE": ListedOperator(CORAL, "leading axes of length 1"),
}
QUALCOMM_KINDS = """
    ABS ARG_MAX ARG_MIN BATCH_MATMUL BROADCAST_TO CAST CEIL COS CUMSUM DEPTH_TO_SPACE DEQUANTIZE
    DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP FLOOR FLOOR_DIV GATHER GATHER_ND GELU GREATER GREATER_EQUAL
    HARD_SWISH L2_NORMALIZATION LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAXIMUM
    MEAN MINIMUM MIRROR_PAD NEG NOT_EQUAL PACK PADV2 POW PRELU QUANTIZE REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN
    RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESIZE_BILINEAR REVERSE_V2 ROUND RSQRT SELECT SELECT_V2 SIGN SIN SOFTMAX
    SPACE_TO_DEPTH SPLIT SQRT SQUARE SQUARED_DIFFERENCE SUM TANH TILE TOPK_V2 UNPACK
"""  # not written by `export_tflite`; none with a fused activation
QUALCOMM: Mapping[str, ListedOperator] = {
    **dict.fromkeys(QUALCOMM_KINDS.split(), ListedOperator(QNN, fuses=False)),
    **dict.fromkeys(("AVERAGE_POOL_2D", "CONV_3D", "DIV", "L2_POOL_2D"), ListedOperator(QNN)),
    "ADD": ListedOperator(QNN),
    "CONCATENATION": ListedOperator(QNN),
    "CONV_2D": ListedOperator(QNN),
    "DEPTHWISE_CONV_2D": ListedOperator(QNN),
    "FULLY_CONNECTED": ListedOperator(QNN),
    "MAX_POOL_2D": ListedOperator(QNN),
    "MUL": ListedOperator(QNN),
    "PAD": ListedOperator(QNN, "constant padding", False),
    "RESHAPE": ListedOperator(QNN, fuses=False),
    "RESIZE_NEAREST_NEIGHBOR": ListedOperator(QNN, fuses=False),
    "SLICE": ListedOperator(QNN, "as a strided slice", False),
    "STRIDED_SLICE": ListedOperator(QNN, fuses=False),
    "SUB": ListedOperator(QNN),
    "TRANSPOSE": ListedOperator(QNN, fuses=False),
    "TRANSPOSE_CONV": ListedOperator(QNN),
}


def edgetpu_refusal(operator: FileOperator) -> str | None:
    """What of the Edge TPU's general rules an operator breaks; None if nothing."""
    for value in (*operator.inputs, *operator.outputs):
        if value.constant is None and value.dtype not in ("int8", "uint8"):
            return f"tensors must be int8 or uint8, {value.name!r} is {value.dtype}"
        if value.constant is None and any(size > 1 for size in value.shape[:-3]):
            return f"only the three innermost axes may be longer than 1, {value.name!r} is {value.shape}"
    dilations = {operator.options.get("dilation_h_factor"), operator.options.get("dilation_w_factor")}
    if len(dilations) > 1:
        return "dilation must be equal in x and y"
    return None


def no_refusal(operator: FileOperator) -> str | None:
    """For targets whose list has no general rules."""
    return None


Refusal = Callable[[FileOperator], str | None]
TABLES: Mapping[str, tuple[str, Mapping[str, ListedOperator], Refusal]] = {
    "edgetpu": (EDGETPU_NAME, EDGETPU, edgetpu_refusal),
    "qualcomm": (QUALCOMM_NAME, QUALCOMM, no_refusal),
}
