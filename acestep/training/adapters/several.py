"""A training on several devices of this machine: a process for each, which accelerate brings together.

The processes are copies of one training: the same weights, the same optimiser, and a share of every step each. The first one saves,
writes and asks; its hooks are answered here. The others hold nothing that is not saved, so they may end at any moment.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import msgspec
import torch

from acestep.api.errors import AceError, BadRequest, Unavailable, WorkerDied, error_from_wire
from acestep.api.training import TrainOptions
from acestep.api.variants import ModelInfo
from acestep.runtime.devices import choose_device
from acestep.training.adapters.original import open_prepared
from acestep.training.adapters.setup import Setup, set_up
from acestep.training.adapters.train import Hooks, Outcome, Training
from acestep.training.parallel import ProcessGroup

TOGETHER = ("cpu", "cuda", "xpu")
"""Kinds of devices of which several can train together."""

LOOK_SECONDS = 0.5
"""Between two looks at whether the job was cancelled while the processes start."""

STOP_SECONDS = 120.0
"""For the last save of a training that is told to stop."""

ASKED = ("report", "yields", "stored", "saved", "wanted")
"""Hooks that the first process asks for."""


@dataclass(frozen=True)
class Task:
    """What every process is told: the prepared tensors' folder, the model, the training's folder and settings; threads of a CPU."""

    place: Path
    info: ModelInfo
    folder: Path
    options: TrainOptions
    threads: int
    meeting: str
    """URL of the file by which the processes find each other."""


def train_on_several(place: Path, info: ModelInfo, folder: Path, options: TrainOptions, hooks: Hooks) -> Outcome:
    """Train on ``options.devices`` devices, or continue the training in ``folder``.

    Raises what `acestep.training.adapters.train.train` does, `Unavailable` for a kind of device that trains alone, `BadRequest` for
    more devices than there are, `WorkerDied` when one of the processes ends by itself.
    """
    kind = require_devices(options)
    threads = max(1, torch.get_num_threads() // options.devices) if kind == "cpu" else torch.get_num_threads()
    with tempfile.TemporaryDirectory() as meeting:
        url = (Path(meeting) / "meeting").as_uri()
        task = Task(place, info, folder, msgspec.structs.replace(options, device=kind), threads, url)
        with _processes(task) as team:
            return _Service(team, hooks).run()


def require_devices(options: TrainOptions) -> str:
    """See that so many devices can train together here; returns their kind. Raises `Unavailable`, `BadRequest`."""
    kind = choose_device(options.device).type
    if kind not in TOGETHER or sys.platform == "win32":
        where = "on Windows" if sys.platform == "win32" else f"on {kind}"
        raise Unavailable(f"several devices cannot train together {where}; leave devices at 1", field="devices")
    there = options.devices if kind == "cpu" else torch.get_device_module(kind).device_count()
    if options.devices > there:
        raise BadRequest(f"there are {there} GPUs, not {options.devices}", field="devices", limits={"max": there})
    return kind


Team = dict[Connection, SpawnProcess]
"""The processes by the pipe to each, the first one first."""


@contextlib.contextmanager
def _processes(task: Task) -> Iterator[Team]:
    """The processes of a training; they end with the block, and with this process."""
    spawn = torch.multiprocessing.get_context("spawn")
    team: Team = {}
    try:
        for rank in range(task.options.devices):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_compute, args=(rank, task, theirs), daemon=True, name=f"training {rank}")
            process.start()
            theirs.close()
            team[ours] = process
        yield team
    finally:
        for pipe, process in team.items():
            pipe.close()
            process.kill()
        for process in team.values():
            process.join()


class _Service:
    """Answers the first process until the training is over."""

    def __init__(self, team: Team, hooks: Hooks) -> None:
        self._team, self._hooks = dict(team), hooks
        self._first = next(iter(team))
        self._stop: BaseException | None = None
        """Why the training is to save its place and to end."""

    def run(self) -> Outcome:
        """Raises what went wrong in any process, and what a hook raises."""
        while True:
            for pipe in self._heard():
                try:
                    word, data = pipe.recv()
                except (EOFError, OSError):
                    self._ended(pipe)
                    continue
                if word == "done":
                    return data
                if word == "refused" or (word == "failed" and pipe is self._first):
                    raise error_from_wire(data)
                if word == "failed":  # the first one meets it too, as a rule, and says it better
                    self._stop = self._stop or error_from_wire(data)
                else:
                    self._answer(word, data)

    def _heard(self) -> list[Connection]:
        """The pipes on which something came. Raises what ``hooks.check`` does, and the reason to stop where that takes too long."""
        while True:
            ready = wait(list(self._team), LOOK_SECONDS if self._stop is None else STOP_SECONDS)
            if ready:
                return [pipe for pipe in self._team if pipe in ready]
            if self._stop is not None:
                raise self._stop
            self._hooks.check()

    def _answer(self, word: str, arguments: tuple[Any, ...]) -> None:
        answer = None
        if self._stop is None:
            try:
                answer = getattr(self._hooks, word)(*arguments)
            except AceError as failure:  # a cancel, mostly
                self._stop = failure
        with contextlib.suppress(OSError):  # it has ended: its pipe says so next
            self._first.send((self._stop is None, answer))

    def _ended(self, pipe: Connection) -> None:
        """A process has ended. Raises `WorkerDied` where it was not told to."""
        process = self._team.pop(pipe)
        if self._stop is not None:
            if pipe is self._first:
                raise self._stop
            return
        process.join(STOP_SECONDS)
        raise WorkerDied(
            f"one of the training's processes ended unexpectedly (exit code {process.exitcode}); submit the "
            "training again to continue from its last save",
            field="devices",
        )


class _Told(Exception):
    """The process that started this one wants the training to save its place and to end."""


def _compute(rank: int, task: Task, pipe: Connection) -> None:
    """One of the processes, from its beginning to its end."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(task.threads)
    try:
        with _joined(rank, task) as (group, device):
            _sit(_set_up(task, device, pipe), task.folder, group, pipe)
            _wait_for_the_end()
    except _Told:
        pass


