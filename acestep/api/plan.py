"""The Plan: what a stage type tells the engine to do, in plain data.

A stage type never touches a tensor. It looks at its parameters, the source's facts and the model's facts, and returns
a Plan; the engine carries any Plan out without knowing the stage type.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec

from acestep.api.errors import BadRequest, ModelUnsuited
from acestep.api.request import Role, StageParams
from acestep.api.variants import VARIANTS, ModelInfo


class Fill(Enum):
    """What the first 64 context channels hold (reference: table of conditioning per task)."""

    SILENCE = "silence"
    """The silence latent: nothing is given."""
    SOURCE = "source"
    """The encoded source, as it is."""
    BOTTLENECK = "bottleneck"
    """The encoded source pushed through tokenizer, FSQ and detokenizer: melody and rhythm stay, sound does not."""
    HINT = "hint"
    """Audio codes or a guide, detokenised: the semantic hint of a job."""


class Mask(Enum):
    """Where the model may write."""

    ALL = "all"
    REGION = "region"


class Length(Enum):
    """What fixes how long the result is."""

    SOURCE = "source"
    """The selected region of the source (or its padded form)."""
    REQUEST = "request"
    """`Output.length`, else the duration."""


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about the selected source at the door, without decoding it."""

    rate: int
    channels: int
    frames: int
    """Samples per channel of the whole file."""
    start: int
    length: int
    """The region, in samples; it may reach outside the file for stages that extend."""
    subtype: str = ""
    format: str = ""
    notes: tuple[str, ...] = ()
    """Sentences for the user about the file."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the engine needs to run one stage.

    ``task`` is the model's name of the task (text2music, cover, repaint, extract, lego, complete) and decides whether
    a variant was trained for it. ``instruction`` is the sentence the text encoder sees. All ratios are 0 to 1.
    """

    task: str
    instruction: str
    length: Length = Length.SOURCE
    fill: Fill = Fill.SILENCE
    mask: Mask = Mask.ALL
    silence_region: bool = False
    """Replace the region of the filled context by silence frames of the same index (repaint)."""
    context: bool = False
    """Read audio around the region (windowed edits); otherwise only the region itself is read."""
    extend: bool = False
    """The region may reach outside the file (outpainting)."""
    start_from_source: bool = False
    """Begin at `t_start` from the noised source latent instead of from pure noise (refine, cover noise)."""
    t_start: float = 1.0
    injection: float = 0.0
    """Share of the steps after which the outside of the region is set back to the noised source."""
    latent_blend: int = 0
    """Frames of linear ramp outside each region edge when the outside is set back to the source at the end."""
    condition_strength: float = 1.0
    """Share of the steps that use this condition and context; the rest runs as plain text2music. The engine takes the stage
    parameter of this name where that is smaller."""
    variation: float = 0.0
    """Mix of a second noise (variance preserving); 0 keeps the seed's own take."""
    variation_seed: int = 0
    splice: bool = False
    """The result replaces the region inside the source's own samples (patch, span, whole)."""
    residual: bool = False
    """Source minus result makes sense (extract)."""
    soft_mask: bool = False
    """The result is part of what the stage works on: the decoded result only says how much of each band belongs to it."""
    passes: int = 1
    """How many renders a masked result is made of at most: one may miss what the next one hears, and none more are made where
    they agree."""
    returns: tuple[Role, ...] = ("part",)
    """Roles this stage can return; the first is the default."""
    semantic_codes: bool = False
    """Audio codes of the job may fill the context as hint (never for tasks that work on audio)."""
    hint_instruction: str = ""
    """The instruction used instead when a hint fills the context."""
    guide: bool = False
    """A rendered guide of the job may take the place of silence in the context: all of it, or the silenced region."""
    corrections: dict[str, float] = {}
    """Wavelet correction (``low``, ``high``); empty is off. The engine adds the parameters ``correction_low`` and
    ``correction_high``."""
    custom_loop: str = ""
    """``module:attribute`` of tensor code that replaces the standard loop; resolved in the worker only."""
    custom_loop_options: dict[str, float | int | str] = {}
    settled: dict[str, Any] = {}
    """What the stage chose for parameters that were left open, by name; the recipe holds it."""
    notes: tuple[str, ...] = ()
    """Sentences for the result: what was rounded, mapped or chosen."""


P = TypeVar("P", bound=StageParams)


class StageType(Generic[P]):
    """Base class of stage types; a plug-in derives, sets the class attributes and writes `plan`.

    ``Params`` is the parameter schema (a subclass of `StageParams`), which also stands in brackets behind the base class, so
    that type checkers know what `plan` gets: ``class Repaint(StageType[RepaintParams])``. ``source`` says whether audio is needed:
    ``required``, ``optional`` or ``none``.
    """

    name: str = ""
    summary: str = ""
    Params: type[StageParams] = StageParams
    source: str = "required"
    since: int = 1
    feature: str = ""
    """Name of the feature flag that must be on; empty: always there."""
    group: str = ""
    """`Operation.group` of its operation; empty: ``edit``, or ``create`` where no audio is needed."""

    def plan(self, params: P, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """What the engine should do. Raises `AceError` subclasses for what cannot be done; never touches a tensor."""
        raise TypeError(f"stage type {self.name!r} has no plan()")


def require_task(task: str, model: ModelInfo, *, operation: str) -> None:
    """Refuse a model that was not trained for the task, and name those that were."""
    if task in model.task_types:
        return
    if model.lacks and task in VARIANTS[model.variant].tasks:
        raise ModelUnsuited(missing_parts(model, operation), field="model")
    able = [name for name, variant in VARIANTS.items() if task in variant.tasks and name != "tiny"]
    raise ModelUnsuited(
        f"{operation} needs a model trained for it and {model.name} ({model.variant}) is not; load one of: {', '.join(able)}",
        field="model",
        limits={"variants": able},
    )


def missing_parts(model: ModelInfo, operation: str) -> str:
    """The sentence for what needs a part that a checkpoint's files do not hold."""
    return (
        f"{operation} needs the parts {' and '.join(model.lacks)}, which are missing in the files of "
        f"{model.name}; install a model of the same size in its original layout to borrow them"
    )


def require_region(source: SourceFacts | None, *, operation: str) -> SourceFacts:
    """The source's facts, or the error that says the operation needs audio."""
    if source is None:
        raise BadRequest(f"{operation} needs a source", field="source")
    return source
