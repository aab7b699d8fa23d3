"""The child process of one lane: joins the cluster, keeps one actor on one node, and passes frames between it and the daemon.

To the daemon it is a worker like any other. Ray may end the process that uses it (it does so when the head stays away), which
is why the daemon itself never joins.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from acestep import __version__
from acestep.api import frames
from acestep.api.errors import AceError, DeviceLost, NotFound, ProtocolError, Unavailable, WorkerDied, error_from_wire
from acestep.api.planned import THINK
from acestep.api.registry import Registry
from acestep.audio.write import storage_errors
from acestep.checkpoints.families import find_models
from acestep.checkpoints.info import EMBEDDED, checkpoint_folders
from acestep.checkpoints.installed import fingerprint
from acestep.latents.latent_index import LatentIndex
from acestep.worker.far_files import StoreFolders, far_files
from acestep.worker.process import PipeOutlet
from bridge.cluster import joining
from bridge.cluster.joining import ActorPlace, Stranger
from bridge.cluster.losses import NodeLost, explain_loss, store_full
from bridge.cluster.parcel import UNREAD, Greeting, Piece, Said, Wanted
from bridge.devices import AUTO

log = logging.getLogger("bridge.cluster")

LOOK_EVERY = 3.0
"""Seconds between two looks at the nodes and at the head."""

HEAD_PATIENCE = 15.0
"""Seconds that the head may stay away; one that keeps its state in Redis is back sooner."""

JOIN_PATIENCE = 90.0
"""Seconds until the cluster must have let us in."""

LEAVE_SECONDS = 1.0
"""Time that the cluster gets to end the actor; it ends anyway, as its owner does."""

START_PATIENCE = 600.0
"""Seconds until an actor must have loaded its backend."""


def main(arguments: list[str], inlet: int, outlet: int) -> int:
    """Run until the input closes, or until the node is lost. ``inlet`` and ``outlet`` are the descriptors of the frame pipes."""
    options = parse_arguments(arguments)
    logging.basicConfig(level=options.log_level.upper(), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    driver = Driver(options, PipeOutlet(outlet))
    threading.Thread(target=driver.read, args=(inlet,), name="frames", daemon=True).start()
    try:
        driver.start()
        driver.run()
    except (AceError, NodeLost) as failure:
        log.error("%s", failure)
        driver.outlet.send(frames.NoDevice(str(failure)))
    driver.leave()
    return 1


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The driver's command line."""
    parser = argparse.ArgumentParser(prog="python -m bridge.cluster", description=__doc__)
    parser.add_argument("--address", required=True, help="address of the cluster's head, or auto")
    parser.add_argument("--place", default=AUTO, help="node and number on it; auto: the first there is")
    parser.add_argument("--wishes", required=True, help="what the daemon decides for its nodes, as JSON")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--uploads", type=Path, required=True)
    parser.add_argument("--plugins", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path, action="append", default=[])
    parser.add_argument("--log-level", default="info")
    return parser.parse_args(arguments)


