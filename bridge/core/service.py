"""The core as the doors see it: one object that answers `bridge.core.interface.Core`."""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from acestep import __version__
from acestep.api.ability import require_able
from acestep.api.errors import BadRequest
from acestep.api.features import known_features, require_known, spellings
from acestep.api.operation import Operation
from acestep.api.registry import PluginState, Registry
from acestep.api.targets import resolve_target
from acestep.api.variants import ModelInfo
from acestep.checkpoints.adapters import adapter_folders
from bridge.core import reports
from bridge.core.access import OWNER, Access
from bridge.core.autogen import AutoGen
from bridge.core.command import chosen_backend
from bridge.core.daemon_runner import DaemonRunner, OperationContext
from bridge.core.descriptions import Descriptions
from bridge.core.device_limits import KnownDevices
from bridge.core.events import Subscription
from bridge.core.fleet import Fleet
from bridge.core.handovers import Handovers
from bridge.core.history import History
from bridge.core.host_info import DaemonHostInfo, Folders
from bridge.core.housekeeping import Housekeeping
from bridge.core.interface import PROTOCOL, DoorAddress, Event, JobState, JobView, Submission
from bridge.core.job_runner import JobRunner
from bridge.core.job_store import JobStore
from bridge.core.job_table import JobTable
from bridge.core.job_tracker import JobTracker
from bridge.core.lanes import Lane
from bridge.core.library import Library
from bridge.core.limited import Admissions
from bridge.core.lookout import Space, keep_fresh
from bridge.core.models import Models
from bridge.core.packages import engine_missing
from bridge.core.planning_phase import plan_wish
from bridge.core.presets import Presets
from bridge.core.queue import QueueBounds
from bridge.core.records import SEQ_GAP, JobRecord
from bridge.core.sounds import Sounds
from bridge.core.submissions import Submissions, models_needed, steps_aside
from bridge.core.uploads import Uploads
from bridge.core.worker_runner import MAX_ATTEMPTS, ClientPaths, WorkerRunner
from bridge.paths import AllowedRoots, Paths, accepted_folder
from bridge.settings import Settings, features, named_features

if TYPE_CHECKING:
    from bridge.performance.performance import Performance

log = logging.getLogger(__name__)

DEFAULT_MODEL = "default"
"""How `describe` is asked for the model that jobs without one get."""

LOOK_BACK = 64
"""Jobs among which the newest results are looked for."""


