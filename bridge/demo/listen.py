"""What the demo made as small MP3s: before, after, drums and the new part, for a page or a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import soundfile

from bridge.demo.verify import files

COMPRESSION = 0.8
"""Of libsndfile, 0 to 1: about 70 kbit/s in stereo, a few hundred kilobytes for all four."""


def write_mp3s(session: dict[str, Any], loop: Path, folder: Path) -> list[Path]:
    """Write ``before.mp3``, ``after.mp3``, ``drums.mp3`` and ``part.mp3``; jobs that made nothing are left out."""
    jobs = {job["title"]: files(job) for job in session["jobs"]}
    found = {
        "before": loop / "mix.flac",
        "after": jobs["repaint"].get("whole"),
        "drums": jobs["drums"].get("stem"),
        "part": jobs["part"].get("part"),
    }
    folder.mkdir(exist_ok=True)
    written = []
    for name, path in found.items():
        if path is not None:
            audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
            target = folder / f"{name}.mp3"
            soundfile.write(target, audio.clip(-1, 1), rate, format="MP3", compression_level=COMPRESSION)
            written.append(target)
    return written