class Driver:
    """One lane's tie to its actor."""

    def __init__(self, options: argparse.Namespace, outlet: PipeOutlet) -> None:
        self.outlet = outlet
        self._options = options
        self._tasks: queue.SimpleQueue[frames.Run | AceError] = queue.SimpleQueue()
        self._place: ActorPlace | None = None
        self._actor: Any = None
        self._head = ""
        self._facts: dict[str, Any] = {}
        self._running = ""
        self._folders = StoreFolders(options.library, options.uploads)
        self._index = LatentIndex(options.library)

    # The daemon's side

    def read(self, inlet: int) -> None:
        """The reader thread: until the input closes, which ends the actor too."""
        reader = frames.FrameReader()
        try:
            while data := os.read(inlet, 1 << 16):
                for message in reader.feed(data):
                    if isinstance(message, frames.Run):
                        self._tasks.put(message)
                    else:
                        self._tell(message)
        except (OSError, ProtocolError) as failure:
            log.error("the frame pipe failed: %s", failure)
        self.leave()

    def leave(self) -> None:
        """End the actor and this process."""
        if self._actor is not None:
            import ray

            ending = threading.Thread(target=ray.kill, args=(self._actor,), daemon=True)  # hangs where the head is gone
            ending.start()
            ending.join(LEAVE_SECONDS)
        os._exit(0)

    def _tell(self, message: msgspec.Struct) -> None:
        """Pass a message on to the actor's second group; what it answers goes to the daemon."""
        if self._actor is None:
            return  # no job has begun: the supervisor itself answers a cancel
        answer = self._actor.tell.options(concurrency_group="control").remote(frames.encode(message)).future()

        def pass_on(done: Any) -> None:
            if done.exception() is not None:
                self._note_silence(done.exception())
            else:
                for said in frames.FrameReader().feed(done.result()):
                    self.outlet.send(
                        frames.Info({**self._facts, **said.info}) if isinstance(said, frames.Info) else said
                    )

        answer.add_done_callback(pass_on)

    def _note_silence(self, failure: BaseException) -> None:
        """An actor that was lost while no job ran; during a job whoever carries it notices."""
        import ray

        if isinstance(failure, ray.exceptions.ActorDiedError) and not self._running:
            log.error("the actor ended between two jobs")
            os._exit(1)

    # The cluster's side

    def start(self) -> None:
        """Join, choose the place, start the actor and wait until it is ready. Raises `AceError`."""
        late = f"the Ray cluster at {self._options.address} did not let this machine in within {JOIN_PATIENCE:.0f} s"
        limit = threading.Timer(JOIN_PATIENCE, self._lose, (late,))
        limit.daemon = True
        limit.start()  # Ray itself would try for ever
        self._head = joining.join(self._options.address)
        limit.cancel()
        places = joining.find_places()
        wanted = self._options.place
        place = next((one for one in places if wanted in (AUTO, one.key)), None)
        self._facts = {"places": [one.told() for one in places], **(place.told() if place else {})}
        self.outlet.send(frames.Info(self._facts))
        if place is None:
            raise _no_place(wanted, self._head)
        self._place = place
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        stranger = Stranger(self._head) if joining.reaches_others(self._head) else None
        hello = self._greet(place)
        if stranger is not None:
            stranger.refuse_open()
        if hello.error is not None:
            failure = error_from_wire(hello.error)
            failure.message = f"{failure.message} (node {place.node})"
            raise failure
        self._facts |= {**hello.info, "on_disk": hello.models, "node": place.node}
        self.outlet.send(frames.Ready(pid=hello.pid, info=self._facts))

    def _greet(self, place: ActorPlace) -> Greeting:
        """Start the actor. It is never started or asked again by Ray: who runs a job once more is the daemon's decision.

        Raises `AceError` and `NodeLost`. The versions are compared first: to another one the rest may mean nothing.
        """
        import ray

        from bridge.cluster.node import CONTROL, NodeWorker

        remote: Any = ray.remote  # its annotations lack the groups
        actor_class = remote(max_restarts=0, max_task_retries=0, concurrency_groups={CONTROL: 4})(NodeWorker)
        self._actor = actor_class.options(**joining.requirements(place)).remote()
        try:
            require_version(ray.get(self._actor.version.remote(), timeout=START_PATIENCE), place.node)
            answer = ray.get(self._actor.hello.remote(self._options.wishes.encode()), timeout=START_PATIENCE)
        except AceError:
            raise
        except Exception as failure:  # Ray's errors, and what unpickling on a foreign node may raise
            raise explain_loss(failure, place) from failure
        return msgspec.json.decode(answer, type=Greeting)

    def _watch(self) -> None:
        """Tell which nodes come and go; give the node up that is gone, and the cluster whose head stays away."""
        seen = time.monotonic()
        while True:
            time.sleep(LOOK_EVERY)
            try:
                joining.require_head(self._head)
                places = joining.find_places()
                seen = time.monotonic()
            except AceError as failure:
                if time.monotonic() - seen > HEAD_PATIENCE:
                    self._lose(failure.message)
                continue
            told = [one.told() for one in places]
            if told != self._facts["places"]:
                self._facts["places"] = told
                self.outlet.send(frames.Info(self._facts))
            if self._place is not None and not joining.lives(self._place):
                self._lose(f"the node {self._place.node} has left the cluster")

    def _lose(self, sentence: str) -> None:
        """The node is gone: the job may run elsewhere, and the daemon looks for the node later."""
        if self._running:
            self.outlet.send(frames.Failed(job=self._running, error=DeviceLost(sentence, field="device").to_wire()))
        self.outlet.send(frames.NoDevice(sentence))
        self.leave()

    def run(self) -> None:
        """Jobs, one after the other. Ends with the process."""
        assert self._place is not None
        while True:
            task = self._tasks.get()
            assert isinstance(task, frames.Run)
            self._running = task.job
            try:
                self._carry(task)
            except NodeLost as lost:
                self._lose(str(lost))
            except WorkerDied as failure:
                self.outlet.send(frames.Failed(job=task.job, error=failure.to_wire()))
                self.leave()
            except AceError as failure:
                self.outlet.send(frames.Failed(job=task.job, error=failure.to_wire()))
            self._running = ""

    def _carry(self, task: frames.Run) -> None:
        """One job. Raises `AceError`, and `NodeLost` when the actor is gone."""
        import ray

        assert self._place is not None
        read = {} if task.operation == THINK else task.request  # a plan is made of words
        files = msgspec.msgpack.encode(far_files(read, self._folders, self._index))
        stream = self._actor.run.options(num_returns="streaming", _generator_backpressure_num_objects=UNREAD).remote(
            frames.encode(task), files, self._weights(task.request)
        )
        try:
            self._follow(task, (ray.get(ref) for ref in stream))
        except ray.exceptions.RayError as failure:
            raise explain_loss(failure, self._place) from failure

    def _follow(self, task: frames.Run, items: Iterable[Said | Wanted | Piece]) -> None:
        """Take what the actor hands over, to its last item: only then is the actor free for another job.

        When a file cannot be written here, the job is cancelled there. Raises `AceError`.
        """
        failed: AceError | None = None
        for item in items:
            try:
                if isinstance(item, Wanted):
                    self._give(item)
                elif failed is not None:
                    continue
                elif isinstance(item, Said):
                    self._pass(item.frame)
                else:
                    _write(Path(task.staging), item)
            except AceError as failure:
                failed = failure
                self._tell(frames.Cancel(task.job))
        if failed is not None:
            raise failed

    def _pass(self, frame: bytes) -> None:
        """A frame of the actor as it is, but for an error's words: they say where."""
        assert self._place is not None
        for said in frames.FrameReader().feed(frame):
            if isinstance(said, frames.Failed) and said.error.get("code") in OF_THE_NODE:
                said = frames.Failed(
                    job=said.job, error={**said.error, "message": f"{said.error['message']} (node {self._place.node})"}
                )
            self.outlet.send(said)

    def _give(self, wanted: Wanted) -> None:
        """Put a part of a file into the object store for the node that asked for it."""
        import ray

        give = self._actor.give.options(concurrency_group="control")
        try:
            with open(wanted.path, "rb") as file:
                file.seek(wanted.start)
                data = file.read(wanted.end - wanted.start)
        except OSError as failure:
            error = NotFound(f"{wanted.path} cannot be read: {failure.strerror}", field="source")
            give.remote(wanted.number, None, error.to_wire())
            return
        try:
            given = ray.put(np.frombuffer(data, np.uint8))
        except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError):
            give.remote(wanted.number, None, store_full("the daemon's machine").to_wire())
        else:
            give.remote(wanted.number, given)

    def _weights(self, request: dict[str, Any]) -> dict[str, str]:
        """Digests of the models that a job names, as their files are on this machine."""
        names = [str(stage.get("model") or "") for stage in request.get("stages") or () if isinstance(stage, dict)]
        if not any(names):
            return {}
        registry = Registry.load(folder=self._options.plugins, disabled=(), features=())
        folders = checkpoint_folders(EMBEDDED, *self._options.checkpoints)
        known = {model.name: model for model in find_models(folders, registry.families)}
        return {name: fingerprint(known[name]) for name in names if name in known and known[name].path}


