"""Results as clips: copied into the set's media folder, then onto take lanes, tracks or Session slots."""

import json
import os
import shutil

from . import live
from .acestep_core import recipes, results


class Placing:
    """Puts finished jobs into a set."""

    def __init__(self, song, store, messages, tell):
        self.song = song
        self.store = store
        self._messages = messages
        self.tell = tell

    def fetch(self, job, files):
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

    def done(self, job, notes=()):
        """What there is to know of a finished job."""
        return f"{job['title']}: done. {results.notes(self._messages, job, {'result': {'notes': notes}})}".strip()

    def place(self, job, landings, done):
        """Place results of a job, as one undo step, and tell ``done``."""
        self.song.begin_undo_step()
        try:
            for landing in landings:
                self._place_one(job, landing, done)
        finally:
            self.song.end_undo_step()

    def _place_one(self, job, landing, done):
        target, beat = self._target(job, landing)
        tempo = None if landing["take"] else job.get("tempo")
        if live.place(target, landing["path"], beat, landing["name"], tempo) is None:
            self.tell(f"{job['title']}: this Live is older than 12.0.5; drag the file in: {landing['path']}")
        else:
            self.tell(done)

    def _target(self, job, landing):
        """Where a result goes: a take lane or a new track and its beat there, or a slot and None."""
        song = self.song
        source = live.find_track(song, job.get("track"), job.get("track_index"))
        if "slot" in job and source is not None:
            track = source if landing["take"] else live.new_track(song, source, landing["track_name"])
            slot = live.free_slot(song, track, job["slot"] if landing["take"] else job["slot"] - 1)
            return slot, None
        beat = job.get("beat", 0.0) + (landing["position"] - job["first"]) / job["rate"] * song.tempo / 60.0
        lane = live.take_lane(source, landing["name"]) if landing["take"] and source is not None else None
        return lane or live.new_track(song, source, landing["track_name"]), max(0.0, beat)

    def chosen(self):
        """The clip of ours that the user looks at: ``(clip, memory)``, or None."""
        clip = self.song.view.detail_clip
        memory = self._memory(clip) if clip is not None else None
        return (clip, memory) if memory else None

    def _memory(self, clip):
        return self.store.memory(os.path.basename(getattr(clip, "file_path", "") or ""))

    def keep(self, clip, memory):
        """Delete the clips of the selected track among which this one was to be chosen, as one undo step."""
        track = self.song.view.selected_track
        known = [(other, holder, self._memory(other)) for other, holder in live.our_clips(track) if other != clip]
        unwanted = [(other, holder) for other, holder, made in known if made and recipes.alternatives(made, memory)]
        self.song.begin_undo_step()
        try:
            for other, holder in unwanted:
                live.delete_clip(track, holder, other)
        finally:
            self.song.end_undo_step()
        self.tell(f"{memory['pending']['title']}: {len(unwanted)} other variants deleted")


def _recipe_beside(path):
    """The daemon's own record of a result: it lies beside the files."""
    try:
        with open(os.path.join(os.path.dirname(path), "recipe.json"), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def _copy(path, folder, name):
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, name)
    shutil.copyfile(path, target)
    return target
