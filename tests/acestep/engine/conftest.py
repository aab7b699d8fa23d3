"""One engine on the tiny random checkpoint, and a short way to run jobs on it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from acestep.api import Registry
from acestep.engine import Engine
from acestep.worker.backend import JobContext


class EngineRunner:
    """Runs operations as a worker would, each into a folder of its own below ``library``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.library = home / "library"
        self.registry = Registry.load()
        self.ticks: list[tuple[str, int, int, float]] = []
        self.previews: list[dict] = []
        self.count = 0
        self.engine = self.fresh_engine()

    def fresh_engine(self, **settings) -> Engine:
        """Another engine on the same home, with empty caches."""
        base = {
            "home": self.home,
            "library": self.library,
            "uploads": self.home / "uploads",
            "checkpoints": [self.home / "checkpoints"],
            "device": "cpu",
            "dtype": "float32",
            "threads": 1,
            "model": "tiny",
        }
        return Engine({**base, **settings})

    def context(self, folder: Path, engine: Engine | None = None) -> JobContext:
        """A job context that writes down ticks and previews."""
        self.ticks, self.previews = [], []
        folder.mkdir(parents=True, exist_ok=True)
        engine = engine or self.engine
        report = lambda *tick: self.ticks.append(tick)  # noqa: E731
        return JobContext("job", folder, self.registry, report, self.previews.append, engine)

    def run(self, operation: str, engine: Engine | None = None, **params):
        """Admit and run; returns the result and its folder."""
        from acestep.admission.render import admit_render

        engine = engine or self.engine
        admitted = admit_render(self.registry, operation, params, engine.host)
        return self.run_recipe(admitted.render.to_recipe(), engine)

    def run_recipe(self, recipe: dict, engine: Engine | None = None):
        """Run a canonical request."""
        self.count += 1
        folder = self.library / f"job-{self.count}"
        context = self.context(folder, engine)
        return (engine or self.engine).run("render", recipe, context), folder


@pytest.fixture(scope="session")
def runner(tmp_path_factory) -> EngineRunner:
    return EngineRunner(tmp_path_factory.mktemp("home"))


@pytest.fixture
def adapter(runner):
    """Write a PEFT adapter into the home's folder of LoRAs."""

    def write(name: str, seed: int = 0) -> None:
        folder = runner.home / "loras" / name
        folder.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(seed)
        key = "layers.1.cross_attn.o_proj"
        tensors = {
            f"{key}.lora_A.weight": torch.randn(4, 64, generator=generator),
            f"{key}.lora_B.weight": torch.randn(64, 4, generator=generator),
        }
        save_file(tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}))

    return write


@pytest.fixture
def song(tmp_path):
    """Write a song of tones and noise, return its path."""

    def write(container="WAV", subtype="PCM_16", *, rate=44_100, channels=2, seconds=3.0, seed=0) -> Path:
        frames = round(rate * seconds)
        time = np.arange(frames)[:, None] / rate
        noise = np.random.default_rng(seed).uniform(-0.2, 0.2, (frames, channels))
        path = tmp_path / f"{container}-{subtype}-{rate}-{channels}-{seconds}-{seed}.{container.lower()}"
        soundfile.write(path, 0.4 * np.sin(440 * time) + noise, rate, subtype=subtype, format=container)
        return path

    return write
