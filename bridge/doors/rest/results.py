"""What a task has come to, in the original's words: entries of ``/query_result`` and their items. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.core.interface import JobState, JobView

WAITS, DONE, FAILED = 0, 1, 2
"""The original's numbers for where a task stands."""

ENVIRONMENT = "development"
"""What the original's items say of where they were made; some clients print it."""

MADE = ("stem", "whole", "part", "span", "patch")
"""Roles of files that are the answer to a task, the likeliest first."""

WRITERS = ("compose", "format")
"""Operations that write the words of a task."""

_SOUND = re.compile(r"([A-Za-z0-9._-]{1,64})-(\d{1,4})(\.[a-z0-9]{1,5})?")


def status_of(view: JobView) -> int:
    """The number of a state."""
    if view.state is JobState.DONE:
        return DONE
    return FAILED if view.state.terminal else WAITS


def sound_name(job: str, index: int, path: str) -> str:
    """The opaque name of a result file: no path, and only the daemon can tell what it is."""
    return f"{job}-{index}{Path(path).suffix.lower()}"


def read_sound_name(name: str) -> tuple[str, int] | None:
    """Job and number of a name; none for what is none."""
    found = _SOUND.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def entry(
    task: str, view: JobView | None, asked: Mapping[str, Any], progress: str = "", words: JobView | None = None
) -> dict[str, Any]:
    """A row of the answer; ``view`` None: nobody knows that task. ``asked`` is what the client had sent, where that is known;
    ``words`` the job that wrote its words, where there was one.
    """
    if view is None:
        return {"task_id": task, "result": "[]", "status": WAITS, "progress_text": progress or "there is no such task"}
    status = status_of(view)
    items = success(task, view, asked, words) if status == DONE else [pending(view, status)]
    found = {"task_id": task, "result": json.dumps(items, ensure_ascii=False), "status": status}
    return {**found, "progress_text": progress or progress_text(view)}


def progress_text(view: JobView) -> str:
    """Where a job stands, in a few words of its own."""
    if view.state is JobState.QUEUED:
        return f"waiting, place {view.position}" if view.position else "waiting"
    if view.state is JobState.RUNNING and view.progress.get("steps"):
        return f"{view.progress.get('stage', '')} {view.progress.get('step', 0)}/{view.progress['steps']}"
    return error_of(view) or view.state.value


def error_of(view: JobView) -> str:
    """Why a job has failed; empty for one that has not."""
    if view.state is JobState.CANCELLED:
        return "the task was cancelled"
    if view.state is JobState.INTERRUPTED:
        return "the daemon ended twice while this task ran"
    return str((view.error or {}).get("message", "the task failed")) if view.state is JobState.FAILED else ""


def pending(view: JobView, status: int) -> dict[str, Any]:
    """The item of a task that has not ended well, or not yet."""
    stage = "queued" if view.state is JobState.QUEUED else str(view.progress.get("stage") or "running")
    item = {
        "file": "",
        "url": "",
        "wave": "",
        "status": status,
        "create_time": int(view.created),
        "env": ENVIRONMENT,
        "progress": float(view.progress.get("fraction") or 0.0),
        "stage": "failed" if status == FAILED else stage,
    }
    return {**item, "error": error_of(view)} if status == FAILED else item


