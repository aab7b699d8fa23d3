"""Where an error of a render is: at which stage, and at which field of the JSON.

Sentences count stages from 1, as the files of a result do; fields keep the places of the JSON (`stages[0]`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from acestep.api.conditioning import Conditioning
from acestep.api.errors import AceError
from acestep.api.request import Output
from acestep.api.schema import R, inside

AtStage = Callable[[int, Callable[[], Any]], Any]
"""Runs a check of the stage of an index: `of_stage`, or `of_only_stage` where a request has but one."""


def of_stage(index: int, check: Callable[[], R]) -> R:
    """Run a check of one stage of a chain. Its error says which one, counted from 1, and names the field in the JSON."""
    try:
        return inside(f"stages[{index}]", check)
    except AceError as error:
        error.message = f"stage {index + 1}: {error.message}"
        raise


def of_only_stage(index: int, check: Callable[[], R]) -> R:
    """Run a check of the stage of a flat request, whose fields stand at the top."""
    return check()


def place_in_chain(field: str) -> str:
    """Where a field stands in the request of a chain, which keeps the shared settings and the output in maps of their own."""
    name = re.split(r"[.\[]", field, maxsplit=1)[0]
    if name in Conditioning.__struct_fields__:
        return f"conditioning.{field}"
    return f"output.{field}" if name in Output.__struct_fields__ else field
