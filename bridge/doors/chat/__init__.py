"""The chat form: music as an answer to a message, as ACE-Step's OpenRouter-like server and OpenAI's clients speak it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from bridge.doors.http.site import Site

TITLE = "The chat form"

PAGES = [
    ("/v1/chat/completions", "POST: music for the last message, whole or streamed.", "see docs/rest.md"),
    ("/v1/models", "The models of this machine, as chat clients list them.", "curl http://127.0.0.1:9702/v1/models"),
]


def routes(site: Site) -> list[BaseRoute]:
    """The two calls."""
    from starlette.routing import Route

    from bridge.doors.chat.door import ChatDoor, guarded

    door = ChatDoor(site)
    return [
        Route("/v1/models", guarded(door.models)),
        Route("/v1/chat/completions", guarded(door.completions), methods=["POST"]),
    ]
