"""The planner's uses by rules alone: the same answers as a language model's `acestep.planner.planning.Planner`, and no codes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from acestep.api import limits
from acestep.api.errors import ModelMissing
from acestep.api.metadata import Metadata, write_block
from acestep.api.planning import PLANNER_SIZES, PlannerSettings, Progress, refuse_control_text
from acestep.api.rounding import half_up
from acestep.api.schema import describe
from acestep.planner.plan_inputs import INSTRUMENTAL, PlanInputs, Sample, Thought
from acestep.planner.rules.figures import read_figures
from acestep.planner.rules.lyrics import tidy
from acestep.planner.rules.matching import lowered, spaced
from acestep.planner.rules.reading import Further, Reading, language_of, read_sentence
from acestep.planner.rules.writing import Draft, begin, enrich_caption, settle, write_caption

FETCH = f"`acestep-bridge models download lm-{PLANNER_SIZES[0]}` fetches the smallest that can"

MADE_BY_RULES = f"planned by rules, without a language model; {FETCH.replace('that can', 'language model')}"

NO_CODES = "rules cannot write codes, so the plan has only caption and metadata"

NO_LYRICS = (
    f"rules cannot write lyrics: put some into the field lyrics or in quotes; {FETCH}. Until then nothing is sung"
)

FOLLOWED = frozenset({"model", "backend", "codes", "use_metas", "use_caption", "use_language", "lyrics_tokens"})
"""Settings that rules heed too."""


class RulesPlanner:
    """A planner that needs no model. ``max_duration`` (s): the longest piece that it plans; ``further`` reads what rules leave."""

    writes_codes = False
    made_by: tuple[str, ...] = (MADE_BY_RULES,)

    def __init__(self, *, max_duration: float = limits.MAX_DURATION, further: Further | None = None) -> None:
        self._max_duration = max_duration
        self._further = further

    def offload(self) -> None:
        """Nothing lies in an accelerator's memory."""

    def think(self, inputs: PlanInputs, settings: PlannerSettings, seed: int, progress: Progress) -> Thought:
        """The metadata of a prompt, with everything that is given kept. Raises `BadRequest` for control tokens."""
        refuse_control_text(inputs.caption, "caption")
        refuse_control_text(inputs.lyrics, "lyrics")
        draft, metadata, caption = self._read_caption(inputs, seed)
        metadata = msgspec.structs.replace(metadata, caption=caption if settings.use_caption else "", genres="")
        if not settings.use_metas:
            metadata = msgspec.structs.replace(metadata, bpm=None, duration=None, keyscale="", timesignature="")
        if not settings.use_language and not inputs.given.language:
            metadata = msgspec.structs.replace(metadata, language="")
        progress(1, 1)
        return Thought(metadata=metadata, text=_thought(metadata), notes=(*draft.told(), *_unused(settings)))

    def sketch(
        self,
        inputs: PlanInputs,
        metadata: Metadata,
        settings: PlannerSettings,
        seeds: Sequence[int],
        progress: Progress,
    ) -> NoReturn:
        """Codes. Raises `ModelMissing`: only a language model writes them."""
        raise ModelMissing(f"rules cannot write codes; {FETCH}", field="codes")

    def compose(
        self, query: str, inputs: PlanInputs, settings: PlannerSettings, seed: int, progress: Progress
    ) -> Sample:
        """A sentence becomes caption and metadata; lyrics only those that it quotes. Raises `BadRequest` for control tokens."""
        refuse_control_text(query, "query")
        reading = read_sentence(query, self._further)
        if inputs.instrumental:
            reading.instrumental = True
        draft = begin(reading, inputs.given, seed)
        lyrics, lyric_notes = _lyrics(reading, inputs)
        caption = write_caption(draft)
        metadata = settle(draft, most=self._max_duration)
        language = metadata.language or language_of(lyrics if lyrics != INSTRUMENTAL else "")
        metadata = msgspec.structs.replace(
            metadata, caption=caption, language="unknown" if lyrics == INSTRUMENTAL else language
        )
        progress(1, 1)
        notes = (*draft.told(), *lyric_notes, *_unused(settings))
        return Sample(metadata=metadata, lyrics=lyrics, text=_thought(metadata), notes=notes)

    def format(self, inputs: PlanInputs, settings: PlannerSettings, seed: int, progress: Progress) -> Sample:
        """A fuller caption, lyrics with tags, metadata. Raises `BadRequest` for control tokens."""
        refuse_control_text(inputs.caption, "caption")
        refuse_control_text(inputs.lyrics, "lyrics")
        draft, metadata, caption = self._read_caption(inputs, seed)
        lyrics, notes = (INSTRUMENTAL, []) if inputs.sung == INSTRUMENTAL else tidy(inputs.lyrics)
        metadata = msgspec.structs.replace(metadata, caption=caption)
        progress(1, 1)
        told = (*draft.told(), *notes, *_unused(settings))
        return Sample(metadata=metadata, lyrics=lyrics, text=_thought(metadata), notes=told)

    def understand(self, codes: list[int], settings: PlannerSettings, seed: int, progress: Progress) -> NoReturn:
        """Describe a piece. Raises `ModelMissing`: rules can't listen."""
        raise ModelMissing(f"rules can't listen; {FETCH}", field="model")

    def _read_caption(self, inputs: PlanInputs, seed: int) -> tuple[Draft, Metadata, str]:
        """A caption that somebody wrote: read as a sentence, its words kept, its figures moved to their fields."""
        reading = read_sentence(inputs.caption, self._further)
        reading.notes = [note for note in reading.notes if "vocabulary" not in note and "for the lyrics" not in note]
        sung = inputs.sung != INSTRUMENTAL
        reading.instrumental = not sung if inputs.instrumental or sung else reading.instrumental
        draft = begin(reading, inputs.given, seed)
        caption = enrich_caption(draft, _without_figures(inputs.caption))
        metadata = settle(draft, most=self._max_duration)
        language = metadata.language or (language_of(inputs.lyrics) if sung else "")
        return draft, msgspec.structs.replace(metadata, language=language if sung else "unknown"), caption


