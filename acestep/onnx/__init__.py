"""Models for other programs: their parts as ONNX graphs, a manifest beside them, and the same parts run without torch.

`export` writes and checks, for the worker that has torch. `manifest` and `door` know no torch and no ONNX library; `sessions` and
what builds on it need ONNX Runtime and NumPy alone.
"""
