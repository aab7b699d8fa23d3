"""Every device of this machine with the executor that works on it, as lanes of one queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from acestep.api.registry import Registry
from bridge.core.command import worker_command
from bridge.core.executor import Executor
from bridge.core.job_runner import JobRunner
from bridge.core.lanes import Lane
from bridge.core.supervisor import LocalExecutor, Supervision
from bridge.devices import AUTO, Device, named_devices
from bridge.paths import Paths
from bridge.settings import Settings

log = logging.getLogger(__name__)


class Fleet:
    """The executors of a daemon. Where the settings name no device, the first worker tells which there are."""

    def __init__(self, devices: Iterable[Device], make: Callable[[Device], LocalExecutor]) -> None:
        self._make = make
        self._started = False
        self._runner: JobRunner | None = None
        self.executors: list[Executor] = [make(device) for device in devices]

    @classmethod
    def of(
        cls,
        settings: Settings,
        paths: Paths,
        registry: Registry,
        told: Callable[[dict[str, Any]], None] = lambda info: None,
    ) -> Fleet:
        """A worker process for each device that the settings name; ``told`` hears what each tells of itself."""

        def hear(info: dict[str, Any]) -> None:
            fleet.told(info)
            told(info)

        def make(device: Device) -> LocalExecutor:
            supervision = Supervision(
                command=lambda device: worker_command(settings, paths, registry, device, len(fleet)),
                told=hear,
                cancel_grace=settings.cancel_grace,
                degraded_retry=settings.degraded_retry,
                silence=settings.worker_silence,
            )
            return LocalExecutor(supervision, device)

        fleet = cls(named_devices(settings.devices, settings.device), make)
        return fleet

    def __len__(self) -> int:
        return len(self.executors)

    @property
    def all_known(self) -> bool:
        """Whether it is certain which devices there are."""
        return all(executor.device.name != AUTO for executor in self.executors)

    def serve(self, runner: JobRunner) -> None:
        """Let a runner's jobs go to all executors, those included that are found later."""
        self._runner = runner
        runner.lanes += map(Lane, self.executors)
        runner.all_known = self.all_known

    def start(self) -> None:
        """Start the workers in the background, so that the first jobs find them ready."""
        self._started = True
        for executor in self.executors:
            executor.start()

    def told(self, info: dict[str, Any]) -> None:
        """A worker has told what it runs on. The first one, where nobody named its device, decides how many more there are."""
        first = self.executors[0]
        if first.device.insist or not isinstance(first, LocalExecutor):
            return
        names = [str(name) for name in info.get("devices") or ()]
        if len(names) < 2 or first.device.option != AUTO:
            first.adopt(Device(str(info.get("device") or first.device.name), first.device.option))
            self._tell_runner([])
            return
        log.info("the devices of this machine: %s", ", ".join(names))
        more = [self._make(Device(name, name, insist=True)) for name in names[1:]]
        self.executors += more
        first.adopt(Device(names[0], names[0], insist=True))
        self._tell_runner(more)
        if self._started:
            for executor in more:
                executor.start()

    def _tell_runner(self, more: list[LocalExecutor]) -> None:
        if self._runner is not None:
            self._runner.lanes += map(Lane, more)
            self._runner.all_known = True
            self._runner.wake()

    @property
    def degraded(self) -> bool:
        """Whether there is no device left that takes jobs now: each one's worker was given up, or it is gone."""
        return all(executor.degraded or executor.gone for executor in self.executors)

    def has(self, name: str) -> bool:
        """Whether a device of this name or kind was here once, gone or not."""
        return any(executor.device.is_meant_by(name) for executor in self.executors)

    def given_up(self, asked: str) -> str:
        """Why no worker takes a job that asks for a device (empty: any), as the last of them ended; nothing when one does."""
        meant = [executor for executor in self.executors if executor.device.is_meant_by(asked)]
        if not meant or not all(executor.degraded for executor in meant):
            return ""
        return str(meant[-1].facts().get("last_death", "it ended too often"))

    def unload(self, model: str = "") -> None:
        """Free the memory of a model (empty: of all) on every device."""
        for executor in self.executors:
            executor.unload(model)

    def reset(self) -> None:
        """Try again with workers that were given up and devices that were gone."""
        for executor in self.executors:
            executor.reset()

    def warnings(self) -> list[str]:
        """Sentences about devices and workers that are not as they should be."""
        return [str(warning) for executor in self.executors if (warning := executor.facts().get("warning"))]

    def names(self) -> list[str]:
        """The devices that are known and there."""
        return [one.device.name for one in self.executors if one.device.name != AUTO and not one.gone]

    async def close(self) -> None:
        """Stop all workers, side by side."""
        await asyncio.gather(*(executor.close() for executor in self.executors))
