"""Pure Data without a screen: drafts of single floats over UDP, and SLIP over TCP, against a real daemon."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.foreign

STEP_MS = 150
NOWHERE = -1


class Patch:
    """A patch that sends messages one after the other and prints what comes back."""

    def __init__(self, osc: dict[str, int], *, tcp: bool) -> None:
        self.boxes: list[str] = []
        self.cords: list[tuple[int, int, int, int]] = []
        self.start = self.box("obj loadbang")
        datagrams = self.connect("obj netsend -u -b", osc["udp"])
        parse, show = self.box("obj oscparse"), self.box("obj print HEARD")
        self.cord(datagrams, parse, outlet=1)
        self.cord(parse, show)
        self.register = self.box("obj oscformat")
        self.cord(self.register, datagrams)
        self.format = self.register
        if tcp:
            self.format = self.box("obj oscformat")
            stream = self.connect("obj netsend -b", osc["tcp"])
            wrap = [self.box(f"obj {text}") for text in ("list append 192", "list prepend send 192", "list trim")]
            for one, two in zip([self.format, *wrap], [*wrap, stream], strict=True):
                self.cord(one, two)

    def connect(self, net: str, port: int) -> int:
        box, opened = self.box(net), self.box(f"msg connect 127.0.0.1 {port}")
        self.cord(self.start, opened)
        self.cord(opened, box)
        return box

    def box(self, text: str) -> int:
        kind, _, rest = text.partition(" ")
        self.boxes.append(f"#X {kind} 10 {10 + 25 * len(self.boxes)} {rest};")
        return len(self.boxes) - 1

    def cord(self, source: int, target: int, *, outlet: int = 0) -> None:
        self.cords.append((source, outlet, target, 0))

    def at(self, milliseconds: int, message: str, target: int | None = None) -> None:
        """Send a message that long after the start."""
        wait, box = self.box(f"obj delay {milliseconds}"), self.box(f"msg {message}")
        self.cord(self.start, wait)
        self.cord(wait, box)
        if target != NOWHERE:
            self.cord(box, self.format if target is None else target)

    def text(self) -> str:
        cords = [f"#X connect {a} {b} {c} {d};" for a, b, c, d in self.cords]
        return "\n".join(["#N canvas 0 0 900 900 10;", *self.boxes, *cords]) + "\n"


def run(program: str, folder: Path, patch: Patch) -> str:
    """What the patch printed."""
    path = folder / "client.pd"
    path.write_text(patch.text())
    command = [program, "-nogui", "-noaudio", "-nomidi", "-stderr", "-open", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stderr


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_submit_progress_result_and_cancel(daemon, foreign, tmp_path, transport):
    """Pd sends only floats and symbols; a draft of them runs, another is cancelled. What is sent in SLIP is heard over UDP."""
    patch = Patch(daemon().connection["osc"], tcp=transport == "tcp")
    if transport == "tcp":
        patch.at(STEP_MS // 2, r"set /ace/notify \, 1", target=patch.register)
    sent = [
        r"set /ace/op/generate/caption \, list fake:\ steps=3\ delay=0.12",
        r"set /ace/op/generate/duration \, 1",
        r"set /ace/op/generate/id \, list quick",
        r"set /ace/op/generate \, 3",
        r"set /ace/op/generate/caption \, list fake:\ steps=60\ delay=0.05",
        r"set /ace/op/generate/duration \, 1",
        r"set /ace/op/generate/id \, list slow",
        r"set /ace/op/generate \, 3",
    ]
    for number, message in enumerate(sent):
        patch.at(STEP_MS * (number + 1) + (1000 if number > 3 else 0), message)
    end = STEP_MS * (len(sent) + 1) + 1500
    patch.at(end, r"set /ace/job/cancel \, list slow")
    patch.at(end + 500, r"\; pd quit", target=NOWHERE)
    heard = [
        line.removeprefix("HEARD: ").removeprefix("list ").split()
        for line in run(foreign("pd"), tmp_path, patch).splitlines()
    ]
    quick = [line[1] for line in heard if line[:1] == ["ace"] and line[2:3] == ["quick"]]
    slow = [line[1] for line in heard if line[:1] == ["ace"] and line[2:3] == ["slow"]]
    assert {"accepted", "progress", "result"} <= set(quick), heard
    assert quick[-1] == "done"
    assert "cancelled" in slow
