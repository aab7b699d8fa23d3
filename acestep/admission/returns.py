"""Which files a job returns, of which of its stages, and in which form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from acestep.admission.inputs import Inputs, StageInput
from acestep.admission.parse import ParsedRender, of_stage
from acestep.admission.region import check_span
from acestep.api import limits
from acestep.api.errors import BadRequest, TooLarge
from acestep.api.plan import Length, Plan
from acestep.api.request import Output, Role
from acestep.api.rounding import samples

NEEDS_SOURCE = frozenset({"patch", "span", "whole", "residual"})
"""Roles that are made of the source's own samples too."""

ONCE = frozenset({"whole", "span"})
"""Roles of which the last of several edits holds them all."""


def resolve_output(parsed: ParsedRender, plans: Sequence[Plan], inputs: Inputs) -> Output:
    """The output with nothing left open. Raises `BadRequest` for files that the last stage cannot return, and `TooLarge`."""
    output, last, part = parsed.output, parsed.stages[-1], inputs.shared.part
    worked_on = inputs.found[-1]
    if output.returns and last.returns and list(last.returns) != output.returns:
        raise BadRequest("the last stage and the output name different files to return", field="returns")
    if last.returns == ():
        where = f"stages[{len(plans) - 1}].returns"
        raise BadRequest(
            "the last stage returns at least one file; leave its returns out for the usual one", field=where
        )
    returns = list(last.returns or output.returns or [default_role(plans[-1], worked_on)])
    if last.returns:
        of_stage(len(plans) - 1, lambda: check_roles(returns, plans[-1], worked_on))
    else:
        check_roles(returns, plans[-1], worked_on)
    makes_new = any(plan.length is Length.REQUEST for plan in plans)
    if makes_new and not 1 <= part.frames <= samples(limits.MAX_DURATION, part.rate):
        raise TooLarge(
            f"a part of {part.frames / part.rate:g} s is asked for; it may have 1 sample to {limits.MAX_DURATION:.0f} s",
            field="duration" if output.length is None else "length",
            limits={"min_samples": 1, "max": limits.MAX_DURATION, "unit": "s"},
        )
    if "span" in returns:
        check_span(output, worked_on.facts)
    return msgspec.structs.replace(
        output,
        returns=returns,
        rate=part.rate,
        channels=part.channels,
        length=part.frames if makes_new else output.length,
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


def resolve_returns(
    parsed: ParsedRender, plans: Sequence[Plan], inputs: Inputs, output: Output
) -> list[tuple[Role, ...] | None]:
    """What each stage returns besides the last one's files: what it names, and where no other stage goes on from it, what the
    output asks for, or what its operation returns by itself."""
    consumed, last = inputs.consumed(), len(parsed.stages) - 1
    found: list[tuple[Role, ...] | None] = []
    for index, (stage, plan, given) in enumerate(zip(parsed.stages, plans, inputs.found, strict=True)):
        if index == last:
            found.append(None)
        elif stage.returns is not None:
            of_stage(index, partial(check_roles, stage.returns, plan, given))
            found.append(stage.returns)
        elif parsed.regions and index in consumed:
            found.append(tuple(role for role in output.returns or () if role not in ONCE))
        elif index in consumed:
            found.append(None)
        else:
            asked = tuple(output.returns or ())
            fits = bool(asked) and all(role in possible_roles(plan, given) for role in asked)
            found.append(asked if fits else (default_role(plan, given),))
    return found
