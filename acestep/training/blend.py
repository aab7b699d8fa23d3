"""A run that leans back towards the weights it began from: it keeps more of what it was not taught this time.

A sitting that looks mostly at one task moves away from the others. On the straight line between the weights before and after,
what was learned comes sooner than what was forgotten goes (Wortsman et al., "Robust fine-tuning of zero-shot models", 2021).
"""

from __future__ import annotations

from pathlib import Path

import torch

from acestep.training.dit.dit_model import NanoModel
from acestep.training.errors import CheckpointUnwritable
from acestep.training.run import state_file
from acestep.training.start import start_model
from acestep.training.weights import averaged_weights, save_weights


def blend_run(folder: Path, checkpoint: Path, share: float, out: Path) -> None:
    """Write into `out` what `evaluate` and `export` need of a run: `share` (0 to 1) of the DiT run in `folder`, the rest of
    the checkpoint that it began from. Raises `StartUnsuited`, `RunMissing`, `CheckpointUnreadable` or `CheckpointUnwritable`.
    """
    after = averaged_weights(folder)
    if out.resolve() == folder.resolve():
        raise CheckpointUnwritable(state_file(out), FileExistsError("it is the run itself; blend into another folder"))
    before = NanoModel()
    start_model(before, checkpoint, out)
    blended = {
        name: torch.lerp(value, after[name], share) if value.is_floating_point() else value
        for name, value in before.state_dict().items()
    }
    save_weights(out, blended)
