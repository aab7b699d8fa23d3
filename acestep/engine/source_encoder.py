"""The audio a job works on: found, checked, and turned into latents of its window, each content once."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acestep.api import limits
from acestep.api.errors import NotFound
from acestep.api.source import Source
from acestep.audio.chunks import Tags
from acestep.audio.latent_header import SUFFIX, Companion
from acestep.audio.layout import Layout
from acestep.audio.read import read_window
from acestep.audio.resample import resample, to_channels
from acestep.audio.sniff import sniff
from acestep.audio.write import Form, Shape, digest, write_audio
from acestep.codec.latent_codec import Tick
from acestep.engine.geometry import Window
from acestep.engine.host_info import locate_source
from acestep.engine.model_pool import ModelPool, OpenedModel
from acestep.latents.latent_file import StoredLatent, latent_of, load_latent
from acestep.latents.latent_index import LatentIndex

BEYOND = 1.06
"""Peak from which clipping is told: 0.5 dB, since what lossy files decode to goes a little beyond full scale all the time."""

CACHE_BYTES = 512 * 1024 * 1024
"""Of encoded sources; ten minutes of sound take 4 MB."""


@dataclass(frozen=True)
class OpenSource:
    """A source that is there: its sound file, and the stored latent it came from, if it did."""

    path: Path
    layout: Layout
    latent: StoredLatent | None = None


class SourceEncoder:
    """Opens and encodes sources for one model's codec. Latents are float32 [1, T, C] on the CPU.

    ``stored`` knows the latents of earlier results.
    """

    def __init__(self, entries: SourceCache, models: ModelPool, stored: LatentIndex) -> None:
        self._cache = entries
        self._models = models
        self._stored_latents = stored

    def open(
        self, source: Source, settings: Mapping[str, Any], model: OpenedModel, staging: Path, tick: Tick
    ) -> OpenSource:
        """The source's sound file. A stored latent whose sound is gone is decoded into the staging folder first.

        Raises `NotFound`, `SourceChanged`, `NotAudio`, `CorruptAudio`, `BadLatent`.
        """
        path = locate_source(source, settings)
        if path.suffix != SUFFIX:
            layout = sniff(path)
            found = latent_of(path, self._stored_latents, model.info.latent_family, model.codec_digest)
            return OpenSource(path, layout, found)
        stored, facts, _ = load_latent(path, model.info.latent_family)
        companion = _companion(path, facts.audio)
        if companion is None:
            companion = staging / f".source-{path.stem}.wav"
            grid = model.info.grid
            last = min(stored.shape[1], grid.covering(facts.samples, facts.rate) + 1)
            with self._models.placement.on_device(model, "codec"):
                decoded, _ = self._models.runtime(model.info).decode(model, stored, (0, last), tick)
            sound = to_channels(resample(decoded.numpy(), grid.rate, facts.rate, facts.samples), facts.channels)
            shape = Shape(facts.rate, facts.channels, facts.samples)
            write_audio(companion, [sound], shape, Form("WAV", "FLOAT"), Tags())
        return OpenSource(companion, sniff(companion), StoredLatent(path))

    def encode(
        self, source: OpenSource, window: Window, model: OpenedModel, tick: Tick
    ) -> tuple[Tensor, tuple[str, ...]]:
        """Latents [1, window.frames, C] of a window: from the store as far as the source came from it, the rest encoded.

        With them what the user should know of the sound as the model hears it.
        """
        notes: tuple[str, ...] = ()
        first, stored = self._stored(source, window, model)
        if stored.shape[1] < window.audio_frames:
            audio = read_window(source.path, source.layout, window.audio_start, window.audio_length)
            notes = _level_notes(audio)
            encoded = self.encode_audio(audio, source.layout.rate, window.codec_samples, model, tick).clone()
            encoded[:, first : first + stored.shape[1]] = stored
            first, stored = 0, encoded
        return self._placed(stored, window.lead + first, window.frames, model), notes

    def region_sound(self, source: OpenSource, window: Window) -> Tensor:
        """Sound [2, N] at the codec's rate of the frames of a window's region; silence where they reach outside the file."""
        grid, (first, last) = window.grid, window.region
        start, end = (window.start + grid.samples(frame, window.rate) for frame in (first, last))
        audio = read_window(source.path, source.layout, start, end - start)
        return _heard(audio, source.layout.rate, grid.rate, (last - first) * grid.hop)

    def _placed(self, latents: Tensor, lead: int, frames: int, model: OpenedModel) -> Tensor:
        """Latents at frame ``lead`` of a window of ``frames``; everything else is silence of the same frame indices."""
        if lead == 0 and latents.shape[1] >= frames:
            return latents[:, :frames].clone()
        window = self._models.runtime(model.info).silence(model, frames).clone()
        count = min(latents.shape[1], frames - lead)
        window[:, lead : lead + count] = latents[:, :count]
        return window

    def _stored(self, source: OpenSource, window: Window, model: OpenedModel) -> tuple[int, Tensor]:
        """What the store holds of the window's audio: the first frame, and latents from there on, perhaps none."""
        grid = model.info.grid
        nothing = 0, torch.zeros(1, 0, grid.channels)
        if source.latent is None:
            return nothing
        stored, facts, _ = load_latent(source.latent.path, model.info.latent_family)
        begin = window.audio_start + source.latent.offset  # the window's audio, in samples of the latent
        shift = grid.frame_at(begin, facts.rate)
        if grid.samples(shift, facts.rate) != begin:
            return nothing  # between two frames of the latent
        low, high = source.latent.frames or (0, stored.shape[1])  # also what was made beyond the kept sound
        low, high = max(low, shift), min(high, shift + window.frames - window.lead)
        return (low - shift, stored[:, low:high]) if low < high else nothing

    def encode_audio(self, audio: np.ndarray, rate: int, length: int, model: OpenedModel, tick: Tick) -> Tensor:
        """Sound float32 [C, n] at ``rate`` as latents, resampled to ``length`` samples first. Silence is the model's own."""
        runtime, grid = self._models.runtime(model.info), model.info.grid
        key = _content_key(audio, rate, length, model)
        found = self._cache.get(key)
        if found is None:
            if not audio.any():
                found = runtime.silence(model, grid.covering(length, grid.rate))
            else:
                with self._models.placement.on_device(model, "codec"):
                    found = runtime.encode(model, _heard(audio, rate, grid.rate, length), tick)
            self._cache.put(key, found)
        return found


