"""The DiT's blocks through ``torch.compile``, with a way back: what the compiler cannot do runs as it always did."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from acestep.api.shortage import is_out_of_memory
from acestep.networks.attention import DENSE_LIMIT
from acestep.networks.dit import Dit, run_block

log = logging.getLogger(__name__)


class CompiledBlock:
    """Runs a block like `run_block`. ``failure`` is the compiler's complaint, empty while it works.

    One compiled form serves every block and length. Sliding attention over more than `DENSE_LIMIT` patches (a minute of
    audio) is cut into a number of pieces that is no constant, so those blocks stay as they are.
    """

    def __init__(self) -> None:
        self.failure = ""
        self._compiled = torch.compile(run_block, dynamic=True)

    def __call__(self, block: Any, hidden: Tensor, *rest: Any) -> Tensor:
        """One block; shapes as `run_block`."""
        long = hidden.shape[1] > DENSE_LIMIT and block.self_attn.sliding_window is not None
        if self.failure or long:
            return run_block(block, hidden, *rest)
        try:
            return self._compiled(block, hidden, *rest)
        except Exception as failure:  # a stranger's compiler, which needs compilers of its own: anything may be missing
            if is_out_of_memory(failure):
                raise
            log.exception("torch.compile failed; the model runs uncompiled")
            self.failure = (str(failure).strip().splitlines() or [type(failure).__name__])[0][:200]
            return run_block(block, hidden, *rest)


def compile_blocks(dit: Dit) -> CompiledBlock:
    """Let a DiT run its blocks compiled from now on (they are at the first run); returns what runs them."""
    if not isinstance(dit.quicker_block, CompiledBlock):
        dit.quicker_block = CompiledBlock()
    return dit.quicker_block
