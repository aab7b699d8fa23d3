"""A training on several devices is the training on one: the same steps, the same ends, whichever device something goes wrong on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from multiprocessing import Pipe
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch

from acestep.api.errors import (
    BadCheckpoint,
    BadRequest,
    Cancelled,
    DiskFull,
    NumericFailure,
    OutOfMemory,
    Unavailable,
    WorkerDied,
)
from acestep.api.training import AdapterShape, TrainOptions
from acestep.training.adapters import door, outputs, several
from acestep.training.adapters import train as training
from acestep.training.adapters.pace import Progress
from acestep.training.adapters.setup import set_up
from acestep.training.adapters.state import load_state
from acestep.training.adapters.train import Hooks, Outcome, Training
from acestep.training.parallel import ProcessGroup

WAIT = 60.0


def options(**more: Any) -> TrainOptions:
    given = {"epochs": 2, "accumulation": 2, "learning_rate": 0.01, "save_minutes": 1e-6, "device": "cpu"}
    return TrainOptions(shape=AdapterShape(rank=3, alpha=7, dropout=0.0), **given | more)


class Table:
    """Where threads meet that stand for processes: what torch.distributed is for a real group (`tests/bridge/test_training.py`)."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=WAIT)
        self.laid: dict[int, Any] = {}

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.laid[rank] = value
        self.barrier.wait()
        found = [self.laid[one] for one in sorted(self.laid)]
        self.barrier.wait()
        return found


class Seat(ProcessGroup):
    """One thread's place in a group."""

    def __init__(self, rank: int, table: Table) -> None:
        super().__init__(rank, table.barrier.parties)
        object.__setattr__(self, "table", table)

    def add(self, numbers, device):
        return [sum(column) for column in zip(*self.table.exchange(self.rank, list(numbers)), strict=True)]

    def add_gradients(self, trained):
        trained = list(trained)
        own = [torch.zeros_like(one) if one.grad is None else one.grad.clone() for one in trained]
        for parameter, gradients in zip(trained, zip(*self.table.exchange(self.rank, own), strict=True), strict=True):
            parameter.grad = sum(gradients)

    def first(self, failure):
        return next(one for one in self.table.exchange(self.rank, failure) if one is not None)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(outputs, "plot_history", lambda *given, **more: None)


