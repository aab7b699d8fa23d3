"""Reading practice: what a prompt says has to stand in the mean of its tokens, where a young cross-attention looks first.

From sound alone the model learns what a key's name means very slowly, because most tasks hear the key in their context.
Only training has these heads; nothing of them is exported.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

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

NAMING_TASKS = ("extract", "lego", "complete")
TONICS, TEMPO_STEP, SLOWEST, FASTEST = 12, 5, 60, 180
TEMPI = (FASTEST - SLOWEST) // TEMPO_STEP + 1
ANSWERS = 12 + TONICS + len(TRACKS) + TEMPI + len(TASKS) + len(TRACKS)
"""Pitch classes of the key, its tonic, the instruments, the tempo in steps of 5 bpm, the task and its track: each a yes or no."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A prompt and what it is about."""

    song: Song
    task: str
    track: str

    def prompt(self, rng: random.Random) -> str:
        """Names tempo, key and every instrument of the song, in the task's sentence."""
        words = instrument_words(self.song, rng)
        rng.shuffle(words)
        song, sentence = self.song, instruction(self.task, self.track)
        return text_prompt(
            sentence, ", ".join(words), song.bpm, song.metre, spell_key(song.key, rng), rng.randint(8, 60)
        )

    def facts(self) -> Tensor:
        """What the prompt tells, as [ANSWERS] zeros and ones."""
        song = self.song
        tempo = (min(max(song.bpm, SLOWEST), FASTEST) - SLOWEST) // TEMPO_STEP
        classes = scale(song.tonic, song.minor)
        named = self.track if self.task in NAMING_TASKS else ""
        answers = [
            *(pitch in classes for pitch in range(12)),
            *(pitch == song.tonic for pitch in range(TONICS)),
            *(track in song.tracks for track in TRACKS),
            *(step == tempo for step in range(TEMPI)),
            *(task == self.task for task in TASKS),
            *(track == named for track in TRACKS),
        ]
        return torch.tensor(answers, dtype=torch.float32)


def draw_lesson(song: Song, rng: random.Random) -> Lesson:
    """A song in some task, on some track."""
    return Lesson(song, rng.choice(TASKS), rng.choice(sorted(TRACKS)))


class Reader(nn.Module):
    """Answers questions about prompts from the mean of their tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(HIDDEN)  # without it nothing is learned from a word among sixty
        self.answers = nn.Linear(HIDDEN, ANSWERS)

    def loss(self, hidden: Tensor, mask: Tensor, lessons: Sequence[Lesson]) -> Tensor:
        """Tokens [B, L, H], which of them count [B, L], what they are about -> mean cross-entropy of the answers, 0 = all read."""
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        wanted = torch.stack([lesson.facts() for lesson in lessons]).to(mean)
        return functional.binary_cross_entropy_with_logits(self.answers(self.norm(mean)), wanted)