class Service:
    """Jobs, events, library, uploads and the worker of one daemon. Make it on the event loop, then `start` it."""

    def __init__(self, settings: Settings, paths: Paths, *, registry: Registry | None = None) -> None:
        self.settings = settings
        self.paths = paths
        self.registry = registry or Registry.load(
            folder=paths.plugins, disabled=settings.plugins_disabled, features=features(settings)
        )
        if not any(report.state is PluginState.LOAD_ERROR for report in self.registry.plugins):
            for name in named_features(settings):  # a plug-in that did not load may have brought the flag
                require_known(name, self.registry.operations, "features")
        self.doors: dict[str, DoorAddress] = {}
        """Address of every open door, filled in by the daemon."""
        self.performance: Performance | None = None
        """The part that plays, when it is on; set by the daemon."""
        self.roots = AllowedRoots.of(settings, paths)
        self.uploads = Uploads(paths.uploads, largest=settings.upload_bytes, quota=settings.upload_quota)
        self.library = Library(paths.library, paths.staging, settings.free_bytes)
        checkpoints = [paths.checkpoints, *map(_folder, settings.checkpoints)]
        self._models = Models(checkpoints, self.registry.families, settings.model)
        self._store = JobStore(paths.database)
        self._table = JobTable(self._store)
        self._tracker = JobTracker(self._table, self.library)
        folders = Folders(paths.library, adapter_folders(paths.home, checkpoints), paths.home)
        self._host = DaemonHostInfo(self.roots, self._models, self.uploads, folders)
        self._backend = chosen_backend(settings, self.registry)
        self._descriptions = Descriptions(self.registry, self._models, KnownDevices(paths.device_limits))
        self._fleet = Fleet.of(settings, paths, self.registry, self._descriptions.told)
        client_paths = ClientPaths(copies=accepted_folder, named=self.uploads.named)
        self._worker_runner = WorkerRunner(
            self._tracker, self.library, client_paths, functools.partial(plan_wish, self.registry, self._models)
        )
        self._daemon_runner = DaemonRunner(self._tracker, self._run_here, self)
        self._runners = {
            "worker": JobRunner(self._tracker, self._worker_runner, []),
            "daemon": JobRunner(self._tracker, self._daemon_runner, [Lane(), Lane()]),
        }
        self._fleet.serve(self._runners["worker"])
        self.presets = Presets(self.registry, paths.plugins, self._descriptions.forget)
        self.sounds = Sounds(self.registry, paths.plugins, self._descriptions.forget)
        self.history = History(self._store, self.library)
        self.handovers = Handovers(paths.spool)
        self._space = Space(paths.library, settings.free_bytes)
        self._tidying: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._started = time.monotonic()
        self.housekeeping = Housekeeping(
            settings, self._tracker, self.uploads, self._models, self._fleet.unload, self.history
        )
        self._submissions = Submissions(
            registry=self.registry,
            host=self._host,
            table=self._table,
            tracker=self._tracker,
            fleet=self._fleet,
            models=self._models,
            backend=self._backend,
            admissions=Admissions(settings.admission_seconds),
            bounds=QueueBounds(
                jobs=settings.queue_length,
                jobs_per_client=settings.jobs_per_client,
                bytes_per_client=settings.bytes_per_client,
            ),
            runner_of=self._runner_of,
            accepted=self.housekeeping.job_came,
        )
        self._autogen = AutoGen(paths.home / "autogen.json", self._tracker, self._submissions.submit)
        self.submit = self._worker_runner.submit = self._daemon_runner.submit = self._submissions.submit
        self.check = self._submissions.check

    # Life

    async def start(self) -> None:
        """Take up what an earlier daemon left, and begin to work."""
        self._store.start()
        self._tracker.recount()
        await self._recover()
        if self.settings.worker_start == "serve" and not self._engine_missing():
            self._fleet.start()
        else:
            self._fleet.start_far()
        for runner in self._runners.values():
            runner.start()
        self._tidying = asyncio.create_task(self.housekeeping.run(), name="tidy")
        self._autogen.resume()
        self._checking = asyncio.create_task(self._store.look_for_damage(), name="check the store")
        self._watching = asyncio.create_task(keep_fresh(self._descriptions.refresh), name="lookout")

    async def stop(self) -> None:
        """Stop without losing anything: waiting jobs stay stored, running ones wait again."""
        for task in (self._tidying, self._watching, self._checking):
            if task is not None:
                task.cancel()
        self._autogen.close()
        self._worker_runner.stopping = True
        self._daemon_runner.stop()
        for runner in self._runners.values():
            runner.paused = True
        await self._submissions.stop()
        await self._fleet.close()
        for runner in self._runners.values():
            await runner.stop()
        self._tracker.hub.close()
        await self._store.close()

    async def _recover(self) -> None:
        """Reconcile store and library: what was committed is done, what ran goes on once, what waited waits."""
        told = self._table.unended_events()
        for job in self._table.unended():
            job.steps_aside = steps_aside(self.registry, job.operation, job.request)
            job.at_home = job.operation in self.registry.operations and self.registry.operation(job.operation).at_home
            job.models, job.weights = models_needed(self._models, job.request)
            self._tracker.restore(job, told.get(job.number, []))
            if job.state is JobState.RUNNING and not await self._resume(job):
                continue
            self._runner_of(job.operation).add(job)
        await asyncio.to_thread(self.library.clear_staging)

    async def _resume(self, job: JobRecord) -> bool:
        """Settle a job that ran when the last daemon ended; True when it should run again."""
        job.seq += SEQ_GAP
        result = await asyncio.to_thread(self.library.committed, job)
        if result is not None:
            await self._tracker.done(job, await asyncio.to_thread(self._worker_runner.copy_out, job, result))
            return False
        if job.attempt >= MAX_ATTEMPTS:
            await self._tracker.stopped(job, JobState.INTERRUPTED, "the daemon ended twice while this job was running")
            return False
        self._tracker.active.move(job, JobState.QUEUED)
        await self._table.requeued(job)
        log.info("resumed after a crash", extra={"job": job.id})
        return True

    def _runner_of(self, operation: str) -> JobRunner:
        found = self.registry.operations.get(operation)
        return self._runners["daemon" if found is not None and found.runs == "daemon" else "worker"]

    # Jobs and events

    async def barrier(self) -> None:
        """Return when every submit made before this call is stored."""
        await self._submissions.settled()

    async def cancel(self, job: str) -> JobView:
        """Cancel a queued or running job; a job that has ended is left as it is."""
        await self._submissions.settled(job)
        record = self._tracker.find(job)
        if not record.state.terminal:
            await self._runner_of(record.operation).cancel(record, "cancelled on request")
        return self._view(record)

    def job(self, job: str) -> JobView:
        """One job. Raises `UnknownJob`."""
        return self._view(self._tracker.find(job))

    async def jobs(
        self,
        *,
        states: frozenset[JobState] = frozenset(),
        search: str = "",
        limit: int = 100,
        before: str = "",
        origin: str = "",
    ) -> list[JobView]:
        """Jobs, newest first; ``search`` looks in id, operation and caption; ``origin`` keeps those of one machine. Ended ones
        come without request and result.
        """
        found = await self._table.search(states, search, max(1, min(limit, 1000)), before, origin)
        records = [self._tracker.active.get(record.id, record) for record in found]
        places: dict[str, int] = {}
        for runner in self._runners.values():
            places |= runner.queue.positions(records)
        return [self._shown(record, places.get(record.id, 0)) for record in records]

    def newest(self, endings: frozenset[str], back: int = 0, origin: str = "") -> JobView | None:
        """The newest done job with a file of one of these endings, or the one ``back`` before it; ``origin``: of that machine."""
        found = (record for record in self._table.done(LOOK_BACK, origin) if _has_file(record, endings))
        record = next(itertools.islice(found, back, None), None)
        return None if record is None else self._view(record)

    async def clients(self, jobs: list[str]) -> dict[str, str]:
        """Who handed these jobs in; unknown ones are left out."""
        active = {job: self._tracker.active[job].client for job in jobs if job in self._tracker.active}
        ended = [job for job in jobs if job not in active]
        return active | (await self._table.clients(ended) if ended else {})

    def _view(self, record: JobRecord) -> JobView:
        queue = self._runner_of(record.operation).queue
        return self._shown(record, queue.position(record) if record.id in queue else 0)

    def _shown(self, record: JobRecord, position: int) -> JobView:
        return record.view(position, None if record.result is None else self.library.located(record.result))

    async def wait(self, job: str, after: int = -1, timeout: float = 30.0) -> list[Event]:
        """Events with a larger ``seq`` than ``after``, as soon as there is one or the time (s) is up."""
        return await self._tracker.wait(job, after, timeout)

    def subscribe(
        self,
        client: str,
        jobs: frozenset[str] = frozenset(),
        after: dict[str, int] | None = None,
        access: Access = OWNER,
    ) -> Subscription:
        """Events of some jobs (empty: all jobs that ``access`` may see), beginning after the given seqs."""
        return self._tracker.subscribe(client, jobs, after or {}, access)

    # The queue

    async def move(self, job: str, ahead_of: str = "") -> JobView:
        """Let a waiting job run before another one, or (empty) after its client's others. Raises `UnknownJob`, `BadRequest`."""
        record = self._waiting(job, "id")
        other = self._waiting(ahead_of, "ahead_of") if ahead_of else None
        queue = self._runner_of(record.operation).queue
        if other is record:
            return self._view(record)
        if other is not None and other.id not in queue:
            raise BadRequest(
                f"{job} and {ahead_of} use different lanes, so neither waits for the other", field="ahead_of"
            )
        await self._table.moved(queue.move(record, other))
        return self._view(record)

    def _waiting(self, job: str, field: str) -> JobRecord:
        record = self._tracker.find(job)
        if record.id not in self._runner_of(record.operation).queue:
            raise BadRequest(f"the job {job} is not waiting; it is {record.state}", field=field)
        return record

    async def pause(self) -> None:
        """Start no further job until `resume`."""
        for runner in self._runners.values():
            runner.paused = True

    async def resume(self) -> None:
        """Go on after `pause`; try a worker again that was given up, and requests that ended it."""
        self._fleet.reset()
        await self._table.clear_quarantine()
        for runner in self._runners.values():
            runner.paused = False
            runner.wake()

    async def clear(self) -> int:
        """Cancel every queued job; returns how many."""
        waiting = [(runner, job) for runner in self._runners.values() for job in runner.queue]
        await asyncio.gather(*(runner.cancel(job, "the queue was cleared") for runner, job in waiting))
        return len(waiting)

    # The standing order

    async def start_order(self, asked: Submission, batches: int, client: str) -> dict[str, Any]:
        """Begin a standing order for a client. Raises what the door refuses its first batch with, `BadRequest` beside another."""
        return await self._autogen.start(asked, batches, client)

    async def stop_order(self) -> dict[str, Any]:
        """End the standing order; its state."""
        return await self._autogen.stop(self.cancel)

    def order(self) -> dict[str, Any]:
        """The standing order and how far it is."""
        return self._autogen.status()

    # What there is

    def operations(self) -> dict[str, Operation]:
        """Visible operations by name."""
        return self.registry.visible()

    def describe(self, operation: str = "", model: str = "") -> list[dict[str, Any]]:
        """Visible operations with their fields, choices filled in; of a named model those that it can do, with its own ranges and
        defaults. ``default`` names the model that jobs without one get.

        Raises `UnknownOperation`, `FeatureDisabled`, `ModelMissing`, `ModelUnsuited`.
        """
        chosen = [self.registry.operation(operation)] if operation else list(self.operations().values())
        if model:
            info = self._models.get("" if model == DEFAULT_MODEL else model)
            if operation:
                require_able(chosen[0], info, self.registry.families)
            return self._descriptions.for_model(chosen, info)
        return self._descriptions.rows(chosen)

    def plugins(self) -> list[dict[str, Any]]:
        """Plug-ins with state and reason."""
        return [{**msgspec.to_builtins(report), "state": report.state.value} for report in self.registry.plugins]

    def models(self) -> list[dict[str, Any]]:
        """Known checkpoints and language models: present or downloadable, default marked."""
        return self._models.rows()

    def model(self, name: str = "") -> ModelInfo:
        """Facts of a model; the default one for the empty name. Looks at the disk. Raises `ModelMissing`."""
        return self._models.get(name)

    async def unload(self, model: str = "") -> None:
        """Free the memory of a model (empty: of all)."""
        self._fleet.unload(model)

    async def look(self) -> None:
        """See which models are on the disk now, instead of within a minute."""
        await asyncio.to_thread(self._models.all, now=True)
        await asyncio.to_thread(self._descriptions.refresh)

    def features(self) -> list[dict[str, Any]]:
        """Every feature flag: whether it is on, its default and the reason."""
        rows = known_features(self.registry.operations).values()
        return [{**msgspec.to_builtins(row), "on": row.name in self.registry.features} for row in rows]

    def set_feature(self, name: str, on: bool) -> frozenset[str]:
        """Show or hide what a feature flag hides, from now on; the worker follows before its next job. Raises `UnknownName`."""
        names = spellings(require_known(name, self.registry.operations).name)
        self._descriptions.forget()
        present = self.registry.features
        self.registry.features = present | names if on else present - names
        return self.registry.features

    def readable(self, path: str, access: Access, field: str = "path") -> Path:
        """A file that a client named, if it may be read. Raises `BadRequest`, `NotAllowed` or `NotFound`."""
        return self._host.for_caller(access, self._table.client_of).roots.reading(path, field)

    def version(self) -> dict[str, Any]:
        """Program version, protocol level."""
        return {"program": "acestep-bridge", "version": __version__, "protocol": PROTOCOL}

    def status(self) -> dict[str, Any]:
        """Version, uptime, queue, worker, doors, limits, warnings."""
        runners, latents = list(self._runners.values()), self.housekeeping.latents
        devices = [lane.row() for lane in self._runners["worker"].lanes]
        return {
            **self.version(),
            "uptime": round(time.monotonic() - self._started, 3),
            "state": "degraded" if self._fleet.degraded else "ok",
            "queue": reports.queue(runners),
            "jobs": self._tracker.counts(),
            "worker": devices[0],
            "devices": devices,
            "doors": self.doors,
            "subscribers": len(self._tracker.hub),
            "performance": None if self.performance is None else self.performance.state(),
            "model": self._models.default(),
            "features": sorted(self.registry.features),
            "limits": {**msgspec.to_builtins(self._submissions.bounds), "upload_bytes": self.settings.upload_bytes},
            "library": str(self.paths.library),
            "latents": {"count": latents.count, "bytes": latents.bytes, "most": self.settings.latent_bytes},
            "home": str(self.paths.home),
            "warnings": self._warnings(),
        }

    def _warnings(self) -> list[str]:
        """Sentences about what is not as it should be."""
        found = [
            self._submissions.admissions.warning,
            *self._fleet.warnings(),
            self._space.warning,
            self._engine_missing(),
            self._store.damage,
        ]
        found += [f"a damaged job store was renamed to {path}" for path in self._store.set_aside]
        return [*reports.plugin_warnings(self.registry), *filter(None, found)]

    def _engine_missing(self) -> str:
        """A sentence where this machine is to compute and cannot."""
        return "" if self._fleet.only_far else engine_missing(self._backend)

    # Operations of the daemon itself

    async def _run_here(self, job: JobRecord, daemon: OperationContext) -> dict[str, Any]:
        operation = self.registry.operation(job.operation)
        run = resolve_target(operation.target)
        answer = await run(msgspec.convert(job.request, operation.schema), daemon)
        return dict(msgspec.to_builtins(answer))


def _has_file(job: JobRecord, endings: frozenset[str]) -> bool:
    files = (job.result or {}).get("files", [])
    return any(Path(entry["name"]).suffix.lower() in endings for entry in files)


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()
