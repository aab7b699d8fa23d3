"""What an assistant is told: jobs, answers and errors as short text, as data and as links. Pure."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from acestep.api.errors import AceError

SCHEME = "acestep"

STATUS, MODELS, OPERATIONS, JOBS = (f"{SCHEME}://{word}" for word in ("status", "models", "operations", "jobs"))

INSTRUCTIONS = """\
This server makes and edits music with ACE-Step models on the user's machine.

The tool of an operation submits a job and waits for it; the answer names the finished audio files by absolute path and as \
resources. A job that takes longer than `wait` keeps running: `job_wait` waits for it again, `job_cancel` ends it. Cancelling \
a call cancels its job.

Audio to work on is named by its absolute path on that machine, inside the folders that the user allowed, or by the id of an \
earlier job, whose sound is then meant. Positions and lengths may be written as musicians do: `bar5`, `8bars` (both with `bpm`), \
`12.5s`.

Describe the sound in `caption` (genre, mood, instruments) and put words to sing into `lyrics`, with marks such as [Verse]. Give \
`bpm`, `key` and `duration` where they matter. `models_list` tells which models can be used, `status` which one is the default; \
the small built-in one makes sketches.

An error names the field and what is allowed: correct it and call again.
"""


def job_uri(job: str) -> str:
    """Address of a job."""
    return f"{JOBS}/{job}"


def file_uri(job: str, index: int) -> str:
    """Address of a file of a job's result."""
    return f"{JOBS}/{job}/files/{index}"


def file_type(name: str) -> str:
    """Media type of a file, by its name."""
    known = {".wav": "audio/wav", ".flac": "audio/flac", ".opus": "audio/ogg", ".ogg": "audio/ogg"}
    return known.get(PurePath(name).suffix.lower()) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def job_data(view: Mapping[str, Any]) -> dict[str, Any]:
    """A job as data: what came of it, without its recipe."""
    result = view.get("result") or {}
    data = {name: view[name] for name in ("id", "operation", "state", "caption") if view.get(name)}
    data["uri"] = job_uri(view["id"])
    if not result and view["state"] in ("queued", "running", "suspended"):
        data |= {"position": view.get("position", 0), "progress": view.get("progress") or {}}
    if view.get("error"):
        data["error"] = view["error"]
    if "files" in result:
        data["files"] = [_file_data(view["id"], index, file) for index, file in enumerate(result["files"])]
    for name in ("seeds", "notes", "data", "seconds"):
        if result.get(name):
            data[name] = result[name]
    for name in result.keys() - {"files", "seeds", "notes", "data", "seconds", "recipe", "stages"}:
        data[name] = result[name]
    return data


def _file_data(job: str, index: int, file: Mapping[str, Any]) -> dict[str, Any]:
    named = ("path", "role", "rate", "channels", "start", "length", "variant", "seed", "track")
    data = {name: file[name] for name in named if file.get(name) not in (None, "")}
    data["duration"] = round(file["length"] / file["rate"], 3) if file.get("rate") else 0.0
    return {**data, "uri": file_uri(job, index)}


def job_text(data: Mapping[str, Any]) -> str:
    """The same for reading: state, files, notes, the error."""
    state = data["state"]
    if state in ("queued", "running", "suspended"):
        return f"Job {data['id']} ({data['operation']}) is {state}{_so_far(data)}. Wait for it with job_wait."
    lines = [f"Job {data['id']} ({data['operation']}) is {state}."]
    if error := data.get("error"):
        lines.append(_error_sentence(error))
    lines += [_file_line(file) for file in data.get("files", [])]
    lines += [f"Note: {note}" for note in data.get("notes", [])]
    if not data.get("files"):
        lines += _answer_lines(data)
    return "\n".join(lines)


_TOLD = frozenset({"id", "operation", "state", "caption", "uri", "files", "notes", "error", "seconds", "seeds"})


def _answer_lines(data: Mapping[str, Any]) -> list[str]:
    """What a job without files has answered, as JSON."""
    answer = {name: value for name, value in data.items() if name not in _TOLD}
    if set(answer) == {"data"}:
        answer = answer["data"]
    return [json_text(answer)] if answer else []


def _so_far(data: Mapping[str, Any]) -> str:
    progress = data.get("progress") or {}
    if data["state"] == "queued" or not progress:
        return f", place {data['position']}" if data.get("position") else ""
    return f", {progress.get('fraction', 0.0):.0%}"


def _file_line(file: Mapping[str, Any]) -> str:
    facts = [file["role"], f"{file['duration']:g} s" if file.get("duration") else "", str(file.get("track") or "")]
    if file.get("seed") is not None:
        facts.append(f"seed {file['seed']}")
    return f"File: {file['path']} ({', '.join(filter(None, facts))})"


def progress_text(data: Mapping[str, Any]) -> str:
    """How far a job is, in a few words."""
    words = str(data.get("stage") or "working")
    if data.get("steps"):
        words += f": step {data.get('step', 0)} of {data['steps']}"
    eta = data.get("eta")
    return f"{words}, about {eta:.0f} s left" if isinstance(eta, (int, float)) and eta >= 1 else words


def error_text(error: AceError) -> str:
    """An error for reading: its sentence, the field, what is allowed."""
    return _error_sentence(error.to_wire())


def _error_sentence(error: Mapping[str, Any]) -> str:
    words = f"{error['code']}: {error['message']}"
    if error.get("field"):
        words += f" (field: {error['field']})"
    if error.get("limits"):
        words += f" Allowed: {json_text(error['limits'])}"
    if error.get("retryable"):
        words += " The same call may succeed later."
    return words


def json_text(value: Any) -> str:
    """Data as compact JSON text."""
    return json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
