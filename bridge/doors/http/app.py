"""The application behind the HTTP server: our own pages, and the doors that speak HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bridge.core.interface import Core
from bridge.doors import meters
from bridge.doors.http import metrics, oscquery
from bridge.doors.http.site import Site, door_routes
from bridge.doors.rest.envelope import envelope
from bridge.doors.rest.facts import health_data

KEPT = 64
"""Answers of the OSCQuery tree that are kept as bytes."""


class _Tree:
    """The OSCQuery tree as bytes, made again only when it has changed."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._made_of: tuple[Any, ...] = ()
        self._root: dict[str, Any] = {}
        self._answers: dict[tuple[str, str], Response] = {}

    def answer(self, path: str, attribute: str) -> Response:
        """The node of an address, or one attribute of it."""
        made_of = (self._core.status().get("state"), *map(id, self._core.describe()))
        if made_of != self._made_of:
            self._made_of, self._root, self._answers = made_of, oscquery.tree(self._core), {}
        node = oscquery.node_at(self._root, path)
        if node is None:
            return JSONResponse({"error": "there is no such address"}, status_code=404)
        if attribute and attribute not in node:
            return Response(status_code=204)
        if (path, attribute) not in self._answers:
            if len(self._answers) >= KEPT:
                self._answers.clear()
            self._answers[path, attribute] = JSONResponse({attribute: node[attribute]} if attribute else node)
        return self._answers[path, attribute]


def build(site: Site) -> Starlette:
    """The application: our own pages, and the routes of the doors."""

    core = site.core
    tree, slowly = _Tree(core), asyncio.Lock()

    async def health(request: Request) -> Response:
        status = core.status()
        state = status.get("state", "ok")
        code = 200 if state == "ok" else 503
        ours = {"status": state, "version": status.get("version"), "uptime": status.get("uptime")}
        theirs = envelope(health_data(core), code)  # as ACE-Step's own server says it, for its front ends
        return JSONResponse({**ours, **theirs}, status_code=code)

    async def numbers(request: Request) -> Response:
        text = metrics.render(core.status(), meters.read(core))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def osc(request: Request) -> Response:
        attribute = request.url.query
        if attribute == "HOST_INFO":
            return JSONResponse(oscquery.host_info(core.status()))
        if attribute and attribute not in oscquery.ATTRIBUTES:
            return JSONResponse({"error": f"there is no attribute {attribute[:64]!r}"}, status_code=400)
        async with slowly:  # the tree is large; whoever asks for it again and again holds up nobody else
            return tree.answer(request.url.path, attribute)

    routes = [Route("/health", health), Route("/metrics", numbers), Route("/", osc), Route("/ace{rest:path}", osc)]
    return Starlette(
        routes=[*routes, *door_routes(site)],
        exception_handlers={HTTPException: _refused, ClientDisconnect: _left, Exception: _failed},
    )


async def _refused(request: Request, refusal: Exception) -> Response:
    """No such page, another method than it has, a body that cannot be taken: one sentence, as JSON."""
    assert isinstance(refusal, HTTPException)
    headers = {name: ", ".join(sorted(value.split(", "))) for name, value in (refusal.headers or {}).items()}
    return JSONResponse({"detail": refusal.detail}, status_code=refusal.status_code, headers=headers)


async def _left(request: Request, failure: Exception) -> Response:
    """The client went away in the middle of its request; nobody reads this."""
    return Response(status_code=400)


async def _failed(request: Request, failure: Exception) -> Response:
    """A fault of ours: the log has it, and the client learns no more than that."""
    return JSONResponse({"detail": "this request failed; the daemon's log says why"}, status_code=500)
