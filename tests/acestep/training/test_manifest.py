"""A packaged checkpoint is opened only as it was shipped."""

from __future__ import annotations

import json

import pytest

from acestep.api.errors import BadCheckpoint, ModelMissing
from acestep.checkpoints.manifest import verify_manifest
from acestep.training.export import write_manifest


@pytest.fixture
def packaged(tmp_path):
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "weights.safetensors").write_bytes(bytes(1000))
    (tmp_path / "config.json").write_text("{}")
    write_manifest(tmp_path)
    return tmp_path


def test_an_untouched_folder_passes(packaged):
    """True where a manifest holds, False where there is none to hold."""
    assert verify_manifest(packaged) is True
    (packaged / "manifest.json").unlink()
    assert verify_manifest(packaged) is False


def test_one_changed_byte_is_found(packaged):
    """Same size, one byte different: refused by name."""
    (packaged / "vae" / "weights.safetensors").write_bytes(bytes(999) + b"\1")
    with pytest.raises(BadCheckpoint, match="weights"):
        verify_manifest(packaged)


def test_a_missing_file_is_found(packaged):
    """Refused by name, with what to do."""
    (packaged / "config.json").unlink()
    with pytest.raises(ModelMissing, match=r"config\.json.*install"):
        verify_manifest(packaged)


@pytest.mark.parametrize(
    "content", ["{}", "[]", "no json", json.dumps({"format": "acestep-checkpoint-manifest", "version": 9})]
)
def test_a_damaged_manifest_is_refused(packaged, content):
    """Anything but a manifest of this version."""
    (packaged / "manifest.json").write_text(content)
    with pytest.raises(BadCheckpoint):
        verify_manifest(packaged)


def test_a_manifest_cannot_point_outside(packaged):
    """Names that leave the folder are refused before they are read."""
    data = json.loads((packaged / "manifest.json").read_text())
    data["files"]["../elsewhere"] = {"bytes": 0, "sha256": ""}
    (packaged / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(BadCheckpoint, match="outside"):
        verify_manifest(packaged)
