"""Sound file formats by the names that a request gives them: the one table for writing, file names and reference pages.

Exact formats hold a result as it was made. Lossy ones cannot: such a file is a *copy* beside the exact one that its row names.
"""

from __future__ import annotations

from typing import Literal

import msgspec

FormatName = Literal["wav", "flac", "mp3", "ogg", "opus", "wav16", "wav24", "wav32f", "flac16", "flac24"]
"""What a request may name."""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is written. ``container`` and ``subtype`` are libsndfile's names."""

    name: str
    container: str
    subtype: str
    suffix: str
    summary: str
    exact: str = ""
    """For a lossy format: the exact one that its copies stand beside."""
    rates: tuple[int, ...] = ()
    """Sample rates in Hz that it can hold, rising; empty for any."""
    compression: float | None = None
    """libsndfile's compression level, 0 (largest, best) to 1; none for exact formats."""
    priming: int = 0
    """Samples of silence that the encoder puts before the sound. Players that read the file's own note of it drop them."""

    @property
    def lossy(self) -> bool:
        """Whether sound changes when it is written this way."""
        return bool(self.exact)

    def rate_for(self, rate: int) -> int:
        """The rate a sound of ``rate`` Hz is written at: its own, else the next higher one, else the highest there is."""
        if not self.rates or rate in self.rates:
            return rate
        return next((held for held in self.rates if held > rate), self.rates[-1])


_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_TABLE = (
    Format(name="wav", container="WAV", subtype="PCM_24", suffix=".wav", summary="WAV, 24 bit"),
    Format(name="flac", container="FLAC", subtype="PCM_24", suffix=".flac", summary="FLAC, 24 bit"),
    Format(
        name="mp3",
        container="MP3",
        subtype="MPEG_LAYER_III",
        suffix=".mp3",
        summary="MP3, variable bit rate of high quality (LAME's V1)",
        exact="wav",
        compression=0.1,
        rates=_MP3_RATES,
        priming=1_105,
    ),
    Format(
        name="ogg",
        container="OGG",
        subtype="VORBIS",
        suffix=".ogg",
        summary="Ogg Vorbis, variable bit rate of high quality (7)",
        exact="wav",
        compression=0.3,
    ),
    Format(
        name="opus",
        container="OGG",
        subtype="OPUS",
        suffix=".opus",
        summary="Opus at 48 kHz, variable bit rate around 160 kbit/s",
        exact="wav",
        compression=0.7,
        rates=(48_000,),
        priming=312,
    ),
    Format(name="wav16", container="WAV", subtype="PCM_16", suffix=".wav", summary="WAV, 16 bit"),
    Format(name="wav24", container="WAV", subtype="PCM_24", suffix=".wav", summary="WAV, 24 bit"),
    Format(name="wav32f", container="WAV", subtype="FLOAT", suffix=".wav", summary="WAV, 32-bit float"),
    Format(name="flac16", container="FLAC", subtype="PCM_16", suffix=".flac", summary="FLAC, 16 bit"),
    Format(name="flac24", container="FLAC", subtype="PCM_24", suffix=".flac", summary="FLAC, 24 bit"),
)

FORMATS: dict[str, Format] = {entry.name: entry for entry in _TABLE}
"""Every format by its name."""

FORMAT_SUMMARY = "File format: wav and flac are 24 bit; mp3, ogg and opus are lossy copies beside the exact WAV."
"""What a request's field says about it."""


_AAC = "AAC is not available: use mp3, ogg or opus, or convert a wav"
NOT_WRITTEN = {name: _AAC for name in ("aac", "m4a", "m4b", "mp4")} | {
    "aiff": "AIFF is not available for new parts: use wav, which has the same samples",
    "aif": "AIFF is not available for new parts: use wav, which has the same samples",
    "alac": "ALAC is not available: use flac, which is lossless too",
    "wma": "WMA is not available: use mp3, ogg or opus",
}
"""Formats that people ask for and that cannot be had, each with what to take instead."""


def format_of_suffix(suffix: str) -> str:
    """The format that a file name's ending (``.mp3``, in any case) asks for; empty for one that none has."""
    return next((entry.name for entry in _TABLE if entry.suffix == suffix.lower()), "")


def exact_format(name: str) -> Format:
    """The format of the exact file: the named one, or the one beside which its copies stand."""
    found = FORMATS[name]
    return FORMATS[found.exact] if found.lossy else found
