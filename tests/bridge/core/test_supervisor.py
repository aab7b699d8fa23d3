"""The worker on its leash: real processes that are cancelled, crash, hang, babble and are killed."""

import asyncio
import os
import signal
import sys

import psutil
import pytest

from acestep.api.errors import AceError, Cancelled, Degraded, WorkerDied
from acestep.api.frames import Run
from bridge.core import supervisor
from bridge.core.executor import Listener
from bridge.core.supervisor import MAX_CONSECUTIVE_CRASHES, LocalExecutor, Supervision
from bridge.core.worker import WorkerProcess, explain_crash, why_it_ended

SHIPPED_PAUSES = supervisor.PAUSES


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """Restarts wait hundredths here; that they wait longer and longer is a rule of its own below."""
    monkeypatch.setattr(supervisor, "PAUSES", (0.01, 0.02, 0.04, 0.08))


class Bench:
    """An executor and what its tasks told."""

    def __init__(self, folder, **settings):
        command = [sys.executable, "-m", "acestep.worker", "--backend=fake", f"--home={folder}"]
        self.folder = folder
        self.executor = LocalExecutor(Supervision(command=lambda device: command, **settings))
        self.ticks = []
        self.ticked = asyncio.Event()

    def listener(self):
        def tick(*facts):
            self.ticks.append(facts)
            self.ticked.set()

        return Listener(tick=tick, preview=self.ticks.append)

    def begin(self, script="", job="j"):
        """Run a task in the background."""
        self.ticked.clear()
        return asyncio.create_task(self.run(script, job))

    async def state(self, name):
        """Wait until the worker is in a state."""
        while self.executor.facts()["state"] != name:
            await asyncio.sleep(0.005)

    async def run(self, script="", job="j"):
        request = {
            "conditioning": {"caption": f"fake: {script}"},
            "stages": [{"type": "generate", "seed": 1}],
            "source": None,
            "output": {"length": 480, "rate": 48_000, "channels": 2},
        }
        task = Run(job=job, operation="render", request=request, staging=str(self.folder / job))
        return await asyncio.wait_for(self.executor.run(task, self.listener()), 60)

    @property
    def pid(self):
        return self.executor.facts().get("pid")


@pytest.fixture
async def bench(tmp_path):
    opened = []

    def make(**settings):
        opened.append(Bench(tmp_path, **settings))
        return opened[-1]

    yield make
    for one in opened:
        await one.executor.close()


async def test_a_task_gives_its_result_and_its_ticks(bench):
    """The plain case: progress in order, then files."""
    one = bench()
    result = await one.run("steps=3")
    assert [entry["name"] for entry in result["files"]] == ["generate-part.wav"]
    fractions = [tick[3] for tick in one.ticks]
    assert len(fractions) == 3 and fractions == sorted(fractions) and fractions[-1] < 1


async def test_the_worker_is_kept_between_tasks(bench):
    """Models stay loaded: one process for many tasks."""
    one = bench()
    await one.run()
    first = one.pid
    await one.run("", "k")
    assert one.pid == first


async def test_a_cancel_ends_the_task_and_not_the_worker(bench):
    """Softly at the next check; the process lives on."""
    one = bench()
    running = one.begin("steps=1000 delay=0.01")
    await one.ticked.wait()
    pid = one.pid
    one.executor.cancel("j")
    with pytest.raises(Cancelled):
        await running
    await one.run("", "k")
    assert one.pid == pid


async def gone(pid: int) -> None:
    """Wait until a killed process has been taken off the table; a loaded system takes its time."""
    async with asyncio.timeout(30):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)


async def test_a_task_that_does_not_stop_is_ended_with_its_worker(bench):
    """A stuck kernel hears no cancel: after the grace the process is killed, the task is cancelled, the next one runs."""
    one = bench(cancel_grace=0.2)
    running = one.begin("steps=3 hang_at=1")
    await one.ticked.wait()
    await asyncio.sleep(0.5)  # a cancel that comes before it hangs would be heard
    pid = one.pid
    one.executor.cancel("j")
    with pytest.raises(Cancelled):
        await running
    await gone(pid)
    assert one.executor.facts()["deaths"] == 0
    await one.run("", "k")


async def test_patience_grows_with_the_units_of_work(bench):
    """A worker whose units take long gets three times the longest before it is killed: this one stops by itself."""
    one = bench(cancel_grace=0.1)
    await one.run("steps=1 delay=0.5")
    running = one.begin("steps=9 delay=0.5", "k")
    await one.ticked.wait()
    pid = one.pid
    one.executor.cancel("k")
    with pytest.raises(Cancelled):
        await running
    assert psutil.pid_exists(pid)


