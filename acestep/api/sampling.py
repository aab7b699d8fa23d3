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


class Step(msgspec.Struct):
    """What a sampler yields after step ``index`` (0-based): the time it has reached, the new x, the estimate of the
    clean latent from this step, the step's velocity, and what the sampler needs to go on from here."""

    index: int
    t: float
    x: Tensor
    x0: Tensor
    state: dict[str, Any]


Sampler = Callable[..., Generator[Step, Tensor, None]]
"""``sampler(velocity, x, times, noise, state=None)``: ``times`` falls from the start time to 0 (n + 1 values for n steps),
``noise(i)`` is seeded unit noise keyed by item seed and step, ``state`` resumes after a stored step. ``state["index"]``
is the last finished step."""


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
    fixed: bool = False
    """The times themselves were trained (distilled models): a start in between moves to the nearest of them."""
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
