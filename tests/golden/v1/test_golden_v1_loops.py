"""Whole runs of ACE-Step v1, by the loop, the samplers and the guidance methods that the product uses, equal the original's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from acestep.api.targets import resolve_target
from acestep.denoising.noise import mix
from acestep.families.ace_step_v1.conditions import NO_SWITCHES, Prompt, words_for, words_for_edit
from acestep.families.ace_step_v1.edit import EditOptions, edit
from acestep.families.ace_step_v1.run import Guidance, Quirks, Run
from acestep.families.ace_step_v1.schedule import levels
from acestep.families.ace_step_v1.tasks import audio_to_audio, extend, repaint, text_to_music
from acestep.families.ace_step_v1.units import frames_within
from plugins.guidance import GUIDANCE
from plugins.samplers import SAMPLERS

METHODS = {spec.name: resolve_target(spec.target) for spec in GUIDANCE}
SOLVERS = {spec.name: spec for spec in SAMPLERS}
STAR = {"make": METHODS["cfg_zero_star"], "zero_calls": 2}
KINDS = {"apg": {"make": METHODS["apg"]}, "cfg": {"make": METHODS["cfg"]}, "cfg_star": STAR}
SECONDS = 3.0
"""Of every recorded run."""


class Draws:
    """The original's noise: one stream, from which every draw takes the next numbers."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def next(self, frames: int) -> torch.Tensor:
        return torch.randn(1, 8, 16, frames, generator=self._generator)


def prompt_of(tensor: Callable[..., torch.Tensor], text: str, lyrics: list[int]) -> Prompt:
    ids = torch.tensor([lyrics])
    return Prompt(tensor(text, 1, 5, 24), torch.ones(1, 5), ids, torch.ones_like(ids))


def words_of_case(name: str) -> tuple[str, dict[str, Any], str]:
    """Sampler, guidance and task that a name means."""
    kind = name.removeprefix("loop_")
    if found := re.fullmatch(r"(euler|heun|pingpong)_(\w+)", kind):
        return found[1], KINDS[found[2]], "text"
    special = {
        "star_full": {**STAR, "interval": 1.0},
        "decay": {**KINDS["apg"], "decay": 1.0},
        "nocfg": {"scale": 1.0},
        "double": {**KINDS["apg"], "text": 5.0, "lyric": 1.5},
    }
    return "euler", special.get(kind, KINDS["apg"]), "text" if kind in special else kind


@pytest.mark.golden_v1("loop_")
def test_golden_v1_loop(golden_v1, name):
    sampler, guidance, task = words_of_case(name)
    transformer, first, second = golden_v1.transformer, Draws(1), Draws(2)
    prompt = prompt_of(golden_v1.tensor, "s.text", [11, 7, 3, 40])
    frames = frames_within(SECONDS)
    noise = first.next(frames)
    settings = Guidance(**guidance)
    run = Run(
        words=words_for(transformer, prompt, NO_SWITCHES, apart=settings.apart),
        levels=levels(8),
        sampler=SOLVERS[sampler],
        noise=lambda index: first.next(frames),
        guidance=settings,
        quirks=Quirks(calls_as_steps=True),
    )
    found = TASKS[task.partition("_")[0]](golden_v1, run, (noise, second), task)
    golden_v1.compare(found, name, golden_v1.LOOP)


def amount(text: str) -> float:
    """``05`` -> 0.5, ``10`` -> 1.0: tenths without their point, or with it."""
    return float(text) if "." in text else int(text) / 10


def text_task(golden_v1, run, noises, task):
    return text_to_music(golden_v1.transformer, run, noises[0])


def retake_task(golden_v1, run, noises, task):
    share = amount(re.fullmatch(r"retake_v([\d.]+)", task)[1])
    return text_to_music(golden_v1.transformer, run, mix(noises[0], noises[1].next(noises[0].shape[-1]), share))


def repaint_task(golden_v1, run, noises, task):
    variance, begin, end = re.fullmatch(r"repaint_v([\d.]+)_([\d.]+)_([\d.]+)", task).groups()
    source = golden_v1.tensor("s.src", 1, 8, 16, 32)
    pair = (noises[0], noises[1].next(source.shape[-1]))
    region = (frames_within(float(begin)), frames_within(float(end)))
    return repaint(golden_v1.transformer, run, pair, source, region, amount(variance))


def extend_task(golden_v1, run, noises, task):
    side, seconds = re.fullmatch(r"extend_([lr])[_a-z-]*([\d.]+)", task).groups()
    source = golden_v1.tensor("s.src", 1, 8, 16, 32)
    pair = (noises[0], noises[1].next(source.shape[-1]))
    frames = frames_within(float(seconds))
    left, right = (frames, 0) if side == "l" else (0, frames - source.shape[-1])
    return extend(golden_v1.transformer, run, pair, source, left, right)


def near_task(golden_v1, run, noises, task):
    source = golden_v1.tensor("s.src", 1, 8, 16, 32)
    return audio_to_audio(golden_v1.transformer, run, noises[0], source, float(task.removeprefix("a2a_")))


TASKS = {"text": text_task, "retake": retake_task, "repaint": repaint_task, "extend": extend_task, "a2a": near_task}


@pytest.mark.golden_v1("edit_")
def test_golden_v1_edit(golden_v1, name):
    begin, end = (amount(part) for part in re.fullmatch(r"edit_\w+?_([\d.]+)_([\d.]+)", name).groups())
    transformer, draws = golden_v1.transformer, Draws(5)
    source = golden_v1.tensor("s.src", 1, 8, 16, 32)
    old, new = (
        words_for_edit(transformer, prompt_of(golden_v1.tensor, text, lyrics))
        for text, lyrics in (("s.text", [11, 7, 3, 40]), ("s.text2", [9, 8, 7, 6, 5]))
    )
    run = Run(
        words=new,
        levels=levels(10),
        sampler=SOLVERS["euler"],
        noise=lambda index: draws.next(source.shape[-1]),
        guidance=Guidance(**KINDS["apg"]),
    )
    found = edit(transformer, run, old, source, EditOptions(begin, end))
    golden_v1.compare(found, name, golden_v1.LOOP)
