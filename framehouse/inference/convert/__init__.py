"""Weights of other frameworks to ONNX, with numpy and onnx alone."""
