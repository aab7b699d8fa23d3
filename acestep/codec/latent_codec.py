"""Tiled encoding and decoding around a codec class, with one tick per tile and less memory where memory is short.

The class is diffusers' Oobleck VAE or one with the interface of `acestep.networks.nano_codec.NanoCodec`: tensors [B, 2, N]
at 48 kHz to latents [B, 64, T] and back, 1920 samples a frame. Latents outside this module are float32 [1, T, 64] on the CPU.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.api.errors import OutOfMemory
from acestep.api.limits import HOP
from acestep.api.shortage import is_out_of_memory
from acestep.checkpoints.memory import checks_skipped, free_ram
from acestep.codec.tile_memory import freed_memory_kept
from acestep.codec.tiles import Tile, Tiling, fitted, tile_count, tiles
from acestep.runtime.devices import free_cache

log = logging.getLogger(__name__)

DECODE = Tiling(176, 10)
ENCODE = Tiling(133, 8)
"""Frames. A latent frame of the Oobleck VAE depends on 7 frames of sound a side, the sound of a frame on 9 latent frames: with one
more as margin, tiles give exactly what the whole would. (The original cuts off 64 and 50.) A tile of decoding keeps six seconds:
with ten, a long song's highest memory was its activations, and it came no sooner. One of encoding keeps five: ten took half
again as much memory (5.7 GiB instead of 3.65 at full size) and a twelfth less time."""

DECODE_FRAME, ENCODE_FRAME = 10_000_000, 20_000_000
"""Bytes that a frame of a tile takes in the Oobleck VAE at full width while it works, beside its weights."""

FULL_WIDTH = 128
"""Channels of its first and last layers."""

OWN_ENCODE = 266
"""Frames for a codec of ours, whose encoder needs little memory."""

SMALLEST_CHUNK = 32

ROOMY = 3
"""Times that a tile must fit into the free memory before what it frees is kept for the next one."""

SMALL_TILES = "memory was short: the codec ran in tiles of {} frames"
CHANNELS = 64

Tick = Callable[[int, int], None]
"""``tick(done, tiles)`` after each tile; may raise to stop."""


class Codec:
    """A codec network with its tiling. ``notes`` collects what had to be done to fit into memory.

    ``network`` is a module with one of the two interfaces named above; torch gives their methods no types.
    """

    def __init__(self, network: Any, decode_chunk: int | None = None) -> None:
        self._network = network
        reach = getattr(network, "context_frames", None)
        self._encode_tiling = ENCODE if reach is None else Tiling(OWN_ENCODE, reach)
        self._decode_tiling = DECODE if reach is None else Tiling(network.tile_frames, reach)
        if decode_chunk := decode_chunk or _named_chunk():
            self._decode_tiling = Tiling(decode_chunk, min(self._decode_tiling.margin, decode_chunk // 4))
        self._roomy = True
        self._frame_bytes = _frame_bytes(network)
        self.notes: list[str] = []

    def encode(self, audio: Tensor, tick: Tick) -> Tensor:
        """The posterior's mean for float32 audio [2, N] at 48 kHz: [1, ceil(N / 1920), 64]. Raises `OutOfMemory`."""
        return self._encode(audio, _mean, CHANNELS, tick)

    def encode_posterior(self, audio: Tensor, tick: Tick) -> tuple[Tensor, Tensor | None]:
        """The posterior's mean and spread, each as `encode` gives the mean; None for a codec that has a mean only."""
        if hasattr(self._network, "context_frames"):
            return self.encode(audio, tick), None
        both = self._encode(audio, _mean_and_spread, 2 * CHANNELS, tick)
        return both[..., :CHANNELS].contiguous(), both[..., CHANNELS:].contiguous()

    def _encode(self, audio: Tensor, read: Callable[[Any], Tensor], channels: int, tick: Tick) -> Tensor:
        """What ``read`` takes of each tile's posterior, [1, T, channels]."""
        frames = -(-audio.shape[-1] // HOP)
        audio = functional.pad(audio, (0, frames * HOP - audio.shape[-1]))

        def one(tile: Tile) -> Tensor:
            part = audio[None, :, tile.first * HOP : tile.last * HOP]
            latents = read(self._network.encode(part.to(self._device(), self._dtype())))
            return latents[:, :, tile.core_first - tile.first : tile.core_last - tile.first].float().cpu()

        latents = torch.empty(1, channels, frames)
        tiling = self._fitted(self._encode_tiling, self._frame_bytes[1], frames)
        self._fill(latents, one, (0, frames, frames), tiling, tick)
        return latents.transpose(1, 2).contiguous()

    def decode(self, latents: Tensor, first: int, last: int, tick: Tick) -> Tensor:
        """Sound of frames [first, last) of latents [1, T, 64], float32 [2, (last - first) * 1920]. Raises `OutOfMemory`.

        Only these frames and the margin of their tiles go through the network.
        """
        total = latents.shape[1]

        def one(tile: Tile) -> Tensor:
            part = latents[:, tile.first : tile.last].transpose(1, 2).to(self._device(), self._dtype())
            sound = self._sound(part, tile.first)
            return sound[0, :, (tile.core_first - tile.first) * HOP : (tile.core_last - tile.first) * HOP].float().cpu()

        sound = torch.empty(2, (last - first) * HOP)
        tiling = self._fitted(self._decode_tiling, self._frame_bytes[0], last - first)
        self._fill(sound, one, (first, last, total), tiling, tick)
        return sound

    def _sound(self, part: Tensor, first_frame: int) -> Tensor:
        """[1, 64, t] -> [1, 2, t * 1920]; a codec with oscillators is told where the tile stands."""
        if hasattr(self._network, "context_frames"):
            return self._network.decode(part, first_frame)
        return self._network.decode(part).sample

    def _device(self) -> torch.device:
        return next(self._network.parameters()).device

    def _dtype(self) -> torch.dtype:
        return next(self._network.parameters()).dtype

    def _fitted(self, tiling: Tiling, frame_bytes: int, frames: int) -> Tiling:
        """The tiling for so many frames in the memory that a CPU has free, with a note where it is a smaller one.

        Raises `OutOfMemory` where not even the smallest fits, before any work.
        """
        self._roomy = True
        if self._device().type != "cpu" or not frame_bytes or checks_skipped():
            return tiling
        free = free_ram()
        found = fitted(tiling, frame_bytes, free)
        need = min(found.chunk, frames) * frame_bytes
        if free is not None and need > free:
            raise OutOfMemory(
                f"turning sound into latents or back needs about {need / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
                "close other programs, or take a shorter region",
                limits={"need_bytes": need, "free_bytes": free},
            )
        if found.chunk < min(tiling.chunk, frames):
            self.notes.append(SMALL_TILES.format(found.chunk))
        self._roomy = free is None or free > ROOMY * need
        return found

    @torch.inference_mode()
    def _fill(
        self, whole: Tensor, one: Callable[[Tile], Tensor], span: tuple[int, int, int], tiling: Tiling, tick: Tick
    ) -> None:
        """All tiles of [first, last) of total, written side by side along the last axis of ``whole``; smaller tiles, then the CPU,
        on a lack of memory. Only for this once: others use the network too, and find it in the number formats it had."""
        with _formats_kept(self._network):
            while True:
                try:
                    self._pass(whole, one, span, tiling, tick)
                    return
                except (RuntimeError, MemoryError) as failure:
                    if not is_out_of_memory(failure):
                        raise
                    smaller = self._retreat(tiling, failure)
                tiling = smaller

    def _pass(
        self, whole: Tensor, one: Callable[[Tile], Tensor], span: tuple[int, int, int], tiling: Tiling, tick: Tick
    ) -> None:
        """One attempt with tiles of one size. ``whole`` was made before the codec's memory is kept, so that no tile's result lies
        in its way."""
        first, last, total = span
        width = whole.shape[-1] // (last - first)
        with freed_memory_kept(self._roomy) if self._device().type == "cpu" else nullcontext(_nothing) as give_back:
            for index, tile in enumerate(tiles(first, last, total, tiling)):
                whole[..., (tile.core_first - first) * width : (tile.core_last - first) * width] = one(tile)
                give_back()
                tick(index + 1, tile_count(first, last, tiling))

    def _retreat(self, tiling: Tiling, failure: BaseException) -> Tiling:
        """The next thing to try. Raises `OutOfMemory` when nothing is left."""
        free_cache(self._device())
        smaller = tiling.halved()
        if smaller is not None:
            log.warning("too little memory for tiles of %d frames; trying %d", tiling.chunk, smaller.chunk)
            self.notes.append(SMALL_TILES.format(smaller.chunk))
            return smaller
        if self._device().type != "cpu":
            log.warning("too little memory on %s; the codec moves to the CPU", self._device())
            self._network.to("cpu", torch.float32)
            self.notes.append("memory was short: the codec ran on the CPU")
            return tiling
        raise OutOfMemory("there is too little memory to turn this much sound into latents or back") from failure


@contextmanager
def _formats_kept(network: nn.Module) -> Iterator[None]:
    """Whatever number formats a network is given inside, afterwards each of its tensors has its own again."""
    before = [tensor.dtype for tensor in _tensors(network)]
    try:
        yield
    finally:
        for tensor, dtype in zip(_tensors(network), before, strict=True):
            if tensor.dtype != dtype:
                tensor.data = tensor.data.to(dtype)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _frame_bytes(network: Any) -> tuple[int, int]:
    """Bytes of a frame while it is decoded and encoded; 0 for codecs that need little."""
    widths = [
        getattr(getattr(network, "config", None), name, 0) for name in ("decoder_channels", "encoder_hidden_size")
    ]
    decode, encode = (width / FULL_WIDTH for width in widths)
    return int(decode * DECODE_FRAME), int(encode * ENCODE_FRAME)


def _nothing() -> None:
    """A device that is not a CPU looks after its memory itself."""


def _mean(encoded: Any) -> Tensor:
    """The mean of a posterior: a codec of ours returns it, diffusers' returns a distribution."""
    return encoded if isinstance(encoded, Tensor) else encoded.latent_dist.mode()


def _mean_and_spread(encoded: Any) -> Tensor:
    """Mean and standard deviation of a posterior, one below the other in the channels."""
    return torch.cat([encoded.latent_dist.mean, encoded.latent_dist.std], 1)


def _named_chunk() -> int | None:
    """The original's variable for frames per tile; what is not a number of at least 32 is not heeded."""
    text = os.environ.get("ACESTEP_VAE_DECODE_CHUNK_SIZE", "").strip()
    return int(text) if text.isdecimal() and int(text) >= SMALLEST_CHUNK else None
