"""The spool protocol: one JSON file a request, one a status. Only names and texts here."""

import json
import math
import re

REQUEST, STATUS, VERSION = "acestep-bridge/spool", "acestep-bridge/spool-status", 1
TERMINAL = frozenset({"done", "failed", "cancelled", "interrupted"})

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")


def is_name(text):
    """Whether a text may be a job id and a file name."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def paths(folder, name):
    """The paths of a request inside the spool folder; write ``draft``, rename it to ``request``, wait for ``status``."""
    return {
        "draft": f"{folder}/requests/{name}.tmp",
        "request": f"{folder}/requests/{name}.json",
        "status": f"{folder}/status/{name}.json",
    }


def request(method, params):
    """The text of a request file."""
    data = {"format": REQUEST, "version": VERSION, "method": method, "params": params}
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def status(text):
    """What a status file says: ``({name, answer, error, job, ended}, None)`` or ``(None, sentence)``."""
    try:
        data = json.loads(text)
    except ValueError as failure:
        return None, str(failure)
    if not isinstance(data, dict) or data.get("format") != STATUS:
        return None, "not a status file of acestep-bridge"
    if type(data.get("version")) is not int or data["version"] > VERSION:
        return None, "the status file has a newer version"
    job, error, answer = data.get("job"), data.get("error"), data.get("answer")
    ended = error is not None or (job["state"] in TERMINAL if job is not None else answer is not None)
    return {"name": data.get("name"), "answer": answer, "error": error, "job": job, "ended": ended}, None


def line(job):
    """One line for the user about a job."""
    progress = job.get("progress") or {}
    if job["state"] == "running":
        percent = math.floor(100 * (progress.get("fraction") or 0) + 0.5)
        stage = f" {progress['stage']}" if progress.get("stage") else ""
        return f"{job['operation']}:{stage} {percent} %"
    if job["state"] == "queued":
        return f"{job['operation']}: waiting, place {job.get('position') or 0}"
    if job.get("error"):
        return f"{job['operation']}: {job['error']['message']}"
    return f"{job['operation']}: {job['state']}"
