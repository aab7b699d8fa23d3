"""liblo's oscsend and oscdump, over UDP and TCP, against a real daemon."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

pytestmark = pytest.mark.foreign


class Dump:
    """oscdump on a free port: what it prints, line by line."""

    def __init__(self, program: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.process = subprocess.Popen([program, "-L", str(self.port)], stdout=subprocess.PIPE, text=True)
        self.lines: list[list[str]] = []

    def until(self, address: str, word: str = "") -> list[str]:
        """Read on until a message of this address that contains the word."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.split())
            if self.lines[-1][1] == address and word in line:
                return self.lines[-1]
        raise AssertionError(f"oscdump ended before {address}: {self.lines}")

    def addresses(self, job: str) -> list[str]:
        """The addresses of what was said about a job."""
        return [line[1] for line in self.lines if f'"{job}"' in line]


@pytest.fixture
def dump(foreign):
    """oscdump, ready to hear."""
    dump = Dump(foreign("oscdump"))
    yield dump
    dump.process.terminate()
    dump.process.wait()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_submit_progress_result_and_cancel(daemon, foreign, dump, transport):
    """oscsend sends each message from a port of its own; oscdump, registered by a lease, hears everything."""
    osc = daemon().connection["osc"]

    def send(via: str, *words: str) -> None:
        subprocess.run([foreign("oscsend"), f"osc.{via}://127.0.0.1:{osc[via]}", *words], check=True, timeout=10)

    time.sleep(0.2)  # oscdump opens its port without a word
    send("udp", "/ace/notify", "ii", "1", str(dump.port))
    dump.until("/ace/notify")
    send(transport, "/ace/op/generate", "ssssf", "quick", "caption", "fake: steps=3 delay=0.12", "duration", "1")
    dump.until("/ace/done", "quick")
    send(transport, "/ace/op/generate", "ssssf", "slow", "caption", "fake: steps=60 delay=0.05", "duration", "1")
    dump.until("/ace/progress", "slow")
    send(transport, "/ace/job/cancel", "s", "slow")
    dump.until("/ace/cancelled", "slow")
    heard = dump.addresses("quick")
    assert heard[0] == "/ace/accepted"
    assert {"/ace/progress", "/ace/result", "/ace/done"} <= set(heard)


def test_a_question_of_oscsend_is_answered_to_the_listener_of_its_machine(daemon, foreign, dump):
    """oscsend reads nothing itself; the answer to it reaches the program that registered a port."""
    osc = daemon().connection["osc"]
    target = f"osc.udp://127.0.0.1:{osc['udp']}"
    time.sleep(0.2)
    subprocess.run([foreign("oscsend"), target, "/ace/notify", "ii", "1", str(dump.port)], check=True)
    dump.until("/ace/notify")
    subprocess.run([foreign("oscsend"), target, "/ace/sync", "i", "42"], check=True)
    assert dump.until("/ace/synced")[3] == "42"
    subprocess.run([foreign("oscsend"), target, "/ace/op/generate", "ss", "nonsense", "1"], check=True)
    assert '"bad_request"' in dump.until("/ace/rejected")
