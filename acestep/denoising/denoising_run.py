"""What a denoising run needs, as one value; and what it leaves behind at a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from acestep.api.sampling import Sampler
from acestep.denoising.noise import Noise
from acestep.networks.dit import Dit


class Guidance(Protocol):
    """A guidance method at work on one item (`acestep.api.sampling.GuidanceSpec.target`)."""

    def combine(self, cond: Tensor, uncond: Tensor, x: Tensor, t: float, corrector: bool) -> Tensor: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Branch:
    """What the model is told during a part of the run: encoder states [B or 1, L, H_enc] and context [B or 1, T, 128]."""

    states: Tensor
    context: Tensor


@dataclass(frozen=True, kw_only=True)
class GuidanceSettings:
    """How velocities are guided: ``make`` builds the method for one item (None: no guidance at all); the interval
    ``low`` to ``high`` is on t itself, and outside it the conditional velocity stands alone."""

    make: Callable[[], Guidance] | None = None
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A run that rewrites a region of a source. ``source`` [B or 1, T, 64] is the clean latent, ``region`` its frames
    (first, last + 1).

    After each of the first ``round(injection * steps)`` steps everything outside is set back to the noised source; at the end it
    is set back to the source itself with linear ramps of ``blend`` frames outside the region's edges (0: not at all).
    """

    source: Tensor
    region: tuple[int, int]
    injection: float = 0.0
    blend: int = 0


@dataclass(frozen=True)
class Quirks:
    """Behaviour of the original that we differ from on purpose (docs/engine.md), so that its recordings can be reproduced."""

    no_last_injection: bool = False
    """Turbo never injects after its last step."""
    switch_steps: int | None = None
    """Base counts the condition switch in requested steps even when a list of timesteps has another length."""


@dataclass
class Snapshot:
    """The complete state after step ``index`` of a run; giving it back as `Denoising.resume` continues there.

    ``x`` [B, T, 64] is the latent that the sampler goes on with, ``x0`` the estimate of the clean one.
    """

    index: int
    t: float
    x: Tensor
    x0: Tensor
    sampler: dict[str, Any]
    guidance: list[dict[str, Any]] = field(default_factory=list)
    velocity: Tensor | None = None
    """Last velocity, for the running average."""


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """One run of B items, one per ``noise`` row. Times fall from the start to 0 (see `acestep.api.times`).

    ``start`` [B or 1, T, 64] makes the run begin at ``times[0]`` from that latent, noised, instead of from pure noise. From step
    ``int(steps * strength)`` on ``after`` replaces ``main``. ``tick(done, expected)`` runs after every velocity call and may raise
    to stop; ``on_step`` gets a `Snapshot` after every step.
    """

    main: Branch
    times: Sequence[float]
    sampler: Sampler
    noise: Noise
    guidance: GuidanceSettings = GuidanceSettings()
    after: Branch | None = None
    strength: float = 1.0
    start: Tensor | None = None
    edit: Edit | None = None
    velocity_limit: float = 0.0
    velocity_average: float = 0.0
    corrections: dict[str, float] = field(default_factory=dict)
    resume: Snapshot | None = None
    evaluations: int = 1
    """Velocity calls per step, as the sampler's spec says; for progress only."""
    tick: Callable[[int, int], None] = lambda done, expected: None
    on_step: Callable[[Snapshot], None] = lambda snapshot: None
    quirks: Quirks = Quirks()

    @property
    def steps(self) -> int:
        """Number of steps of the whole run, also when it is resumed in the middle."""
        return len(self.times) - 1

    @property
    def first_step(self) -> int:
        """Index of the first step that is left to do."""
        return 0 if self.resume is None else self.resume.index + 1


@dataclass(frozen=True, kw_only=True)
class CustomLoopRun:
    """What a stage's own tensor code gets instead of the loop (`Plan.custom_loop`): ``custom_loop(run) -> latents [B, T, 64]``.

    ``denoising`` is the run as the loop would do it; ``encode(caption, lyrics)`` gives encoder states [1, L, H_enc] for further
    texts, with everything else of the prompt as it is.
    """

    dit: Dit
    null_condition: Tensor
    denoising: Denoising
    options: Mapping[str, float | int | str]
    encode: Callable[[str, str], Tensor]
