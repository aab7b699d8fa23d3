"""Every request is answered, whatever stands in it, and nothing that a client sends becomes a traceback in the log."""

from __future__ import annotations

import json
import socket
import time

import pytest

from acestep.api.errors import AceError
from bridge.client import Client
from bridge.doors.methods import ADDRESSES
from bridge.doors.osc.codec import decode
from bridge.doors.osc.messages import encode

NUMBERS = [1e20, -1e20, 1e300, float("inf"), float("-inf"), float("nan"), 2**31 - 1, -(2**31), 2**62, 0, -1, 0.5]

TEXTS = [
    "", " ", "x" * 300, "/" + "x" * 300 + ".wav", "/" + "/".join(["x" * 250] * 16), "/home/" + "é" * 200 + ".wav", "~", "~nobody/x",
    "/dev/zero", "/proc/self/mem", "/proc/self/fd/0", "..", "/..", "\x1b[2J", "a\nb", "upload:", "upload:../../etc/passwd",
    "job/../x",
    "[]", "{", '{"a": ' * 2000, "[" * 5000, "1e400", "٣", "\ud7ff", "\uffff", "%s%s%n", "{0}", "-1", "nan", "bar0", "take/take.wav",
]  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One daemon for all of them."""
    from bridge.launch import FREE_PORTS, start_daemon

    home = tmp_path_factory.mktemp("answers")
    with start_daemon({**FREE_PORTS, "home": home / "home", "backend": "fake", "read_roots": [home]}) as one:
        yield one


@pytest.fixture
def clean_log(house):
    """No traceback came into the log meanwhile."""
    before = len(log_of(house))
    yield
    rows = [json.loads(line) for line in log_of(house)[before:]]
    assert [row["message"] for row in rows if "error" in row or row["level"] == "error"] == []


def log_of(house):
    return (house.paths.logs / "daemon.log").read_text("utf-8").splitlines()


class Osc:
    """A UDP client that asks one thing and hears the answer."""

    def __init__(self, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(30)
        self.sock.connect(("127.0.0.1", port))
        self.number = 0

    def silent(self, *message):
        """Send what is answered only if it is wrong; whether it was."""
        return [answer.address for answer in self.ask(*message)]

    def ask(self, address, *arguments):
        """The answers that come before the answer of a ping that is sent behind."""
        self.sock.send(encode(address, list(arguments)))
        return self.barrier()

    def barrier(self):
        self.number += 1
        self.sock.send(encode("/ace/sync", [self.number]))
        found = []
        while True:
            message = decode(self.sock.recv(65_536))
            if message.address == "/ace/synced" and message.arguments == (self.number,):
                return found
            found.append(message)


@pytest.fixture
def osc(house):
    """A client of the daemon."""
    client = Osc(house.connection["osc"]["udp"])
    yield client
    client.sock.close()


def test_every_parameter_takes_every_number_and_text(house, osc, clean_log):
    """A draft's value is silently taken or refused with a sentence; the submit that follows is accepted or rejected."""
    with Client(str(house.paths.home)) as client:
        fields = [field["name"] for field in client.describe("repaint")[0]["fields"]]
    for name in fields:
        for value in [*NUMBERS, *TEXTS[:8]]:
            value = value if not isinstance(value, str) else value.encode("utf-8", "ignore").decode()
            for answer in osc.ask(f"/ace/op/repaint/{name}", value):
                assert answer.address in ("/ace/error", "/ace/rejected"), answer
                assert answer.arguments[1] != "internal", (name, value, answer)
    answers = osc.ask("/ace/op/repaint", "odd-one")
    deadline = time.monotonic() + 30
    while not answers and time.monotonic() < deadline:
        answers = osc.barrier()
    assert answers[0].address == "/ace/rejected"
    assert answers[0].arguments[1] != "internal"


def test_every_submit_is_answered(house, clean_log):
    """Files of impossible names, numbers beyond every range, maps that nest: a typed error for each, over RPC."""
    requests = [{"source": text, "start": 0, "end": 480} for text in TEXTS]
    requests += [{"source": "/x.wav", "start": number, "end": number} for number in NUMBERS if number == number]
    requests += [{"source_latent": text} for text in TEXTS]
    requests += [{"guide": text, "reference": text, "folder": text, "model": text, "lora": [text]} for text in TEXTS]
    with Client(str(house.paths.home)) as client:
        for request in requests:
            try:
                client.submit("repaint", request)
            except AceError as error:
                assert error.code != "internal", (request, error.message)
                assert "Traceback" not in error.message


@pytest.mark.parametrize("address", sorted(ADDRESSES))
def test_every_address_answers_nonsense(house, osc, address, clean_log):
    """Too many arguments, wrong ones, strange numbers and texts: each message has an answer, and none of them is internal."""
    if address in ("/ace/dump", "/ace/notify"):
        pytest.skip("it changes what this client hears")
    for arguments in [[value] for value in [*NUMBERS[:6], *TEXTS[:6]]] + [[1, "x", 2.0, "y", 5, 6, 7, 8, 9, 10, 11]]:
        answers = osc.ask(address, *arguments)
        deadline = time.monotonic() + 30
        while not answers and time.monotonic() < deadline:
            time.sleep(0.01)
            answers = osc.barrier()
        assert answers, (address, arguments)
        for answer in answers:
            if answer.address == "/ace/error":
                assert answer.arguments[1] != "internal", answer
