"""Results as clips: copied into the set's media folder, then onto take lanes, tracks or Session slots."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from . import live
from .acestep_core import recipes, requests, results
from .settling import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from .kinds import Clip, Facts, Song
    from .store import Store


NOTHING_FOUND = "nothing was found"
"""The daemon's own words for a stem that is silent."""


class Placing:
    """Puts finished jobs into a set."""

    def __init__(self, song: Song, store: Store, messages: dict[str, str], tell: Callable[[str], None]) -> None:
        self.song = song
        self.store = store
        self._messages = messages
        self.tell = tell
        self._unsettled: list[Facts] = []
        """Per key press: its clips that are not yet as they should be, and what is told then."""

    def fetch(self, job: Facts, files: list[Facts]) -> list[Facts]:
        """Copy the files of a finished job into the set's media folder: where each belongs (see `results.placements`).

        Raises `OSError` when the folder cannot be written, `live.Refused` when a file has gone.
        """
        folder = live.media_folder(self.song)
        landings = results.placements(job, {"result": {"files": files}})
        for found in landings:
            if not os.path.isfile(found["path"]):
                raise live.Refused("result_gone", path=found["path"])
        fetched = [{**found, "path": _copy(found["path"], folder, found["copy"])} for found in landings]
        if files:
            self.store.remember(recipes.memory(job, {"request": _recipe_beside(files[0]["path"])}))
        return fetched

    def done(self, jobs: Iterable[tuple[Facts, Iterable[str]]]) -> str:
        """What there is to know of the finished jobs of a key press, each with its notes. No *done* where nothing was found."""
        told: list[str] = []
        done = ""
        for job, notes in jobs:
            text = results.notes(self._messages, job, {"result": {"notes": notes}})
            if NOTHING_FOUND not in text:
                done = " done."
            if text and text not in told:
                told.append(text)
            title = job["title"]
        return " ".join([f"{title}:{done}", *told])

    def place(self, jobs: Iterable[tuple[Facts, list[Facts]]], done: str) -> None:
        """Make clips of the results of jobs, those of one key press. ``done`` is told once they are as they should be, ticks later.

        The undo step stays open until then, so that one step takes back all of it; what ends in that moment shares it.
        """
        if not self._unsettled:
            self.song.begin_undo_step()
        batch: Facts = {"clips": [], "said": []}
        self._unsettled.append(batch)
        for job, landing in [(job, landing) for job, landings in jobs for landing in landings]:
            clip = self._clip(job, landing)
            if clip is None:
                self.tell(f"{job['title']}: this Live is older than 12.0.5; drag the file in: {landing['path']}")
                continue
            clip.name = landing["name"]
            steps = settle(clip, None if landing["take"] else job.get("tempo"))
            batch["clips"].append((clip, landing["name"], steps))
            batch["said"] = [done]

    def tick(self) -> None:
        """Move on the clips that are not yet as they should be, once per tick of Live."""
        for batch in self._unsettled:
            batch["clips"] = [
                known for known in batch["clips"] if live.is_there(known[0]) and self._moves_on(batch, *known)
            ]
        over = [batch for batch in self._unsettled if not batch["clips"]]
        if over:
            self._unsettled = [batch for batch in self._unsettled if batch["clips"]]
            if not self._unsettled:
                self.song.end_undo_step()
        for batch in over:
            if batch["said"]:
                self.tell(" ".join(batch["said"]))

    def _moves_on(self, batch: Facts, clip: Clip, name: str, steps: Generator[None, None, bool]) -> bool:
        try:
            next(steps)
        except StopIteration as end:
            if not end.value:
                batch["said"].append(requests.sentence(self._messages, {"code": "clip_ends", "name": name}))
            return False
        return True

    def close(self) -> None:
        """Live closes the set: clips stay as they are by now."""
        if self._unsettled:
            self._unsettled = []
            self.song.end_undo_step()

    def _clip(self, job: Facts, landing: Facts) -> Clip | None:
        """A new clip where a result belongs: on a take lane, a new track or in a slot. None in a Live before 12.0.5."""
        song = self.song
        source = live.find_track(song, job.get("track"), job.get("track_index"))
        if "slot" in job and source is not None:
            track = source if landing["take"] else live.new_track(song, source, landing["track_name"])
            slot = live.free_slot(song, track, job["slot"] if landing["take"] else job["slot"] - 1)
            return slot.create_audio_clip(landing["path"]) if slot is not None else None
        beat = job.get("beat", 0.0) + (landing["position"] - job["first"]) / job["rate"] * song.tempo / 60.0
        lane = live.take_lane(source, landing["name"]) if landing["take"] and source is not None else None
        holder = lane or live.new_track(song, source, landing["track_name"])
        return (
            holder.create_audio_clip(landing["path"], max(0.0, beat)) if hasattr(holder, "create_audio_clip") else None
        )

    def chosen(self) -> tuple[Clip, Facts] | None:
        """The clip of ours that the user looks at: ``(clip, memory)``, or None."""
        clip = self.song.view.detail_clip
        if clip is None:
            return None
        memory = self._memory(clip)
        return (clip, memory) if memory else None

    def _memory(self, clip: Clip) -> Facts | None:
        return self.store.memory(os.path.basename(getattr(clip, "file_path", "") or ""))

    def keep(self, clip: Clip, memory: Facts) -> None:
        """Delete the clips of the selected track among which this one was to be chosen, as one undo step."""
        track = self.song.view.selected_track
        known = [(self._memory(other), delete) for other, delete in live.our_clips(track) if other != clip]
        unwanted = [delete for made, delete in known if made and recipes.alternatives(made, memory)]
        self.song.begin_undo_step()
        try:
            for delete in unwanted:
                delete()
        finally:
            self.song.end_undo_step()
        self.tell(f"{memory['pending']['title']}: {len(unwanted)} other variants deleted")


def _recipe_beside(path: str) -> Facts:
    """The daemon's own record of a result: it lies beside the files."""
    try:
        with open(os.path.join(os.path.dirname(path), "recipe.json"), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def _copy(path: str, folder: str, name: str) -> str:
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, name)
    shutil.copyfile(path, target)
    return target
