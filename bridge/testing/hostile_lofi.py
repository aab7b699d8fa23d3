"""Messages that mean harm for the door of lofi.nvim, and its command as a child process to send them to.

Nothing here waits without end: a message that is not taken, or a question without an answer, is an error of its own. POSIX only.
"""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge import children
from bridge.testing.hostile_jsonrpc import LOFI_SEEDS, call, message

WAIT = 60.0
"""Seconds for a message to be taken, and for an answer."""

ASK_EVERY = 500
"""Messages between two proper questions."""

SPEAKER = "import sys; from bridge.cli.commands.lofi import main; sys.exit(main())"
"""What the program lofi-daemon does."""


class Speaker:
    """The command, spoken to in lines. Only answers to our own questions are kept."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._errors = folder / "errors.txt"
        environment = {"ACESTEP_BRIDGE_HOME": str(home), "LOFI_CACHE_PATH": str(folder / "cache")}
        with self._errors.open("ab") as sink:
            self.process = subprocess.Popen(
                children.python("-c", SPEAKER, "--daemon"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink,
                bufsize=0, env={**children.environment(None), **environment},
            )  # fmt: skip
        assert self.process.stdin is not None
        self._inlet = self.process.stdin.fileno()
        os.set_blocking(self._inlet, False)
        self._asked = 0
        self._answers: dict[str, Any] = {}
        self._ended = False
        self._came = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                answer = json.loads(line)
                if isinstance(answer, dict) and str(answer.get("id")).startswith("ours-"):
                    with self._came:
                        self._answers[answer["id"]] = answer
                        self._came.notify_all()
        finally:  # it has ended: no answer will come any more
            with self._came:
                self._ended = True
                self._came.notify_all()

    def send(self, data: bytes) -> None:
        """Send a line. Raises `BrokenPipeError` when the command has ended, `TimeoutError` when it does not take it."""
        rest, end = memoryview(data + b"\n"), time.monotonic() + WAIT
        while rest:
            _, ready, _ = select.select([], [self._inlet], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError("the command does not read")
            rest = rest[os.write(self._inlet, rest[: select.PIPE_BUF]) :]

    def ask(self, method: str) -> Any:
        """The answer to a proper question. Raises `TimeoutError` without one."""
        self._asked += 1
        name = f"ours-{self._asked}"
        self.send(json.dumps(call(name, method)).encode())
        with self._came:
            if not self._came.wait_for(lambda: name in self._answers or self._ended, WAIT):
                raise TimeoutError(f"no answer to {method}")
            return self._answers.pop(name, None)

    def close(self) -> int:
        """End its input, which ends it; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(WAIT)


def attack(
    home: Path, folder: Path, count: int, seed: int = 1, look: Callable[[int], object] = lambda pid: None
) -> dict[str, Any]:
    """Send so many hostile messages to the command of a daemon's home; how often which exit code came, and tracebacks.

    ``look`` gets the command's process id now and then, to look at its memory.

    A line beyond the door's limit ends the command, as it should; another one is started then. Raises `TimeoutError` when
    anything hangs, `AssertionError` when a proper question in between gets no proper answer.
    """
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    codes: Counter[int] = Counter()
    speaker = Speaker(home, folder)
    for number in range(count):
        try:
            speaker.send(message(chance, LOFI_SEEDS))
            if number % ASK_EVERY == ASK_EVERY - 1 and (answer := speaker.ask("ping")) is not None:
                assert answer["result"]["status"] == "ok", answer
                look(speaker.process.pid)
        except BrokenPipeError:
            codes[speaker.process.wait(WAIT)] += 1
            speaker = Speaker(home, folder)
    codes[speaker.close()] += 1
    traceback = "Traceback" in (folder / "errors.txt").read_text("utf-8", "replace")
    return {"exit codes": dict(codes), "traceback": traceback}
