"""`acestep-bridge lofi --daemon` as lofi.nvim starts it: a process, its pipes, and a real daemon behind it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from acestep.api.targets import resolve_target
from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon
from bridge.testing.hostile_jsonrpc import LOFI_SEEDS, message

ROOT = Path(__file__).resolve().parents[3]
LINE = [sys.executable, "-c", "import sys; from bridge.cli.commands.lofi import main; sys.exit(main())", "--daemon"]
"""What the program `lofi-daemon` does."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """One daemon for all."""
    home = tmp_path_factory.mktemp("lofi")
    with start_daemon({**FREE_PORTS, "home": home, "backend": "fake"}) as house:
        yield house


class Editor:
    """What Neovim does: writes lines, and takes what each read of the pipe brings."""

    def __init__(self, studio, cache, **environment):
        variables = {
            **os.environ,
            "LOFI_CACHE_PATH": str(cache),
            "ACESTEP_BRIDGE_HOME": str(studio.paths.home),
            **environment,
        }
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(LINE, stdin=pipe, stdout=pipe, stderr=pipe, env=variables, bufsize=0)
        self.heard = queue.Queue()
        self.halves = 0
        """Reads that ended within a line: lofi.nvim would lose it."""
        threading.Thread(target=self._read, daemon=True).start()
        self.number = 0
        self.unasked = []

    def _read(self):
        rest = b""
        while data := os.read(self.process.stdout.fileno(), 1 << 20):
            *lines, rest = (rest + data).split(b"\n")
            self.halves += bool(rest)
            for line in lines:
                self.heard.put(json.loads(line))
        self.heard.put(None)

    def send(self, *messages):
        """Messages, each as a line, in one write; bytes as they are."""
        lines = [m if isinstance(m, bytes) else json.dumps(m).encode() + b"\n" for m in messages]
        self.process.stdin.write(b"".join(lines))

    def next(self):
        """The next message; None at the end."""
        return self.heard.get(timeout=60)

    def ask(self, method, params=()):
        """The answer; notifications before it are kept."""
        self.number += 1
        id = f"ours-{self.number}"
        self.send({"jsonrpc": "2.0", "id": id, "method": method, "params": params or []})
        while not isinstance(message := self.next(), dict) or message.get("id") != id:
            self.unasked.append(message)
        return message

    def generate(self, prompt="lofi", **params):
        """The result of a request for a track."""
        answer = self.ask(
            "generate", {"prompt": prompt, "duration_sec": 5, "seed": 42, "backend": "ace_step", **params}
        )
        assert "result" in answer, answer
        return answer["result"]

    def notified(self, *methods):
        """The parameters of the next notification of these names."""
        while True:
            message = self.unasked.pop(0) if self.unasked else self.next()
            if message.get("method") in methods:
                return message["params"]

    def leave(self):
        """End of input; the exit code."""
        self.process.stdin.close()
        return self.process.wait(60)


@pytest.fixture
def editor(studio, tmp_path):
    """Starts editors: ``editor(**environment)``; none outlives the test."""
    made = []

    def start(**environment):
        made.append(Editor(studio, tmp_path / "cache", **environment))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()
        for pipe in (one.process.stdin, one.process.stdout, one.process.stderr):
            pipe.close()


def test_the_recorded_transcript(editor, tmp_path):
    """The answer, progress, completion with a file in lofi's cache; then the backends; then the end of input."""
    nvim = editor()
    made = nvim.generate("fake: steps=4 delay=0.02", priority="normal")
    assert set(made) == {"track_id", "status", "position", "seed", "backend"}
    assert (made["status"], made["position"], made["seed"], made["backend"]) == ("generating", 0, 42, "ace_step")
    assert nvim.unasked == []
    seen = []
    while not seen or seen[-1]["method"] != "generation_complete":
        seen.append(nvim.next())
    assert {message["method"] for message in seen[:-1]} <= {"generation_progress"}
    percents = [message["params"]["percent"] for message in seen[:-1]]
    assert percents == sorted(percents) and all(isinstance(one, int) and one <= 99 for one in percents)
    assert set(seen[0]["params"]) == {
        "track_id", "percent", "current_step", "total_steps", "eta_sec", "tokens_generated", "tokens_estimated"
    }  # fmt: skip
    assert {message["params"]["total_steps"] for message in seen[:-1]} <= {0, 4}
    assert seen[-2]["params"]["current_step"] <= seen[-2]["params"]["total_steps"] == 4
    done = seen[-1]["params"]
    assert set(done) == {
        "track_id", "path", "duration_sec", "sample_rate", "prompt", "seed", "generation_time_sec", "model_version", "backend"
    }  # fmt: skip
    assert (done["track_id"], done["duration_sec"], done["sample_rate"], done["seed"]) == (
        made["track_id"],
        5,
        48_000,
        42,
    )
    assert isinstance(done["duration_sec"], int)
    assert done["path"] == str(tmp_path / "cache" / f"{made['track_id']}.wav")
    facts = soundfile.info(done["path"])
    assert (facts.frames, facts.samplerate, facts.channels, facts.subtype) == (240_000, 48_000, 2, "FLOAT")
    found = nvim.ask("get_backends")["result"]
    assert found["default_backend"] == "ace_step"
    assert [(one["type"], one["status"]) for one in found["backends"]] == [
        ("musicgen", "not_installed"),
        ("ace_step", "ready"),
    ]
    assert found["backends"][1]["model_version"] == done["model_version"]
    assert nvim.leave() == 0
    assert nvim.next() is None
    assert nvim.halves == 0


