"""One small checkpoint, exported once: two layers of everything, so that the exporter is done in seconds."""

from __future__ import annotations

import shutil
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acestep.api.registry import Registry
from acestep.checkpoints.tiny import build_tiny
from acestep.engine.engine import Engine
from acestep.worker.backend import JobContext, Ties

SMALL = {"num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"], "num_lyric_encoder_hidden_layers": 1,
         "num_timbre_encoder_hidden_layers": 1, "num_attention_pooler_hidden_layers": 1}  # fmt: skip


Export = Callable[..., types.SimpleNamespace]


@pytest.fixture(scope="session")
def run_export() -> Export:
    """``run_export(engine, home, request, ties)``: the operation in this process."""
    return _run_export


def _run_export(engine: Engine, home: Path, request: dict[str, Any], ties: Ties | None = None) -> types.SimpleNamespace:
    """Its result, what it reported, and the staging folder it had."""
    staging = home / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    ticks: list[tuple[str, int, int, float]] = []
    context = JobContext(
        "job", staging, Registry.load(), lambda *told: ticks.append(told), backend=engine, ties=ties
    )  # fmt: skip
    asked = {"parts": [], "dtype": "float32", "folder": "", **request}
    result = engine.run("export-onnx", asked, context)
    return types.SimpleNamespace(result=result, ticks=ticks, staging=staging, folder=Path(result.data["folder"]))


@pytest.fixture(scope="session")
def engine_in() -> Callable[..., Engine]:
    """``engine_in(home, checkpoints)``: the torch backend on the CPU."""

    def make(home: Path, *checkpoints: Path) -> Engine:
        settings = {"home": home, "library": home / "library", "uploads": home / "uploads", "device": "cpu",
                    "checkpoints": [str(one) for one in checkpoints], "dtype": "float32", "threads": 1}  # fmt: skip
        return Engine(settings)

    return make


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, engine_in: Callable[..., Engine]) -> types.SimpleNamespace:
    """A small checkpoint and the engine that opens it."""
    root = tmp_path_factory.mktemp("checkpoints")
    checkpoint = build_tiny(root, config=SMALL, name="acestep-v15-small-tiny")
    home = tmp_path_factory.mktemp("home")
    return types.SimpleNamespace(checkpoint=checkpoint, home=home, engine=engine_in(home, root), name="small-tiny")


@pytest.fixture(scope="session")
def exported(small: types.SimpleNamespace) -> types.SimpleNamespace:
    """All its parts in float32, moved to another folder afterwards."""
    run = _run_export(small.engine, small.home, {"model": small.name})
    moved = run.folder.parent / "moved"
    run.folder.rename(moved)
    run.folder = moved
    return run
