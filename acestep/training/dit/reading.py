"""Reading practice: what a prompt says has to stand in its last token and in the mean of all, where a young cross-attention looks.

From sound alone the model learns what a word means very slowly: most tasks hear the key in their context, and a stem can be
told from the noise around it late in the sampling, but not at its start. Only training has these heads; nothing is exported.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.api.instructions import instruction
from acestep.training.dit.dit_model import HIDDEN
from acestep.training.dit.tasks import TASKS, spell_key
from acestep.training.dit.text_prompts import text_prompt
from acestep.training.songs import Song
from acestep.training.songs.captions import instrument_words
from acestep.training.songs.song_harmony import scale
from acestep.training.songs.song_tracks import TRACKS

NAMING_TASKS = ("extract", "lego", "complete")
TONICS, TEMPO_STEP, SLOWEST, FASTEST = 12, 5, 60, 180
TEMPI = (FASTEST - SLOWEST) // TEMPO_STEP + 1
ANSWERS = 12 + TONICS + len(TRACKS) + TEMPI + len(TASKS) + len(TRACKS)
"""Pitch classes of the key, its tonic, the instruments, the tempo in steps of 5 bpm, the task and its track: each a yes or no."""

TOLD = 0.75  # how often a prompt names the key, the tempo, the instruments


@dataclass(frozen=True, slots=True)
class Lesson:
    """A prompt and what it is about. Key, tempo and instruments may go untold: such prompts are read as well."""

    song: Song
    task: str
    track: str
    key: bool = True
    tempo: bool = True
    instruments: bool = True

    def prompt(self, rng: random.Random) -> str:
        """In the task's sentence."""
        song, words = self.song, instrument_words(self.song, rng) if self.instruments else []
        rng.shuffle(words)
        return text_prompt(
            instruction(self.task, self.track),
            ", ".join(words),
            song.bpm if self.tempo else None,
            song.metre,
            spell_key(song.key, rng) if self.key else "",
            rng.randint(8, 60),
        )

    def facts(self) -> Tensor:
        """What the prompt tells, as [ANSWERS] zeros and ones; NaN where it does not say."""
        song = self.song
        tempo = (min(max(song.bpm, SLOWEST), FASTEST) - SLOWEST) // TEMPO_STEP
        classes = scale(song.tonic, song.minor)
        named = self.track if self.task in NAMING_TASKS else ""
        answers = [
            (self.key, [pitch in classes for pitch in range(12)]),
            (self.key, [pitch == song.tonic for pitch in range(TONICS)]),
            (self.instruments, [track in song.tracks for track in TRACKS]),
            (self.tempo, [step == tempo for step in range(TEMPI)]),
            (True, [task == self.task for task in TASKS]),
            (True, [track == named for track in TRACKS]),
        ]
        return torch.tensor([float(yes) if told else torch.nan for told, part in answers for yes in part])


def draw_lesson(song: Song, rng: random.Random) -> Lesson:
    """A song in some task, on some track; half of the time a task that names one."""
    task = rng.choice(NAMING_TASKS if rng.random() < 0.5 else TASKS)
    told = (rng.random() < TOLD for _ in range(3))
    return Lesson(song, task, rng.choice(sorted(TRACKS)), *told)


class Reader(nn.Module):
    """Answers questions about a prompt from its last token, and again from the mean of its tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(HIDDEN)  # without it nothing is learned from a word among sixty
        self.answers = nn.Linear(HIDDEN, ANSWERS)

    def loss(self, hidden: Tensor, mask: Tensor, lessons: Sequence[Lesson]) -> Tensor:
        """Tokens [B, L, H], which of them count [B, L], what they are about -> mean cross-entropy of the answers, 0 = all read."""
        length = mask.sum(1)
        mean = (hidden * mask[..., None]).sum(1) / length[:, None]
        last = hidden[torch.arange(len(hidden), device=hidden.device), length - 1]
        wanted = torch.stack([lesson.facts() for lesson in lessons]).to(mean).expand(2, -1, -1)
        said = self.answers(self.norm(torch.stack([mean, last])))
        asked = ~wanted.isnan()
        return functional.binary_cross_entropy_with_logits(said[asked], wanted[asked])
