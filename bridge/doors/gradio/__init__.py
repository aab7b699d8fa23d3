"""Gradio's protocol as far as front ends of ACE-Step's own page use it: ``@gradio/client``, ``gradio_client``, ace-step-ui."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from bridge.doors.http.site import Site

TITLE = "The Gradio call"

CALL = """curl -s http://127.0.0.1:9702/gradio_api/call/load_random_simple_description -d '{"data": []}'"""

PAGES = [
    ("/config", "Components and endpoints, which Gradio's clients read first.", "curl http://127.0.0.1:9702/config"),
    ("/gradio_api/info", "The endpoints with their parameters.", "curl http://127.0.0.1:9702/gradio_api/info"),
    ("/gradio_api/upload", "POST: files in parts named `files`; the answer has their names here.", "curl -F files=@song.wav http://127.0.0.1:9702/gradio_api/upload"),
    ("/gradio_api/queue/join", "POST: begin a call in a session.", "see docs/front-ends.md"),
    ("/gradio_api/queue/data", "Progress and results of a session's calls, as a stream.", "see docs/front-ends.md"),
    ("/gradio_api/cancel", "POST: cancel a call and its job.", "see docs/front-ends.md"),
    ("/gradio_api/heartbeat/SESSION", "A stream that stays open while a session lives.", "see docs/front-ends.md"),
    ("/gradio_api/reset", "POST: forget a call.", "see docs/front-ends.md"),
    ("/gradio_api/file=NAME", "A result or an upload, whole or by Range.", "see docs/front-ends.md"),
    ("/gradio_api/call/ENDPOINT", "POST: begin a call by name.", CALL),
    ("/gradio_api/call/ENDPOINT/EVENT", "Its progress and result, as a stream.", "see docs/front-ends.md"),
]  # fmt: skip


def routes(site: Site) -> list[BaseRoute]:
    """The routes."""
    from starlette.routing import Route

    from bridge.doors.gradio.components import PREFIX
    from bridge.doors.gradio.door import GradioDoor, refusing
    from bridge.doors.rest.door import RestDoor

    door = GradioDoor(RestDoor(site))
    gets = {
        "/config": door.config,
        f"{PREFIX}/info": door.info,
        f"{PREFIX}/queue/data": door.stream,
        f"{PREFIX}/heartbeat/{{session}}": door.heartbeat,
        f"{PREFIX}/call/{{name}}/{{event}}": door.call_result,
        f"{PREFIX}/file={{name:path}}": door.file,
    }
    posts = {
        f"{PREFIX}/upload": door.upload,
        f"{PREFIX}/queue/join": door.join,
        f"{PREFIX}/cancel": door.cancel,
        f"{PREFIX}/reset": door.reset,
        f"{PREFIX}/call/{{name}}": door.call,
    }
    found: list[BaseRoute] = [Route(path, refusing(call)) for path, call in gets.items()]
    return [*found, *(Route(path, refusing(call), methods=["POST"]) for path, call in posts.items())]
