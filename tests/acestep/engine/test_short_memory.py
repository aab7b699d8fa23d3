"""Memory that runs out in the middle of a phase: one sentence, nothing left behind, and the same job works afterwards.

What is looked at before the work has tests of its own: the model (checkpoints/test_memory_need.py), batches (test_memory.py), tiles
(codec/test_room.py), the planner (planner/test_memory.py), training (training/adapters/test_memory.py), exports
(onnx/test_export.py).
"""

from __future__ import annotations

import pytest
import torch

from acestep.api.errors import OutOfMemory
from acestep.checkpoints import load, lora, merge
from acestep.codec.latent_codec import Codec
from acestep.engine import denoise_group

WISH = {"length": 20_000, "rate": 48_000, "seed": 3, "steps": 2, "format": "wav32f"}

REFUSALS = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "allocator": RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    "python": MemoryError(),
}
"""How the lack is told, by who tells it."""

PHASES = {
    "load": (load, "read_tensors"),
    "adapters": (lora, "merged_weight"),
    "encode": (Codec, "_encode"),
    "denoise": (denoise_group.DenoiseGroup, "_solve"),
    "decode": (Codec, "decode"),
}
"""The code that each phase of a render calls."""


@pytest.mark.parametrize("teller", REFUSALS)
@pytest.mark.parametrize("phase", PHASES)
def test_too_little_memory_ends_a_render_in_a_sentence(runner, adapter, song, monkeypatch, phase, teller):
    """Whatever phase it is in and whoever tells; the next one finds the engine as it was."""
    adapter("velvet")
    wish = {**WISH, "lora": ["velvet"]} if phase == "adapters" else WISH
    operation = "generate"
    if phase == "encode":
        operation, wish = (
            "repaint",
            {"source": str(song()), "start_seconds": 1.0, "end_seconds": 1.5, "seed": 3, "steps": 2},
        )
    if phase == "load":
        runner.engine.unload("")
    runner.engine.forget()

    def lacking(*given, **named):
        raise REFUSALS[teller]

    with monkeypatch.context() as patched:
        patched.setattr(*PHASES[phase], lacking)
        with pytest.raises(OutOfMemory, match="has too little memory for this job; try a shorter region") as caught:
            runner.run(operation, **wish)
    assert "allocat" not in caught.value.message and "CUDA" not in caught.value.message
    first, _ = runner.run(operation, **wish)
    again, _ = runner.run(operation, engine=runner.fresh_engine(), **wish)
    assert first.files[0].sha256 == again.files[0].sha256


def test_a_merge_into_a_file_that_runs_out_leaves_nothing(runner, adapter, monkeypatch):
    """No half checkpoint, and a sentence that does not speak of regions."""
    adapter("velvet")
    checkpoints = runner.home / "checkpoints"
    before = sorted(checkpoints.rglob("*")) if checkpoints.exists() else []

    def lacking(*given):
        raise REFUSALS["python"]

    monkeypatch.setattr(merge.Delta, "added_to", lacking)
    context = runner.context(runner.library / "merging")
    with pytest.raises(OutOfMemory, match="close other programs, or take a smaller model"):
        runner.engine.run("lora-merge", {"lora": ["velvet"], "name": "mine"}, context)
    assert (sorted(checkpoints.rglob("*")) if checkpoints.exists() else []) == before