def test_the_same_settings_come_from_the_cache_and_others_do_not(editor):
    """The answer says so and comes first; the file is the same; also for another editor."""
    first = editor()
    made = first.generate()
    path = first.notified("generation_complete")["path"]
    sound, _ = soundfile.read(path)
    for nvim in (first, editor()):
        again = nvim.generate(priority="high")
        assert (again["status"], again["track_id"]) == ("cached", made["track_id"])
        assert nvim.unasked == []
        complete = nvim.notified("generation_complete")
        assert (complete["path"], complete["duration_sec"]) == (path, 5)
        assert np.array_equal(soundfile.read(path)[0], sound)
    other = first.generate(inference_steps=3)
    assert (other["status"], other["track_id"] != made["track_id"]) == ("generating", True)
    assert first.notified("generation_complete")["path"] != path


def test_waiting_tracks_cancel_and_a_full_queue(editor):
    """Positions grow, high priority goes first, the eleventh is refused, each cancelled one says so behind the answer."""
    nvim = editor()
    running = nvim.generate("fake: steps=400 delay=0.05")
    nvim.notified("generation_progress")
    waiting = [nvim.generate("fake: steps=1", seed=seed) for seed in range(9)]
    assert [one["status"] for one in waiting] == ["queued"] * 9
    assert [one["position"] for one in waiting] == list(range(1, 10))
    refused = nvim.ask("generate", {"prompt": "one more", "seed": 99})["error"]
    assert (refused["code"], refused["data"]["error_code"]) == (-32004, "QUEUE_FULL")
    same = nvim.generate("fake: steps=400 delay=0.05")
    assert same["track_id"] == running["track_id"]
    for track in waiting[1:]:
        assert nvim.ask("cancel", {"track_id": track["track_id"]})["result"] == {
            "cancelled": True,
            "was_generating": False,
        }
        assert not any(message["method"] == "generation_cancelled" for message in nvim.unasked)
        assert nvim.notified("generation_cancelled")["track_id"] == track["track_id"]
    assert nvim.ask("cancel", {"track_id": running["track_id"]})["result"] == {
        "cancelled": True,
        "was_generating": True,
    }
    gone = nvim.notified("generation_cancelled")
    assert (gone["track_id"], gone["total_steps"]) == (running["track_id"], 400)
    assert nvim.notified("generation_complete")["track_id"] == waiting[0]["track_id"]
    assert nvim.ask("cancel", {"track_id": running["track_id"]})["result"] == {
        "cancelled": False,
        "was_generating": False,
    }


def test_a_job_that_fails_is_told(editor):
    """By lofi's word, with our sentence; nothing is cached."""
    nvim = editor()
    for code, word in (("model_missing", "MODEL_NOT_FOUND"), ("out_of_memory", "MODEL_INFERENCE_FAILED")):
        prompt = f"fake: steps=3 fail={code} fail_at=1"
        for _ in range(2):
            made = nvim.generate(prompt)
            assert made["status"] == "generating"
            failed = nvim.notified("generation_error")
            assert (failed["track_id"], failed["code"]) == (made["track_id"], word)
            assert failed["message"]


