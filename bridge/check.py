"""One thing that must be so, and what was found: what the demo and a trial of a model report."""

from __future__ import annotations

import msgspec


class Check(msgspec.Struct, frozen=True):
    """A rule, whether it held, and what was found."""

    rule: str
    held: bool
    found: str = ""
