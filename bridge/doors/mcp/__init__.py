"""The door for assistants: the Model Context Protocol, on standard input and output or over HTTP. Needs the package `mcp`."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from acestep.api.errors import Unavailable

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from bridge.doors.http.site import Site

TITLE = "MCP"

PAGES = [
    ("/mcp", "Assistants: the Model Context Protocol as streamable HTTP.", "claude mcp add --transport http acestep http://127.0.0.1:9702/mcp"),
]  # fmt: skip

PACKAGE = "mcp"
EXTRA = "mcp"


def require_package() -> None:
    """Raises `Unavailable` where the package is not installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise Unavailable(
            f"assistants are served with the package {PACKAGE}: pip install 'acestep-bridge[{EXTRA}]'",
            limits={"package": PACKAGE},
        )


def routes(site: Site) -> list[BaseRoute]:
    """The one route."""
    from starlette.routing import Route

    from bridge.doors.mcp.http import HttpAssistants

    return [Route("/mcp", HttpAssistants(site), methods=["GET", "POST", "DELETE"])]
