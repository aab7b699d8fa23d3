"""The export of what is not the small checkpoint: v1, the published codec, float16. Minutes, so only with --long."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from acestep.checkpoints.tiny import build_tiny
from acestep.engine.engine import Engine
from acestep.families.ace_step_v1.family import EXPORTS
from acestep.families.ace_step_v1.tiny import build_tiny as build_tiny_v1
from acestep.onnx.manifest import read_export
from bridge.launch import DaemonProcess

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


def test_the_command_and_a_refusal_over_the_wire(daemon: Callable[..., DaemonProcess], tmp_path: Path) -> None:
    """A real daemon and its worker: the command with the model in first place, the folder, the notes; a part there is not."""
    one = daemon(backend="torch", warm="off", write_roots=[tmp_path])
    command = [
        sys.executable,
        "-m",
        "bridge.cli",
        "export-onnx",
        "nano",
        "--parts",
        "audio_detokenizer",
        "--home",
        str(one.paths.home),
    ]
    done = subprocess.run([*command, "--folder", str(tmp_path / "models")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = read_export(tmp_path / "models" / "nano-float32")
    assert list(found.parts) == ["audio_detokenizer"]
    assert "audio_detokenizer: 3 sizes in ONNX Runtime" in done.stdout + done.stderr
    wrong = subprocess.run(
        [*command[:-4], "--parts", "head", "--home", str(one.paths.home)], capture_output=True, text=True, check=False
    )
    assert wrong.returncode != 0 and "nano has no part 'head'; it has transformer" in wrong.stderr