def _heard(audio: np.ndarray, rate: int, codec_rate: int, length: int) -> Tensor:
    """Sound [C, n] as a codec takes it: [2, length] at its rate, within full scale."""
    return torch.from_numpy(np.clip(resample(to_channels(audio, 2), rate, codec_rate, length), -1.0, 1.0))


def _level_notes(audio: np.ndarray) -> tuple[str, ...]:
    """A sentence about sound beyond full scale, which the codec does not take."""
    peak = float(np.abs(audio).max(initial=0.0))
    if peak <= BEYOND:
        return ()
    level = 20 * math.log10(peak)
    return (f"the source reaches {level:+.1f} dBFS; the model hears it clipped at 0 dBFS, its own samples are kept",)


def _companion(latent: Path, companions: tuple[Companion, ...]) -> Path | None:
    """The sound file that a latent was decoded to, if it is still what it was and begins with it."""
    for companion in companions:
        path = latent.parent / Path(companion.name).name
        if companion.offset == 0 and path.is_file() and digest(path) == companion.sha256:
            return path
    return None


def _content_key(audio: np.ndarray, rate: int, length: int, model: OpenedModel) -> str:
    key = hashlib.sha256(np.ascontiguousarray(audio).data)
    key.update(
        f"{audio.shape}/{rate}/{length}/{model.codec_digest}/{model.dtype}/{model.device}/{model.digest}".encode()
    )
    return key.hexdigest()


class SourceCache:
    """Encoded sound by content, least recently used first out, bounded in bytes."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def get(self, key: str) -> Tensor | None:
        """The latents of a content, if they are known."""
        found = self._kept.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._kept.move_to_end(key)
        return found

    def put(self, key: str, latents: Tensor) -> None:
        """Remember latents."""
        self._kept[key] = latents
        while sum(kept.numel() * 4 for kept in self._kept.values()) > self._limit and len(self._kept) > 1:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def reference_latents(encoder: SourceEncoder, path: Path, model: OpenedModel, tick: Tick) -> Tensor | None:
    """Three fixed excerpts of 10 s (start, from one third, end) of a sound as timbre reference [1, 750, 64].

    A shorter sound is repeated; a silent one is not a reference. Only the excerpts are read. Raises as `sniff` does.
    """
    layout = sniff(path)
    span = 10 * layout.rate
    if layout.frames >= 3 * span:
        starts = (0, layout.frames // 3, layout.frames - span)
        audio = np.concatenate([read_window(path, layout, start, span) for start in starts], axis=1)
    else:
        whole = read_window(path, layout, 0, layout.frames)
        audio = np.tile(whole, (1, -(-3 * span // layout.frames)))[:, : 3 * span]
    if layout.channels > limits.MAX_CHANNELS:
        audio = audio[: limits.MAX_CHANNELS]
    if not audio.any():
        return None
    return encoder.encode_audio(audio, layout.rate, 30 * model.info.grid.rate, model, tick)


def require_file(path: Path, field: str) -> Path:
    """The path, if a file stands there. Raises `NotFound`."""
    if not path.is_file():
        raise NotFound(f"there is no file {path}", field=field)
    return path
