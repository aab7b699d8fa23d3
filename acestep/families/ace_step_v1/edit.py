"""Edits a piece by its words: from one description and lyrics to others, without inverting it to noise (arXiv 2412.08629).

The piece moves by the difference of the velocities under both sets of words at equally noised points; the last part of the run may
follow the new words alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from acestep.api.errors import BadRequest
from acestep.denoising.loop import check_finite, noised
from acestep.families.ace_step_v1.conditions import Words
from acestep.families.ace_step_v1.run import Run
from acestep.families.ace_step_v1.transformer import Transformer
from acestep.families.ace_step_v1.velocity import Branches, Ticker


@dataclass(frozen=True)
class EditOptions:
    """Which part of the run is edited (fractions of it, 0 is the noisy end), and noises per step. Raises `BadRequest`."""

    begin: float = 0.0
    end: float = 1.0
    draws: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.begin <= self.end <= 1 or not 1 <= self.draws <= 16:
            raise BadRequest("an edit needs 0 <= begin <= end <= 1 and 1 to 16 draws", field="begin",
                             limits={"min": 0, "max": 1, "draws": 16})  # fmt: skip


ONLY_LYRICS = EditOptions(0.6, 1.0)
"""New words to the same music."""

REMIX = EditOptions(0.2, 0.4)
"""New music around what can still be recognised."""


class _Edit:
    """One edit at work. As in the original, all steps are guided, and only one side's method remembers: that of the old words while
    both are followed, that of the new ones afterwards."""

    def __init__(self, transformer: Transformer, run: Run, old: Words, clip: Tensor, options: EditOptions) -> None:
        self._run, self._clip, self._options = run, clip, options
        self._guidance = replace(run.guidance, interval=1.0, decay=0.0)
        each = 2 if self._guidance.acts else 1
        first, last = self._span()
        ticker = Ticker(run, each * (2 * options.draws * (last - first) + run.steps - last))
        self._new = Branches(transformer, run.words, self._guidance, ticker)
        self._old = Branches(transformer, old, self._guidance, ticker)
        self._drawn = 0

    def __call__(self) -> Tensor:
        edited, x = self._clip, None
        first, last = self._span()
        for step in range(first, self._run.steps):
            level, following = self._run.levels[step], self._run.levels[step + 1]
            if step < last:
                edited = edited + (following - level) * self._change(edited, level)
            else:
                x = edited + self._fresh(level) - self._clip if x is None else x
                x = x + (following - level) * self._velocity(self._new, x, level, True)
            current = edited if x is None else x
            self._run.on_step(step, current, current)
        return edited if x is None else x

    def _span(self) -> tuple[int, int]:
        steps = self._run.steps
        return int(steps * self._options.begin), int(steps * self._options.end)

    def _change(self, edited: Tensor, level: float) -> Tensor:
        """Mean difference of the two velocities over the step's draws."""
        total = torch.zeros_like(edited)
        for _ in range(self._options.draws):
            noisy = self._fresh(level)
            old = self._velocity(self._old, noisy, level, True)
            total = total + self._velocity(self._new, edited + noisy - self._clip, level, False) - old
        return total / self._options.draws

    def _velocity(self, side: Branches, x: Tensor, level: float, remember: bool) -> Tensor:
        if not self._guidance.acts:
            return side.plain(x, level)
        return side.guided(x, level, self._guidance.scale, remember=remember)

    def _fresh(self, level: float) -> Tensor:
        """The clip at a noise level, with a new noise at every call."""
        noise = self._run.noise(self._drawn).to(self._clip)
        self._drawn += 1
        return noised(self._clip, noise, level)


@torch.inference_mode()
def edit(transformer: Transformer, run: Run, old: Words, clip: Tensor, options: EditOptions) -> Tensor:
    """The edited latents, float32 [1, 8, 16, T] on the CPU, of ``clip``, whose words are ``old``; ``run.words`` are the new ones
    (both from `acestep.families.ace_step_v1.conditions.words_for_edit`).

    Noise ``k`` of the run is ``run.noise(k)``; sampler and omega are not used. Raises `NumericFailure`, and what ``run.tick``
    raises.
    """
    x = _Edit(transformer, run, old, clip.to(transformer.like.device).float(), options)()
    check_finite(x)
    return x.cpu()
