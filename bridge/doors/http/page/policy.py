"""What the page's browser may do: run our own scripts and talk to this door; nothing else, nothing inline, nowhere else."""

from __future__ import annotations

import re

from starlette.requests import Request

_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")


def headers(request: Request) -> dict[str, str]:
    """The headers of everything that is part of the page."""
    return {"content-security-policy": policy(request.headers.get("host", "")), "cache-control": "no-cache"}


def policy(host: str) -> str:
    """The content security policy. The socket's address is named besides 'self', which older browsers read as http only."""
    socket = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
        f"connect-src 'self'{socket}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
