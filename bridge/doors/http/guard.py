"""Who may read over HTTP: programs on this machine, or whoever holds the token; never a page of another site.

Wraps an ASGI application. Three checks: the Host header must name this server (a rebound DNS name does not), a browser must say
that the request comes from this site itself (Sec-Fetch-Site, else Origin), and off loopback the token must be shown.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from typing import Any

SAFE_METHODS = ("GET", "HEAD")

OWN_SITES = ("same-origin", "none")
"""Values of Sec-Fetch-Site that a page of ours, or an address typed by hand, sends."""

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]
"""On every answer that does not say otherwise itself: nothing is guessed, kept, embedded or told on."""


class Guard:
    """An ASGI application that lets only proper requests through to another one."""

    def __init__(self, app: Any, hosts: Iterable[str], token: str = "") -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._token = token

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer, or refuse, one request."""
        if scope["type"] != "http":
            return
        status, reason = self._refusal(scope["method"], _headers(scope))
        if status:
            await _refuse(send, status, reason)
            return

        async def hardened(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                said = {name.lower() for name, _ in given}
                message = {**message, "headers": [*given, *(header for header in HEADERS if header[0] not in said)]}
            await send(message)

        await self._app(scope, receive, hardened)

    def _refusal(self, method: str, headers: dict[str, list[str]]) -> tuple[int, str]:
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not (self._token or hosts[0].lower() in self._hosts):
            return 421, "this server does not go by that name"
        if not self._own_site(hosts[0], headers):
            return 403, "pages of other sites may not read this"
        if method not in SAFE_METHODS:
            return 405, "only GET and HEAD are offered"
        if self._token and not self._shows_token(headers):
            return 401, "the token is missing or wrong"
        return 0, ""

    @staticmethod
    def _own_site(host: str, headers: dict[str, list[str]]) -> bool:
        sites = headers.get("sec-fetch-site", [])
        if any(site not in OWN_SITES for site in sites):
            return False
        return all(origin == f"http://{host}" for origin in headers.get("origin", []))

    def _shows_token(self, headers: dict[str, list[str]]) -> bool:
        shown = headers.get("authorization", [])
        return len(shown) == 1 and hmac.compare_digest(_shown_token(shown[0]), self._token.encode())


def _shown_token(credentials: str) -> bytes:
    """The token in an Authorization header: as bearer, or, as browsers ask people for it, as password of any user."""
    scheme, _, rest = credentials.partition(" ")
    if scheme == "Bearer":
        return rest.encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(rest, validate=True).partition(b":")[2] if scheme == "Basic" else b""
    except ValueError:
        return b""


def _headers(scope: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


async def _refuse(send: Any, status: int, reason: str) -> None:
    body = reason.encode() + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *HEADERS]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="acestep-bridge: any name, and the token as password"'))
    if status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
