"""Whether a render thinks before it generates, and what of its planner fields holds. No torch, no language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from acestep.api import limits
from acestep.api.conditioning import NO_GUIDE, Conditioning
from acestep.api.errors import BadRequest, ModelUnsuited
from acestep.api.plan import Length, Plan, missing_parts
from acestep.api.planning import check_codes, knows_codes_of, refuse_control_text
from acestep.api.request import Output
from acestep.api.schema import describe
from acestep.api.thought import read_thought_text
from acestep.api.variants import ModelInfo

PREFIX = "planner_"
"""How the planner's own fields of a conditioning begin."""


def given_codes(conditioning: Conditioning) -> list[list[int]]:
    """The codes that a request brings: one sequence for all variants, one each, or none."""
    if conditioning.codes:
        return conditioning.codes
    return [conditioning.audio_codes] if conditioning.audio_codes else []


def codes_of(conditioning: Conditioning, variant: int) -> list[int]:
    """The codes of one variant; empty where there are none."""
    given = given_codes(conditioning)
    return given[min(variant, len(given) - 1)] if given else []


def wants_planning(conditioning: Conditioning, plans: Sequence[Plan]) -> bool:
    """Whether a render asks for the planner and may have it: its first stage makes something new, and no codes are given."""
    return conditioning.thinking and not given_codes(conditioning) and _takes_codes(plans)


def leaves_length_open(conditioning: Conditioning, plans: Sequence[Plan], output: Output) -> bool:
    """Whether the plan decides how long the new part is, because the request does not."""
    return (
        wants_planning(conditioning, plans)
        and conditioning.planner_metas
        and output.length is None
        and conditioning.duration is None
    )


def _takes_codes(plans: Sequence[Plan]) -> bool:
    return plans[0].length is Length.REQUEST and plans[0].semantic_codes


def check_thinking(
    conditioning: Conditioning, plans: Sequence[Plan], output: Output, models: Sequence[ModelInfo] = ()
) -> list[str]:
    """A sentence for everything about the planner that a request says and that changes nothing in it, or means nothing to the
    model of its stage.

    Raises `BadRequest` for codes that are none, that are given twice, or that are as many as the variants are not, for texts that
    would forge a turn of the language model, and for a thought that is none, or does not say how long the codes should be.
    """
    _check_codes(conditioning, output.variants)
    unknown = [
        model.name
        for plan, model in zip(plans, models, strict=False)
        if plan.semantic_codes and not knows_codes_of(model.latent_family)
    ]
    if not wants_planning(conditioning, plans):
        return [
            *_unthought(conditioning, plans),
            *_left_out(conditioning),
            *map(_foreign_codes, unknown if given_codes(conditioning) else []),
        ]
    for field in ("query", "caption", "lyrics", "genres", "planner_negative_prompt"):
        refuse_control_text(getattr(conditioning, field), field)
    if conditioning.cot_text:
        known = output.length is not None or conditioning.duration is not None
        check_brought_thought(conditioning.cot_text, codes=conditioning.planner_codes and not unknown, length=known)
    dropped = unknown if conditioning.planner_codes else []
    return [
        *_left_out(conditioning),
        *(f"the planner does not know the codes of {name}, so it plans words and metadata only" for name in dropped),
    ]


def check_brought_thought(text: str, *, codes: bool, length: bool) -> None:
    """See that a thought can be taken up; ``length``: the request says how long its ``codes`` should be. Raises `BadRequest`."""
    if read_thought_text(text).duration is None and codes and not length:
        raise BadRequest(
            "codes need a length: give a duration, or a cot_text with one",
            field="duration",
            limits={"max": limits.MAX_DURATION, "unit": "s"},
        )


def _foreign_codes(model: str) -> str:
    return (
        f"{model} has codes of its own: those of the planner mean nothing to it, only those that `codes` made with it"
    )


def _check_codes(conditioning: Conditioning, variants: int) -> None:
    if conditioning.codes and conditioning.audio_codes:
        raise BadRequest("give codes or audio_codes, not both", field="codes")
    for sequence in conditioning.codes or []:
        check_codes(sequence, "codes")
    if conditioning.audio_codes is not None:
        check_codes(conditioning.audio_codes)
    count = len(conditioning.codes or [])
    if count not in (0, 1, variants):
        raise BadRequest(
            f"codes holds {count} sequences and {variants} variants are asked for; give one, or one for each",
            field="codes",
            limits={"min": 1, "max": variants},
        )


def _unthought(conditioning: Conditioning, plans: Sequence[Plan]) -> list[str]:
    """What a job without a plan leaves aside."""
    notes = []
    takes_codes = any(plan.semantic_codes for plan in plans)
    if conditioning.thinking and given_codes(conditioning) and takes_codes:
        notes.append("the codes are given, so the planner was not asked; thinking has no effect")
    elif conditioning.thinking:
        notes.append(
            "this operation works on audio, and a plan's codes would take that audio's place, so the planner was not asked"
        )
    if given_codes(conditioning) and not takes_codes:
        notes.append("this operation follows its audio; the codes were left out")
    if conditioning.codes_strength != 1.0 and not (given_codes(conditioning) and takes_codes):
        notes.append("there are no codes to follow; codes_strength has no effect")
    if conditioning.cot_text:  # what was planned already says what it was planned with
        return notes
    if conditioning.query:
        notes.append("the sentence is read by the planner alone, and nothing is planned here; put it into the caption")
    if conditioning.genres:
        notes.append("genres are read by the planner alone, and nothing is planned here; put them into the caption")
    if not conditioning.thinking and (changed := _changed(conditioning)):
        notes.append(f"nothing is planned without thinking; {', '.join(changed)} has no effect")
    return notes


def require_codes(plan: Plan, guide: str, conditioning: Conditioning, model: ModelInfo, *, planned: bool) -> None:
    """See that a model can read codes where a stage gets any: the request's, a plan's (``planned``), or those of a guide.

    ``guide`` is the one that the stage or the request names. Raises `ModelUnsuited` for a checkpoint without the parts for codes.
    """
    if not model.lacks:
        return
    if plan.semantic_codes and given_codes(conditioning):
        raise ModelUnsuited(
            missing_parts(model, "following audio codes"), field="codes" if conditioning.codes else "audio_codes"
        )
    if planned and conditioning.planner_codes:
        sentence = missing_parts(model, "thinking")
        raise ModelUnsuited(f"{sentence}; planner_codes false plans words only", field="thinking")
    if plan.guide and guide not in ("", NO_GUIDE) and model.defaults.guide_bottleneck:
        raise ModelUnsuited(missing_parts(model, "following a guide"), field="guide")


def _left_out(conditioning: Conditioning) -> list[str]:
    count = len(conditioning.samples or [])
    if count < 2:
        return []
    return [f"of the {count} samples the fields beside them are used; send another one alone to use it"]


def _changed(conditioning: Conditioning) -> list[str]:
    """The planner's fields that are set to something else than their default."""
    defaults: dict[str, Any] = {info.name: info.default for info in describe(Conditioning)}
    values = msgspec.to_builtins(conditioning)
    return [name for name in values if name.startswith(PREFIX) and values[name] != defaults[name]]