def success(task: str, view: JobView, asked: Mapping[str, Any], words: JobView | None = None) -> list[dict[str, Any]]:
    """An item for each take, or the one item of an analysis."""
    result = view.result or {}
    if view.operation in ("understand", "codes"):
        return [_analysis(view, result.get("data") or {})]
    takes = answers(result.get("files") or [])
    conditioning = conditioning_of(view)
    seeds = ",".join(str(file.get("seed")) for _, file in takes)
    metas = {**_metas(conditioning), "prompt": asked.get("prompt", conditioning.get("caption", "")),
             "lyrics": asked.get("lyrics", conditioning.get("lyrics", ""))}  # fmt: skip
    shared = {
        "wave": "",
        "status": DONE,
        "create_time": int(view.created),
        "env": ENVIRONMENT,
        "prompt": conditioning.get("caption", ""),
        "lyrics": conditioning.get("lyrics", ""),
        "metas": metas,
        "generation_info": "\n".join([*notes_of(words), *notes_of(view)]),
        "seed_value": seeds,
        "lm_model": planner_of(view) or planner_of(words),
        "dit_model": next((stage.get("model", "") for stage in result.get("stages") or []), ""),
        "progress": 1.0,
        "stage": "succeeded",
    }
    return [{**_address(view.id, index, file), **shared} for index, file in takes]


def notes_of(view: JobView | None) -> list[str]:
    """What a job says of its result."""
    return list((view.result or {}).get("notes") or []) if view else []


def planner_of(view: JobView | None) -> str:
    """What planned a job: the name of a language model, ``rules``, or nothing."""
    result = (view.result if view else None) or {}
    planned = (result.get("data") or {}).get("model")
    if view is None or planned or view.operation not in WRITERS:
        return str(planned or "")
    return str(next((stage.get("model") for stage in result.get("stages") or []), ""))


def conditioning_of(view: JobView) -> dict[str, Any]:
    """Words, tempo, key and length as they were used: of the recipe, and before there is one, as they were asked for."""
    recipe = (view.result or {}).get("recipe") or {}
    return dict((recipe.get("request") or view.request).get("conditioning") or {})


def answers(files: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """The file of each take, with its number in the result: the lossy copy where one was asked for, else the exact file."""
    found: dict[int, tuple[int, Mapping[str, Any]]] = {}
    role = next((role for role in MADE if any(file["role"] == role for file in files)), "")
    exact = {
        file.get("name") or Path(file["path"]).name: file
        for file in files
        if file["role"] == role and not file.get("preview")
    }
    for index, file in enumerate(files):
        if file.get("copy_of") in exact or (file["role"] == role and not file.get("preview")):
            take = int(file.get("variant", 0))
            if take not in found or file.get("copy_of"):
                found[take] = (index, file)
    return [found[take] for take in sorted(found)]


def _address(job: str, index: int, file: Mapping[str, Any]) -> dict[str, str]:
    address = f"/v1/audio?path={quote(sound_name(job, index, file['path']), safe='')}"
    return {"file": address, "url": address}


def _metas(conditioning: Mapping[str, Any]) -> dict[str, Any]:
    """Tempo, length, key and metre in the original's names; what nobody said is ``N/A``."""
    names = {
        "bpm": "bpm",
        "duration": "duration",
        "genres": "genres",
        "key": "keyscale",
        "time_signature": "timesignature",
    }
    found = {theirs: conditioning.get(ours) or "N/A" for ours, theirs in names.items()}
    if isinstance(found["bpm"], float) and found["bpm"].is_integer():
        found["bpm"] = int(found["bpm"])
    return found


def _analysis(view: JobView, data: Mapping[str, Any]) -> dict[str, Any]:
    """What was heard in a sound."""
    shared = {
        "status": DONE,
        "create_time": int(view.created),
        "env": ENVIRONMENT,
        "progress": 1.0,
        "stage": "succeeded",
    }
    codes = "".join(f"<|audio_code_{code}|>" for code in data.get("audio_codes") or [])
    if view.operation == "codes":
        return {**shared, "status_message": "Audio codes extracted", "audio_codes": codes}
    return {
        **shared,
        "status_message": "Full analysis finished",
        "bpm": data.get("bpm"),
        "keyscale": data.get("key", ""),
        "timesignature": data.get("time_signature", ""),
        "duration": data.get("duration"),
        "genre": data.get("genres", ""),
        "prompt": data.get("caption", ""),
        "lyrics": data.get("lyrics", ""),
        "language": data.get("language", ""),
        "metas": _metas(data),
        "audio_codes": codes,
    }
