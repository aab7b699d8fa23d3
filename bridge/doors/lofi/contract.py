"""What lofi.nvim's side of the conversation looks like: parameters in, error codes out. Pure.

Its editor plug-in, its specification and its own daemon differ in names here and there; all of them are understood.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from acestep.api.errors import AceError, Busy, ModelMissing
from bridge.doors.jsonrpc import codec

CODES = {
    "INVALID_PARAMS": codec.INVALID_PARAMS,
    "METHOD_NOT_FOUND": codec.METHOD_NOT_FOUND,
    "INTERNAL_ERROR": codec.INTERNAL_ERROR,
    "MODEL_NOT_FOUND": -32000,
    "MODEL_LOAD_FAILED": -32001,
    "MODEL_DOWNLOAD_FAILED": -32002,
    "MODEL_INFERENCE_FAILED": -32003,
    "QUEUE_FULL": -32004,
    "INVALID_DURATION": -32005,
    "INVALID_PROMPT": -32006,
    "INVALID_BACKEND": -32007,
    "BACKEND_NOT_INSTALLED": -32008,
    "INVALID_INFERENCE_STEPS": -32009,
    "INVALID_GUIDANCE_SCALE": -32010,
    "INVALID_SCHEDULER": -32011,
}
"""Word of an error -> its number."""

LARGEST_SEED = 2**53 - 1
"""Lua's numbers hold no larger whole one."""

DEFAULT_SECONDS = 30.0

PRIORITIES = {"normal": 0, "high": 5}
"""Priority of a request -> of the job."""

ALIASES = {"infer_steps": "inference_steps", "infer_step": "inference_steps", "duration": "duration_sec"}
"""Other names of parameters -> the one used here."""

PARAMETERS = (
    "prompt", "duration_sec", "seed", "priority", "backend", "inference_steps", "scheduler", "guidance_scale"
)  # fmt: skip


