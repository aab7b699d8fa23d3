"""A judge of which of the twelve track classes play: a small classifier of latents, trained on the songs of a run, on held-out
songs right more often than the model it judges can be.
"""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.training.dit.records import Record, RecordStore
from acestep.training.dit.tasks import CROP
from acestep.training.evaluation.trained_model import TrainedModel
from acestep.training.run import save_atomically
from acestep.training.songs import song_seed
from acestep.training.songs.bank import NoteBank
from acestep.training.songs.song_tracks import TRACKS

WIDTH = 192
DILATIONS = (1, 2, 4)
CLASSES = list(TRACKS)
SONGS = 400  # to learn from, at least; a run without as many is given them
BLUR = 0.3  # noise on the training latents: what models make is less clean than what is encoded


class Presence(nn.Module):
    """Latents [B, T, 64] -> logits [B, 12], in the order of `TRACKS`."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(64, WIDTH, 5, padding=2)
        self.blocks = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=step, dilation=step) for step in DILATIONS)
        self.drop = nn.Dropout(0.3)
        self.leave = nn.Linear(2 * WIDTH, len(CLASSES))

    def forward(self, latents: Tensor) -> Tensor:
        hidden = functional.gelu(self.enter(latents.transpose(1, 2)))
        for block in self.blocks:
            hidden = hidden + functional.gelu(block(hidden))
        return self.leave(self.drop(torch.cat([hidden.mean(2), hidden.amax(2)], 1)))

    @torch.inference_mode()
    def heard(self, latents: Tensor) -> set[str]:
        """Track classes that play in latents [T, 64]."""
        return {name for name, logit in zip(CLASSES, self(latents[None])[0].tolist(), strict=True) if logit > 0}


def open_judge(trained: TrainedModel, bank: NoteBank) -> Presence:
    """The judge kept in the model's run, trained there first if it is missing (some minutes, most of them for songs)."""
    judge, path = Presence(), trained.run / "judge.pt"
    if path.is_file():
        judge.load_state_dict(torch.load(path, weights_only=True))
    else:
        first, folder = song_seed("train", 0), trained.run / "latents"
        count = max(SONGS, len(list(folder.glob("*.safetensors"))))
        store = RecordStore(folder, range(first, first + count), bank, trained.codec)
        while not store.full:
            store.grow()
        train_judge(judge, store.records)
        save_atomically(path, lambda partial: torch.save(judge.state_dict(), partial))
    return judge.eval()


def train_judge(judge: Presence, records: list[Record], steps: int = 700, batch: int = 32) -> None:
    """Crops of mixes, of mixes without one stem and of single stems."""
    torch.manual_seed(0)
    rng = random.Random(0)
    labelled = [pair for record in records for pair in _labelled(record)]
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        drawn = rng.choices(labelled, k=batch)
        starts = [rng.randrange(len(latents) - CROP + 1) for latents, _ in drawn]
        crops = torch.stack([latents[s : s + CROP] for (latents, _), s in zip(drawn, starts, strict=True)])
        wanted = torch.stack([present for _, present in drawn])
        loss = functional.binary_cross_entropy_with_logits(judge(crops + BLUR * torch.randn_like(crops)), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _labelled(record: Record) -> list[tuple[Tensor, Tensor]]:
    """(latents [300, 64], presence [12]) of every sound of a record whose players are known."""
    tracks, pairs = set(record.song.tracks), []
    for name, latents in record.latents.items():
        kind, _, track = name.partition("/")
        playing = {"mix": tracks, "stem": {track}, "without": tracks - {track}}.get(kind)
        if playing is not None:
            pairs.append((latents, torch.tensor([float(name in playing) for name in CLASSES])))
    return pairs
