"""A dataset: songs with labels, as the original trainer's JSON names them, and what is ours beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from acestep.conditioning.prompts import INSTRUMENTAL

OWN = "acestep_bridge"
"""Key of a sample, and of the metadata, under which our additions stand. The original drops it when it saves."""

TAG_POSITIONS = ("prepend", "append", "replace")
SPLITS = ("", "train", "validation")
OVERRIDES = ("caption", "genre")


class SampleWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a sound file in samples at its own rate; a length of 0 reaches to the end."""

    start: int = 0
    length: int = 0


WHOLE = SampleWindow()


class Own(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the original's format has no place for.

    ``song``: samples of one song stay on one side of the validation split. ``split``: the side that was chosen by hand.
    ``unsure``: label -> why a measured value may be wrong.
    """

    song: str = ""
    split: str = ""
    window: SampleWindow = WHOLE
    seconds: float = 0.0
    unsure: dict[str, str] = {}


class TrainingSample(msgspec.Struct, frozen=True, kw_only=True):
    """One song, or a part of one, with its labels. ``extra``: keys of other programs, kept as they are."""

    id: str
    audio_path: str
    filename: str = ""
    caption: str = ""
    genre: str = ""
    lyrics: str = INSTRUMENTAL
    raw_lyrics: str = ""
    formatted_lyrics: str = ""
    bpm: int | None = None
    keyscale: str = ""
    timesignature: str = ""
    duration: int = 0
    language: str = "unknown"
    is_instrumental: bool = True
    custom_tag: str = ""
    labeled: bool = False
    prompt_override: str | None = None
    own: Own = Own()
    extra: dict[str, Any] = {}

    @property
    def path(self) -> Path:
        return Path(self.audio_path)

    @property
    def seconds(self) -> float:
        """The length, as exactly as it is known."""
        return self.own.seconds or float(self.duration)


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """Samples and what holds for all of them.

    ``genre_ratio``: per cent of the samples that are trained with their genre in place of the caption. ``validation``: share of
    the songs that are only listened to. ``extra`` and ``around``: unknown keys of the metadata and of the file.
    """

    name: str = "untitled_dataset"
    custom_tag: str = ""
    tag_position: str = "prepend"
    created_at: str = ""
    all_instrumental: bool = True
    genre_ratio: int = 0
    validation: float = 0.0
    samples: tuple[TrainingSample, ...] = ()
    extra: dict[str, Any] = {}
    around: dict[str, Any] = {}


def duration_text(seconds: float) -> str:
    """Minutes and seconds as people read them: ``4:05``, ``3:00:00``."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
