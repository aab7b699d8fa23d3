"""The check of an exported graph: ONNX Runtime against the networks' own way, at sizes that it was not recorded at."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from acestep.api.errors import NumericFailure
from acestep.onnx.graph import Graph, Sizes

TOLERANCE = {"float32": 1e-5, "float16": 1e-2}
"""Largest difference, as a share of the largest value where that is above 1."""

ROUNDING = 2.0**-23
OWN_ROUNDINGS = 4.0
"""A network that itself answers with more than the tolerance to its inputs' last bit may differ by so many times that: nobody's
float32 is nearer (random weights; a published model stays far below)."""

SEED = 1000


@dataclass(frozen=True)
class GraphTrial:
    """One call of a graph: its inputs, and what should come out."""

    sizes: Sizes
    inputs: tuple[NDArray[Any], ...]
    wanted: tuple[NDArray[Any], ...]
    own: float
    """How far the networks' own result moves when the last bit of their inputs does."""

    def allowed(self, dtype: str) -> float:
        """The difference that is taken for rounding."""
        return max(TOLERANCE[dtype], OWN_ROUNDINGS * self.own)


def prepare_trials(graph: Graph) -> list[GraphTrial]:
    """The calls to check a graph by, computed by its own networks in float32."""
    return [_trial(graph, sizes, SEED + index) for index, sizes in enumerate(graph.unseen)]


def _trial(graph: Graph, sizes: Sizes, seed: int) -> GraphTrial:
    inputs = graph.draw(sizes, seed)
    with torch.inference_mode():
        wanted = [one.numpy() for one in graph.truth(*inputs)]
        moved = graph.truth(*(one * (1 + ROUNDING) if one.is_floating_point() else one for one in inputs))
    own = max(difference(one.numpy(), other) for one, other in zip(moved, wanted, strict=True))
    return GraphTrial(sizes, tuple(one.numpy() for one in inputs), tuple(wanted), own)


def check_graph(path: Path, trials: Sequence[GraphTrial], dtype: str) -> list[float]:
    """The difference of each trial. Raises `NumericFailure` for one that is beyond `TOLERANCE`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    found = []
    for trial in trials:
        made = session.run(None, dict(zip(names, trial.inputs, strict=True)))
        found.append(max(difference(got, wanted) for got, wanted in zip(made, trial.wanted, strict=True)))
        if not found[-1] <= trial.allowed(dtype):
            raise NumericFailure(
                f"{path.stem} differs by {found[-1]:.1e} in ONNX Runtime at {described(trial.sizes)}; {trial.allowed(dtype):.1g} "
                "is allowed, so the export was given up"
            )
    del session
    gc.collect()
    return found


def difference(got: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The largest difference, as a share of the largest value where that is above 1; of whole numbers the share that differs;
    infinite where a shape or number is wrong."""
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    if np.issubdtype(wanted.dtype, np.integer):
        return float((got != wanted).mean())
    apart = np.abs(got.astype(np.float64) - wanted).max(initial=0.0)
    return float(apart / max(1.0, np.abs(wanted).max(initial=0.0)))


def described(sizes: Sizes) -> str:
    """``batch 3, patches 50``."""
    return ", ".join(f"{name} {size}" for name, size in sizes.items())
