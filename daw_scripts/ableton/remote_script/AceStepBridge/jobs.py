"""From an action to jobs, and from the daemon's messages to clips. Knows Live only through `live`."""

import os
import shutil
import time
import uuid

from . import live
from .acestep_core import requests, results
from .acestep_core.tempo import plan

RATE = 48_000
"""Sample rate of new parts: Live does not tell scripts its own."""


class Jobs:
    """The jobs of one Live set: submitted, followed, placed."""

    def __init__(self, song, link, data, tell):
        self.song = song
        self.link = link
        self.data = data
        self.tell = tell
        self.pending = {}
        self.last = {}
        self._count = 0
        self._mark = uuid.uuid4().hex[:6]  # tells this set's jobs from those of any other

    def say(self, **facts):
        """Tell the user a sentence from the shared list."""
        self.tell(requests.sentence(self.data["messages"], facts))

    def run(self, name, values=None):
        """Run an action of the shared table; values that are not given are those of its last run."""
        wanted = requests.action(self.data["actions"], name)
        if wanted is None:
            return self.tell(f"There is no action {name}.")
        if name == "cancel":
            return self.cancel_newest()
        if name == "queue":
            return self.show()
        if wanted["kind"] != "submit" or not wanted["operation"]:
            return self.tell(f"{wanted['title']}: not in Live; use the daemon's command line.")
        if not self.link.running():
            return self.say(code="daemon_not_running", command="acestep-bridge serve")
        if values:
            self.last[wanted["operation"]] = dict(values)
        try:
            self._submit(wanted, dict(self.last.get(wanted["operation"], {})))
        except live.Refused as refusal:
            self.say(code=str(refusal))

    def _situation(self, wanted):
        song, track = self.song, self.song.view.selected_track
        found = live.region(song)
        situation = {"saved": True, "rate": RATE, "key": live.key_of(song)}
        if found is None and wanted["needs"] == "position":
            found = (song.current_song_time, song.current_song_time)
        if found is None:
            return situation, track, None
        situation.update(start=_samples(song, found[0], RATE), end=_samples(song, found[1], RATE))
        if wanted["audio"] == "none" or found[1] <= found[0]:
            return situation, track, found
        if wanted["audio"] != "target":
            raise live.Refused("mix")
        clip = live.clip_at(track, *found)
        if clip is None:
            raise live.Refused("nothing_there")
        cut = live.file_region(song, clip, *found)
        rate = cut["rate"]
        situation.update(rate=rate, start=_samples(song, cut["first"], rate), end=_samples(song, cut["last"], rate))
        situation["source"] = {**cut, "origin": situation["start"] - cut["start"]}
        return situation, track, (cut["first"], cut["last"])

    def _submit(self, wanted, values):
        situation, track, found = self._situation(wanted)
        refused = requests.refusal(wanted, situation)
        if refused:
            return self.say(**refused)
        if wanted["each"] and not values.get(wanted["each"]):
            return self.say(code="no_tracks")
        song = self.song
        segment = {"start": 0.0, "bpm": song.tempo, "num": song.signature_numerator, "den": song.signature_denominator}
        rate = situation["rate"]
        first, last = situation["start"] / rate, max(situation["end"], situation["start"] + 1) / rate
        wishes, _ = plan([segment], first, last, "refuse")
        for job in requests.jobs(wanted, situation, wishes, values):
            name = self._name()
            pending = requests.pending(name, wanted, situation, job)
            pending.update(live_track=track, beat=found[0], files=[], failed="", state="sent")
            self.pending[name] = pending
            wrong = self.link.send(f"/ace/op/{job['operation']}", name, *_flat(job["params"]))
            if wrong:
                del self.pending[name]
                self.tell(f"{wanted['title']}: {wrong}")

    def _name(self):
        self._count += 1
        return f"live-{time.strftime('%Y%m%d-%H%M%S')}-{self._mark}-{self._count}"

    def cancel_newest(self):
        """Cancel the job that was submitted last."""
        if not self.pending:
            return self.say(code="no_jobs")
        self.link.send("/ace/job/cancel", list(self.pending)[-1])

    def show(self):
        """One line with all jobs."""
        if not self.pending:
            return self.say(code="no_jobs")
        self.tell(" | ".join(f"{job['title']}: {job['state']}" for job in self.pending.values()))

    # -- what the daemon says

    def hear(self, address, values):
        """A message from the daemon; unknown addresses and foreign jobs are left alone."""
        words = address.strip("/").split("/")
        handler = getattr(self, f"_on_{words[-1]}", None) if words[:1] == ["ace"] and len(words) == 2 else None
        job = self.pending.get(values[0]) if values else None
        if handler is not None and job is not None:
            handler(job, values)

    def _on_accepted(self, job, values):
        job["state"] = "waiting"

    def _on_rejected(self, job, values):
        del self.pending[job["id"]]
        self.tell(f"{job['title']}: {values[3] if len(values) > 3 else values[1]}")

    def _on_progress(self, job, values):
        job["state"] = f"{round(100 * values[5])} %"
        self.tell(f"{job['title']}: {values[2]} {job['state']}")

    def _on_result(self, job, values):
        role, path, start, length, rate, _, variant, track = values[3:11]
        facts = {"role": role, "path": path, "start": start, "length": length, "rate": rate}
        job["files"].append({**facts, "variant": variant, "track": track})

    def _on_done(self, job, values):
        del self.pending[job["id"]]
        self._place(job)

    def _on_failed(self, job, values):
        del self.pending[job["id"]]
        self.tell(f"{job['title']}: {values[3] if len(values) > 3 else values[-1]}")

    def _on_cancelled(self, job, values):
        del self.pending[job["id"]]
        self.tell(f"{job['title']}: cancelled")

    _on_interrupted = _on_failed

    def _place(self, job):
        song = self.song
        song.begin_undo_step()
        try:
            for landing in results.placements(job, {"result": {"files": job["files"]}}):
                path = _copy(landing["path"], live.media_folder(song), landing["copy"])
                beat = job["beat"] + (landing["position"] - job["first"]) / job["rate"] * song.tempo / 60.0
                self._place_one(job, landing, path, max(0.0, beat))
        except OSError as failure:
            self.say(code="readonly_media_folder", path=str(failure.filename or live.media_folder(song)))
        finally:
            song.end_undo_step()

    def _place_one(self, job, landing, path, beat):
        track = job["live_track"]
        alive = track in list(self.song.tracks)
        lanes = landing["take"] and alive and hasattr(track, "create_take_lane")
        if not lanes:
            track = live.new_track(self.song, track if alive else None, landing["track_name"])
        if live.place(self.song, track, path, beat, landing["name"], lanes) is None:
            self.tell(f"{job['title']}: this Live is older than 12.0.5; drag the file in: {path}")
        else:
            self.tell(f"{job['title']}: done")


def _samples(song, beats, rate):
    return int(live.seconds(song, beats) * rate + 0.5)


def _flat(params):
    """Key and value in turn, as OSC carries them; lists as comma-separated text."""
    flat = []
    for name, value in params.items():
        flat += [name, ",".join(map(str, value)) if isinstance(value, list) else value]
    return flat


def _copy(path, folder, name):
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, name)
    shutil.copyfile(path, target)
    return target
