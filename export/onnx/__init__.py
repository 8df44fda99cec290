"""A Program as an ONNX file."""
