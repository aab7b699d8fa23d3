"""The estimate of a training's memory, against what torch really keeps for the way back."""

from __future__ import annotations

import pytest
import torch

from acestep.api.errors import OutOfMemory
from acestep.api.training import AdapterShape, TrainOptions
from acestep.checkpoints.info import read_info
from acestep.checkpoints.load import Target
from acestep.checkpoints.places import EMBEDDED
from acestep.checkpoints.tiny import build_tiny
from acestep.training.adapters.adapter import attach
from acestep.training.adapters.draw import Draw
from acestep.training.adapters.encoders import load_dit, part_paths
from acestep.training.adapters.memory import estimate, require_room
from acestep.training.adapters.objective import collate, squared_error
from acestep.training.masks import Padding

CPU = torch.device("cpu")


def kept_bytes(network, frames: int, tokens: int, batch: int) -> int:
    """Bytes of distinct memory that a forward pass keeps, the weights apart."""
    width = network.condition_embedder.in_features
    draws = [Draw(torch.randn(frames, 64), torch.randn(frames, 64), torch.randn(frames, 128), torch.randn(tokens, width), 0.5)
             for _ in range(batch)]  # fmt: skip
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = squared_error(network, Padding(network), collate(draws, CPU), True)
    assert loss.requires_grad
    return sum(kept.values())


CASES = [("nano", 600, 60, 1), ("nano", 300, 200, 2), ("wide", 500, 80, 1), ("tiny", 400, 60, 2)]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_the_estimate_is_near_what_is_kept(case, checkpointing, tmp_path):
    """Never less than three quarters of the truth nor more than twice it, with and without checkpointing."""
    name, frames, tokens, batch = case
    if name == "nano":
        info = read_info(EMBEDDED / "acestep-v15-nano")
    else:
        sizes = {"hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 8} if name == "wide" else {}
        info = read_info(build_tiny(tmp_path, config=sizes))
    network = load_dit(part_paths(info), Target(CPU, torch.float32, lambda: None))
    options = TrainOptions(shape=AdapterShape(rank=8, alpha=8, dropout=0.0), batch=batch)
    attach(network, options.shape, 0)
    network.train()
    if checkpointing:
        network.enable_gradient_checkpointing()
    need = estimate(network, options, frames, tokens, checkpointing=checkpointing)
    real = kept_bytes(network, frames, tokens, batch)
    if checkpointing:
        assert need.activations > real  # and one block that is computed again
    else:
        assert 0.75 * real < need.activations < 2 * real


def test_a_refusal_has_figures_and_a_way_out(monkeypatch):
    """In GB, part by part; the original's variable turns it off."""
    from acestep.training.adapters.memory import Need

    need = Need(weights=4_000_000_000, adapter=700_000_000, activations=9_000_000_000)
    require_room(need, None, CPU)
    require_room(need, 20_000_000_000, CPU)
    with pytest.raises(
        OutOfMemory, match=r"about 14\.0 GB on cpu \(model 4\.0, adapter 0\.7, batch 9\.0\) and 8\.0 GB are free"
    ):
        require_room(need, 8_000_000_000, CPU)
    monkeypatch.setenv("ACESTEP_SKIP_VRAM_PREFLIGHT", "1")
    require_room(need, 8_000_000_000, CPU)