class LofiError(Exception):
    """A refusal with lofi.nvim's word and number."""

    def __init__(self, word: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.word = word
        self.message = message
        self.details = details

    def to_wire(self) -> dict[str, Any]:
        """The error object of a response."""
        data = {"error_code": self.word, "details": self.details}
        return {"code": CODES[self.word], "message": self.message, "data": data}


class LofiBackend(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of model as lofi.nvim knows it."""

    type: str
    name: str
    seconds: tuple[int, int]
    """Shortest and longest part."""
    rate: int
    model: str = ""
    """Ours that stands behind it; empty: not installed."""
    identity: str = ""
    """What tells this model from another of the same name."""

    def to_wire(self) -> dict[str, Any]:
        """Its row in the list of backends."""
        least, most = self.seconds
        return {
            "type": self.type,
            "name": self.name,
            "status": "ready" if self.model else "not_installed",
            "min_duration_sec": least,
            "max_duration_sec": most,
            "sample_rate": self.rate,
            "model_version": self.model or None,
        }


class Bounds(msgspec.Struct, frozen=True):
    """Bounds of a number."""

    least: float
    most: float


class LofiTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon behind this door takes."""

    backends: Mapping[str, LofiBackend]
    samplers: Collection[str]
    steps: Bounds
    guidance: Bounds
    prompt: int
    """Characters of the longest prompt."""


class TrackOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A part as it was asked for, complete: what decides how it sounds, and nothing else."""

    backend: str
    model: str
    identity: str
    rate: int
    prompt: str
    duration_sec: float
    seed: int
    steps: int | None
    scheduler: str
    guidance: float | None

    @property
    def track_id(self) -> str:
        """Name of the part in the cache: a hash of every setting, so that other settings are another part."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]

    def job(self) -> dict[str, Any]:
        """Parameters of the job that makes it."""
        chosen = {"steps": self.steps, "guidance_scale": self.guidance, "sampler": self.scheduler or None}
        return {
            "caption": self.prompt,
            "duration": self.duration_sec,
            "seed": self.seed % 2**32 ^ self.seed >> 32,
            "instrumental": True,
            "model": self.model,
            "rate": self.rate,
            "channels": 2,
            "format": "wav32f",
            **{name: value for name, value in chosen.items() if value is not None},
        }


def backend_type(value: Any) -> str:
    """``ace_step`` or ``musicgen``, however it is spelt. Raises `LofiError`."""
    plain = value.lower().replace("-", "").replace("_", "").replace(" ", "") if isinstance(value, str) else None
    found = {"acestep": "ace_step", "musicgen": "musicgen"}.get(plain or "")
    if found is None:
        raise LofiError("INVALID_BACKEND", "backend must be ace_step or musicgen", choices=["ace_step", "musicgen"])
    return found


def parse_generate(given: Mapping[str, Any], terms: LofiTerms, seed: int) -> tuple[TrackOrder, int]:
    """The order in the parameters of ``generate``, and the job's priority; ``seed`` is for requests without one.

    Raises `LofiError`.
    """
    params = _named(given)
    prompt = _prompt(params.get("prompt"), terms)
    backend = _backend(params.get("backend", "ace_step"), terms)
    priority = params.get("priority", "normal")
    if not isinstance(priority, str) or priority not in PRIORITIES:
        raise LofiError("INVALID_PARAMS", "priority is normal or high", field="priority", choices=list(PRIORITIES))
    order = TrackOrder(
        backend=backend.type,
        model=backend.model,
        identity=backend.identity,
        rate=backend.rate,
        prompt=prompt,
        duration_sec=_duration(params.get("duration_sec", DEFAULT_SECONDS), backend),
        seed=_seed(params.get("seed", seed)),
        steps=_steps(params.get("inference_steps"), terms.steps),
        scheduler=_scheduler(params.get("scheduler", ""), terms),
        guidance=_guidance(params.get("guidance_scale"), terms.guidance),
    )
    return order, PRIORITIES[priority]


def _named(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters under one name each; null, Lua's ``vim.NIL``, counts as not given."""
    params: dict[str, Any] = {}
    for name, value in given.items():
        known = ALIASES.get(name, name)
        if known not in PARAMETERS:
            raise LofiError("INVALID_PARAMS", f"generate has no parameter {name[:64]!r}", choices=list(PARAMETERS))
        if value is None:
            continue
        if known in params and params[known] != value:
            raise LofiError("INVALID_PARAMS", f"{known} is given twice with different values", field=known)
        params[known] = value
    return params


def _prompt(value: Any, terms: LofiTerms) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > terms.prompt:
        raise LofiError(
            "INVALID_PROMPT", f"prompt must be text of 1 to {terms.prompt} characters", max_length=terms.prompt
        )
    return value


def _backend(value: Any, terms: LofiTerms) -> LofiBackend:
    backend = terms.backends[backend_type(value)]
    if not backend.model:
        raise LofiError("BACKEND_NOT_INSTALLED", f"{backend.name} is not installed", backend=backend.type)
    return backend


def _duration(value: Any, backend: LofiBackend) -> float:
    least, most = backend.seconds
    if not _is_number(value) or not least <= value <= most:
        raise LofiError(
            "INVALID_DURATION", f"duration_sec must be {least} to {most} with {backend.name}", min=least, max=most
        )
    return float(value)


def _seed(value: Any) -> int:
    whole = _whole(value)
    if whole is None or not 0 <= whole <= LARGEST_SEED:
        raise LofiError(
            "INVALID_PARAMS", f"seed must be a whole number from 0 to {LARGEST_SEED}", field="seed", max=LARGEST_SEED
        )
    return whole


def _steps(value: Any, bounds: Bounds) -> int | None:
    if value is None:
        return None
    whole = _whole(value)
    least, most = int(bounds.least), int(bounds.most)
    if whole is None or not least <= whole <= most:
        raise LofiError(
            "INVALID_INFERENCE_STEPS",
            f"inference_steps must be a whole number from {least} to {most}",
            min=least,
            max=most,
        )
    return whole


def _guidance(value: Any, bounds: Bounds) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not bounds.least <= value <= bounds.most:
        sentence = f"guidance_scale is {bounds.least:g} to {bounds.most:g}"
        raise LofiError("INVALID_GUIDANCE_SCALE", sentence, min=bounds.least, max=bounds.most)
    return float(value)


def _scheduler(value: Any, terms: LofiTerms) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or value.lower() not in terms.samplers:
        choices = sorted(terms.samplers)
        raise LofiError("INVALID_SCHEDULER", f"scheduler is one of {', '.join(choices)}", choices=choices)
    return value.lower()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> int | None:
    """A whole number, also one that Lua wrote as 5.0."""
    return int(value) if _is_number(value) and value == int(value) else None


_FIELDS = {
    "caption": "INVALID_PROMPT",
    "duration": "INVALID_DURATION",
    "steps": "INVALID_INFERENCE_STEPS",
    "guidance_scale": "INVALID_GUIDANCE_SCALE",
    "guidance": "INVALID_GUIDANCE_SCALE",
    "sampler": "INVALID_SCHEDULER",
    "model": "MODEL_NOT_FOUND",
}
"""Field of a job that the daemon refused -> word of the error."""


def from_ours(failure: AceError) -> LofiError:
    """What the daemon said, in lofi.nvim's words; the sentence is kept."""
    if isinstance(failure, Busy):
        word = "QUEUE_FULL"
    elif isinstance(failure, ModelMissing):
        word = "MODEL_NOT_FOUND"
    else:
        field = (failure.field or "").rpartition(".")[2]
        word = _FIELDS.get(field, "INVALID_PARAMS" if field else "INTERNAL_ERROR")
    return LofiError(word, failure.message, code=failure.code, field=failure.field, **failure.limits)


_ENDINGS = {
    "model_missing": "MODEL_NOT_FOUND",
    "bad_checkpoint": "MODEL_LOAD_FAILED",
    "weights_changed": "MODEL_LOAD_FAILED",
    "download_failed": "MODEL_DOWNLOAD_FAILED",
}


def word_for_failed(error: Mapping[str, Any]) -> str:
    """The word for a job that was accepted and failed."""
    return _ENDINGS.get(str(error.get("code")), "MODEL_INFERENCE_FAILED")
