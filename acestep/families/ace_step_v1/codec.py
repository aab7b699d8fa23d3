"""Sound at 44.1 kHz to latents [1, 8, 16, T] and back: an image autoencoder over the log-mel spectrum, and the vocoder.

The vocoder is local, so it works in tiles that give exactly what the whole would. The autoencoder is not: its attention looks at
everything at once. It works in tiles only for a piece that does not fit into memory otherwise (or when asked to), and its tiles are
blended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.api.errors import OutOfMemory
from acestep.api.shortage import is_out_of_memory
from acestep.codec.tile_memory import freed_memory_kept
from acestep.codec.tiles import Tile, Tiling, tile_count, tiles
from acestep.families.ace_step_v1.mel import HOP, LOUDEST, SILENCE, LogMel
from acestep.families.ace_step_v1.units import FRAME, frames_covering
from acestep.families.ace_step_v1.vocoder import REACH, Vocoder
from acestep.runtime.devices import free_cache

log = logging.getLogger(__name__)

SHIFT, SCALE = 1.9091, 0.1786
"""From the autoencoder's latent z to the transformer's: ``(z + SHIFT) * SCALE``. (The config's ``scaling_factor`` is unused.)"""

MELS = FRAME // HOP
"""Mel frames per latent frame."""

LATENT_TILES = Tiling(512, 128)
"""Frames: 24 seconds are kept of a tile, with 12 seconds of context a side."""

BLEND = 8
"""Latent frames over which two tiles of the autoencoder are blended, a side."""

SOUND_TILES = Tiling(2048 + 2 * REACH, REACH)
"""Mel frames: 24 seconds of sound a tile."""

Tick = Callable[[int, int], None]
"""``tick(done, parts)`` after each part of the work; may raise to stop."""


@dataclass
class MusicCodec:
    """The two networks, each on a device and in a number format of its own. ``notes`` tells what memory made necessary."""

    autoencoder: Any
    """diffusers' AutoencoderDC, whose halves are used apart (it gives them no types)."""
    vocoder: Vocoder
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._log_mel = LogMel()

    @torch.inference_mode()
    def encode(self, audio: Tensor) -> Tensor:
        """Latents, float32 [1, 8, 16, ceil(N / 4096)] on the CPU, of sound [2, N] at 44.1 kHz. Raises `OutOfMemory`."""
        length = frames_covering(audio.shape[-1]) * FRAME
        padded = functional.pad(audio.float().cpu(), (0, length - audio.shape[-1]))
        mel = (self._log_mel(padded) - SILENCE) / (LOUDEST - SILENCE)
        with _memory_in_words(), _working_memory(self.autoencoder):
            latents = self.autoencoder.encoder(_like(self.autoencoder, 2 * mel[None] - 1))
        return (latents.float().cpu() + SHIFT) * SCALE

    @torch.inference_mode()
    def decode(self, latents: Tensor, tick: Tick = lambda done, parts: None, *, tiled: bool = False) -> Tensor:
        """Sound [2, 4096 T] at 44.1 kHz, float32 on the CPU, of latents [1, 8, 16, T]. Raises `OutOfMemory` and what ``tick`` does.

        ``tiled`` makes the autoencoder work in tiles at once, instead of only after memory ran out.
        """
        total = latents.shape[-1]
        if not tiled:
            try:
                return self._decode(latents, Tiling(total, 0), tick)
            except (RuntimeError, MemoryError) as failure:
                if not is_out_of_memory(failure):
                    raise
            free_cache(_device(self.autoencoder))
            log.warning("too little memory to decode %d frames at once; decoding in tiles", total)
            self.notes.append("memory was short: the codec worked in tiles")
        with _memory_in_words():
            return self._decode(latents, _evened(total), tick)

    def _decode(self, latents: Tensor, tiling: Tiling, tick: Tick) -> Tensor:
        total = latents.shape[-1]
        first = tile_count(0, total, tiling)
        parts = first + tile_count(0, total * MELS, SOUND_TILES)
        mel = torch.zeros(2, self._log_mel.filters.shape[1], total * MELS)
        sound = torch.empty(2, total * FRAME)
        with _working_memory(self.autoencoder):
            for index, tile in enumerate(tiles(0, total, total, tiling)):
                self._add_mel(mel, latents, tile)
                tick(index + 1, parts)
        mel = (mel + 1) / 2 * (LOUDEST - SILENCE) + SILENCE
        with _working_memory(self.vocoder):
            for index, tile in enumerate(tiles(0, total * MELS, total * MELS, SOUND_TILES)):
                self._put_sound(sound, mel, tile)
                tick(first + index + 1, parts)
        return sound

    def _add_mel(self, mel: Tensor, latents: Tensor, tile: Tile) -> None:
        """A tile's share of the autoencoder's spectrum; tiles meet in a ramp of `BLEND` frames a side of their border."""
        part = latents[..., tile.first : tile.last] / SCALE - SHIFT
        made = self.autoencoder.decoder(_like(self.autoencoder, part))[0].float().cpu()
        first, last = max(tile.first, tile.core_first - BLEND), min(tile.last, tile.core_last + BLEND)
        kept = made[..., (first - tile.first) * MELS : (last - tile.first) * MELS]
        mel[..., first * MELS : last * MELS] += kept * _ramps(tile, first, last)

    def _put_sound(self, sound: Tensor, mel: Tensor, tile: Tile) -> None:
        part = _like(self.vocoder, mel[..., tile.first : tile.last])
        made = torch.cat([self.vocoder(channel[None])[0] for channel in part]).float().cpu()
        core = slice((tile.core_first - tile.first) * HOP, (tile.core_last - tile.first) * HOP)
        sound[:, tile.core_first * HOP : tile.core_last * HOP] = made[:, core]


def _evened(total: int) -> Tiling:
    """Tiles of about one length, at most `LATENT_TILES`, so that none is shorter than a ramp; one, where the whole is no longer."""
    if total <= LATENT_TILES.chunk:
        return Tiling(total, 0)
    parts = tile_count(0, total, LATENT_TILES)
    return Tiling(-(-total // parts) + 2 * LATENT_TILES.margin, LATENT_TILES.margin)


def _ramps(tile: Tile, first: int, last: int) -> Tensor:
    """Weights of the mel frames [first, last) of a tile, in latent frames; two neighbours' sum to 1."""
    weights = torch.ones((last - first) * MELS)
    for border, begin, rising in ((tile.core_first, first, True), (tile.core_last, 2 * tile.core_last - last, False)):
        width = 2 * abs(border - (first if rising else last)) * MELS
        if width:
            ramp = (torch.arange(width) + 0.5) / width
            start = (begin - first) * MELS
            weights[start : start + width] = ramp if rising else 1 - ramp
    return weights


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _like(module: nn.Module, tensor: Tensor) -> Tensor:
    """The tensor where, and in the format in which, a module computes."""
    return tensor.to(next(module.parameters()))


def _working_memory(module: nn.Module) -> AbstractContextManager[Any]:
    """On a CPU memory is used again instead of asking the system anew for every layer, which takes most of a vocoder's time."""
    return freed_memory_kept() if _device(module).type == "cpu" else nullcontext()


@contextmanager
def _memory_in_words() -> Iterator[None]:
    """Raise `OutOfMemory` for a library's own words of it."""
    try:
        yield
    except (RuntimeError, MemoryError) as failure:
        if not is_out_of_memory(failure):
            raise
        raise OutOfMemory("there is too little memory to turn this much sound into latents or back") from failure
