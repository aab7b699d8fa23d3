"""What every use of the planner shares: its settings, and the rules its texts must keep. No torch."""

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
"""Size of the codebook (levels 8, 8, 8, 5, 5, 5): a code is 0 to 63,999."""

MAX_CODES = int(limits.MAX_DURATION) * CODE_RATE
"""Codes of the longest generation (600 s)."""

NO_INPUT = "NO USER INPUT"
"""What the model was trained to read where a user said nothing; also its neutral negative prompt."""

CODE_FAMILY = "acestep-1.5"
"""Family of latents whose codes the published language models were trained on; another codec has other codes."""

RANDOM = "-random"
"""How the families of checkpoints with random weights end."""

PLANNER_SIZES = ("0.6B", "1.7B", "4B")
"""Published sizes of the language model."""

_CONTROL = re.compile(r"<\|[^<>|\s]+\|>|</?think>|</?tool_(?:call|response)>")


PlannerName = Annotated[
    str,
    param("Language model: a size (0.6B, 1.7B, 4B), a folder's name, or auto for this machine.", group="planner"),
]
BackendName = Annotated[
    str,
    param(
        "What does the planning: auto uses the language model (with transformers), or rules if none is installed.",
        choices="planners",
        group="planner",
    ),
]
WithCodes = Annotated[bool, param("Also plan the music, as semantic codes.", group="planner")]
WithMetas = Annotated[
    bool,
    param(
        "Plan tempo, key, metre and length if you do not set them; off: only caption, lyrics and codes.",
        group="planner",
    ),
]
WithCaption = Annotated[bool, param("Let the planner replace your caption.", group="planner")]
WithLanguage = Annotated[
    bool, param("Let the planner detect the language of the lyrics if you do not set it.", group="planner")
]
Temperature = Annotated[
    float,
    param(
        "Sampling temperature of the language model; 0 always takes the likeliest token.",
        ge=0.0,
        le=2.0,
        group="planner",
    ),
]
MetadataTemperature = Annotated[
    float, param("Temperature for caption and metadata only.", ge=0.0, le=2.0, group="planner")
]
CodesTemperature = Annotated[float, param("Temperature for the codes only.", ge=0.0, le=2.0, group="planner")]
CfgScale = Annotated[
    float,
    param("Guidance of the language model; 1 turns it off and is twice as fast.", ge=1.0, le=10.0, group="planner"),
]
NegativePrompt = Annotated[
    str, param("What the language model's guidance steers away from.", max_length=limits.MAX_CAPTION, group="planner")
]
TopK = Annotated[
    int, param("Sample only from this many of the likeliest tokens; 0 is off.", ge=0, le=1000, group="planner")
]
TopP = Annotated[
    float,
    param(
        "Sample only from the likeliest tokens that together have this probability; 1 is off.",
        ge=0.01,
        le=1.0,
        group="planner",
    ),
]
RepetitionPenalty = Annotated[
    float, param("Values above 1 make repeated tokens less likely.", ge=1.0, le=2.0, group="planner")
]
Parallel = Annotated[
    bool,
    param(
        "Write all variants together; off: one after another, with less memory and the same results.", group="planner"
    ),
]
BatchChunk = Annotated[
    int,
    param(
        "How many variants to write together at most; none: as memory allows.",
        ge=1,
        le=limits.MAX_VARIANTS,
        group="planner",
    ),
]
DebugLog = Annotated[
    bool,
    param(
        "Log every token of the metadata: which were allowed, which was chosen and how likely it was.", group="planner"
    ),
]


class PlannerSettings(Request):
    """How the planner thinks: which model, how it samples, and which of its ideas are used."""

    model: PlannerName = "auto"
    backend: BackendName = "auto"
    codes: WithCodes = True
    use_metas: WithMetas = True
    use_caption: WithCaption = True
    use_language: WithLanguage = True
    temperature: Temperature = 0.85
    metadata_temperature: MetadataTemperature | None = None
    codes_temperature: CodesTemperature | None = None
    cfg_scale: CfgScale = 2.0
    negative_prompt: NegativePrompt = ""
    top_k: TopK = 0
    top_p: TopP = 0.9
    caption_tokens: Annotated[
        int, param("Maximum length of the caption, in tokens.", ge=1, le=512, group="planner")
    ] = 512
    lyrics_tokens: Annotated[int, param("Maximum length of the lyrics, in tokens.", ge=1, le=2048, group="planner")] = (
        2048
    )
    repetition_penalty: RepetitionPenalty = 1.0
    parallel: Parallel = True
    batch_chunk: BatchChunk | None = None
    debug: DebugLog = False

    @property
    def together(self) -> int:
        """Most sequences that are written at once; 0 for as many as the memory holds."""
        return 1 if not self.parallel else self.batch_chunk or 0


def refuse_control_text(text: str, field: str) -> str:
    """The text unchanged, if it spells none of the model's control tokens (they would end or forge a turn).

    Raises `BadRequest`.
    """
    found = _CONTROL.search(text)
    if found:
        raise BadRequest(f"{field} contains {found.group(0)!r}, a control token of the language model", field=field)
    return text


def knows_codes_of(family: str) -> bool:
    """Whether the planner's codes mean something to a checkpoint of this family (random ones play along)."""
    return family == CODE_FAMILY or family.endswith(RANDOM)


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
    trace: Callable[[str], None] | None = None
    """Called with a line per token where somebody wants to see what the grammar allowed and what was taken."""


class CodesJob(msgspec.Struct, frozen=True, kw_only=True):
    """Write semantic codes, one sequence per seed: exactly ``count``, or up to ``limit`` where none is given."""

    prompt: str
    negative: str = ""
    seeds: tuple[int, ...]
    count: int | None = None
    limit: int = MAX_CODES
    together: int = 0
    """Most sequences at once; 0 for as many as the memory holds."""


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
    packages: tuple[str, ...] = ()
    """Modules that it needs and that may be missing; a request for it is then refused before anything is loaded."""
    language_model: bool = True
    """Whether it runs a language model. One that doesn't needs no model, writes no codes and can't listen; its class is built
    without arguments and answers as `acestep.planner.planning.Planner` does. ``auto`` takes it where no language model is here."""
    feature: str = ""
    """The feature flag that it needs (`acestep.api.features`); empty: none. Where the flag is on, ``auto`` prefers it to the others
    without a language model."""
    guides: bool = True
    """Whether it can run the language model with guidance; a request for more than 1 is refused where it cannot."""
