"""The worker as a real process: what goes over its pipes, and how it ends."""

from __future__ import annotations

import os
import wave

import numpy as np
import pytest
import soundfile

from acestep.api import frames
from acestep.testing.process import Process


@pytest.fixture
def worker(tmp_path):
    worker = Process(tmp_path)
    ready = worker.receive()
    assert isinstance(ready, frames.Ready) and ready.pid == worker.process.pid
    yield worker
    worker.process.kill()
    worker.process.wait()
    worker.process.stdin.close()
    worker.process.stdout.close()


def test_job_ends_with_files_of_the_asked_length(worker, tmp_path):
    """Done comes after every step was told, and the file stands in staging with exactly the asked samples."""
    worker.run("a", tmp_path / "s", "steps=3")
    *ticks, done = worker.until(frames.Done, frames.Failed)
    assert [(tick.step, tick.steps) for tick in ticks] == [(1, 3), (2, 3), (3, 3)]
    assert all(0 <= tick.fraction < 1 for tick in ticks)
    with wave.open(str(tmp_path / "s" / done.result["files"][0]["name"])) as file:
        assert (file.getnframes(), file.getframerate(), file.getsampwidth()) == (1000, 44_100, 3)
    assert "fake" in done.result["notes"][0]


def test_prints_do_not_reach_the_frames(worker, tmp_path):
    """What a library prints to standard output goes to the log, not between the frames."""
    worker.run("a", tmp_path / "s", "steps=1 chatter=5000")
    assert isinstance(worker.until(frames.Done, frames.Failed)[-1], frames.Done)


def test_cancel_is_heard_while_a_job_runs(worker, tmp_path):
    """A cancel ends the job at its next unit with the code cancelled, and the next job runs."""
    worker.run("a", tmp_path / "a", "steps=200 delay=0.02")
    worker.until(frames.Tick)
    worker.send(frames.Cancel("a"))
    failed = worker.until(frames.Done, frames.Failed)[-1]
    assert failed.error["code"] == "cancelled"
    worker.run("b", tmp_path / "b", "steps=1")
    assert worker.until(frames.Done, frames.Failed)[-1].job == "b"


def test_cancel_before_the_start(worker, tmp_path):
    """A job cancelled while another runs never begins."""
    worker.run("a", tmp_path / "a", "steps=5 delay=0.02")
    worker.run("b", tmp_path / "b", "steps=1")
    worker.send(frames.Cancel("b"))
    assert worker.until(frames.Done, frames.Failed)[-1].job == "a"
    seen = worker.until(frames.Done, frames.Failed)
    assert seen[-1].error["code"] == "cancelled"
    assert not any(isinstance(message, frames.Tick) for message in seen)


def test_failure_keeps_its_code_and_the_worker_goes_on(worker, tmp_path):
    """An error reaches the daemon as its code word; the process survives."""
    worker.run("a", tmp_path / "a", "fail=disk_full fail_at=2")
    assert worker.until(frames.Done, frames.Failed)[-1].error["code"] == "disk_full"
    worker.run("b", tmp_path / "b", "steps=1")
    assert isinstance(worker.until(frames.Done, frames.Failed)[-1], frames.Done)


def test_unexpected_exception_is_internal_without_traceback(worker):
    """Whatever is raised inside becomes one plain error."""
    worker.send(frames.Run(job="a", operation="generate", request={"stages": [1]}, staging=os.devnull + "/no"))
    error = worker.until(frames.Done, frames.Failed)[-1].error
    assert error["code"] == "internal"
    assert "Traceback" not in error["message"]


def test_crash_closes_the_pipe(worker, tmp_path):
    """A worker that dies says nothing more: the daemon sees the end of the stream."""
    worker.run("a", tmp_path / "a", "steps=5 crash_at=2")
    seen = worker.until(frames.Done, frames.Failed)
    assert seen[-1] is None and len(seen) == 3
    assert worker.process.wait() != 0


def test_exits_when_its_input_closes(worker):
    """No daemon, no worker."""
    worker.process.stdin.close()
    assert worker.process.wait(timeout=30) == 0


def test_exits_when_its_input_closes_in_a_stuck_job(worker, tmp_path):
    """Not even a stuck kernel keeps an orphaned worker alive."""
    worker.run("a", tmp_path / "a", "hang_at=1")
    worker.until(frames.Tick)
    worker.process.stdin.close()
    assert worker.process.wait(timeout=30) == 0


def test_unknown_backend_ends_with_a_reason(tmp_path):
    """A backend that is not registered is an exit code, not a hang."""
    worker = Process(tmp_path, backend="none-such")
    assert worker.receive() is None
    assert worker.process.wait() == 1
    worker.process.stdin.close()
    worker.process.stdout.close()


def test_fake_files_lie_where_real_ones_would(worker, tmp_path):
    """The fake's whole file is the source with tones in the region; its patch has the handles the file allows."""
    source = tmp_path / "song.wav"
    noise = np.random.default_rng(0).integers(-9_000, 9_000, (5_000, 2)).astype(np.int16)
    soundfile.write(source, noise, 44_100)
    request = {
        "stages": [{"type": "repaint", "seeds": [1]}],
        "source": {"path": str(source), "start": 100, "length": 1_000},
        "output": {"returns": ["whole", "patch"], "crossfade": 10.0},
    }
    worker.send(frames.Run(job="a", operation="repaint", request=request, staging=str(tmp_path / "s")))
    done = worker.until(frames.Done, frames.Failed)[-1]
    whole, patch = done.result["files"]
    assert (whole["start"], whole["length"]) == (0, 5_000)
    assert (patch["start"], patch["length"], patch["lead_in"]) == (0, 100 + 1_000 + 441, 100)
    sound = soundfile.read(tmp_path / "s" / whole["name"], dtype="int16")[0]
    assert np.array_equal(sound[1_541:], noise[1_541:]) and not np.array_equal(sound[100:1_100], noise[100:1_100])
