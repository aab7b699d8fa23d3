"""Who may come in over HTTP: programs on this machine, or whoever holds the token; never a page of another site.

Wraps an ASGI application. Three checks, for every method and for WebSockets: the Host header must name this server (a rebound DNS
name does not); a browser must say that the request comes from this site itself or from an origin of the settings (Sec-Fetch-Site
and Origin), which also stops the forms and texts that a page can post without asking; and where a token is set, it must be shown.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

OWN_SITES = ("same-origin", "none")
"""Values of Sec-Fetch-Site that a page of ours, or an address typed by hand, sends."""

OPEN_PATHS = frozenset({"/health"})
"""What may be asked without a token, so that a supervisor can."""

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]
"""On every answer that does not say otherwise itself: nothing is guessed, kept, embedded or told on."""

PREFLIGHT = [
    (b"content-type", b"text/plain"),
    (b"content-length", b"2"),
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Range"),
    (b"access-control-max-age", b"600"),
]
"""What a page of an origin that is let in may send."""

EXPOSED = b"Accept-Ranges, Content-Disposition, Content-Length, Content-Range"
"""Headers of an answer that such a page may read."""

TOKEN_SHOWN = "acestep.token_shown"
"""Key of the ASGI scope; see `token_shown`."""


def token_shown(scope: Mapping[str, Any]) -> bool:
    """Whether the request has shown the token in its header, or none is needed. A door that takes tokens elsewhere asks this."""
    return bool(scope.get(TOKEN_SHOWN, True))


def token_matches(shown: str, token: str) -> bool:
    """Compare a token that a client sent with ours, in constant time."""
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), token.encode())


@dataclass(frozen=True)
class EntryTerms:
    """The terms on which the guard lets requests in."""

    hosts: frozenset[str] = frozenset()
    """Names that this server goes by, with their port; none: any name, as on a network where only the token counts."""
    token: str = ""
    """Empty: none is asked for."""
    origins: frozenset[str] = frozenset()
    """Origins of foreign pages that are let in."""
    body_tokens: frozenset[str] = frozenset()
    """Paths that look at the token themselves when the header shows none."""


class Guard:
    """An ASGI application that lets only proper requests through to another one."""

    def __init__(self, app: Any, entry: EntryTerms) -> None:
        self._app = app
        self._entry = entry

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer, or refuse, one request."""
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        shown = self._shows_token(headers)
        status, reason = self._refusal(scope, headers, shown)
        hardened = _hardened(send, self._cors(headers))
        if status:
            await _refuse(hardened, status, reason)
        elif _is_preflight(scope, headers):
            await hardened({"type": "http.response.start", "status": 200, "headers": PREFLIGHT})
            await hardened({"type": "http.response.body", "body": b"OK"})
        else:
            await self._app({**scope, TOKEN_SHOWN: shown}, receive, hardened)

    def judge(self, scope: dict[str, Any]) -> tuple[int, str, bool]:
        """Judge the handshake of a WebSocket: status and reason of a refusal (0 when there is none), and whether the token was
        shown. Its absence is no reason, for a page can show it in its first message only.
        """
        headers = _headers(scope)
        shown = self._shows_token(headers)
        return *self._refusal(scope, headers, shown), shown

    def _refusal(self, scope: dict[str, Any], headers: dict[str, list[str]], shown: bool) -> tuple[int, str]:
        hosts = headers.get("host", [])
        if len(hosts) != 1 or (self._entry.hosts and hosts[0].lower() not in self._entry.hosts):
            return 421, "this server does not have that name"
        if not self._welcome(scope, hosts[0], headers):
            return 403, "pages of other sites may not use this; the setting http_origins allows an origin"
        if not (shown or self._needs_no_header(scope, headers)):
            return 401, "the token is missing or wrong"
        return 0, ""

    def _welcome(self, scope: dict[str, Any], host: str, headers: dict[str, list[str]]) -> bool:
        """Whether the request comes from a program, from a page of ours, or from one that the settings let in."""
        origins = headers.get("origin", [])
        if any(origin != f"http://{host}" and origin not in self._entry.origins for origin in origins):
            return False
        sites = headers.get("sec-fetch-site", [])
        if all(site in OWN_SITES for site in sites):
            return True
        if origins:
            return all(origin in self._entry.origins for origin in origins)
        # An <audio> element of a page names no Origin, but where it stands.
        referers = headers.get("referer", [])
        plain_read = scope.get("method") in ("GET", "HEAD") and len(referers) == 1
        return plain_read and origin_of(referers[0]) in self._entry.origins

    def _needs_no_header(self, scope: dict[str, Any], headers: dict[str, list[str]]) -> bool:
        """Whether the token may be missing in the header: it is looked for elsewhere, or the question is a harmless one."""
        if scope["type"] == "websocket" or _is_preflight(scope, headers):
            return True
        return scope["path"] in OPEN_PATHS or scope["path"] in self._entry.body_tokens

    def _shows_token(self, headers: dict[str, list[str]]) -> bool:
        if not self._entry.token:
            return True
        shown = headers.get("authorization", [])
        return len(shown) == 1 and hmac.compare_digest(_shown_token(shown[0]), self._entry.token.encode())

    def _cors(self, headers: dict[str, list[str]]) -> list[tuple[bytes, bytes]]:
        """What lets a page of an origin of the settings read the answer."""
        if not self._entry.origins:
            return []
        told = [(b"vary", b"Origin")]
        origins = headers.get("origin", [])
        if len(origins) == 1 and origins[0] in self._entry.origins:
            told.append((b"access-control-allow-origin", origins[0].encode("latin-1")))
            told.append((b"access-control-expose-headers", EXPOSED))
            if headers.get("access-control-request-private-network") == ["true"]:
                told.append((b"access-control-allow-private-network", b"true"))
        return told


def origin_of(address: str) -> str:
    """The origin of an address, ``http://localhost:5173``; empty where it has none."""
    try:
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""
    except ValueError:
        return ""


def _is_preflight(scope: dict[str, Any], headers: dict[str, list[str]]) -> bool:
    """Whether a browser asks what a page may send."""
    asks = scope.get("method") == "OPTIONS" and "access-control-request-method" in headers
    return asks and "origin" in headers


def _shown_token(credentials: str) -> bytes:
    """The token in an Authorization header: as bearer, alone, or, as browsers ask people for it, as password of any user."""
    scheme, _, rest = credentials.partition(" ")
    if not rest:
        return scheme.encode("latin-1")
    if scheme.lower() == "bearer":
        return rest.encode("latin-1")
    try:
        return base64.b64decode(rest, validate=True).partition(b":")[2] if scheme.lower() == "basic" else b""
    except ValueError:
        return b""


def _headers(scope: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _hardened(send: Any, more: Iterable[tuple[bytes, bytes]]) -> Any:
    """A ``send`` that puts what every answer carries on this one."""

    async def hardened(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = message.get("headers", [])
            said = {name.lower() for name, _ in given}
            message = {**message, "headers": [*given, *(header for header in HEADERS if header[0] not in said), *more]}
        await send(message)

    return hardened


async def _refuse(send: Any, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="acestep-bridge: any name, and the token as password"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
