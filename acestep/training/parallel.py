"""Data-parallel training on one machine: one single-threaded process per core, gradients averaged over gloo.

Two one-thread processes train about 1.5 times as fast as one two-thread process here: much of a step is short serial work.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

from acestep.runtime.devices import has_bfloat16
from acestep.training.errors import ProcessEnded, TrainingError

WORKER_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads starve whoever shares the cores, and themselves
    "GOMP_SPINCOUNT": "0",
    "MALLOC_MMAP_MAX_": "0",  # keep big blocks: fresh pages cost a tenth of a step
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_ARENA_MAX": "1",
}


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            distributed.barrier()

    def average_gradients(self, module: nn.Module, clock: float) -> float:
        """Replace every gradient of what is trained by its mean over the group; returns the leader's clock, the same everywhere."""
        if self.size == 1:
            return clock
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.add_gradients(trained)
        for parameter in trained:
            if parameter.grad is not None:
                parameter.grad /= self.size
        shared = torch.tensor([clock], dtype=torch.float64)
        distributed.broadcast(shared, 0)
        return shared.item()

    def add_gradients(self, trained: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over the group, in one exchange."""
        if self.size == 1:
            return
        gradients = []
        for parameter in trained:
            if parameter.grad is None:  # unused in this step here, perhaps not elsewhere
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        line = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(line)
        for gradient, piece in zip(gradients, line.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(piece.view_as(gradient))

    def add(self, numbers: Sequence[float], device: torch.device) -> list[float]:
        """Each number's sum over the group, the same to the bit everywhere. ``device``: where the group exchanges tensors."""
        if self.size == 1:
            return list(numbers)
        kind = torch.float64 if device.type in ("cpu", "cuda") else torch.float32  # some of Intel's GPUs have no other
        line = torch.tensor(numbers, dtype=kind, device=device)
        distributed.all_reduce(line)
        return list(line.tolist())

    def first(self, failure: BaseException | None) -> BaseException:
        """The first failure that any process of the group has; at least one must have one."""
        found: list[BaseException | None] = [failure] * self.size
        if self.size > 1:
            distributed.all_gather_object(found, failure)
        return next(one for one in found if one is not None)


def mixed_precision(device: torch.device | str) -> torch.autocast:
    """Matrix products in bfloat16 where the processor multiplies it itself: 1.4 times the steps on such a core."""
    kind = torch.device(device).type
    native = kind != "cpu" or has_bfloat16(torch.device(kind))
    return torch.autocast(kind, torch.bfloat16, enabled=native)


@contextmanager
def _worker_environment() -> Iterator[None]:
    """What is started inside finds `WORKER_ENVIRONMENT`, where the user has not set otherwise; what is started later does not."""
    added = {name: value for name, value in WORKER_ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def launch(work: Callable, processes: int, threads: int, *arguments: object) -> None:
    """Run `work(group, *arguments)` in `processes` processes of `threads` threads; `work` must be importable.

    A `TrainingError` of one of them ends all, which save what they have, and is raised here.
    """
    failures = torch.multiprocessing.get_context("spawn").SimpleQueue()
    with _worker_environment(), tempfile.TemporaryDirectory(prefix="acestep-training-") as folder:
        given = (work, processes, threads, Path(folder, "processes").as_uri(), failures, arguments)
        team = torch.multiprocessing.spawn(_enter, given, nprocs=processes, join=False)
        try:
            while not team.join():
                pass
        except (torch.multiprocessing.ProcessExitedException, torch.multiprocessing.ProcessRaisedException):
            # Whoever was just talking to the process that failed raises too, perhaps before that one has ended.
            if not failures.empty():
                raise _told_failure(*failures.get()) from None
            if killed := [process.exitcode for process in team.processes if _was_killed(process.exitcode)]:
                raise ProcessEnded(killed[0]) from None
            raise


def _told_failure(code: str, sentence: str) -> TrainingError:
    failure = TrainingError(sentence)
    failure.code = code
    return failure


def _was_killed(exit_code: int | None) -> bool:
    """Whether a signal ended a process, and not the one that ends them all together."""
    return exit_code is not None and exit_code < 0 and exit_code != -signal.SIGTERM


def _enter(
    rank: int, work: Callable, size: int, threads: int, meeting: str, failures: SimpleQueue, arguments: tuple
) -> None:
    _stop_when_told()
    torch.set_num_threads(threads)
    if size > 1:
        distributed.init_process_group("gloo", meeting, rank=rank, world_size=size)
    try:
        work(ProcessGroup(rank, size), *arguments)
    except TrainingError as failure:
        failures.put((failure.code, str(failure)))
        sys.exit(2)
    finally:
        if size > 1:
            distributed.destroy_process_group()


@contextmanager
def side_by_side(
    prepare: Callable[[], Callable[[Any], Any]], processes: int, threads: int
) -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    """A `map` in processes of `threads` threads; each calls `prepare` once and does its share with what that returns.

    What comes out is in order. Work, arguments and answers are pickled; one process works right here.
    """
    if processes == 1:
        torch.set_num_threads(threads)
        yield partial(map, prepare())
        return
    spawn = torch.multiprocessing.get_context("spawn")
    with _worker_environment():
        pool = ProcessPoolExecutor(processes, spawn, _prepare, (prepare, threads))
        try:
            yield lambda given: _told_if_broken(pool.map(_work, given))
        finally:
            pool.shutdown(cancel_futures=True)


def _told_if_broken(answers: Iterator[Any]) -> Iterator[Any]:
    """The answers of a pool. Raises `ProcessEnded` where one of its processes is gone."""
    try:
        yield from answers
    except BrokenProcessPool:
        raise ProcessEnded from None


def _prepare(prepare: Callable[[], Callable], threads: int) -> None:
    torch.set_num_threads(threads)
    _prepared.append(prepare())


def _work(given: object) -> object:
    return _prepared[0](given)


_prepared: list[Callable] = []
"""Of this process, where it is one of a pool."""


def _stop_when_told() -> None:
    """SIGTERM, and the end of the process that started this one, are taken like Ctrl-C: the run is saved and left."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background jobs are started with the latter ignored
        signal.signal(number, _stop)
    if (starter := torch.multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(starter,), daemon=True).start()


def _end_with(starter: BaseProcess) -> None:
    starter.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(number: int, frame: object) -> None:
    for further in (signal.SIGTERM, signal.SIGINT):
        signal.signal(further, signal.SIG_IGN)  # the save that follows is not to be interrupted
    raise KeyboardInterrupt
