"""Reading practice: what a prompt says has to stand in the mean of its tokens, where a young cross-attention looks first.

From sound alone the model learns what a key's name means very slowly, because most tasks hear the key in their context.
Only training has these heads; nothing of them is exported.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.training.dit.model import HIDDEN
from acestep.training.dit.prompts import text_prompt
from acestep.training.dit.tasks import TASKS, instruction, spell_key
from acestep.training.songs import Song
from acestep.training.songs.captions import instrument_words
from acestep.training.songs.harmony import scale
from acestep.training.songs.tracks import TRACKS

TONICS, TEMPO_STEP, SLOWEST, FASTEST = 12, 5, 60, 180
TEMPI = (FASTEST - SLOWEST) // TEMPO_STEP + 1
ANSWERS = 12 + TONICS + len(TRACKS) + TEMPI
"""Pitch classes of the key, its tonic, the instruments, the tempo in steps of 5 bpm: each a yes or no."""


class Reader(nn.Module):
    """Answers questions about prompts from the mean of their tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(HIDDEN)  # without it nothing is learned from a word among sixty
        self.answers = nn.Linear(HIDDEN, ANSWERS)

    def loss(self, hidden: Tensor, mask: Tensor, songs: Sequence[Song]) -> Tensor:
        """Tokens [B, L, H], which of them count [B, L], what they are about -> mean cross-entropy of the answers, 0 = all read."""
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        wanted = torch.stack([facts(song) for song in songs]).to(mean)
        return functional.binary_cross_entropy_with_logits(self.answers(self.norm(mean)), wanted)


def facts(song: Song) -> Tensor:
    """What `practice` tells of a song, as [ANSWERS] zeros and ones."""
    tempo = (min(max(song.bpm, SLOWEST), FASTEST) - SLOWEST) // TEMPO_STEP
    pitch_classes = functional.one_hot(torch.tensor(scale(song.tonic, song.minor)), 12).sum(0)
    tonic, beat = (functional.one_hot(torch.tensor(at), size) for at, size in ((song.tonic, TONICS), (tempo, TEMPI)))
    return torch.cat([pitch_classes, tonic, torch.tensor([track in song.tracks for track in TRACKS]).long(), beat])


def practice(song: Song, rng: random.Random) -> str:
    """A prompt that names tempo, key and every instrument of a song, in some task."""
    words = instrument_words(song, rng)
    rng.shuffle(words)
    sentence = instruction(rng.choice(TASKS), rng.choice(sorted(TRACKS)))
    return text_prompt(sentence, ", ".join(words), song.bpm, song.metre, spell_key(song.key, rng), rng.randint(8, 60))
