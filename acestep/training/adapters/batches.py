"""The order of an epoch: batches of songs of like length, shuffled by seed and epoch alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from acestep.api import limits
from acestep.api.training import TrainOptions
from acestep.training.adapters.draw import generator_for
from acestep.training.adapters.store import Row


def plan_epoch(rows: Sequence[Row], options: TrainOptions, epoch: int) -> list[list[list[int]]]:
    """The steps of an epoch: each a list of batches, each a list of places in ``rows``.

    Songs are sorted by length (ties by chance, so that batches differ), cut into batches, and the batches shuffled. Every epoch has
    the same number of steps.
    """
    chance = generator_for(options.seed, "order", epoch)
    longest = int(options.crop_seconds * limits.FRAMES_PER_SECOND) or max(row.frames for row in rows)
    ties = torch.rand(len(rows), generator=chance).tolist()
    order = sorted(range(len(rows)), key=lambda index: (min(rows[index].frames, longest), ties[index]))
    batches = [order[first : first + options.batch] for first in range(0, len(order), options.batch)]
    mixed = [batches[index] for index in torch.randperm(len(batches), generator=chance).tolist()]
    return [mixed[first : first + options.accumulation] for first in range(0, len(mixed), options.accumulation)]
