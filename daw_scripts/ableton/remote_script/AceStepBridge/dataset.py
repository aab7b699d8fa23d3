"""The clips of a set as a dataset to train on. The daemon is asked through its spool folder: no packet holds a whole set."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING

from . import live
from .acestep_core import dataset, requests, spool

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .kinds import Clip, Facts, Song
    from .link import Link


def find(song: Song, name: str) -> tuple[list[Facts], int]:
    """The pieces of audio inside the loop brace, or of the whole set where it is off, and how many are not as they sound.

    A clip that is warped to another tempo is taken as its file was recorded, one that loops is taken once. Raises `live.Refused`.
    """
    brace = (song.loop_start, song.loop_start + song.loop_length) if song.loop else None
    found, recorded = [], 0
    for track in song.tracks:
        for clip in live.all_clips(track) if brace is None else live.clips_under(track, *brace):
            if clip.is_audio_clip:
                cut, straight = _cut(song, clip, brace)
                recorded += not straight
                start, end = max(cut["start"], 0), min(cut["end"], int(clip.sample_length))
                found.append(
                    {"path": cut["path"], "start": start, "length": end - start, "title": track.name, "song": name}
                )
    return found, recorded


def _cut(song: Song, clip: Clip, brace: tuple[float, float] | None) -> tuple[Facts, bool]:
    """What plays of a clip's file, and whether it plays as it was recorded."""
    try:
        if not clip.is_arrangement_clip:
            return live.session_region(song, clip), True
        return live.file_region(song, clip, *(brace or (clip.start_time, clip.end_time))), True
    except live.Refused as refusal:
        if refusal.facts["code"] != "warped":
            raise
        return live.recorded_region(clip), False


class Dataset:
    """One dataset at a time: asked for, and told when it is there. Live's ticks drive it."""

    def __init__(self, song: Song, link: Link, messages: Facts, tell: Callable[[str], None]) -> None:
        self._song, self._link, self._messages, self._tell = song, link, messages, tell
        self._waits: Facts | None = None
        """Paths of the request that has no answer yet."""

    def _say(self, **facts: Any) -> None:
        self._tell(requests.sentence(self._messages, facts))

    def make(self) -> None:
        """Ask for a dataset with the set's name."""
        trouble = self._link.trouble()
        if trouble is not None:
            return self._say(**trouble)
        folder, title = self._link.spool(), os.path.splitext(live.file_name(self._song))[0]
        if not folder or not title:
            return self._say(code="unsaved_project" if folder else "spool_off")
        name = dataset.name(title)
        try:
            pieces, recorded = find(self._song, name)
            params, nothing = dataset.params(name, pieces)
            if params is None:
                return self._say(**nothing)
            self._send(folder, params)
        except live.Refused as refusal:
            return self._say(**refusal.facts)
        except OSError as failure:
            return self._tell(f"The dataset could not be made: {failure}")
        self._say(code="dataset_asked", name=name, count=len(params["regions"]))
        if recorded:
            self._say(code="dataset_recorded", count=recorded)

    def _send(self, folder: str, params: Facts) -> None:
        name = f"live-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
        paths = spool.paths(folder, name)
        with open(paths["draft"], "w", encoding="utf-8") as file:
            file.write(spool.request("job.submit", {"operation": "dataset-scan", "params": params}))
        os.replace(paths["draft"], paths["request"])
        self._waits = paths

    def tick(self) -> None:
        """Tell what came of it, once the daemon has said so."""
        if self._waits is None:
            return
        try:
            with open(self._waits["status"], encoding="utf-8") as file:
                status, _ = spool.status(file.read())
        except OSError:
            return
        if status is None or not status["ended"]:
            return
        os.remove(self._waits["status"])
        self._waits = None
        job = status["job"] or {}
        failure = status["error"] or job.get("error")
        if failure:
            return self._tell(failure["message"])
        self._say(**dataset.made(job["result"]["data"]))
