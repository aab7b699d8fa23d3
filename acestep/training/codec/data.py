"""Crops for the codec from a rolling pool of songs: nothing is stored and no song comes back after it has left."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor

from acestep.training.songs import compose, song_seed
from acestep.training.songs.bank import NoteBank
from acestep.training.songs.stem_render import render_stems

SONG_SECONDS = 10.24


class CropPool:
    """`size` songs in memory; `renew` replaces the oldest by the split's next seed but `stride - 1`."""

    def __init__(self, bank: NoteBank, size: int = 48, first: int = 0, stride: int = 1, split: str = "train") -> None:
        self.bank, self.size, self.stride, self.split = bank, size, stride, split
        self.next_song = first
        self.songs: list[np.ndarray] = []  # [stems, 2, N] float16
        self._rng = random.Random(first)
        while len(self.songs) < size:
            self.renew()

    def renew(self) -> None:
        song = compose(song_seed(self.split, self.next_song), SONG_SECONDS)
        self.next_song += self.stride
        stems = render_stems(song, self.bank, int(SONG_SECONDS * 48000))
        if not stems:
            return
        self.songs.append(np.stack(list(stems.values())).astype(np.float16))
        del self.songs[: -self.size]

    def batch(self, count: int, samples: int) -> tuple[Tensor, Tensor]:
        """float32 [count, 2, samples], and which of them are of several stems [count]."""
        crops, mixed = zip(*(self._crop(samples) for _ in range(count)), strict=True)
        return torch.from_numpy(np.stack(crops)), torch.tensor(mixed)

    def _crop(self, samples: int) -> tuple[np.ndarray, bool]:
        """40 % mixes, 25 % single stems, 35 % random subsets; -8..+2 dB; sides swapped half of the time."""
        rng = self._rng
        song = rng.choice(self.songs)
        start, kind = rng.randrange(song.shape[2] - samples), rng.random()
        if kind < 0.4:
            chosen = list(range(len(song)))
        elif kind < 0.65:
            chosen = [rng.randrange(len(song))]
        else:
            chosen = [stem for stem in range(len(song)) if rng.random() < 0.6] or [0]
        gain = np.float32(10 ** (rng.uniform(-8, 2) / 20))
        crop = song[chosen, :, start : start + samples].astype(np.float32).sum(0) * gain
        return crop[::-1].copy() if rng.random() < 0.5 else crop, len(chosen) > 1
