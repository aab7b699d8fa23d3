"""The contract of samplers, schedules and guidance: small pieces, one signature each.

A sampler is a generator: it asks `velocity` for the model's output, yields a `Step` after each of its steps, and takes
back an x that the engine may have changed (injection of the untouched source). Progress, previews, checkpoints and
cancellation live in the engine, once, for all samplers. ``Tensor`` stands for a float32 tensor ``[1, T, 64]`` (``[B, T, 64]``
in a batch of B); samplers need only its arithmetic, so this module and the built-in samplers import no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

import msgspec

Tensor = Any


class Velocity(Protocol):
    """The (guided) model: velocity ``v = noise - data`` at ``x`` and time ``t``; ``corrector`` marks a second
    evaluation within a step, which must not advance guidance momentum."""

    def __call__(self, x: Tensor, t: float, corrector: bool = False) -> Tensor: ...


class Step(msgspec.Struct, kw_only=True):
    """What a sampler yields after each step. The engine counts the steps and knows their times."""

    x: Tensor
    """The latent after the step."""
    x0: Tensor
    """This step's estimate of the clean latent."""
    state: dict[str, Any] = {}
    """What the sampler itself remembers for the next step, tensors among it; a resumed run hands it back."""
    t: float | None = None
    """The noise level that ``x`` has; None: the next of the times, as nearly always."""


Sampler = Callable[..., Generator[Step, Tensor, None]]
"""``sampler(velocity, x, times, noise, state=None)`` steps from ``times[0]``, the noise level of ``x``, down to 0: n + 1
values for n steps. ``noise(i)`` is seeded unit noise for the i-th of these steps. A run that is resumed after a stored step
gets the remaining times only, and the `Step.state` of that step."""


class SamplerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A sampler as registered."""

    name: str
    run: Sampler
    summary: str
    order: int = 1
    """Order of convergence on a smooth flow (0: stochastic)."""
    stochastic: bool = False
    evaluations: int = 1
    """Velocity calls per step, for honest progress."""
    aliases: tuple[str, ...] = ()
    """Names users know from elsewhere; the result says which sampler they became."""


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as registered: ``times(steps, shift)`` gives ``steps + 1`` falling values from 1 to 0."""

    name: str
    times: Callable[[int, float], Sequence[float]]
    summary: str
    trained: tuple[float, ...] = ()
    """The times that distilled models were trained at: a start in between moves down to the next of them."""
    held_shift: Callable[[int, float], float] = lambda steps, shift: shift
    """The shift that a run of so many steps really has, where the schedule knows only some; the result tells of it."""
    aliases: tuple[str, ...] = ()


class GuidanceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A guidance method as registered.

    ``target`` is ``module:attribute`` of a class the worker instantiates per item as ``Class(scale)``:
    ``combine(cond, uncond, x, t, corrector) -> velocity``, ``state() -> dict``, ``restore(state)``. ``needs_uncond`` is False for
    methods that never look at the unconditional branch.
    """

    name: str
    target: str
    summary: str
    needs_uncond: bool = True
    aliases: tuple[str, ...] = ()


class BackendSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker runs jobs with: ``target`` is ``module:attribute`` of a class with the interface of
    `acestep.worker.backend.Backend`."""

    name: str
    target: str
    summary: str
    packages: tuple[str, ...] = ()
    """Modules that it needs and that may not be installed."""
    extra: str = "engine"
    """The extra of this package that brings them."""
