"""What the original's servers say of themselves: health, numbers, models. Made of what the core knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.core.interface import Core, JobState

SERVICE, VERSION = "ACE-Step API", "1.0"
"""How the original's server calls itself, which front ends may look at."""

AVERAGED = 50
"""Newest finished jobs whose time is averaged."""

TASK_TYPES = ("text2music", "repaint", "cover", "cover-nofsq", "extract", "lego", "complete")
"""The original's task types, in the order in which it lists them."""


def health_data(core: Core) -> dict[str, Any]:
    """The ``data`` of ``/health``."""
    status = core.status()
    loaded, language = loaded_models(status), language_models(core.models())
    return {
        "status": status.get("state", "ok"),
        "service": SERVICE,
        "version": VERSION,
        "models_initialized": True,
        "llm_initialized": bool(language),
        "loaded_model": loaded[0] if loaded else status.get("model"),
        "loaded_lm_model": next((name for name in language if name in loaded), None),
    }


def loaded_models(status: Mapping[str, Any]) -> list[str]:
    """Models that the worker holds in memory."""
    found = ((status.get("worker") or {}).get("info") or {}).get("models") or []
    return [str(name) for name in found]


def checkpoints(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Music models that are on this machine, the default first."""
    here = [row for row in rows if row.get("present") and row.get("kind") != "language"]
    return sorted(here, key=lambda row: not row.get("default"))


def language_models(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Language models that are on this machine."""
    return [str(row["name"]) for row in rows if row.get("present") and row.get("kind") == "language"]


def usable_language_models(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those that are taken where none is named: the trained ones."""
    return [name for row in rows if row.get("trained", True) for name in language_models([row])]


def names_of(rows: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Every name that a request may give a model: its own, and its folder's."""
    here = checkpoints(rows)
    folders = (str(row.get("path") or "").replace("\\", "/").rpartition("/")[2] for row in here)
    return frozenset({*(str(row["name"]) for row in here), *filter(None, folders)})


def inventory(core: Core, chosen: str = "") -> dict[str, Any]:
    """The ``data`` of ``/v1/model_inventory``. ``chosen``: the model that `/v1/init` named."""
    rows, loaded = core.models(), loaded_models(core.status())
    models, language = checkpoints(rows), language_models(rows)
    default = chosen or next((str(row["name"]) for row in models if row.get("default")), None)
    return {
        "models": [
            {
                "name": row["name"],
                "is_default": row["name"] == default,
                "is_loaded": row["name"] in loaded,
                "supported_task_types": task_types(row),
            }
            for row in models
        ],
        "default_model": default,
        "lm_models": [{"name": name, "is_loaded": name in loaded} for name in language],
        "loaded_lm_model": next((name for name in language if name in loaded), None),
        "llm_initialized": bool(language),
    }


def task_types(row: Mapping[str, Any]) -> list[str]:
    """What a model can do, in the original's words."""
    able = set(row.get("task_types") or ())
    if "cover" in able:
        able.add("cover-nofsq")
    return [task for task in TASK_TYPES if task in able]


async def stats(core: Core) -> dict[str, Any]:
    """The ``data`` of ``/v1/stats``."""
    status = core.status()
    jobs: Mapping[str, int] = status.get("jobs") or {}
    newest = await core.jobs(states=frozenset({JobState.DONE}), limit=AVERAGED)
    seconds = [job.ended - job.started for job in newest if job.started and job.ended]
    failed = sum(jobs.get(state, 0) for state in ("failed", "cancelled", "interrupted"))
    return {
        "jobs": {
            "total": sum(jobs.values()),
            "queued": jobs.get("queued", 0),
            "running": jobs.get("running", 0),
            "succeeded": jobs.get("done", 0),
            "failed": failed,
        },
        "queue_size": (status.get("queue") or {}).get("length", 0),
        "queue_maxsize": (status.get("limits") or {}).get("jobs", 0),
        "avg_job_seconds": sum(seconds) / len(seconds) if seconds else 0.0,
    }