def _lyrics(reading: Reading, inputs: PlanInputs) -> tuple[str, list[str]]:
    """What is sung: the request's own lyrics, else those quoted in the sentence; and what is to be said of it."""
    if reading.instrumental:
        return INSTRUMENTAL, []
    if inputs.sung != INSTRUMENTAL:
        return inputs.lyrics.strip(), []
    if reading.lyrics:
        return tidy(reading.lyrics)
    return INSTRUMENTAL, [NO_LYRICS] if reading.instrumental is False else []


def _without_figures(caption: str) -> str:
    """A caption without tempo, key, metre and length, which have fields of their own."""
    text = spaced(caption)
    spans = sorted(read_figures(lowered(text), text).spans)
    if not spans or len(text) != len(caption):
        return caption
    kept, at = [], 0
    for start, end in spans:
        kept.append(caption[at:start])
        at = end
    joined = re.sub(r"\s+", " ", "".join((*kept, caption[at:])))
    joined = re.sub(r"(?:\s*\b(?:at|in|of|for|long|and|um)\b)+\s*(?=[,.;]|$)", "", joined)
    return re.sub(r"\s*,(?:\s*,)+\s*", ", ", joined).strip(" ,;.")


def _thought(metadata: Metadata) -> str:
    """The plan as a language model would write it: whole beats and seconds."""
    bpm = None if metadata.bpm is None else half_up(metadata.bpm)
    seconds = None if metadata.duration is None else max(math.ceil(metadata.duration), int(limits.MIN_DURATION))
    return f"<think>\n{write_block(msgspec.structs.replace(metadata, bpm=bpm, duration=seconds))}\n</think>"


def _unused(settings: PlannerSettings) -> tuple[str, ...]:
    """A sentence about settings of the language model that somebody changed."""
    defaults = {info.name: info.default for info in describe(PlannerSettings)}
    values = msgspec.to_builtins(settings)
    changed = [name for name in values if name not in FOLLOWED and values[name] != defaults[name]]
    changed = [name for name in changed if not (name == "temperature" and values[name] == 0.3)]
    return (f"no language model is used: {', '.join(changed)} has no effect",) if changed else ()