def _sit(setup: Setup, folder: Path, group: ProcessGroup, pipe: Connection) -> None:
    """This process's share of the training, and what came of it: told while the group is still joined, for whoever else is just
    talking to this process fails as well once it leaves, and might be heard first."""
    try:
        outcome = Training(setup, folder, _remote_hooks(pipe) if group.leads else Hooks(), group).run()
    except AceError as failure:
        pipe.send(("failed", failure.to_wire()))
    else:
        if group.leads:
            pipe.send(("done", outcome))


def _set_up(task: Task, device: str, pipe: Connection) -> Setup:
    """This process's copy of the training. What refuses it is told at once: the others would wait for this one."""
    try:
        return set_up(open_prepared(task.place), task.info, msgspec.structs.replace(task.options, device=device))
    except AceError as failure:
        pipe.send(("refused", failure.to_wire()))
        _wait_for_the_end()
        raise


def _wait_for_the_end() -> None:
    """The process that started this one ends it, all at once with the others."""
    threading.Event().wait()


def _end_with_parent() -> None:
    parent = torch.multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # as in a power cut: what is saved is whole, and somebody else may be continuing already


@contextlib.contextmanager
def _joined(rank: int, task: Task) -> Iterator[tuple[ProcessGroup, str]]:
    """The group of all processes, brought together by accelerate, and this one's device."""
    size, cpu = task.options.devices, task.options.device == "cpu"
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(number) for name, number in numbers.items()}, OMP_NUM_THREADS=str(task.threads))
    loopback = {"lo", "lo0"} & {name for _, name in socket.if_nameindex()}
    if loopback:
        os.environ["GLOO_SOCKET_IFNAME"] = loopback.pop()  # by the host's name it may find no way to itself
    from accelerate import PartialState

    state = PartialState(cpu=cpu, init_method=task.meeting, rank=rank, world_size=size)
    try:
        yield ProcessGroup(state.process_index, state.num_processes), str(state.device)
    finally:
        state.destroy_process_group()


def _remote_hooks(pipe: Connection) -> Hooks:
    """Hooks that ask the process that started this one. They raise `_Told` where its own raise."""

    def asking(word: str) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            pipe.send((word, arguments))
            go_on, answer = pipe.recv()
            if not go_on:
                raise _Told
            return answer

        return ask

    return Hooks(**{word: asking(word) for word in ASKED})
