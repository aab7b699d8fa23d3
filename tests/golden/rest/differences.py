"""Where this daemon answers otherwise than ACE-Step's own servers did, on purpose. docs/rest.md gives the reason of each.

A difference is found by `compare` as a kind and what was expected and found; a rule here says which ones are meant.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """One difference in one exchange."""

    file: str
    exchange: dict[str, Any]
    kind: str
    """``status``, ``form``, or ``reach:`` and the original's name of a parameter."""
    expected: Any
    found: Any

    @property
    def path(self) -> str:
        """The address without its query."""
        return str(self.exchange["path"]).partition("?")[0]

    @property
    def sent(self) -> dict[str, Any]:
        """The fields of the request."""
        return {**(self.exchange.get("json") or {}), **(self.exchange.get("form") or {})}

    @property
    def status(self) -> tuple[Any, Any]:
        """Expected and found status; two empty ones for another kind."""
        return (self.expected, self.found) if self.kind == "status" else (None, None)


EDITS = ("cover", "cover-nofsq", "repaint", "lego", "extract", "complete")


def _task(one: Difference) -> str:
    return str(one.sent.get("task_type") or one.sent.get("taskType") or "text2music")


def _no_sound(one: Difference) -> bool:
    parts = one.exchange.get("files") or []
    named = any("audio_path" in name or "AudioPath" in name for name in one.sent)
    return _task(one) in EDITS and not parts and not named


def _no_track(one: Difference) -> bool:
    return _task(one) in ("lego", "extract") and not _has(one, "track_name", "trackName")


def _path_sent(one: Difference) -> str:
    return next((str(value) for name, value in one.sent.items() if "audio_path" in name or "AudioPath" in name), "")


def _has(one: Difference, *names: str) -> bool:
    return any(name in one.sent for name in names)


NEWER = ("/v1/chat", "/v1/init", "/v1/reinitialize", "/v1/lora", "/v1/dataset", "/v1/training", "/v1/model_inventory",
         "/v1/create_sample")  # fmt: skip

OPEN_THERE = ("/v1/models", "/v1/chat/completions")
"""Calls that the original answers without its key."""

RULES: dict[str, Callable[[Difference], bool]] = {
    "unknown-task": lambda one: one.status == (200, 400) and _task(one) not in ("text2music", *EDITS),
    "no-sound": lambda one: one.status == (200, 400) and _no_sound(one),
    "no-track": lambda one: one.status == (200, 400) and _no_track(one),
    "paths": lambda one: one.status[1] in (200, 400) and bool(_path_sent(one)) and one.kind == "status",
    "rules": lambda one: one.status in ((503, 200), (500, 200)) and one.path in ("/format_input", "/v1/create_sample"),
    "no-language-model": lambda one: one.status[1] == 503 and one.status[0] in (200, 500),
    "words-of-a-list": lambda one: one.status[1] == 400
    and _has(one, "repaint_mode", "repaint_strength", "chunk_mask_mode", "lm_backend", "audio_format"),
    "crashes": lambda one: one.status[0] == 500 and one.status[1] in (200, 400, 422),
    "training": lambda one: one.path.startswith(("/v1/dataset", "/v1/training")) and one.status[1] in (200, 400, 404),
    "training-form": lambda one: one.path.startswith(("/v1/dataset", "/v1/training")) and one.kind == "form",
    "opaque-sounds": lambda one: one.path == "/v1/audio" and one.status == (404, 403),
    "no-free-path": lambda one: one.path == "/v1/audio" and one.status == (200, 403),
    "cors": lambda one: one.exchange["method"] == "OPTIONS" and one.status[1] in (200, 403),
    "token-everywhere": lambda one: "key" in one.file and one.status[1] == 401 and one.path in OPEN_THERE,
    "newer": lambda one: one.file.startswith("feb") and one.status[0] == 404 and one.path.startswith(NEWER),
    "model-lists": lambda one: one.path == "/v1/models" and one.kind == "form",
    "health": lambda one: one.path == "/health" and one.kind == "form",
    "adapters": lambda one: one.path.startswith("/v1/lora") and one.kind in ("status", "form"),
    "init": lambda one: one.path == "/v1/init",
    "malformed": lambda one: one.file.startswith("feb") and one.status == (500, 400),
    "seeds": lambda one: one.kind in ("reach:params.seed", "reach:config.seeds"),
    "bounds": lambda one: one.kind in ("reach:config.batch_size", "reach:params.bpm", "reach:params.guidance_scale")
    or (one.kind == "reach:params.duration" and one.expected < 0),
    "unchecked-words": lambda one: one.kind in [f"reach:params.{name}" for name in ("keyscale", "timesignature", "vocal_language")],
    "turned-off": lambda one: one.kind.startswith(("reach:params.use_cot", "reach:params.lm_", "reach:params.thinking",
                                                   "reach:config.allow_lm_batch", "reach:config.constrained",
                                                   "reach:params.use_constrained")),
    "february-formatted": lambda one: one.file.startswith("feb") and one.kind.startswith("reach:"),
    "codes": lambda one: one.kind == "reach:params.audio_codes",
    "format-names": lambda one: one.kind == "reach:config.audio_format" and one.expected not in ("mp3", "wav", "flac", "opus"),
    "task-nonsense": lambda one: one.kind == "reach:params.task_type" and one.expected not in ("text2music", *EDITS),
    "sampler": lambda one: one.kind == "reach:params.infer_method" and one.expected not in ("ode", "sde"),
}  # fmt: skip
"""Name of a row of the table in docs/rest.md -> which differences it explains."""


def explain(one: Difference) -> str:
    """The row that explains a difference; empty for one that none does."""
    return next((name for name, fits in RULES.items() if fits(one)), "")


def form_of(value: Any) -> Any:
    """Names and types of a value: what must not differ, whatever it says."""
    if isinstance(value, dict):
        return {name: form_of(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [form_of(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def missing(expected: Any, found: Any, place: str = "") -> list[str]:
    """What of a form is not there, or of another type. More names than expected are no difference, nor is an absent value."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            return [place or "."]
        return [line for name, inner in expected.items()
                for line in (missing(inner, found[name], f"{place}.{name}") if name in found else [f"{place}.{name}"])]  # fmt: skip
    if isinstance(expected, list):
        if not isinstance(found, list):
            return [place]
        return missing(expected[0], found[0], f"{place}[]") if expected and found else []
    return [] if "NoneType" in (expected, found) or expected == found else [f"{place}: {expected}, not {found}"]


def parsed(text: str) -> Any:
    """A recorded answer; nothing for one that was cut, or is none of JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None
