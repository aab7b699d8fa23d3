"""What the daemon sends over OSC: the one table of its own addresses."""

from __future__ import annotations

ANSWERS = {
    "/ace/accepted": ("sii", "A job was accepted: id, seq, place in the queue, notes."),
    "/ace/rejected": ("ssss", "A job was rejected: id, code, field, sentence."),
    "/ace/progress": (
        "sisiiff",
        "Progress of a job: id, seq, stage, step, steps, fraction, seconds left (-1: unknown).",
    ),
    "/ace/suspended": (
        "sisf",
        "A job has saved its place and stepped aside for another: id, seq, reason, fraction. Its next progress "
        "message means that it continues.",
    ),
    "/ace/preview": ("siissiiiiisi", "A preview of a job: the same arguments as a result."),
    "/ace/result": (
        "siissiiiiisi",
        "A file of a job: id, seq, index, role, path, start and length in samples, rate, channels, variant, track, preview (1 for "
        "a sound of a stage on the way).",
    ),
    "/ace/done": ("sifi", "A job is done: id, seq, seconds, files, notes."),
    "/ace/failed": ("sisss", "A job failed: id, seq, code, sentence, field."),
    "/ace/cancelled": ("sis", "A job was cancelled: id, seq, reason."),
    "/ace/interrupted": ("sis", "A job was interrupted: id, seq, reason."),
    "/ace/synced": ("i", "Every request before /ace/sync with this number is stored."),
    "/ace/error": ("ssss", "Something else was refused: address, code, field, sentence."),
}
"""What the daemon sends: address -> type tags and meaning."""
