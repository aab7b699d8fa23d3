"""Tiny MusicGen checkpoints in the published layout, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from acestep.families.musicgen.tiny import build_tiny


@pytest.fixture(scope="session")
def musicgen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a mono, a stereo and a melody checkpoint."""
    folder = tmp_path_factory.mktemp("musicgen")
    build_tiny(folder)
    build_tiny(folder, stereo=True)
    build_tiny(folder, melody=True)
    return folder
