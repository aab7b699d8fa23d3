"""What one denoising run of v1 needs, as one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from acestep.api.sampling import SamplerSpec
from acestep.denoising.denoising_run import Guidance as Method
from acestep.families.ace_step_v1.conditions import Words

GUIDANCE_SCALE, INTERVAL, LOWEST_SCALE, OMEGA = 15.0, 0.5, 3.0, 10.0
"""The original's defaults."""

ZERO_CALLS = 2
"""Evaluations at the very start of a run that are zero under CFG-Zero*, where guidance acts on them at all."""


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """How velocities are guided. A scale of 0 or 1 is not guidance.

    ``make(scale)`` builds a registered method (`acestep.api.sampling.GuidanceSpec.target`), which sees latents as [1, 16 T, 8].
    Only the middle part ``interval`` of the run is guided; by ``decay`` (0 to 1) the scale falls there towards ``lowest``. With
    ``text`` and ``lyric`` above 1 the two are guided apart, and ``make`` is not used.
    """

    make: Callable[[float], Method] | None = None
    scale: float = GUIDANCE_SCALE
    interval: float = INTERVAL
    decay: float = 0.0
    lowest: float = LOWEST_SCALE
    zero_calls: int = 0
    text: float = 0.0
    lyric: float = 0.0

    @property
    def acts(self) -> bool:
        """Whether there is any."""
        return self.scale not in (0.0, 1.0) and (self.make is not None or self.apart)

    @property
    def apart(self) -> bool:
        """Whether text and lyrics have a scale each."""
        return self.text > 1 and self.lyric > 1

    def span(self, steps: int) -> tuple[int, int]:
        """First guided step, and the first after it that is not."""
        return int(steps * (1 - self.interval) / 2), int(steps * (self.interval / 2 + 0.5))

    def scale_at(self, step: int, steps: int) -> float:
        """The scale of a guided step."""
        first, last = self.span(steps)
        share = (step - first) / max(1, last - first - 1)
        return self.scale - (self.scale - self.lowest) * share * self.decay


@dataclass(frozen=True)
class Quirks:
    """Behaviour of the original that we differ from on purpose, so that its recordings can be reproduced."""

    calls_as_steps: bool = False
    """The guidance interval counts evaluations as if each were a step: under Heun it then ends before the middle of the run."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run. ``levels`` are the noise levels (`acestep.families.ace_step_v1.schedule`), n + 1 for n steps.

    ``noise(i)`` is fresh noise [1, 8, 16, T] for step i of stochastic samplers and edits. ``omega`` (-100 to 100) lets the latent's
    mean move less (above 0) or more than the rest of it; stochastic samplers do not know it. ``tick(done, expected)`` comes after
    every evaluation of the transformer and may raise to stop; ``on_step(step, x, x0)`` after every step.
    """

    words: Words
    levels: Sequence[float]
    sampler: SamplerSpec
    noise: Callable[[int], Tensor]
    guidance: Guidance = Guidance()
    omega: float = OMEGA
    tick: Callable[[int, int], None] = lambda done, expected: None
    on_step: Callable[[int, Tensor, Tensor], None] = lambda step, x, x0: None
    quirks: Quirks = Quirks()

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.levels) - 1
