"""Whole songs from exported files alone: in Python without torch, in an environment of its own, in Node."""

from __future__ import annotations

import shutil
import subprocess
import sys
import types
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from acestep.admission.render import admit_render
from acestep.api.registry import Registry
from acestep.engine.engine import Engine
from acestep.worker.backend import JobContext

pytestmark = pytest.mark.timeout(900)  # the export is done once, in whichever test comes first

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "onnx"
CAPTION, SECONDS, SEED = "slow piano, warm strings: 72 bpm", 10, 4711

BLOCKED = """
import sys, runpy

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "diffusers", "acestep", "bridge", "plugins", "onnx"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Blocker())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def ours(engine: Engine, model: str, folder: Path) -> np.ndarray:
    """The same song as a job makes it, float32 [2, N]."""
    registry = Registry.load()
    params = {"caption": CAPTION, "duration": SECONDS, "seed": SEED, "model": model, "guide": "none", "width": "model",
              "drums": "model", "check": "off", "format": "wav32f", "instrumental": True}  # fmt: skip
    admitted = admit_render(registry, "generate", params, engine.host)
    folder.mkdir()
    context = JobContext("job", folder, registry, lambda *told: None, backend=engine)
    result = engine.run("render", admitted.render.to_recipe(), context)
    sound, _ = soundfile.read(folder / result.files[0].name, dtype="float32", always_2d=True)
    return sound.T


def render(command: list[str], folder: Path, out: Path) -> np.ndarray:
    """What a program makes of an export, float32 [2, N]."""
    done = subprocess.run([*command, str(folder), str(out), CAPTION], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sound, rate = soundfile.read(out, dtype="float32", always_2d=True)
    assert rate == 48_000
    return sound.T


def test_the_whole_loop_without_torch(
    small: types.SimpleNamespace, exported: types.SimpleNamespace, tmp_path: Path
) -> None:
    """Words, eight steps and sound by the shipped script, with torch and our own code out of reach: the song of the same seed."""
    script = [sys.executable, "-c", BLOCKED, str(EXAMPLE / "render.py"), "--seed", str(SEED), "--seconds", str(SECONDS)]
    made = render(script, exported.folder, tmp_path / "made.wav")
    wanted = ours(small.engine, small.name, tmp_path / "job")
    assert made.shape == wanted.shape == (2, SECONDS * 48_000)
    assert np.abs(made - wanted).max() < 1e-4 * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("seed", [0, 1, 2**31 + 7, 2**32 + 5])
def test_the_noise_of_a_seed_is_torchs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a seed is the same take everywhere."""
    from acestep.onnx.noise import draw

    drawn = torch.randn(1, 30, 64, generator=torch.Generator().manual_seed(seed)).numpy()
    assert np.abs(draw(seed, 30) - drawn).max() < 2e-6


# with the embedded model, in environments of their own: minutes, so only with --long


@pytest.fixture(scope="module")
def nano(
    tmp_path_factory: pytest.TempPathFactory,
    engine_in: Callable[..., Engine],
    run_export: Callable[..., types.SimpleNamespace],
) -> types.SimpleNamespace:
    """The embedded model, exported, and its own song."""
    home = tmp_path_factory.mktemp("home")
    engine = engine_in(home)
    folder = run_export(engine, home, {"model": "nano"}).folder
    return types.SimpleNamespace(folder=folder, song=ours(engine, "nano", home / "job"))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_nano_in_an_environment_with_four_packages(nano: types.SimpleNamespace, tmp_path: Path) -> None:
    """onnxruntime, numpy, tokenizers and soundfile, freshly installed."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = next(place for place in (tmp_path / "venv").glob("*/python*") if place.is_file())
    packages = ["onnxruntime", "numpy", "tokenizers", "soundfile"]
    install = [str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), *packages]
    subprocess.run(install, check=True, capture_output=True)
    missing = subprocess.run([str(python), "-c", "import torch"], capture_output=True, check=False)
    assert missing.returncode != 0
    command = [str(python), str(EXAMPLE / "render.py"), "--seed", str(SEED), "--seconds", str(SECONDS)]
    made = render(command, nano.folder, tmp_path / "made.wav")
    assert np.abs(nano.song).max() > 0.05 and np.abs(made - nano.song).max() < 1e-4


@pytest.mark.long
@pytest.mark.foreign
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("runtime", ["onnxruntime-web", "onnxruntime-node"])
def test_nano_in_node(nano: types.SimpleNamespace, foreign: Callable[[str], str], tmp_path: Path, runtime: str) -> None:
    """The script beside the Python one, on the runtime that browsers have and on Node's own."""
    for name in ("render.mjs", "package.json"):
        shutil.copy(EXAMPLE / name, tmp_path)
    npm = [foreign("npm"), "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(
        [*npm, *([runtime] if runtime == "onnxruntime-node" else [])], check=True, capture_output=True, cwd=tmp_path
    )
    command = [foreign("node"), str(tmp_path / "render.mjs")]
    out = tmp_path / "made.wav"
    done = subprocess.run([*command, str(nano.folder), str(out), CAPTION, str(SECONDS), str(SEED)], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    made, _ = soundfile.read(out, dtype="float32", always_2d=True)
    assert np.abs(made.T - nano.song).max() < 1e-4
