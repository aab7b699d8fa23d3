"""Which files a job returns, of which of its stages, and in which form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from acestep.admission.chain import Chain, StageInput
from acestep.admission.chain_errors import of_stage
from acestep.admission.region import check_span
from acestep.api import limits
from acestep.api.errors import BadRequest, TooLarge
from acestep.api.plan import Plan, SourceFacts
from acestep.api.request import Output, Role
from acestep.api.rounding import samples
from acestep.api.thinking import leaves_length_open

NEEDS_SOURCE = frozenset({"patch", "span", "whole", "residual"})
"""Roles that are made of the source's own samples too."""

ONCE = frozenset({"whole", "span"})
"""Roles of which the last of several edits holds them all."""


def resolve_returns(chain: Chain) -> tuple[Output, list[tuple[Role, ...] | None]]:
    """The output with nothing left open, which says what the last stage returns, and what each stage returns besides.

    Raises `BadRequest` for files that a stage cannot return, and `TooLarge`.
    """
    output, part = chain.shared.output, chain.shared.part
    last = _of_last(chain)
    if chain.makes_new:
        _check_length(output, part)
    if "span" in last:
        check_span(output, chain.inputs[-1].facts)
    length: int | str | None = part.frames if chain.makes_new else output.length
    if chain.shared.source is None and leaves_length_open(chain.shared.conditioning, chain.plans, output):
        length = None  # the planner will say
    output = msgspec.structs.replace(output, returns=last, rate=part.rate, channels=part.channels, length=length)
    return output, [*(_of_earlier(chain, index, last) for index in range(len(chain.stages) - 1)), None]


def _of_last(chain: Chain) -> list[Role]:
    """What the last stage returns: what it names, else what the output asks for, else what its operation returns by itself."""
    index, stage, asked = len(chain.stages) - 1, chain.stages[-1], chain.shared.output.returns
    plan, given = chain.plans[-1], chain.inputs[-1]
    if asked and stage.returns and list(stage.returns) != asked:
        raise BadRequest("the last stage and the output name different files to return", field="returns")
    if stage.returns == ():
        raise BadRequest(
            "the last stage returns at least one file; leave out its returns to get the default",
            field=f"stages[{index}].returns",
        )
    if stage.returns:
        of_stage(index, partial(check_roles, stage.returns, plan, given))
        return list(stage.returns)
    roles = asked or [default_role(plan, given)]
    check_roles(roles, plan, given)
    return roles


def _of_earlier(chain: Chain, index: int, last: Sequence[Role]) -> tuple[Role, ...] | None:
    """What a stage before the last returns: what it names, and where no other stage goes on from it, what the last returns, or
    what its operation returns by itself."""
    stage, plan, given = chain.stages[index], chain.plans[index], chain.inputs[index]
    if stage.returns is not None:
        of_stage(index, partial(check_roles, stage.returns, plan, given))
        return stage.returns
    if index in chain.consumed():
        return tuple(role for role in last if role not in ONCE) if chain.spread else None
    fits = all(role in possible_roles(plan, given) for role in last)
    return tuple(last) if fits else (default_role(plan, given),)


def _check_length(output: Output, part: SourceFacts) -> None:
    if not 1 <= part.frames <= samples(limits.MAX_DURATION, part.rate):
        raise TooLarge(
            f"a part of {part.frames / part.rate:g} s is asked for; it may have 1 sample to {limits.MAX_DURATION:.0f} s",
            field="duration" if output.length is None else "length",
            limits={"min_samples": 1, "max": limits.MAX_DURATION, "unit": "s"},
        )


def default_role(plan: Plan, given: StageInput) -> Role:
    """What a stage returns by itself: of an edit in something that this job made, the whole, which nobody has yet."""
    new = given.stage is not None and "whole" in plan.returns and plan.returns[0] == "patch"
    return "whole" if new else possible_roles(plan, given)[0]


def possible_roles(plan: Plan, given: StageInput) -> tuple[Role, ...]:
    """What a stage can return of what it works on: without a source there is nothing to put an edit into, and it is a part."""
    if given.facts is not None:
        return plan.returns
    rest = tuple(role for role in plan.returns if role not in NEEDS_SOURCE)
    return rest if set(rest) - {"latent"} else ("part", *rest)


def check_roles(returns: Sequence[Role], plan: Plan, given: StageInput) -> None:
    """Raise `BadRequest` for a file that a stage does not make, or cannot make without a source."""
    possible = possible_roles(plan, given)
    for role in returns:
        if role in possible:
            continue
        if role in plan.returns:
            raise BadRequest(
                f"there is no source to make {role} of", field="returns", limits={"choices": list(possible)}
            )
        raise BadRequest(
            f"this operation returns {', '.join(possible)}, not {role}",
            field="returns",
            limits={"choices": list(possible)},
        )
