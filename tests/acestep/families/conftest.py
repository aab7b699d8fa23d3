"""A tiny v1 checkpoint in the published layout, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from acestep.families.ace_step_v1.load import Model, open_checkpoint
from acestep.families.ace_step_v1.tiny import build_tiny


@pytest.fixture(scope="session")
def tiny_v1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(tmp_path_factory.mktemp("v1"))


@pytest.fixture(scope="session")
def model_v1(tiny_v1: Path) -> Model:
    """The opened checkpoint; tests that change it open their own."""
    return open_checkpoint(tiny_v1)
