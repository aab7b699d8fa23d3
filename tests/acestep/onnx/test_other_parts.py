"""The export of what is not the small checkpoint: v1, the published codec, float16. Minutes, so only with --long."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path

import pytest

from acestep.checkpoints.tiny import build_tiny
from acestep.engine.engine import Engine
from acestep.families.ace_step_v1.family import EXPORTS
from acestep.families.ace_step_v1.tiny import build_tiny as build_tiny_v1
from acestep.onnx.manifest import read_export

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

Export = Callable[..., types.SimpleNamespace]


def test_v1(tmp_path: Path, engine_in: Callable[..., Engine], run_export: Export) -> None:
    """Its five parts, under the names of the other family; masks and the weakening of entropy-rectifying guidance are inputs."""
    build_tiny_v1(tmp_path / "models", name="v1-tiny", deep=True)
    engine = engine_in(tmp_path, tmp_path / "models")
    found = read_export(run_export(engine, tmp_path, {"model": "v1-tiny"}).folder)
    assert tuple(found.parts) == EXPORTS
    assert [port.name for port in found.parts["transformer"].inputs] == [
        "latents",
        "timestep",
        "states",
        "mask",
        "weaken",
    ]
    assert found.schedule.steps == 60 and found.files["lyric_tokenizer"] == "vocab.json"


def test_the_published_codec(tmp_path: Path, engine_in: Callable[..., Engine], run_export: Export) -> None:
    """diffusers' autoencoder, a few channels wide."""
    build_tiny(tmp_path / "models", name="acestep-v15-wave-tiny", codec="AutoencoderOobleck")
    engine = engine_in(tmp_path, tmp_path / "models")
    asked = {"model": "wave-tiny", "parts": ["codec_encoder", "codec_decoder"]}
    found = read_export(run_export(engine, tmp_path, asked).folder)
    assert [port.name for port in found.parts["codec_decoder"].inputs] == ["latents"]
    assert found.parts["codec_encoder"].facts["hop"] == 1920


def test_nano_in_float16(tmp_path: Path, engine_in: Callable[..., Engine], run_export: Export) -> None:
    """Every part within a hundredth; codes stay what they are."""
    folder = run_export(engine_in(tmp_path), tmp_path, {"model": "nano", "dtype": "float16"}).folder
    found = read_export(folder)
    assert max(value for part in found.parts.values() for value in part.difference) < 1e-2
    assert found.parts["audio_tokenizer"].dtype == "float32" and found.parts["audio_tokenizer"].difference == [0, 0, 0]