def run_together(prepared, info, folder, settings: TrainOptions) -> list[Outcome | Exception]:
    """Train in threads, one for each device; what each of them came to."""
    table, ends = Table(settings.devices), {}
    parts = [
        Training(set_up(prepared, info, settings), folder, Hooks(), Seat(rank, table))
        for rank in range(settings.devices)
    ]

    def sit(rank: int) -> None:
        try:
            ends[rank] = parts[rank].run()
        except Exception as failure:
            ends[rank] = failure

    threads = [threading.Thread(target=sit, args=(rank,), name=f"device {rank}") for rank in range(settings.devices)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    return [ends[rank] for rank in sorted(ends)]


@pytest.mark.parametrize(
    ("batch", "accumulation", "devices"), [(1, 4, 3), (4, 1, 2), (3, 2, 4)], ids=lambda value: str(value)
)
def test_the_steps_are_those_of_one_device(prepared, tiny_info, tmp_path, batch, accumulation, devices):
    """However batches and songs of a step are dealt out: weights, losses and validation, and what is left on disk."""
    settings = options(batch=batch, accumulation=accumulation, epochs=1)
    alone = training.train(prepared, tiny_info, tmp_path / "one", settings)
    together = run_together(prepared, tiny_info, tmp_path / "many", msgspec.structs.replace(settings, devices=devices))
    for found in together:
        assert [row.keys() for row in found.history] == [row.keys() for row in alone.history]
        for row, expected in zip(found.history, alone.history, strict=True):
            assert row == pytest.approx(expected, rel=1e-4)
    one, many = load_state(tmp_path / "one"), load_state(tmp_path / "many")
    assert one.place == many.place and many.finished
    for name, weights in one.adapter.items():
        torch.testing.assert_close(many.adapter[name], weights, rtol=1e-3, atol=1e-4)
    files = [
        sorted(str(path.relative_to(tmp_path / run)).replace(run, "") for path in (tmp_path / run).rglob("*"))
        for run in ("one", "many")
    ]
    assert files[0] == files[1]


def on_device(rank: int, what: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """A function that one of the threads has another of."""
    return lambda *given: (what if threading.current_thread().name == f"device {rank}" else otherwise)(*given)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_loss_that_is_no_number_stops_all_with_its_song(prepared, tiny_info, tmp_path, monkeypatch, rank):
    real, calls = training.squared_error, []

    def failing(*given):
        calls.append(1)
        return real(*given) * (torch.nan if len(calls) == 2 else 1.0)

    monkeypatch.setattr(training, "squared_error", on_device(rank, failing, real))
    ends = run_together(prepared, tiny_info, tmp_path / "run", options(devices=2, epochs=4))
    for failure in ends:
        assert isinstance(failure, NumericFailure)
        assert "the loss of song" in failure.message and "after step 1 are kept" in failure.message
    assert load_state(tmp_path / "run").place.step == 1


def test_a_song_that_only_one_device_reads_and_cannot_stops_all(prepared, tiny_info, tmp_path, monkeypatch):
    """Of those that validate each has its share: damage is told to the others, who would wait for that share for ever."""
    real = Training._judge

    def damaged(self, rows):
        raise BadCheckpoint("the latents of song e.wav are damaged")

    monkeypatch.setattr(Training, "_judge", lambda self, rows: (real if self._group.leads else damaged)(self, rows))
    ends = run_together(prepared, tiny_info, tmp_path / "run", options(devices=2))
    assert [type(failure) for failure in ends] == [BadCheckpoint, BadCheckpoint]


def test_too_little_memory_on_one_device_lowers_it_on_all(prepared, tiny_info, tmp_path, monkeypatch):
    """The step begins again everywhere, so that it is the same step; not even one song is an error everywhere."""
    settings = options(batch=4, accumulation=1, epochs=1)
    alone = training.train(prepared, tiny_info, tmp_path / "one", settings)
    real = training.squared_error

    def short(limit):
        def failing(network, padding, batch, masked):
            if len(batch.frames) > limit:
                raise RuntimeError("CUDA error: out of memory")
            return real(network, padding, batch, masked)

        return failing

    both = msgspec.structs.replace(settings, devices=2)
    monkeypatch.setattr(training, "squared_error", on_device(1, short(1), real))
    for found in run_together(prepared, tiny_info, tmp_path / "run", both):
        assert "memory was short: 1 of a batch's songs are computed at once" in found.notes
        assert found.history[0]["loss"] == pytest.approx(alone.history[0]["loss"], rel=1e-5)
    monkeypatch.setattr(training, "squared_error", on_device(1, short(0), real))
    ends = run_together(prepared, tiny_info, tmp_path / "none", both)
    assert all(isinstance(failure, OutOfMemory) and "not even one song" in failure.message for failure in ends)


def test_the_door_names_what_several_devices_need(monkeypatch):
    door._check_devices(options(devices=1))
    door._check_devices(options(devices=2))
    with pytest.raises(BadRequest, match=r"a step has 2 songs .*too few for 3 devices") as raised:
        door._check_devices(options(devices=3))
    assert (raised.value.field, raised.value.limits) == ("devices", {"max": 2})
    monkeypatch.setattr(door.importlib.util, "find_spec", lambda name: None)
    door._check_devices(options(devices=1))
    with pytest.raises(Unavailable, match=r"needs the package accelerate: pip install 'acestep-bridge\[training\]'"):
        door._check_devices(options(devices=2))


def test_devices_that_are_not_there_are_refused(monkeypatch):
    assert several.require_devices(options(devices=16)) == "cpu"
    for kind, words in (("mps", "cannot train together on mps"), ("cuda", "there are 0 GPUs, not 2")):
        monkeypatch.setattr(several, "choose_device", lambda name, kind=kind: torch.device(kind))
        monkeypatch.setattr(several.torch, "get_device_module", lambda kind: SimpleNamespace(device_count=lambda: 0))
        with pytest.raises((BadRequest, Unavailable), match=words) as raised:
            several.require_devices(options(devices=2))
        assert raised.value.field == "devices"


class Processes:
    """Pipes to two processes that a test speaks for."""

    def __init__(self, monkeypatch) -> None:
        monkeypatch.setattr(several, "LOOK_SECONDS", 0.01)
        pairs = [Pipe() for _ in range(2)]
        self.first, self.second = (theirs for _, theirs in pairs)
        self.team = {ours: SimpleNamespace(exitcode=-9, join=lambda seconds: None) for ours, _ in pairs}

    def serve(self, **hooks: Any) -> Outcome:
        return several._Service(self.team, Hooks(**hooks)).run()


PROGRESS = Progress(stage="training", done=1, total=4)


def test_the_first_process_is_answered_and_its_outcome_is_the_trainings(monkeypatch):
    processes = Processes(monkeypatch)
    outcome = Outcome(finished=True, step=4, steps=4, epoch=2)
    for message in (("report", (PROGRESS,)), ("yields", ()), ("done", outcome)):
        processes.first.send(message)
    heard = []
    assert processes.serve(report=heard.append, yields=lambda: True) == outcome
    assert heard == [PROGRESS]
    assert [processes.first.recv() for _ in range(2)] == [(True, None), (True, True)]


@pytest.mark.parametrize(("last", "error"), [(None, Cancelled), (DiskFull("the disk is full"), DiskFull)])
def test_a_cancel_waits_for_the_last_save(monkeypatch, last, error):
    """The first process is told to stop, and what it meets then counts more than the cancel."""
    processes = Processes(monkeypatch)

    def cancelled(progress):
        raise Cancelled("the job was cancelled")

    def speak():
        processes.first.send(("report", (PROGRESS,)))
        assert processes.first.recv() == (False, None)
        if last is not None:
            processes.first.send(("failed", last.to_wire()))
        processes.first.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    with pytest.raises(error):
        processes.serve(report=cancelled)
    speaker.join(WAIT)


def test_a_cancel_while_the_processes_start(monkeypatch):
    def cancelled():
        raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        Processes(monkeypatch).serve(check=cancelled)


def test_a_failure_is_told_before_the_process_leaves_the_others(prepared, tiny_info, tmp_path, monkeypatch):
    """Whoever leaves makes the others fail at once: their end must not be heard first. The group is a fake that notes its end."""
    ours, theirs = Pipe()
    said = []

    @contextmanager
    def joined(rank, task):
        yield ProcessGroup(), "cpu"
        said.append(ours.poll())

    def full(*given):
        raise DiskFull("the disk is full")

    monkeypatch.setattr(several, "_joined", joined)
    monkeypatch.setattr(several, "_wait_for_the_end", lambda: None)
    monkeypatch.setattr(several, "_end_with_parent", lambda: None)
    monkeypatch.setattr(training, "save_state", full)
    monkeypatch.setattr(several, "_remote_hooks", lambda pipe: Hooks())
    task = several.Task(prepared.folder, tiny_info, tmp_path / "run", options(), torch.get_num_threads(), "")
    several._compute(0, task, theirs)
    word, wire = ours.recv()
    assert (word, wire["code"], said) == ("failed", "disk_full", [True])


def test_a_process_that_ends_ends_the_training(monkeypatch):
    processes = Processes(monkeypatch)
    processes.second.close()
    with pytest.raises(WorkerDied, match=r"ended unexpectedly \(exit code -9\).*continue from its last save"):
        processes.serve()


@pytest.mark.parametrize("word", ["refused", "failed"])
def test_what_one_process_refuses_is_the_trainings_failure(monkeypatch, word):
    """At once where the others would wait for it forever; else the first one may say it better, if it can."""
    monkeypatch.setattr(several, "STOP_SECONDS", 0.1)
    processes = Processes(monkeypatch)
    processes.second.send((word, OutOfMemory("too little", field="batch", limits={"need_bytes": 7}).to_wire()))
    with pytest.raises(OutOfMemory, match="too little") as raised:
        processes.serve()
    assert raised.value.limits == {"need_bytes": 7}
