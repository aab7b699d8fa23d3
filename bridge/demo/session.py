"""The demo's client: a process that speaks only OSC over UDP, as a DAW script, a pad or a patch would.

It prints one JSON map at the end. Nothing of the daemon is imported here: every fact came over the wire.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.udp_client import SimpleUDPClient

RESEND = 2.0
"""Seconds without an answer after which a question is sent again; the job's id makes that harmless."""

PATIENCE = 900.0
"""Seconds after which a job that says nothing counts as lost."""

BARS = (4, 8)
"""The region: bars 5 to 8, counted from 0 and end exclusive."""

NEW_BARS = 8
"""Length of the generated part in bars."""

CANCEL_AT = 0.5
"""Progress at which the fourth job is cancelled."""

CANCELLED_SECONDS = 4.0
"""How long the fourth job would take, about, if it were left alone."""

TERMINAL = ("/ace/done", "/ace/failed", "/ace/cancelled", "/ace/interrupted", "/ace/rejected")

Progress = Callable[[float], None]


class DemoPeer:
    """One UDP socket to the daemon; everything it sends comes back here."""

    def __init__(self, host: str, port: int) -> None:
        self._client = SimpleUDPClient(host, port)

    def send(self, address: str, *arguments: Any) -> None:
        """Send one message."""
        self._client.send_message(address, arguments)

    def receive(self, seconds: float) -> OscMessage | None:
        """The next message, or none within that time."""
        packet = self._client.receive(seconds)
        return OscMessage(packet) if packet else None

    def ask(self, address: str, *arguments: Any) -> Iterator[list[Any]]:
        """The numbered items of a long answer: the arguments behind index and count."""
        self.send(address, *arguments)
        for _ in range(10_000):
            message = self.receive(RESEND)
            if message is None:
                self.send(address, *arguments)
            elif message.address == address:
                index, count, *row = message.params
                if count:
                    yield row
                if index + 1 >= count:
                    return


class DemoJob:
    """One request and everything that was heard about it."""

    def __init__(self, peer: DemoPeer, title: str, operation: str, params: dict[str, Any]) -> None:
        self.peer = peer
        self.title = title
        self.operation = operation
        self.params = params
        self.files: dict[int, dict[str, Any]] = {}
        self.report: dict[str, Any] = {"title": title, "operation": operation, "state": "", "notes": [], "events": 0}

    def run(self, on_progress: Progress = lambda fraction: None) -> dict[str, Any]:
        """Submit, listen until the terminal message, and return the report. Ends the process when the daemon falls silent."""
        started = heard = time.perf_counter()
        self._submit()
        while True:
            message = self.peer.receive(RESEND)
            now = time.perf_counter()
            if message is None:
                self._remind(now - heard)
                continue
            if not message.params or message.params[0] != self.title:
                continue
            heard = now
            self._take(message, now - started, on_progress)
            if message.address in TERMINAL:
                self.report["seconds"] = now - started
                self.report["files"] = [self.files[index] for index in sorted(self.files)]
                return self.report

    def _submit(self) -> None:
        pairs = [item for pair in self.params.items() for item in pair]
        self.peer.send(f"/ace/op/{self.operation}", self.title, *pairs)

    def _remind(self, silence: float) -> None:
        if silence > PATIENCE:
            sys.exit(f"the daemon said nothing about {self.title} for {PATIENCE:.0f} s")
        if not self.report["state"]:
            self._submit()
        elif silence > 4 * RESEND:
            self.peer.send("/ace/job/result", self.title)

    def _take(self, message: OscMessage, elapsed: float, on_progress: Progress) -> None:
        kind = message.address.removeprefix("/ace/")
        rest = message.params[1:]
        if kind == "accepted" and not self.report["state"]:
            self.report.update(state="accepted", ack=elapsed)
        elif kind == "progress":
            self.report["events"] += 1
            self.report.setdefault("first_progress", elapsed)
            self.report["stage"], self.report["fraction"] = rest[1], rest[4]
            print(f"  {self.title}: {rest[1]} {rest[4]:.0%}", file=sys.stderr, flush=True)
            on_progress(rest[4])
        elif kind == "result":
            names = ("index", "role", "path", "start", "length", "rate", "channels", "variant", "track")
            self.files[rest[1]] = dict(zip(names, rest[1:], strict=False))
        elif message.address in TERMINAL:
            self.report["state"] = kind
            self.report["notes"] = rest[3:] if kind == "done" else []
            self.report["message"] = " ".join(map(str, rest)) if kind != "done" else ""


def play(plan: dict[str, Any]) -> dict[str, Any]:
    """The four jobs of the demo, one after the other; the report of the session."""
    loop = Path(plan["loop"])
    facts = json.loads((loop / "loop.json").read_text("utf-8"))
    peer = DemoPeer(plan["host"], plan["port"])
    bar = facts["samples"] // facts["bars"]
    mix = str(loop / "mix.flac")
    shared = {"model": plan["model"]} if plan["model"] else {}
    music = {**shared, "bpm": float(facts["bpm"]), "key": facts["key"]}
    shared = {**music, "caption": facts["caption"]}
    region = {"start": BARS[0] * bar, "end": BARS[1] * bar}
    stem = {"source": mix, "track": "drums", "returns": "stem,residual", "seed": 1, **shared}
    part = {**shared, "length": NEW_BARS * bar, "rate": facts["rate"], "seed": 2}
    jobs = [
        DemoJob(
            peer, "repaint", "repaint", {"source": mix, **region, "returns": "whole,patch", "seed": 1, **shared}
        ).run(),
        DemoJob(peer, "drums", "extract", stem).run(),
        DemoJob(peer, "part", "generate", part).run(),
    ]
    jobs.append(_cancel_half_way(peer, part, jobs[-1]))
    models = [
        dict(zip(("name", "variant", "present", "default", "trained"), row, strict=False))
        for row in peer.ask("/ace/models")
    ]
    return {"loop": facts, "bar": bar, "region": region, "part": part["length"], "jobs": jobs, "models": models}


def _cancel_half_way(peer: DemoPeer, part: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """The part again with so many steps that it takes a few seconds, cancelled when half of it is done."""
    steps = max(20, min(200, round(8 * CANCELLED_SECONDS / max(like["seconds"], 0.05))))
    asked: list[float] = []

    def cancel(fraction: float) -> None:
        if fraction >= CANCEL_AT and not asked:
            asked.append(time.perf_counter())
            peer.send("/ace/job/cancel", "cancelled")

    report = DemoJob(peer, "cancelled", "generate", {**part, "seed": 3, "steps": steps}).run(cancel)
    if asked:
        report["cancel_took"] = time.perf_counter() - asked[0]
    return report


if __name__ == "__main__":
    print(json.dumps(play(json.loads(sys.argv[1]))))
