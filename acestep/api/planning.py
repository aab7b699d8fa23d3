"""What every use of the planner shares: its settings, and the rules its texts must keep. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

import msgspec

from acestep.api import limits
from acestep.api.errors import BadRequest
from acestep.api.schema import Request, param

CODE_RATE = 5
"""Semantic codes a second."""

CODES = 64_000
"""Size of the codebook: a code is 0 to 63,999."""

MAX_CODES = int(limits.MAX_DURATION) * CODE_RATE
"""Codes of the longest generation (600 s)."""

NO_INPUT = "NO USER INPUT"
"""What the model was trained to read where a user said nothing; also its neutral negative prompt."""

PLANNER_SIZES = ("0.6B", "1.7B", "4B")
"""Published sizes of the language model."""

_CONTROL = re.compile(r"<\|[^<>|\s]+\|>|</?think>|</?tool_(?:call|response)>")


class PlannerSettings(Request):
    """How the planner thinks: which model, how it samples, and which of its ideas are used."""

    model: Annotated[
        str,
        param("Language model: a size (0.6B, 1.7B, 4B), a folder's name, or auto for this machine.", group="planner"),
    ] = "auto"
    backend: Annotated[
        str, param("What runs the language model; auto takes transformers.", choices="planners", group="planner")
    ] = "auto"
    codes: Annotated[bool, param("Also plan the music itself as semantic codes.", group="planner")] = True
    use_caption: Annotated[bool, param("Let the planner's caption replace the given one.", group="planner")] = True
    use_language: Annotated[
        bool, param("Let the planner find the language of the lyrics where none is given.", group="planner")
    ] = True
    temperature: Annotated[
        float, param("Sampling temperature; 0 always takes the likeliest.", ge=0.0, le=2.0, group="planner")
    ] = 0.85
    metadata_temperature: (
        Annotated[float, param("Temperature of caption and metadata alone.", ge=0.0, le=2.0, group="planner")] | None
    ) = None
    codes_temperature: (
        Annotated[float, param("Temperature of the codes alone.", ge=0.0, le=2.0, group="planner")] | None
    ) = None
    cfg_scale: Annotated[
        float, param("Guidance of the language model; 1 is off and twice as fast.", ge=1.0, le=10.0, group="planner")
    ] = 2.0
    negative_prompt: Annotated[
        str,
        param("What the guidance leads away from.", max_length=limits.MAX_CAPTION, group="planner"),
    ] = ""
    top_k: Annotated[
        int, param("Sample from this many likeliest tokens; 0 is off.", ge=0, le=1000, group="planner")
    ] = 0
    top_p: Annotated[
        float,
        param("Sample from the likeliest tokens that make up this share; 1 is off.", ge=0.01, le=1.0, group="planner"),
    ] = 0.9
    caption_tokens: Annotated[
        int, param("Longest caption that is written, in tokens.", ge=1, le=512, group="planner")
    ] = 512
    lyrics_tokens: Annotated[
        int, param("Longest lyrics that are written, in tokens.", ge=1, le=2048, group="planner")
    ] = 2048
    repetition_penalty: Annotated[
        float, param("Above 1 makes tokens that were used before less likely.", ge=1.0, le=2.0, group="planner")
    ] = 1.0


def refuse_control_text(text: str, field: str) -> str:
    """The text unchanged, if it spells none of the model's control tokens (they would end or forge a turn).

    Raises `BadRequest`.
    """
    found = _CONTROL.search(text)
    if found:
        raise BadRequest(f"{field} contains {found.group(0)!r}, a control token of the language model", field=field)
    return text


def check_codes(codes: list[int], field: str = "audio_codes") -> list[int]:
    """The codes unchanged, if they are 1 to `MAX_CODES` numbers of the codebook. Raises `BadRequest`."""
    bounds = {"min": 0, "max": CODES - 1, "max_length": MAX_CODES}
    if not 0 < len(codes) <= MAX_CODES:
        raise BadRequest(f"{field} holds 1 to {MAX_CODES} codes, not {len(codes)}", field=field, limits=bounds)
    for code in codes:
        if not 0 <= code < CODES:
            raise BadRequest(f"audio codes are 0 to {CODES - 1}, not {code}", field=field, limits=bounds)
    return codes


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens are drawn; the neutral values (0, 0, 1, 1, 1) switch each part off."""

    temperature: float = 0.85
    top_k: int = 0
    top_p: float = 0.9
    repetition_penalty: float = 1.0
    cfg_scale: float = 1.0


class TextJob(msgspec.Struct, frozen=True, kw_only=True):
    """Write a text that follows a grammar (llguidance's Lark dialect), from a seed, in at most ``limit`` tokens.

    ``prompt`` and ``negative`` (empty: no guidance) are rendered chats that end with the open turn.
    """

    prompt: str
    negative: str = ""
    grammar: str
    seed: int
    limit: int


class CodesJob(msgspec.Struct, frozen=True, kw_only=True):
    """Write semantic codes, one sequence per seed: exactly ``count``, or up to ``limit`` where none is given."""

    prompt: str
    negative: str = ""
    seeds: tuple[int, ...]
    count: int | None = None
    limit: int = MAX_CODES


Progress = Callable[[int, int], None]
"""``progress(done, total)``, called after every token; it raises to cancel."""


class PlannerBackend(Protocol):
    """What runs a language model. Built as ``Class(folder, settings)`` in the worker.

    ``settings`` has the worker's ``device`` and ``dtype``. ``tokenizer`` is the transformers tokenizer of the folder, whose chat
    template renders the prompts. Methods raise `AceError`.
    """

    tokenizer: object

    def write(self, jobs: Sequence[TextJob], sampling: Sampling, progress: Progress) -> list[str]:
        """One text per job, special tokens spelled out, without the end of the turn."""

    def write_codes(self, job: CodesJob, sampling: Sampling, progress: Progress) -> list[list[int]]:
        """One list of codes per seed; the n-th depends on the n-th seed alone."""

    def offload(self) -> None:
        """Move the weights out of the accelerator's memory; the next call brings them back."""


class PlannerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A planner backend as registered: ``target`` is ``module:attribute`` of a class like `PlannerBackend`."""

    name: str
    target: str
    summary: str
