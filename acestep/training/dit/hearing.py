"""Hearing practice: the 5 Hz codes of a mix have to tell which notes sound, besides coming near its latents.

A cover knows its source through these codes alone, and latents vary most in what a cover may change: level and sound. Only
training has the head that names the notes; nothing is exported.
"""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.networks.spectra import FRAME, RATE
from acestep.training.dit.dit_model import NanoModel
from acestep.training.dit.records import FRAMES, Record
from acestep.training.dit.tasks import CODED_CROP
from acestep.training.parallel import mixed_precision
from acestep.training.songs import Song

NOTES = 24
"""Pitch classes of everything that has pitch, and of the bass alone: each a yes or no."""
NOTES_WEIGHT = 3.0  # of their cross-entropy against the latents' squared distance


def sounding_notes(song: Song, frames: int = FRAMES) -> Tensor:
    """Which notes are held in each frame of 40 ms: [frames, NOTES] zeros and ones."""
    rolls = torch.zeros(frames, NOTES)
    frames_per_quarter = RATE / FRAME * 60.0 / song.bpm
    for part in song.parts:
        if part.unpitched:
            continue
        for note in part.notes:
            first = int(note.start * frames_per_quarter)
            last = max(first + 1, math.ceil((note.start + note.length) * frames_per_quarter))
            rolls[first:last, note.pitch % 12] = 1.0
            if part.track == "bass":
                rolls[first:last, 12 + note.pitch % 12] = 1.0
    return rolls


class NoteHead(nn.Module):
    """Names the notes of latents that came through the bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 256), nn.GELU(), nn.Linear(256, NOTES))

    def loss(self, coarse: Tensor, latents: Tensor, sounding: Tensor) -> Tensor:
        """Latents after and before the bottleneck [B, T, 64], the notes in them [B, T, NOTES] -> weighted distance of both."""
        missed = functional.binary_cross_entropy_with_logits(self.notes(coarse), sounding)
        return (coarse - latents).square().mean() + NOTES_WEIGHT * missed


def draw_excerpts(records: list[Record], count: int, rng: random.Random) -> tuple[Tensor, Tensor]:
    """Crops of mixes [count, 255, 64] and their notes [count, 255, NOTES]."""
    latents, sounding = [], []
    for record in rng.choices(records, k=count):
        start = rng.randrange(FRAMES - CODED_CROP + 1)
        latents.append(record.latents["mix"][start : start + CODED_CROP])
        sounding.append(sounding_notes(record.song)[start : start + CODED_CROP])
    return torch.stack(latents), torch.stack(sounding)


def hearing_loss(model: NanoModel, listener: NoteHead, records: list[Record], count: int, rng: random.Random) -> Tensor:
    """How badly some excerpts come through the bottleneck."""
    latents, sounding = (part.to(model.device) for part in draw_excerpts(records, count, rng))
    with mixed_precision(model.device):
        coarse = model.through_bottleneck(latents)
    return listener.loss(coarse.float(), latents, sounding)