async def test_a_cancel_before_the_worker_is_ready_is_heard(bench):
    """Starting may take as long as a model takes to load."""
    one = bench()
    running = one.begin()
    await one.state("starting")
    one.executor.cancel("j")
    with pytest.raises(Cancelled):
        await running


async def test_a_cancel_in_the_moment_the_worker_is_ready_is_heard(bench):
    """Worker and cancel come at once: the task is not handed over, however short it is."""
    one = bench()
    await one.run()
    for count in range(20):
        running = one.begin("", f"k{count}")
        while one.executor._running is None:
            await asyncio.sleep(0)
        one.executor.cancel(f"k{count}")
        with pytest.raises(Cancelled):
            await running


async def test_a_dead_worker_takes_only_its_task(bench):
    """`worker_died`, retryable, with how it ended; the next task has a new process."""
    one = bench()
    with pytest.raises(WorkerDied, match="SIGKILL") as caught:
        await one.run("steps=3 crash_at=2")
    assert caught.value.retryable
    await one.run("", "k")
    assert one.executor.facts()["deaths"] == 1


async def test_a_worker_killed_from_outside_is_replaced(bench):
    """Also when it dies with nothing to do: the next task finds another process, and its result is whole."""
    one = bench()
    await one.run()
    first = one.pid
    os.kill(first, signal.SIGKILL)
    await one.state("stopped")
    assert (await one.run("", "k"))["files"]
    assert one.pid != first and one.executor.facts()["state"] == "idle"


async def test_five_crashes_in_a_row_open_the_breaker_and_a_reset_closes_it(bench):
    """Then tasks are refused at once, retryable, until somebody or the timer says otherwise."""
    one = bench(degraded_retry=600.0)
    for count in range(MAX_CONSECUTIVE_CRASHES):
        with pytest.raises(WorkerDied):
            await one.run("crash_at=0", f"j{count}")
    assert one.executor.degraded and one.executor.facts()["state"] == "degraded"
    with pytest.raises(Degraded) as caught:
        await one.run()
    assert caught.value.retryable and 0 < caught.value.limits["retry_in"] <= 600
    one.executor.reset()
    await one.run("", "k")
    assert not one.executor.degraded


async def test_a_good_task_ends_the_row_of_crashes(bench):
    """Four crashes, a success, four crashes: no breaker."""
    one = bench()
    for _ in range(2):
        for count in range(MAX_CONSECUTIVE_CRASHES - 1):
            with pytest.raises(WorkerDied):
                await one.run("crash_at=0", f"j{count}")
        await one.run("", "k")
    assert not one.executor.degraded


async def test_the_breaker_gives_another_chance_after_its_pause(bench):
    """One crash more opens it again."""
    one = bench(degraded_retry=0.2)
    for count in range(MAX_CONSECUTIVE_CRASHES):
        with pytest.raises(WorkerDied):
            await one.run("crash_at=0", f"j{count}")
    await asyncio.sleep(0.25)
    with pytest.raises(WorkerDied):
        await one.run("crash_at=0")
    assert one.executor.degraded


async def test_a_worker_that_cannot_start_is_given_up(tmp_path):
    """Five starts, then `degraded` with the reason; no endless loop."""
    command = [sys.executable, "-c", "import sys; sys.exit('no such device')"]
    executor = LocalExecutor(Supervision(command=lambda device: command))
    task = Run(job="j", operation="render", request={}, staging=str(tmp_path))
    with pytest.raises(Degraded, match="no such device"):
        await asyncio.wait_for(executor.run(task, Listener(tick=print, preview=print)), 60)
    await executor.close()


async def test_a_worker_that_speaks_nonsense_is_ended(tmp_path):
    """Bytes that are no frame end that process, not the daemon."""
    command = [sys.executable, "-c", "import os, time; os.write(1, b'x' * 100); time.sleep(60)"]
    worker = await WorkerProcess.start(command, print)
    assert isinstance(await asyncio.wait_for(worker.ended, 30), WorkerDied)
    assert not psutil.pid_exists(worker.pid)


async def test_what_a_library_prints_is_no_frame(bench):
    """A job whose code prints a megabyte still gives its result."""
    assert (await bench().run("chatter=1000000"))["files"]


