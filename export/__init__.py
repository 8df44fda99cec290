"""From a trained Keras model to exact int8 TFLite: describe, fold, quantize, verify."""
