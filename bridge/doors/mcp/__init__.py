"""The door for assistants: the Model Context Protocol, on standard input and output or over HTTP. Needs the package `mcp`."""

from __future__ import annotations

import importlib.util

from acestep.api.errors import Unavailable

PACKAGE = "mcp"
EXTRA = "mcp"


def require_package() -> None:
    """Raises `Unavailable` where the package is not installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise Unavailable(
            f"assistants are served with the package {PACKAGE}: pip install 'acestep-bridge[{EXTRA}]'",
            limits={"package": PACKAGE},
        )
