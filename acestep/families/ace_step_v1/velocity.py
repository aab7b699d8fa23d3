"""The velocity that a sampler sees: the transformer's, guided in the middle of the run, its mean held back by omega."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from acestep.denoising.denoising_run import Guidance as Method
from acestep.families.ace_step_v1.conditions import Words
from acestep.families.ace_step_v1.run import Guidance, Run
from acestep.families.ace_step_v1.transformer import Condition, Transformer


def held_mean(velocity: Tensor, omega: float) -> Tensor:
    """Velocities of the same mean whose differences from it are 0.9 to 1.1 times as large.

    The original does this to every step's change, which is the velocity times a number: so it works under any sampler.
    """
    mean = velocity.mean()
    return mean + (velocity - mean) * (0.9 + 0.2 / (1 + math.exp(-0.1 * omega)))


class Ticker:
    """Counts the evaluations of the transformer, for progress and cancellation."""

    def __init__(self, run: Run, expected: int) -> None:
        self._run, self._expected, self._done = run, expected, 0

    def __call__(self) -> None:
        self._done += 1
        self._run.tick(self._done, max(self._expected, self._done))


class Branches:
    """Guided velocities under one set of words, with the guidance method's memory."""

    def __init__(self, transformer: Transformer, words: Words, guidance: Guidance, ticker: Ticker) -> None:
        self._transformer, self._words, self._guidance, self._ticker = transformer, words, guidance, ticker
        self._method: Method | None = None

    def plain(self, x: Tensor, level: float) -> Tensor:
        """The velocity under the words alone."""
        return self._evaluate(x, level, self._words.main)

    def guided(self, x: Tensor, level: float, scale: float, *, remember: bool = True) -> Tensor:
        """The velocity led away from that without words; ``remember``: the method goes on from its last step's state."""
        main, guidance = self.plain(x, level), self._guidance
        if self._words.null is None:
            raise ValueError("guidance needs the branch without words")
        text = None if self._words.text_only is None else self._evaluate(x, level, self._words.text_only)
        null = self._evaluate(x, level, self._words.null, self._words.weaken)
        if guidance.apart and text is not None:
            share = guidance.text - guidance.lyric
            return (1 - guidance.text) * null + share * text + guidance.lyric * main
        if guidance.make is None:
            return main
        method = guidance.make(scale)
        if remember and self._method is not None:
            method.restore(self._method.state())
        out = method.combine(_flat(main), _flat(null), _flat(x), level, False)
        if remember:
            self._method = method
        return _unflat(out, x)

    def _evaluate(self, x: Tensor, level: float, condition: Condition, weaken: float = 1.0) -> Tensor:
        time = torch.tensor(level, dtype=torch.float32) * 1000
        velocity = self._transformer.velocity(x, time.to(x.device), condition, weaken)
        self._ticker()
        return velocity


def _flat(x: Tensor) -> Tensor:
    """[1, 8, 16, T] -> [1, 16 T, 8], the form in which methods norm and project channel by channel over everything else."""
    return x.flatten(2).transpose(1, 2)


def _unflat(x: Tensor, like: Tensor) -> Tensor:
    return x.transpose(1, 2).reshape(like.shape)


class RunVelocity:
    """``velocity(x, t, corrector)`` of a run; the loop tells it each step's number."""

    def __init__(self, transformer: Transformer, run: Run, first: int = 0) -> None:
        self._run, self._calls = run, first
        self._branches = Branches(transformer, run.words, run.guidance, Ticker(run, _expected(run, first)))
        self.step = first

    def __call__(self, x: Tensor, t: float, corrector: bool = False) -> Tensor:
        run = self._run
        index = self._calls if run.quirks.calls_as_steps else self.step
        self._calls += 1
        velocity = self._velocity(x, float(t), index)
        return velocity if run.sampler.stochastic else held_mean(velocity, run.omega)

    def _velocity(self, x: Tensor, level: float, index: int) -> Tensor:
        guidance, steps = self._run.guidance, self._run.steps
        first, last = guidance.span(steps)
        if not guidance.acts or not first <= index < last:
            return self._branches.plain(x, level)
        velocity = self._branches.guided(x, level, guidance.scale_at(index, steps))
        return torch.zeros_like(velocity) if index < guidance.zero_calls and not guidance.apart else velocity


def _expected(run: Run, first: int) -> int:
    """Evaluations of the transformer from step ``first`` on: two for a guided one (three with the text alone)."""
    begin, end = run.guidance.span(run.steps)
    more = (2 if run.words.text_only is not None else 1) if run.guidance.acts else 0
    each = run.sampler.evaluations
    total = 0
    for step in range(first, run.steps):
        calls = each if step < run.steps - 1 else 1
        total += calls * (1 + (more if begin <= step < end else 0))
    return total
