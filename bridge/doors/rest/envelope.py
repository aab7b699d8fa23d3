"""The two forms of answer that the original has: an envelope, also around soft errors, and a status with ``detail``."""

from __future__ import annotations

import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from acestep.api.errors import AceError

STATUS = {
    "busy": 429,
    "unauthorized": 401,
    "not_allowed": 400,
    "unknown_job": 404,
    "too_large": 413,
    "id_conflict": 409,
    "model_missing": 503,
    "unavailable": 503,
    "degraded": 503,
    "quarantined": 503,
    "disk_full": 507,
    "internal": 500,
    "worker_died": 500,
}
"""HTTP status by our error code; every other one is about what the client sent: 400. A file that is not there is one of those."""


def answer(data: Any, extra: Any = None) -> JSONResponse:
    """An ordinary answer."""
    return _envelope(data, 200, None, extra)


def soft(code: int, error: str) -> JSONResponse:
    """An error inside a 200, as the original gives for models, adapters and training."""
    return _envelope(None, code, error, None)


def not_offered(error: str) -> JSONResponse:
    """A call of the original's that is not offered here."""
    return _envelope(None, 501, error, None, status=501)


def _envelope(data: Any, code: int, error: str | None, extra: Any, status: int = 200) -> JSONResponse:
    return JSONResponse(envelope(data, code, error, extra), status_code=status)


def envelope(data: Any, code: int, error: str | None = None, extra: Any = None) -> dict[str, Any]:
    """What stands around every ordinary answer."""
    return {"data": data, "code": code, "error": error, "timestamp": int(time.time() * 1000), "extra": extra}


def hard(failure: AceError) -> HTTPException:
    """One of our errors as a status and a sentence."""
    status = STATUS.get(failure.code, 400)
    headers = {"retry-after": "5"} if status == 429 else None
    return HTTPException(status, failure.message, headers)
