"""One tiny model and a run to vary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from acestep.api.times import schedule_times
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.checkpoints.tiny import build_tiny
from acestep.denoising.denoising_run import Branch, Denoising
from acestep.denoising.guidance import guidance_settings
from acestep.denoising.noise import SeededNoise
from plugins.guidance import GUIDANCE
from plugins.samplers import SAMPLERS
from plugins.schedules import SCHEDULES

METHODS = {spec.name: spec for spec in GUIDANCE}
SOLVERS = {spec.name: spec for spec in SAMPLERS}
FRAMES = 40


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return open_checkpoint(build_tiny(tmp_path_factory.mktemp("model")))


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def make_run() -> Callable[..., Denoising]:
    """A run of 6 steps over 40 frames; keywords change it. ``sampler`` and ``guidance`` may be names, ``seeds`` the items'."""

    def make(
        sampler: str = "euler", guidance: str = "none", seeds: tuple[int, ...] = (3,), **changes: Any
    ) -> Denoising:
        spec = SOLVERS[sampler]
        settings = {
            "main": Branch(draw(1, 1, 9, 64), draw(2, 1, FRAMES, 128)),
            "times": schedule_times(SCHEDULES[0], 6, 3.0),
            "sampler": spec.run,
            "evaluations": spec.evaluations,
            "noise": SeededNoise(seeds, FRAMES),
            "guidance": guidance_settings(METHODS[guidance], 5.0),
        }
        return Denoising(**(settings | changes))

    return make
