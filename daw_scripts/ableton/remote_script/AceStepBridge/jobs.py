"""The jobs of one Live set: asked for, followed, placed, also after the set was closed in between."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING

from . import live
from .acestep_core import recipes, requests
from .asking import Situation, summary
from .dataset import Dataset
from .osc import flat
from .placing import Placing
from .presses import asked_about, press_of, variants
from .recording import Recording
from .sent import Sent
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .kinds import Facts, Song
    from .link import Link

ASK_AGAIN = 5.0
"""Seconds of silence after which the daemon is asked how a job stands: a packet got lost, or the set was just opened."""


class Jobs:
    """Runs actions and keeps what is under way. Live's ticks drive it."""

    def __init__(
        self,
        song: Song,
        link: Link,
        data: Facts,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.song = song
        self.link = link
        self.data = data
        self.tell = tell
        self.clock = clock
        self.store = Store(lambda: live.media_folder(song), lambda: live.file_name(song))
        self.placing = Placing(song, self.store, data["messages"], tell)
        self.dataset = Dataset(song, link, data["messages"], tell)
        self.sent = Sent(song, link.home, self.placing, self._name, self.say)
        self.pending: dict[str, Facts] = {}
        self.held: list[Facts] = []
        """Finished jobs, oldest first, whose results (`landings`) wait to be chosen from."""
        self.recording: Recording | None = None
        self._ready: dict[str, Facts] = {}
        """Results (`landings` and `notes`) that are placed when the other jobs of their key press have ended, too."""
        self._heard: dict[str, float] = {}
        self._files: dict[str, dict[int, Facts]] = {}
        self._states: dict[str, str] = {}
        self._told: dict[str, bool] = {}
        self._last: dict[str, Facts] = {}
        self._count = 0
        self._mark = uuid.uuid4().hex[:6]  # tells this set's jobs from those of any other
        for job in self.store.pending():
            if "landings" in job:
                self.held.append(job)
            else:
                self._follow(job)
                self._heard[job["id"]] = -ASK_AGAIN  # ask at once
                self._states[job["id"]] = "waiting"

    def say(self, **facts: Any) -> None:
        """Tell the user a sentence from the shared list."""
        self.tell(requests.sentence(self.data["messages"], facts))

    # -- actions

    def run(self, name: str, values: Facts | None = None) -> None:
        """Run an action of the shared table; values that are not given are those of its last run in this set."""
        own = {"cancel": self.cancel, "queue": self.show, "keep": self.keep, "restore": self.restore}
        own.update(place=self.place, drop=self.drop, start=self.start, dataset=self.dataset.make)
        if name in own:
            return own[name]()
        wanted = requests.action(self.data["actions"], name)
        if wanted is None:
            return self.tell(f"There is no action {name}.")
        if wanted["kind"] != "submit" or (wanted["hosts"] and "ableton" not in wanted["hosts"]):
            return self.tell(f"{wanted['title']}: not in Live.")
        trouble = self.link.trouble()
        if trouble is not None:
            return self.say(**trouble)
        try:
            if name == "vary":
                self._reroll(dict(values or {}))
            else:
                self._ask(wanted, dict(values or {}))
        except live.Refused as refusal:
            self.say(**refusal.facts)
        except OSError as failure:
            self._say_blocked(failure)

    def start(self) -> None:
        """Start a daemon in the background; what came of it is told some ticks later."""
        try:
            self.link.starter.start()
        except (OSError, ImportError) as failure:
            return self.tell(f"The daemon did not start: {failure}")
        self.tell("starting the daemon")

    def _say_blocked(self, failure: OSError) -> None:
        self.say(code="readonly_media_folder", path=str(failure.filename or live.media_folder(self.song)))

    def _ask(self, wanted: Facts, values: Facts) -> None:
        if self.recording is not None:
            raise live.Refused("stop_first")
        if wanted["name"] == "operation":
            wanted = {**wanted, "operation": str(values.pop("operation", "")), "needs": "selection"}
            wanted["title"] = wanted["operation"]
            if not wanted["operation"]:
                return self.say(code="no_operation", operation="?")
        after_effects, listen = (bool(values.pop(name, False)) for name in ("after_effects", "listen"))
        values = values or self._last.get(wanted["operation"]) or self.store.values(wanted["operation"])
        situation = Situation(self.song)
        situation.choose(wanted)
        refused = requests.refusal(wanted, situation.facts)
        if refused:
            return self.say(**refused)
        if wanted["each"] and not values.get(wanted["each"]):
            return self.say(code="no_tracks")
        self._last[wanted["operation"]] = values
        self.store.keep_values(wanted["operation"], values)

        def go_on(parts: list[Situation]) -> None:
            self.tell(f"{wanted['title']}: {summary(wanted, parts, after_effects)}")
            self._submit(wanted, parts, values, listen)

        self._with_audio(wanted, situation, after_effects, go_on)

    def _with_audio(
        self, wanted: Facts, situation: Situation, after_effects: bool, go_on: Callable[[list[Situation]], None]
    ) -> None:
        """Find what is sent: nothing, the clips' own files, or a recording in real time. Raises `live.Refused`."""
        if wanted["audio"] == "none":
            return go_on([situation])
        if situation.slot is not None:
            if after_effects:
                raise live.Refused("session_effects")
            return go_on([situation])
        if wanted["audio"] == "target" and not after_effects:
            return go_on(situation.parts(wanted["outside"]))
        if len(live.selected_tracks(self.song, situation.track)) > 1:
            raise live.Refused("one_track")

        def use(cut: Facts) -> None:
            self.recording = None
            situation.use(cut)
            go_on([situation])

        def give_up(code: str) -> None:
            self.recording = None
            self.say(code=code)

        only = situation.track if wanted["audio"] == "target" else None
        silent = situation.track if wanted["audio"] == "others" else None
        recording = Recording(self.song, situation.span, only, silent)
        self.tell(f"{wanted['title']}: recording in real time")
        if recording.start(use, give_up):
            self.recording = recording

    def _submit(self, wanted: Facts, parts: list[Situation], values: Facts, listen: bool) -> None:
        press = self._name()
        asked = [(part, job) for part in parts for job in part.jobs(wanted, values)]
        jobs = [(part.pending(self._name(), wanted, job, values), job) for part, job in asked]
        for pending, _ in jobs:  # all are known before the first can end
            pending.update(group=press, press=press, listen=listen)
            self._follow(pending)
        for pending, job in jobs:
            self._send(pending, f"/ace/op/{job['operation']}", pending["id"], *flat(job["params"]))

    def _send(self, pending: Facts, address: str, *values: Any) -> None:
        wrong = self.link.send(address, *values)
        if wrong:
            self._forget([pending])
            return self.tell(f"{pending['title']}: {wrong}")
        self._keep()

    def _reroll(self, values: Facts) -> None:
        """Ask for the job of a clip once more, with new seeds; what the clip remembers of it serves where the daemon forgot it."""
        chosen = self.placing.chosen()
        if chosen is None:
            raise live.Refused("no_recipe")
        again = recipes.again(chosen[1], self._name())
        old = chosen[1]["pending"]["id"]
        instead = {"job": old, "operation": again["operation"], "params": again["params"]}
        pending = {**again["pending"], "listen": bool(values.get("listen")), "instead": instead}
        self._follow(pending)
        self._send(pending, "/ace/job/rerun", old, 1, pending["id"])

    def keep(self) -> None:
        """Delete what the clip in the detail view was to be chosen from."""
        chosen = self.placing.chosen()
        if chosen is None:
            return self.say(code="no_recipe")
        self.placing.keep(*chosen)

    def restore(self) -> None:
        """Make the values of the clip in the detail view the last values of its action, and its place the loop brace."""
        chosen = self.placing.chosen()
        if chosen is None:
            return self.say(code="no_recipe")
        pending = chosen[1]["pending"]
        self._last[pending["operation"]] = pending.get("values", {})
        self.store.keep_values(pending["operation"], pending.get("values", {}))
        if "beat" in pending:
            beats = (pending["last"] - pending["first"]) / pending["rate"] * pending["tempo"] / 60.0
            live.select(self.song, pending["beat"], pending["beat"] + beats)
        shown = ", ".join(f"{name} {value}" for name, value in pending.get("values", {}).items())
        self.tell(f"{pending['title']}: the next one is asked with {shown or 'the defaults'}")

    def _name(self) -> str:
        self._count += 1
        return f"live-{time.strftime('%Y%m%d-%H%M%S')}-{self._mark}-{self._count}"

    def cancel(self, number: int | None = None) -> None:
        """Cancel a job, counted from 1 as *Show jobs* does; without a number break off the recording that runs, else all that the
        newest key press asked for. What is ready by then is placed.
        """
        if self.recording is not None and number is None:
            return self.recording.cancel()
        if not self.pending:
            return self.say(code="no_jobs")
        jobs = list(self.pending.values())
        chosen = press_of(jobs, jobs[-1]) if number is None else [dict(enumerate(jobs, 1)).get(number)]
        for job in chosen:
            if job is None:
                return self.say(code="no_such_job", number=number, count=len(jobs))
            if job["id"] not in self._ready:
                self.link.send("/ace/job/cancel", job["id"])

    def show(self) -> None:
        """One line with all jobs."""
        jobs = enumerate(self.pending.items(), 1)
        lines = [f"{number} {job['title']}: {self._states[id]}" for number, (id, job) in jobs]
        lines += [self._waiting()] if self.held else []
        if not lines:
            return self.say(code="no_jobs")
        self.tell(" | ".join(lines))

    # -- results that wait to be chosen from

    def _waiting(self) -> str:
        """How many variants wait, and where they can be heard."""
        count = requests.sentence(self.data["messages"], {"code": "variants_wait", "count": len(variants(self.held))})
        missing = self.link.trouble() or {"code": "page_off"}
        return f"{count} {self.link.page() or requests.sentence(self.data['messages'], missing)}"

    def place(self, number: int = 1) -> None:
        """Place a waiting variant, counted from 1; the others of its job wait no longer."""
        waiting = variants(self.held)
        job, landings = dict(enumerate(waiting, 1)).get(number, (None, []))
        if job is None:
            return self.say(code="none_waits", number=number, count=len(waiting))
        gone = [landing["path"] for landing in landings if not os.path.isfile(landing["path"])]
        if gone:
            return self.say(code="result_gone", path=gone[0])
        self.placing.place([(job, landings)], self.placing.done([(job, ())]))
        self._let_go([job])

    def drop(self) -> None:
        """Let go of all that waits. The files stay."""
        self._let_go(self.held)
        self.say(code="variants_wait", count=0)

    def _let_go(self, jobs: list[Facts]) -> None:
        self.held = [job for job in self.held if job not in jobs]
        try:
            self._keep()
        except OSError as failure:
            self._say_blocked(failure)

    # -- what is under way

    def _follow(self, job: Facts) -> None:
        self.pending[job["id"]] = job
        self._heard[job["id"]] = self.clock()
        self._files[job["id"]] = {}
        self._states[job["id"]] = "sent"

    def _forget(self, jobs: list[Facts], *held: Facts) -> None:
        """Wait for jobs no longer, or for results (`held`) to be chosen from. Nothing changes where that cannot be written."""
        gone = {job["id"] for job in jobs}
        others = [known for id, known in self.pending.items() if id not in gone]
        self.store.keep_pending([*others, *self.held, *held])
        self.held.extend(held)
        for known in (self.pending, self._heard, self._files, self._states, self._told, self._ready):
            for id in gone:
                known.pop(id, None)

    def _give_up(self, job: Facts, text: str) -> None:
        """There are no results of a job; what else its key press asked for may be ready."""
        self._forget([job])
        self.tell(f"{job['title']}: {text}")
        self._place_ready(job)

    def _place_ready(self, job: Facts) -> None:
        """Place the results of the key press that a job belonged to once all of its jobs have ended: one undo step."""
        press = press_of(self.pending.values(), job)
        ready = [(job, self._ready[job["id"]]) for job in press if job["id"] in self._ready]
        if not ready or len(ready) < len(press):
            return
        self._forget(press)
        done = self.placing.done((job, found["notes"]) for job, found in ready)
        self.placing.place([(job, found["landings"]) for job, found in ready], done)

    def _keep(self) -> None:
        self.store.keep_pending([*self.pending.values(), *self.held])

    def tick(self) -> None:
        """Move a recording on; tell what came of a start; ask for jobs of which nothing was heard for a while.

        A daemon that died without saying so answers to nothing: told once for each job that is sent to it.
        """
        started = self.link.starter.outcome()
        if started is not None:
            self.tell(started)
        if self.recording is not None:
            self.recording.tick()
        self.placing.tick()
        self.dataset.tick()
        self.sent.tick()
        now = self.clock()
        for id in [id for id, heard in self._heard.items() if now - heard >= ASK_AGAIN]:
            if id not in self.pending:  # placed with the others of its key press
                continue
            self._heard[id] = now
            if id in self._ready:
                self._try(self.pending[id], self._place_ready)
                continue
            if self._states[id] == "sent":
                self._states[id] = "no answer"
                self.say(code="no_answer", seconds=ASK_AGAIN)
            self.link.send("/ace/job/result", id)

    def close(self) -> None:
        """Live closes the set: what a recording changed is put back; jobs are placed when the set is open again."""
        if self.recording is not None:
            self.recording.cancel()
        self.placing.close()

    def hear(self, address: str, values: list[Any]) -> None:
        """A message from the daemon; unknown addresses and foreign jobs are left alone."""
        words = address.strip("/").split("/")
        handler = getattr(self, f"_on_{words[-1]}", None) if words[:1] == ["ace"] and len(words) == 2 else None
        job = (
            asked_about(self.pending, values)
            if words[-1] == "error"
            else self.pending.get(values[0])
            if values
            else None
        )
        if handler is not None and job is not None:
            self._heard[job["id"]] = self.clock()
            self._try(job, lambda known: handler(known, values))

    def _try(self, job: Facts, work: Callable[[Facts], None]) -> None:
        """Do something with a job. Where nothing can be written it stays waiting, and this is tried again; that is told once."""
        try:
            work(job)
        except OSError as failure:
            if job["id"] not in self._told:
                self._told[job["id"]] = True
                self._say_blocked(failure)

    def _on_error(self, job: Facts, values: list[Any]) -> None:
        if not self._ask_instead(job):
            self._give_up(job, requests.sentence(self.data["messages"], {"code": "job_unknown"}))

    def _ask_instead(self, job: Facts) -> bool:
        """Ask for what is remembered of a job that was to be made again; False for a job that is asked for by itself."""
        instead = job.pop("instead", None)
        if instead is not None:
            self._send(job, f"/ace/op/{instead['operation']}", job["id"], *flat(instead["params"]))
        return instead is not None

    def _on_accepted(self, job: Facts, values: list[Any]) -> None:
        job.pop("instead", None)
        self._states[job["id"]] = "waiting"

    def _on_rejected(self, job: Facts, values: list[Any]) -> None:
        if not self._ask_instead(job):
            self._give_up(job, values[3] if len(values) > 3 else values[1])

    def _on_progress(self, job: Facts, values: list[Any]) -> None:
        self._states[job["id"]] = f"{round(100 * values[5])} %"
        press = press_of(self.pending.values(), job)
        ready = sum(known["id"] in self._ready for known in press)
        several = f"{ready} of {len(press)} ready, " if len(press) > 1 else ""
        self.tell(f"{job['title']}: {several}{values[2]} {self._states[job['id']]}")

    def _on_result(self, job: Facts, values: list[Any]) -> None:
        index, role, path, start, length, rate, _, variant, track, *more = values[2:]
        facts = {"role": role, "path": path, "start": start, "length": length, "rate": rate}
        self._files[job["id"]][index] = {**facts, "variant": variant, "track": track, "preview": more[:1] == [1]}

    def _on_done(self, job: Facts, values: list[Any]) -> None:
        files = [file for _, file in sorted(self._files[job["id"]].items())]
        if len(files) < values[3]:
            return  # one got lost on the way; it is asked for again
        job.pop("instead", None)
        try:
            landings = self.placing.fetch(job, files)
        except live.Refused as refusal:
            return self._give_up(job, requests.sentence(self.data["messages"], refusal.facts))
        notes = list(values[4:])
        if job.get("listen") and landings:
            self._forget([job], {**job, "landings": landings})
            return self.tell(f"{self.placing.done([(job, notes)])} {self._waiting()}")
        self._ready[job["id"]], self._states[job["id"]] = {"landings": landings, "notes": notes}, "ready"
        self._place_ready(job)

    def _on_failed(self, job: Facts, values: list[Any]) -> None:
        self._give_up(job, values[3] if len(values) > 3 else values[-1])

    def _on_cancelled(self, job: Facts, values: list[Any]) -> None:
        self._give_up(job, "cancelled")

    _on_interrupted = _on_failed
