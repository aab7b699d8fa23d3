"""What a planner is asked, and what it answers, whether a language model plans or rules do. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import msgspec

from acestep.api import limits, music
from acestep.api.metadata import Metadata, write_block
from acestep.api.planning import PlannerSettings, Progress
from acestep.api.rounding import half_up
from acestep.api.thought import read_thought_text

INSTRUMENTAL = "[Instrumental]"
"""Lyrics of music without a voice."""


class PlanInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks the planner to plan. Fields of ``given`` that are set are kept verbatim."""

    caption: str = ""
    lyrics: str = ""
    instrumental: bool = False
    given: Metadata = Metadata()

    @property
    def sung(self) -> str:
        """The lyrics as the model reads them."""
        lyrics = self.lyrics.strip()
        silent = self.instrumental or lyrics.lower() in ("", "[inst]", "[instrumental]")
        return INSTRUMENTAL if silent else lyrics


class Thought(msgspec.Struct, frozen=True, kw_only=True):
    """A finished chain of thought."""

    metadata: Metadata
    text: str
    """What the model wrote, from ``<think>`` to ``</think>``."""
    decoding: tuple[str, ...] = ()
    """A line per token, where the settings ask for them."""
    notes: tuple[str, ...] = ()
    """What was assumed, in sentences; a language model gives none."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A described piece: metadata (its caption among them), lyrics, and what the model wrote."""

    metadata: Metadata
    lyrics: str
    text: str
    decoding: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class AnyPlanner(Protocol):
    """What plans: a language model (`acestep.planner.planning.Planner`), rules, or rules with the nano planner's help."""

    @property
    def writes_codes(self) -> bool:
        """Whether it can `sketch`."""

    @property
    def made_by(self) -> tuple[str, ...]:
        """Sentences about itself for every result; none for a language model."""

    def think(self, inputs: PlanInputs, settings: PlannerSettings, seed: int, progress: Progress) -> Thought:
        """The metadata of a prompt, with everything that is given kept."""

    def sketch(
        self,
        inputs: PlanInputs,
        metadata: Metadata,
        settings: PlannerSettings,
        seeds: Sequence[int],
        progress: Progress,
    ) -> list[list[int]]:
        """The piece as codes, one list per seed. Raises `ModelMissing` where it `writes_codes` not."""

    def compose(
        self, query: str, inputs: PlanInputs, settings: PlannerSettings, seed: int, progress: Progress
    ) -> Sample:
        """A sentence becomes caption, lyrics and metadata."""

    def format(self, inputs: PlanInputs, settings: PlannerSettings, seed: int, progress: Progress) -> Sample:
        """Better caption and lyrics."""

    def understand(self, codes: list[int], settings: PlannerSettings, seed: int, progress: Progress) -> Sample:
        """Codes become a description. Raises `ModelMissing` where it cannot listen."""

    def offload(self) -> None:
        """Leave the accelerator's memory until the next use."""


def given_metadata(
    *,
    bpm: float | None = None,
    duration: float | None = None,
    key: str = "",
    time_signature: str = "",
    language: str = "",
    genres: str = "",
) -> Metadata:
    """A user's values as the model's vocabulary has them: whole beats, whole seconds of 10 to 600.

    ``unknown`` is not a language that somebody gave. Seconds are rounded up, so that codes always cover the piece.
    """
    seconds = None
    if duration is not None:
        seconds = min(max(math.ceil(duration), int(limits.MIN_DURATION)), int(limits.MAX_DURATION))
    return Metadata(
        bpm=None if bpm is None else half_up(bpm),
        duration=seconds,
        keyscale=key,
        timesignature=music.model_metre_name(time_signature),
        language="" if language == "unknown" else language,
        genres=genres,
    )


def read_thought(text: str, inputs: PlanInputs) -> Thought:
    """A thought that somebody brings along, with what the inputs give set above it. Raises `BadRequest` for one that is none."""
    metadata = read_thought_text(text)
    given = {name: value for name, value in msgspec.structs.asdict(inputs.given).items() if value not in ("", None)}
    metadata = msgspec.structs.replace(metadata, **given)
    return Thought(metadata=metadata, text=f"<think>\n{write_block(metadata)}\n</think>")
