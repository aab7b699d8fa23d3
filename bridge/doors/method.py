"""What a method is: one function that a client can call, with its names at the doors, what it takes, and who may call it.

The methods themselves stand in `bridge.doors.methods`, by subject. Every door, `describe`, the command line, the OSCQuery tree and
the reference pages are made from these objects.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import msgspec

from acestep.api.rights import Right
from acestep.api.schema import FieldInfo, Request, convert, describe

if TYPE_CHECKING:
    from bridge.doors.method_context import MethodContext

R = TypeVar("R", bound=msgspec.Struct)


class Ability(Flag):
    """What a door is able to do for a method beyond taking a request and giving an answer."""

    NOTHING = 0
    CONNECTION = auto()
    """The method is about a connection, or what it starts is sent on it."""
    TIME = auto()
    """The answer may take a minute, and the caller has nothing but the answer."""
    BYTES = auto()
    """Pieces of files, as bytes."""
    SENDER = auto()
    """A sender without a connection, who says where and for how long it wants to hear something."""


OFFERS: Mapping[str, Ability] = {
    "osc": Ability.SENDER,
    "rpc": Ability.CONNECTION | Ability.TIME | Ability.BYTES,
    "jsonrpc": Ability.CONNECTION | Ability.TIME | Ability.BYTES,
    "spool": Ability.NOTHING,
    "mcp": Ability.TIME,
}
"""What each door can do for a method. A further door has its line here."""


class Nothing(Request):
    """No parameters."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """One thing a client can ask for, as the decorator `method` makes it."""

    name: str
    """At the RPC and spool doors, and behind ``acestep-bridge call``; assistants find it with ``_`` for ``.``."""
    summary: str
    """What it does: the first line of the function's docstring."""
    request: type[msgspec.Struct]
    """What it takes: the type of the function's ``request``."""
    function: Callable[[MethodContext, Any], Awaitable[Any]]
    right: Right
    answer: str
    needs: Ability
    osc: str
    positional: tuple[str, ...]
    columns: tuple[str, ...]
    reply: str
    fast: bool
    slow: bool
    submits: bool
    reads: bool
    command: str | None
    since: int

    @property
    def doors(self) -> frozenset[str]:
        """Through which doors it can be called."""
        fit = {door for door, offered in OFFERS.items() if self.needs in offered}
        return frozenset(fit if self.osc else fit - {"osc"})

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
        """Parameters of a call that shows the method at work."""
        return {info.name: info.example for info in self.parameters if info.required or info.example not in (None, "")}

    async def call(self, context: MethodContext, params: dict[str, Any]) -> Any:
        """The answer to plain parameters, whatever door they came through. Raises an `AceError`."""
        context.caller.access.require(self.right, self.name)
        if not self.slow:
            return await self.function(context, convert(params, self.request))
        async with context.slowly:
            return await self.function(context, convert(params, self.request))


def method(
    name: str,
    *,
    right: Right,
    answer: str,
    needs: Ability = Ability.NOTHING,
    osc: str = "",
    positional: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
    reply: str = "",
    fast: bool = True,
    slow: bool = False,
    submits: bool = False,
    reads: bool = False,
    command: str | None = "",
    since: int = 1,
) -> Callable[[Callable[[MethodContext, R], Awaitable[Any]]], Method]:
    """Make a method of the function below: its docstring begins with the summary, its ``request`` is annotated with what it takes.

    ``right`` is who may call it; `Right.ANYBODY` is for what concerns nothing but the caller's own jobs. ``answer`` says in a
    sentence what comes back. ``needs`` is what a door must be able to do for it. ``osc`` is its address, ``positional`` the
    parameters that OSC arguments fill in order, ``columns`` the keys of the answer (or of each of its rows) that an OSC answer
    carries in order (none: key and value pairs), ``reply`` the address of that answer where it is another one.

    ``fast``: answered by the daemon at once, whatever the worker does. ``slow``: costs the daemon milliseconds of its own; such
    calls are answered one after the other, so that a flood of them holds up nothing else. ``submits``: the answer is a new job,
    whose events the caller gets. ``reads``: nothing changes by it. ``command`` is the words of the command line for it; empty:
    ``call NAME``; None: it is about a connection or a piece of a file, which the command line looks after itself.
    """

    def made(function: Callable[[MethodContext, R], Awaitable[Any]]) -> Method:
        return Method(
            name=name,
            summary=inspect.cleandoc(function.__doc__ or "").partition("\n")[0],
            request=get_type_hints(function)["request"],
            function=function,
            right=right,
            answer=answer,
            needs=needs,
            osc=osc,
            positional=positional,
            columns=columns,
            reply=reply or osc,
            fast=fast,
            slow=slow,
            submits=submits,
            reads=reads,
            command=command,
            since=since,
        )

    return made


def methods_of(module: ModuleType) -> list[Method]:
    """The methods of a subject, in the order in which they stand there."""
    return [value for value in vars(module).values() if isinstance(value, Method)]


def describe_methods(methods: Iterable[Method]) -> list[dict[str, Any]]:
    """Methods as maps, for clients and pages."""
    return [
        {
            "name": one.name,
            "summary": one.summary,
            "osc": one.osc,
            "doors": sorted(one.doors),
            "right": one.right.label,
            "fields": [msgspec.to_builtins(info) for info in one.parameters],
            "example": msgspec.to_builtins(one.example),
            "answer": one.answer,
            "command": one.command_line,
            "fast": one.fast,
            "submits": one.submits,
            "reads": one.reads,
            "since": one.since,
        }
        for one in methods
    ]
