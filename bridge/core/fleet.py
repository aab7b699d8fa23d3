"""Every device of this machine, and every place in a cluster, with the executor that works on it: lanes of one queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from acestep.api.registry import Registry
from bridge.cluster.command import driver_command
from bridge.core.command import worker_command
from bridge.core.executor import Executor
from bridge.core.job_runner import JobRunner
from bridge.core.lanes import Lane
from bridge.core.supervisor import LocalExecutor, Supervision
from bridge.devices import AUTO, Device, named_devices, names_device
from bridge.paths import Paths
from bridge.settings import Settings

log = logging.getLogger(__name__)

FAR = "ray"
"""Kind of the devices in a cluster: ray:0, ray:1 ..."""


class Fleet:
    """The executors of a daemon. Where the settings name no device, the first worker tells which there are; which places a
    cluster has, any of those in it."""

    def __init__(self, devices: Iterable[Device], make: Callable[[Device], LocalExecutor]) -> None:
        self._make = make
        self._places: dict[str, LocalExecutor] = {}
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
        """A worker process for each device that the settings name, and where they name a cluster a driver for each place in it.

        ``told`` hears what each worker tells of itself.
        """

        def hear(info: dict[str, Any]) -> None:
            fleet.told(info)
            told(info)

        def make(device: Device) -> LocalExecutor:
            if device.far:
                return LocalExecutor(in_cluster, device)
            supervision = Supervision(
                command=lambda device: worker_command(settings, paths, registry, device, len(fleet)),
                told=hear,
                cancel_grace=settings.cancel_grace,
                degraded_retry=settings.degraded_retry,
                silence=settings.worker_silence,
            )
            return LocalExecutor(supervision, device)

        in_cluster = Supervision(
            command=lambda device: driver_command(settings, paths, registry, device),
            told=lambda info: fleet.wake(),
            news=lambda info: fleet.told_of_places(info),
            keep=True,
            cancel_grace=settings.cancel_grace,
            degraded_retry=settings.degraded_retry,
            silence=settings.worker_silence,
        )
        if settings.executor == "local":
            fleet = cls(named_devices(settings.devices, settings.device), make)
        else:
            here = (
                named_devices(settings.devices, settings.device)
                if names_device(settings.devices, settings.device)
                else []
            )
            fleet = cls([*here, Device(far=True)], make)
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

    def start_far(self) -> None:
        """Join the cluster; the lanes in it exist only from then on."""
        for executor in self._far():
            executor.start()

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

    def told_of_places(self, info: dict[str, Any]) -> None:
        """A driver has told which places the cluster has, and which of them is its own: each gets a lane, known by one name as long
        as this daemon runs."""
        rows = [*([info] if info.get("place") else []), *info.get("places", ())]
        more = []
        for row in rows:
            place, also = str(row["place"]), tuple(map(str, row.get("can", ())))
            known = self._places.get(place) or next((one for one in self._far() if one.device.name == AUTO), None)
            if known is None:
                known = self._make(Device(f"{FAR}:{len(self._places)}", place, insist=True, also=also, far=True))
                more.append(known)
            elif place not in self._places:
                known.adopt(Device(f"{FAR}:{len(self._places)}", place, insist=True, also=also, far=True))
            elif known.device.also != also:
                known.adopt(msgspec.structs.replace(known.device, also=also))
            self._places[place] = known
            if known.gone:
                known.start()
        self.executors += more
        self._tell_runner(more)
        for executor in more:
            executor.start()

    def _far(self) -> list[LocalExecutor]:
        return [one for one in self.executors if isinstance(one, LocalExecutor) and one.device.far]

    @property
    def only_far(self) -> bool:
        """Whether nothing is computed on this machine."""
        return all(executor.device.far for executor in self.executors)

    def wake(self) -> None:
        """An executor is ready that was not."""
        if self._runner is not None:
            self._runner.wake()

    def _tell_runner(self, more: list[LocalExecutor]) -> None:
        if self._runner is not None:
            self._runner.lanes += map(Lane, more)
            self._runner.all_known = self.all_known
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