async def test_many_lives_leave_no_descriptor_and_no_process(bench):
    """Ten workers started, killed and replaced: as many descriptors and children as before."""
    one = bench()
    await one.run()
    me = psutil.Process()
    before = me.num_fds()
    others = {child.pid for child in me.children()} - {one.pid}
    for count in range(10):
        with pytest.raises(WorkerDied):
            await one.run("crash_at=0", f"j{count}")
        one.executor.reset()
        await one.run("", "k")
    assert me.num_fds() <= before
    assert {child.pid for child in me.children()} == others | {one.pid}


async def test_changed_settings_take_effect_with_the_next_task(tmp_path):
    """The command is asked before every task; another one means another process."""
    features = []

    def command():
        return [sys.executable, "-m", "acestep.worker", "--backend=fake", f"--home={tmp_path}", *features]

    executor = LocalExecutor(Supervision(command=lambda device: command()))
    request = {"stages": [{"type": "generate"}], "output": {"length": 1, "rate": 48_000}}
    pids = []
    for number in range(3):
        task = Run(job=f"j{number}", operation="render", request=request, staging=str(tmp_path / str(number)))
        await asyncio.wait_for(executor.run(task, Listener(tick=lambda *facts: None, preview=print)), 60)
        pids.append(executor.facts()["pid"])
        features = ["--feature=new"]
    assert pids[0] != pids[1] == pids[2]
    await executor.close()


async def test_closing_ends_the_process_even_when_it_hangs(bench, monkeypatch):
    """A stuck worker does not keep the daemon from stopping."""
    monkeypatch.setattr("bridge.core.worker.STOP_GRACE", 0.2)
    one = bench()
    running = one.begin("steps=3 hang_at=1")
    await one.ticked.wait()
    pid = one.pid
    await one.executor.close()
    assert not psutil.pid_exists(pid)
    with pytest.raises(AceError):
        await running


async def test_closing_does_not_wait_for_the_next_start(bench, monkeypatch):
    """A pause after a crash, however long, ends with the daemon."""
    monkeypatch.setattr(supervisor, "PAUSES", (600.0,))
    one = bench()
    with pytest.raises(WorkerDied):
        await one.run("crash_at=0")
    running = one.begin("", "k")
    await asyncio.sleep(0.01)
    await one.executor.close()
    with pytest.raises(Cancelled):
        await running


def test_pauses_double():
    """1, 2, 4, 8 s, as they are shipped."""
    assert SHIPPED_PAUSES == (1.0, 2.0, 4.0, 8.0)


def test_last_words_hold_no_traceback():
    """The error names signal and last lines; what a traceback looks like is left to the log."""
    lines = ["fine", "Traceback (most recent call last):", '  File "x.py", line 1', "    boom()", "MemoryError: no"]
    text = explain_crash(-9, lines)
    assert "SIGKILL" in text and "MemoryError: no" in text and "Traceback" not in text and "File" not in text


def test_a_library_that_ends_the_process_for_want_of_memory():
    """By its last words only: an earlier job may have been told the same and gone well since."""
    words = "OpenBLAS error: Memory allocation still failed after 10 retries, giving up."
    assert why_it_ended(1, ["a line", words]).code == "out_of_memory"
    assert "exit code 1" in why_it_ended(1, [words]).message and "smaller model" in why_it_ended(1, [words]).message
    assert why_it_ended(1, [words, "another job"]).code == why_it_ended(-9, []).code == "worker_died"


async def test_units_are_forgotten_with_time(bench, monkeypatch):
    """What counts for the patience is three times the longest *recent* unit."""
    monkeypatch.setattr(supervisor, "RECENT_UNITS", 3)
    one = bench(cancel_grace=0.01)
    await one.run("steps=1 delay=1.0")
    patience = one.executor.patience
    await one.run("steps=6", "k")
    assert patience >= 3.0 and one.executor.patience < patience


@pytest.mark.skipif(os.name != "posix", reason="process groups of POSIX")
async def test_a_killed_worker_takes_its_own_children_with_it(tmp_path):
    """A helper that a library started does not live on, nor keep the pipes open."""
    code = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print('x', file=sys.stderr, flush=True); sys.stdin.read()"
    worker = await WorkerProcess.start([sys.executable, "-c", code], print)
    while not (helpers := psutil.Process(worker.pid).children()):
        await asyncio.sleep(0.01)
    worker.kill()
    await asyncio.wait_for(worker.ended, 30)
    _, left = psutil.wait_procs(helpers, timeout=10)
    assert not left
