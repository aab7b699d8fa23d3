"""What a door on the HTTP server works with, who calls it, and which doors there are.

A door is a package under `bridge.doors` with ``routes(site) -> list[BaseRoute]``; it has its line in `DOORS`. Where a client may
show the token in the body of a request, the package names those paths in ``TOKEN_IN_BODY`` and looks at the token there itself.
``TITLE`` and ``PAGES`` (path, answer, example) are its part of the reference page.
"""

from __future__ import annotations

import importlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute

from bridge.core.access import OWNER, Access
from bridge.core.interface import Core
from bridge.doors.dispatch import Dispatcher
from bridge.doors.rest.standing import Choices
from bridge.settings import Settings

DOORS: tuple[str, ...] = (
    "bridge.doors.http.page",
    "bridge.doors.rest",
    "bridge.doors.chat",
    "bridge.doors.gradio",
    "bridge.doors.mcp",
)
"""Modules of the doors that live on the HTTP server, beside its own pages. A further door has its line here."""


@dataclass(frozen=True)
class Site:
    """The HTTP server as its doors see it."""

    dispatcher: Dispatcher
    settings: Settings = field(default_factory=Settings)
    choices: Choices = field(default_factory=Choices)
    """Model and adapters that front ends of ACE-Step have chosen for what follows."""

    @property
    def core(self) -> Core:
        """The core behind all doors."""
        return self.dispatcher.core


@dataclass
class HttpCaller:
    """Whoever makes a request. Nothing is sent to it beyond the answer, so following a job is the door's business."""

    door: str
    name: str
    access: Access = OWNER
    local: bool = False
    """Whether the caller is on this machine, so that a path of its means a file here."""

    @classmethod
    def of(cls, connection: HTTPConnection, door: str) -> HttpCaller:
        """The sender of a request or of a WebSocket's first bytes. Who passed the guard is the owner."""
        host = connection.client.host if connection.client else ""
        return cls(door=door, name=f"{door}:{host}", local=is_loopback(host))

    def follow(self, job: str, after: int) -> None:
        """A request has one answer."""

    def follow_all(self, after: dict[str, int]) -> None:
        """The same."""

    def unfollow(self, jobs: list[str]) -> None:
        """The same."""


def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine's own loopback."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def door_routes(site: Site) -> list[BaseRoute]:
    """The routes of all doors."""
    return [route for module in DOORS for route in importlib.import_module(module).routes(site)]


def door_pages() -> list[tuple[str, Sequence[Sequence[str]]]]:
    """Title and rows of every door's part of the reference page."""
    modules = [importlib.import_module(module) for module in DOORS]
    return [(module.TITLE, module.PAGES) for module in modules]


def paths_with_body_token() -> frozenset[str]:
    """Paths whose requests may show the token in their body; the guard leaves that to their door."""
    found: set[Any] = set()
    for module in DOORS:
        found |= getattr(importlib.import_module(module), "TOKEN_IN_BODY", frozenset())
    return frozenset(found)
