"""An exported model at work in ONNX Runtime: graphs opened when they are needed and dropped afterwards. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from acestep.api.errors import BadCheckpoint, OutOfMemory
from acestep.onnx.manifest import WEIGHTS, ModelExport, read_export

KEPT = frozenset({"codec_decoder", "codec_encoder"})
"""Graphs that stay open: small, and every job ends with one."""

Array = NDArray[Any]


class OnnxModel:
    """The graphs of one folder."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Raises `BadCheckpoint`."""
        self.folder = folder
        self.export: ModelExport = read_export(folder)
        self._threads = threads
        self._open: dict[str, Any] = {}
        files = self.export.files
        try:
            self.tokenizer = Tokenizer.from_file(str(folder / files["tokenizer"]))
            self.silence: NDArray[np.float32] = np.load(folder / files["silence_latent"])
            self.null: NDArray[np.float32] = np.load(folder / files["null_condition"])
        except (KeyError, OSError, ValueError) as failure:
            raise BadCheckpoint(
                f"{folder} lacks a readable {failure}; export the model again", field="model"
            ) from failure

    @contextmanager
    def opened(self, name: str) -> Iterator[OnnxModel]:
        """Have a graph open inside; it is dropped afterwards unless it is of those that are kept. Raises `BadCheckpoint`."""
        before = name in self._open
        self._session(name)
        try:
            yield self
        finally:
            if not before and name not in KEPT:
                self._open.pop(name, None)

    def run(self, name: str, **inputs: Array) -> Array:
        """The first output of a graph. Raises `BadCheckpoint`, `OutOfMemory`."""
        with self.opened(name):
            try:
                return self._open[name].run(None, inputs)[0]
            except Exception as failure:  # the library raises classes of its own for every fault
                if "alloc" in str(failure).lower():
                    raise OutOfMemory(
                        f"there is too little memory to run the {name}; a shorter part needs less"
                    ) from failure
                raise BadCheckpoint(
                    f"{name} of {self.folder.name} cannot be run: {_first_line(failure)}", field="model"
                ) from failure

    def _session(self, name: str) -> Any:
        if name not in self._open:
            part = self.export.parts.get(name)
            if part is None:
                raise BadCheckpoint(
                    f"{self.folder.name} has no {name}; export the whole model, without --parts", field="model",
                    limits={"choices": sorted(self.export.parts)},
                )  # fmt: skip
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
            options.log_severity_level = 3
            # beside a DAW: threads sleep while they have nothing to do
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            try:
                self._open[name] = onnxruntime.InferenceSession(
                    self.folder / part.file, options, providers=["CPUExecutionProvider"]
                )
            except Exception as failure:  # as above
                raise BadCheckpoint(f"{part.file} cannot be opened: {_first_line(failure)}", field="model") from failure
        return self._open[name]

    def names(self) -> list[str]:
        """Graphs that are open."""
        return sorted(self._open)

    def memory(self) -> int:
        """Bytes of the weights of open graphs."""
        files = (self.folder / f"{self.export.parts[name].file}{WEIGHTS}" for name in self._open)
        return sum(file.stat().st_size for file in files if file.is_file())

    def close(self) -> None:
        """Drop every graph."""
        self._open.clear()

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the manifest says of the texts."""
        return self.export.text


def _first_line(failure: BaseException) -> str:
    return (str(failure).strip().splitlines() or [type(failure).__name__])[0][:200]