OF_THE_NODE = frozenset({"disk_full", "model_missing", "out_of_memory", "weights_changed"})
"""Codes of errors whose words need the name of the node that they are about."""


def require_version(theirs: str, node: str) -> None:
    """Raise `Unavailable` for a node that has another version of this package."""
    if theirs != __version__:
        raise Unavailable(
            f"the node {node} has acestep-bridge {theirs}, this machine has {__version__}; install the same version on both",
            field="device",
        )


def _no_place(wanted: str, head: str) -> AceError:
    if wanted != AUTO:
        return Unavailable(f"the node {wanted.rpartition('/')[0]} is not in the cluster at {head}", field="device")
    return Unavailable(
        f"no node of the Ray cluster at {head} has a GPU or the resource {joining.RESOURCE!r}; start one with "
        f"`ray start --address={head} --resources='{{\"{joining.RESOURCE}\": 1}}'`",
        field="device",
    )


def _write(staging: Path, piece: Piece) -> None:
    """A piece of a file of the result into the daemon's staging folder; durable with the last one. Raises `DiskFull`."""
    path = (staging / piece.name).resolve()
    if not path.is_relative_to(staging.resolve()):
        raise ProtocolError(f"the node sent a file {piece.name!r}, which is none of this job's")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if piece.start else "wb") as file:
            file.seek(piece.start)
            file.write(piece.data.data)
            if piece.last:
                file.flush()
                os.fsync(file.fileno())