def test_bad_input_is_answered_and_costs_nothing(editor):
    """No JSON, no request, no method, wrong parameters; the next call is answered."""
    nvim = editor()
    nvim.send(b"nonsense\n", b"\xff\xfe\n", b"7\n", b"[]\n", b'{"jsonrpc":"2.0","id":"x","method":5}\n', b"\n")
    numbers = [nvim.next()["error"]["code"] for _ in range(5)]
    assert numbers == [-32700, -32700, -32600, -32600, -32600]
    for method, params, number in [
        ("play", {}, -32601),
        ("generate", [1, 2], -32602),
        ("generate", {"prompt": "x", "duration_sec": 1}, -32005),
        ("cancel", {}, -32602),
        ("cancel", {"track_id": 5}, -32602),
        ("download_backend", {"backend": "musicgen"}, -32008),
        ("download_backend", {}, -32007),
    ]:
        error = nvim.ask(method, params)["error"]
        assert error["code"] == number
        assert error["message"] and error["data"]["error_code"]
    nvim.send([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "method": "ping"}])
    assert [answer["result"]["status"] for answer in nvim.next()] == ["ok"]
    assert nvim.ask("download_backend", {"backend": "ace-step"})["result"]["status"] == "already_installed"
    assert nvim.ask("ping")["result"]["status"] == "ok"
    nvim.send(b"x" * (1 << 21) + b"\n")
    assert nvim.next()["error"]["code"] == -32600
    assert nvim.next() is None
    assert nvim.process.wait(60) == 0


@pytest.mark.long
def test_hostile_messages_end_nothing(editor, studio):
    """Two thousand mutated ones: proper ones are answered between them, by the daemon too; no traceback, memory bounded."""
    nvim, chance = editor(), random.Random(5)
    for number in range(2_000):
        data = message(chance, LOFI_SEEDS)
        nvim.send(data[:900_000].replace(b"shutdown", b"ping") + b"\n")
        if number % 400 == 399:
            assert nvim.ask("ping", {})["result"]["status"] == "ok"
            nvim.unasked.clear()
            with Client(str(studio.paths.home)) as client:
                assert client.status()["state"] == "ok"
    assert psutil.Process(nvim.process.pid).memory_info().rss < 200 * 2**20
    assert nvim.leave() == 0
    errors = nvim.process.stderr.read()
    assert errors == b"", errors.decode()
    assert "Traceback" not in studio.output.read_text()


def test_who_does_not_read_does_not_keep_it(studio, tmp_path):
    """Its place is given up with a sentence, and the end of input is the end in any case."""
    variables = {
        **os.environ,
        "LOFI_CACHE_PATH": str(tmp_path / "cache"),
        "ACESTEP_BRIDGE_HOME": str(studio.paths.home),
    }
    pipe = subprocess.PIPE
    with subprocess.Popen(LINE, stdin=pipe, stdout=pipe, stderr=pipe, env=variables, bufsize=0) as deaf:
        with contextlib.suppress(BrokenPipeError):
            for _ in range(40):
                deaf.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n' * 200)
        assert deaf.wait(60) == 2
        assert b"does not read" in deaf.stderr.read()


def test_it_ends_when_asked_to(editor, tmp_path):
    """Shutdown is answered first; the file with the process id is gone."""
    nvim = editor()
    assert nvim.ask("shutdown")["result"] == {"status": "shutting_down"}
    assert nvim.next() is None
    assert nvim.process.wait(60) == 0


@pytest.mark.parametrize("how", ["end of input", "kill"])
def test_an_editor_that_goes_leaves_nothing_behind(editor, studio, tmp_path, how):
    """Its job is cancelled, no half file is in the cache; the editor cancels by killing."""
    nvim = editor()
    nvim.generate("fake: steps=400 delay=0.05", seed=5 if how == "kill" else 6)
    nvim.notified("generation_progress")
    if how == "kill":
        psutil.Process(nvim.process.pid).kill()
    else:
        assert nvim.leave() == 0
    with Client(str(studio.paths.home)) as client:
        deadline = time.monotonic() + 60
        while client.jobs(states=["queued", "running"]) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.jobs(states=["queued", "running"]) == []
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_long_prompt_and_long_lines_arrive_whole(editor):
    """In one write each way."""
    nvim = editor()
    longest = "rain " * 100
    made = nvim.generate(longest)
    assert nvim.notified("generation_complete")["prompt"] == longest
    assert nvim.halves == 0
    assert made["status"] == "generating"


def test_the_program_has_lofis_name():
    """`lofi-daemon` is an entry point of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert callable(resolve_target(project["scripts"]["lofi-daemon"]))
