"""At which times of the flow a model is taught, 1 being noise and 0 data."""

from __future__ import annotations

import torch
from torch import Tensor

from acestep.training.dit.dit_model import CONFIG
from acestep.training.times import logit_normal, shifted

UNIFORM_SHARE = 0.2


def draw_times(extracts: Tensor, shift: float) -> Tensor:
    """A time for each example. Logit-normal, with a share of uniform times so that both ends are learned.

    Where `extracts` (bool [B]) they are spread as the steps of an extraction are: whether an instrument is heard at all is
    settled in the first of them, next to pure noise, where the normal seldom goes.
    """
    even = torch.rand(len(extracts))
    normal = logit_normal(len(extracts), CONFIG["timestep_mu"], CONFIG["timestep_sigma"])
    usual = torch.where(torch.rand(len(extracts)) < UNIFORM_SHARE, even, normal)
    return torch.where(extracts, shifted(even, shift), usual)
