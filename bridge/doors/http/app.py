"""The pages of the HTTP door."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bridge.core.views import Core
from bridge.doors import meters
from bridge.doors.http import audition, metrics, oscquery


def build(core: Core) -> Starlette:
    """The application over a core."""

    async def health(request: Request) -> Response:
        status = core.status()
        state = status.get("state", "ok")
        facts = {"status": state, "version": status.get("version"), "uptime": status.get("uptime")}
        return JSONResponse(facts, status_code=200 if state == "ok" else 503)

    async def numbers(request: Request) -> Response:
        text = metrics.render(core.status(), meters.read(core))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def osc(request: Request) -> Response:
        attribute = request.url.query
        if attribute == "HOST_INFO":
            return JSONResponse(oscquery.host_info(core.status()))
        if attribute and attribute not in oscquery.ATTRIBUTES:
            return JSONResponse({"error": f"there is no attribute {attribute[:64]!r}"}, status_code=400)
        node = oscquery.node_at(oscquery.tree(core), request.url.path)
        if node is None:
            return JSONResponse({"error": "there is no such address"}, status_code=404)
        if not attribute:
            return JSONResponse(node)
        if attribute not in node:
            return Response(status_code=204)
        return JSONResponse({attribute: node[attribute]})

    routes = [Route("/health", health), Route("/metrics", numbers), Route("/", osc), Route("/ace{rest:path}", osc)]
    return Starlette(routes=[*routes, *audition.routes(core)])
