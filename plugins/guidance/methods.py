"""Guidance: from a conditional and an unconditional velocity [1, T, 64] to one. Only a worker imports this (torch).

Every class is made per item with the guidance scale g; g = 1 stands for no guidance. Formulas and constants as in the
model's own code.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Unguided:
    """The conditional velocity; the unconditional one is never computed."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def combine(self, cond: Tensor, uncond: Tensor, x: Tensor, t: float, corrector: bool) -> Tensor:
        return cond

    def state(self) -> dict[str, Any]:
        """What has to be kept to go on after a stored step."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a kept state."""


class Cfg(Unguided):
    """Classifier-free guidance: ``u + g (c - u)``."""

    def combine(self, cond: Tensor, uncond: Tensor, x: Tensor, t: float, corrector: bool) -> Tensor:
        return uncond + self.scale * (cond - uncond)


class CfgZeroStar(Unguided):
    """CFG-Zero* (arXiv 2503.18886): the unconditional velocity is first scaled by its least-squares fit to the conditional."""

    def combine(self, cond: Tensor, uncond: Tensor, x: Tensor, t: float, corrector: bool) -> Tensor:
        fit = (cond * uncond).sum() / (uncond * uncond).sum().clamp_min(1e-20)
        return fit * uncond + self.scale * (cond - fit * uncond)


class Apg(Unguided):
    """Adaptive projected guidance (arXiv 2410.02416) with momentum -0.75 and norm limit 2.5, over time per channel.

    A second evaluation within a step is guided plainly, so the momentum advances once a step.
    """

    MOMENTUM = -0.75
    NORM_LIMIT = 2.5

    def __init__(self, scale: float) -> None:
        super().__init__(scale)
        self._buffer: Tensor | None = None

    def combine(self, cond: Tensor, uncond: Tensor, x: Tensor, t: float, corrector: bool) -> Tensor:
        if corrector:
            return uncond + self.scale * (cond - uncond)
        self._buffer = self.advanced(cond - uncond)
        return self.project(cond, self._buffer)

    def advanced(self, difference: Tensor) -> Tensor:
        """The momentum buffer after one more step with this difference."""
        return difference if self._buffer is None else difference + self.MOMENTUM * self._buffer.to(difference)

    def project(self, cond: Tensor, momentum: Tensor) -> Tensor:
        """Guided velocity from a momentum: limited, and only what is orthogonal to the conditional velocity."""
        norm = torch.linalg.vector_norm(momentum, dim=1, keepdim=True)
        limited = momentum * (self.NORM_LIMIT / norm.clamp_min(1e-20)).clamp_max(1.0)
        exact = torch.float64 if cond.device.type != "mps" else torch.float32  # MPS has no float64
        direction = torch.nn.functional.normalize(cond.to(exact), dim=1)
        limited = limited.to(exact)
        orthogonal = limited - (limited * direction).sum(dim=1, keepdim=True) * direction
        return cond + (self.scale - 1) * orthogonal.to(cond.dtype)

    def state(self) -> dict[str, Any]:
        return {} if self._buffer is None else {"momentum": self._buffer}

    def restore(self, state: dict[str, Any]) -> None:
        self._buffer = state.get("momentum")


class Adg(Unguided):
    """Angle-based guidance: turns the clean estimate away from the unconditional one, frame by frame.

    The angle between both estimates is widened by ``w = g - 1`` and limited to 30 degrees. At t = 0 there is no angle to widen, so
    plain CFG takes over.
    """

    LIMIT: float | None = 3.14 / 6
    KEEP_NORM = False

    def combine(self, cond: Tensor, uncond: Tensor, x: Tensor, t: float, corrector: bool) -> Tensor:
        if t <= 0:
            return uncond + self.scale * (cond - uncond)
        return (x - self._turned(x - t * cond, x - t * uncond)) / t

    def _turned(self, x0: Tensor, x0_uncond: Tensor) -> Tensor:
        """The guided clean estimate from the conditional and the unconditional one."""
        weight = self.scale - 1 + 1e-3
        angle = angles(x0, x0_uncond)
        wider = weight * angle
        if self.LIMIT is not None:
            wider = wider.clamp(-self.LIMIT, self.LIMIT)
        difference = x0 - x0_uncond
        along = (difference * x0_uncond).sum(-1, keepdim=True) / (x0_uncond * x0_uncond).sum(
            -1, keepdim=True
        ).clamp_min(1e-20)
        across = difference - along * x0_uncond
        sine = angle.sin()
        weight_across = torch.where(sine > 1e-3, wider.sin() / sine.clamp_min(1e-6), torch.full_like(sine, weight))
        turned = (wider.cos() * x0 + weight_across * across).to(x0.dtype)
        if self.KEEP_NORM:
            norms = [torch.linalg.vector_norm(part, dim=1, keepdim=True) for part in (x0, turned)]
            turned = turned * norms[0] / norms[1].clamp_min(1e-20)
        return turned


class AdgNormed(Adg):
    """Angle-based guidance up to 60 degrees that keeps each channel's norm over time."""

    LIMIT = 3.14 / 3
    KEEP_NORM = True


class AdgUnclipped(Adg):
    """Angle-based guidance without a limit on the angle."""

    LIMIT = None


def angles(first: Tensor, second: Tensor) -> Tensor:
    """Angle per frame across channels, [1, T, 1], in float64 where the device has it."""
    exact = torch.float64 if first.device.type != "mps" else torch.float32
    cosine = torch.nn.functional.cosine_similarity(first.to(exact), second.to(exact), dim=-1)
    return cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos().unsqueeze(-1)
