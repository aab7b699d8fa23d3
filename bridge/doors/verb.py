"""What is known of a verb: its names at the doors, what it takes, what it gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal

import msgspec

from acestep.api.rights import Right
from acestep.api.schema import FieldInfo, describe

ALL, WIRED = frozenset({"rpc", "osc", "spool"}), frozenset({"rpc", "spool"})
RPC, OSC = frozenset({"rpc"}), frozenset({"osc"})
"""Through which doors a verb can be reached."""


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a client can ask for. ``name`` is the RPC method (and the spool's); ``osc`` the address, if it has one."""

    name: str
    summary: str
    request: type[msgspec.Struct]
    call: Callable[..., Awaitable[Any]] | None = None
    """None for what only one door can do (leases, barriers); that door has the code."""
    doors: frozenset[str] = WIRED
    osc: str = ""
    positional: tuple[str, ...] = ()
    """Parameters that OSC arguments fill in order."""
    columns: tuple[str, ...] = ()
    """Keys of the answer (or of each of its rows) that an OSC answer carries, in order; none: key and value pairs."""
    answer: str
    """What comes back, in a sentence."""
    speed: Literal["fast", "job"] = "fast"
    """Fast verbs are answered by the daemon at once, whatever the worker does."""
    slow: bool = False
    """Whether it costs the daemon milliseconds of its own. Such calls are answered one after the other (`Desk.slowly`), so that
    a flood of them holds up nothing else."""
    right: Right
    """Who may call it. `Right.ANYBODY` is for what concerns nothing but the caller's own jobs."""
    command: str | None = ""
    """The words of the command line for it; empty: ``call NAME``; None: it is about a connection or a piece of a file, which
    the command line looks after by itself."""
    since: int = 1

    @property
    def parameters(self) -> list[FieldInfo]:
        """The parameters with types, units, ranges and examples."""
        return describe(self.request)

    @property
    def command_line(self) -> str:
        """The words behind ``acestep-bridge`` that do it; empty where the command line has no need of it."""
        return "" if self.command is None else self.command or f"call {self.name}"

    @property
    def example(self) -> dict[str, Any]:
        """Parameters of a call that shows the verb at work."""
        return {info.name: info.example for info in self.parameters if info.required or info.example not in (None, "")}


def describe_verbs(verbs: Iterable[Verb]) -> list[dict[str, Any]]:
    """Verbs as maps, for clients and pages."""
    return [
        {
            "name": verb.name,
            "summary": verb.summary,
            "osc": verb.osc,
            "doors": sorted(verb.doors),
            "right": verb.right.label,
            "fields": [msgspec.to_builtins(info) for info in verb.parameters],
            "example": msgspec.to_builtins(verb.example),
            "answer": verb.answer,
            "command": verb.command_line,
            "fast": verb.speed == "fast",
            "since": verb.since,
        }
        for verb in verbs
    ]
