"""The backends a worker can run jobs with."""

from __future__ import annotations

from collections.abc import Callable

from acestep.api import BackendSpec, hookimpl

BACKENDS = (
    BackendSpec(
        name="torch",
        target="acestep.engine:Engine",
        summary="The model, on this machine's CPU or GPU.",
        packages=("torch", "diffusers", "transformers", "tokenizers"),
    ),
    BackendSpec(
        name="onnx",
        target="acestep.onnx.backend:OnnxBackend",
        summary="New parts by exported models (export-onnx) in ONNX Runtime, on a CPU without torch.",
        packages=("onnxruntime", "tokenizers"),
        extra="onnx",
    ),
    BackendSpec(
        name="fake",
        target="acestep.testing.fake_backend:FakeBackend",
        summary="Tones from a script instead of music, for tests.",
    ),
)


@hookimpl
def register_backends(register: Callable[[BackendSpec], None]) -> None:
    """The built-in backends; the first is the default."""
    for backend in BACKENDS:
        register(backend)
