"""From a graph's module to a file: recorded by torch's exporter, weights beside it, facts in its metadata."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from acestep.onnx.graph import Graph

OPSET = 18
"""The widest that is dependable: DirectML, browsers and older runtimes stop at 20 or 21."""


def write_graph(graph: Graph, folder: Path, metadata: Mapping[str, str]) -> Path:
    """Record a graph and write it to ``folder`` as ``NAME.onnx`` with its weights as ``NAME.onnx.data``."""
    path = folder / f"{graph.name}.onnx"
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            graph.module.eval(),
            graph.draw(graph.example),
            dynamo=True,
            opset_version=OPSET,
            input_names=[port.name for port in graph.inputs],
            output_names=[port.name for port in graph.outputs],
            dynamic_shapes=graph.dynamic_shapes(),
            verbose=False,
        )
        program.model.metadata_props.update(metadata)
        program.save(path, external_data=True)
    return path


def to_half(module: nn.Module) -> None:
    """Weights to float16, in place. Buffers stay: tables of transforms lose too much."""
    for inner in module.modules():
        for name, weight in inner._parameters.items():
            if weight is not None and weight.dtype == torch.float32:
                inner._parameters[name] = nn.Parameter(weight.half(), requires_grad=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about libraries that nobody needs."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
