"""What goes wrong on a node, in the words that the user hears. Nothing here starts Ray; its errors are its own classes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from acestep import __version__
from acestep.api import frames
from acestep.api.errors import (
    BadRequest,
    Cancelled,
    DiskFull,
    ModelMissing,
    NotAllowed,
    OutputUnwritable,
    WeightsChanged,
)
from acestep.checkpoints.families import find_models
from acestep.checkpoints.info import EMBEDDED
from acestep.checkpoints.installed import fingerprint
from acestep.worker.far_copies import FarCopies
from acestep.worker.far_files import FarFile
from bridge.cluster import driver, joining
from bridge.cluster.joining import ActorPlace, Stranger
from bridge.cluster.node import NodeWorker
from bridge.cluster.parcel import CHUNK, Piece, Said, Wanted
from bridge.doors.reference import built_in

PLACE = ActorPlace("box/0", "box", "b" * 56, True, ("cuda",))

LOSSES = """
import json, sys
from types import SimpleNamespace
import ray
from ray import exceptions as raised
from bridge.cluster import driver, joining, losses
from bridge.cluster.parcel import Wanted

place = joining.ActorPlace("box/0", "box", "b" * 56, True, ("cuda",))
losses.SURE_AFTER = 0.0
found = {}
for name, failure in {
    "store": raised.ObjectStoreFullError("Failed to put object"),
    "disk": raised.OutOfDiskError("Local disk is full"),
    "room": raised.GetTimeoutError("timed out"),
    "task": raised.RayTaskError("run", "a trace", ValueError("odd")),
    "memory": raised.RayActorError(error_msg="The actor was killed: OOM"),
    "actor": raised.RayActorError(error_msg="The actor is dead"),
}.items():
    error = losses.explain_loss(failure, place)
    found[name] = [type(error).__name__, str(error)]
losses.SURE_AFTER, joining.lives = 5.0, lambda place: False
error = losses.explain_loss(raised.RayActorError(error_msg="gone"), place)
found["node"] = [type(error).__name__, str(error)]

def full(value):
    raise raised.ObjectStoreFullError("Failed to put object")

actor = SimpleNamespace(
    version=SimpleNamespace(remote=lambda: "0.0.9"),
    hello=SimpleNamespace(remote=lambda wishes: found.update(greeted=["hello", "was asked for"])),
)
ray.remote = lambda **groups: lambda kind: SimpleNamespace(options=lambda **needs: SimpleNamespace(remote=lambda: actor))
ray.get = lambda answer, timeout: answer
joining.requirements = lambda place: {}
try:
    driver.Driver._greet(SimpleNamespace(_options=SimpleNamespace(wishes="{}")), place)
except Exception as error:
    found["version"] = [type(error).__name__, str(error)]

ray.put = full
lane = SimpleNamespace(_actor=SimpleNamespace(give=SimpleNamespace(options=lambda **group: SimpleNamespace(
    remote=lambda number, data, error: found.update(given=[error["code"], error["message"]])))))
driver.Driver._give(lane, Wanted(7, sys.argv[1], 0, 5))
print(json.dumps(found))
"""
"""Ray keeps the rights that it had when it was first imported, so a process of its own imports it here."""


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """What Ray raised -> the kind of error, and its words."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs the package ray (the extra cluster)")
    song = tmp_path_factory.mktemp("song") / "song.wav"
    song.write_bytes(b"sound")
    done = subprocess.run([sys.executable, "-c", LOSSES, str(song)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        ("store", "DiskFull", "the object store of the node box is full; start Ray"),
        ("disk", "DiskFull", "the object store of the node box is full, and so is the disk behind it; free some"),
        ("room", "Unavailable", "the node box gives no room"),
        ("task", "InternalError", "failed on the node box: ValueError"),
        ("memory", "WorkerDied", "the node had too little memory, and Ray ended it"),
        ("actor", "WorkerDied", "the process that did the job on the node box ended"),
        ("node", "NodeLost", "the node box was lost"),  # no fault of the job: it runs once more elsewhere
        (
            "version",
            "Unavailable",
            f"the node box has acestep-bridge 0.0.9, this machine has {__version__}; install the same",
        ),
        ("given", "disk_full", "the object store of the daemon's machine is full; start Ray there"),
    ],
)
def test_each_loss_has_its_sentence(losses, failure, kind, words):
    """Without Ray's own words and its trace. A full store on the daemon's side is told to the node that waits for a piece."""
    found, said = losses[failure]
    assert found == kind and words in said and "\n" not in said


@pytest.fixture(scope="module")
def nano():
    """The embedded model, as a node finds it."""
    registry = built_in()
    return next(model for model in find_models([EMBEDDED], registry.families) if model.name == "nano")


def test_models_are_compared_by_their_files(nano):
    """The same files are taken; others of that name, and a model that is not there, are refused before anything is fetched."""
    node = NodeWorker()
    node._models = {"nano": nano}
    node._check_models({"nano": fingerprint(nano)})
    with pytest.raises(
        WeightsChanged, match="'nano' on the node are not those of the daemon's machine; copy them again"
    ):
        node._check_models({"nano": "0" * 32})
    with pytest.raises(ModelMissing) as caught:
        node._check_models({"turbo": fingerprint(nano)})
    assert caught.value.field == "model" and caught.value.limits == {"choices": ["nano"]}


@pytest.fixture
def lane(tmp_path):
    """A driver that has joined nothing; ``sent`` is what it told the daemon."""
    options = SimpleNamespace(library=tmp_path, uploads=tmp_path, address="10.0.0.5:6379", place="auto")
    sent = []
    made = driver.Driver(options, SimpleNamespace(send=sent.append))
    made.sent = sent
    return made


@pytest.mark.parametrize("kind", [WeightsChanged, ModelMissing, DiskFull])
def test_what_is_about_the_node_names_it(lane, kind):
    """The actor does not know its node's name; a wrong request is the same everywhere and stays as it is."""
    lane._place = PLACE
    for error in (kind("something there"), BadRequest("something asked")):
        lane._pass(frames.encode(frames.Failed(job="x", error=error.to_wire())))
    assert [said.error["message"] for said in lane.sent] == ["something there (node box)", "something asked"]


def test_a_node_of_another_version_is_asked_for_nothing_else(losses):
    """What the daemon wishes may mean nothing to it, and would then fail in words that say nothing about versions."""
    assert "greeted" not in losses


STRANGERS = {
    "answered": ("print('asking', flush=True); print('open', flush=True)", True),
    "turned away": ("print('asking', flush=True); raise SystemExit(1)", False),
    "left without an answer": ("import time; print('asking', flush=True); time.sleep(600)", False),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_a_cluster_that_answers_a_stranger_is_not_joined(monkeypatch, what):
    """However the others keep a stranger out. The stranger's process is gone afterwards; a real one is sent in the long tests."""
    probe, answered = STRANGERS[what]
    monkeypatch.setattr(joining, "PROBE", probe)
    monkeypatch.setattr(joining, "PROBE_SECONDS", 600.0 if answered else 0.2)
    stranger = Stranger("10.0.0.5:6379")
    if answered:
        with pytest.raises(NotAllowed, match=r"10\.0\.0\.5:6379 lets everybody in, token or not; .*ray get-auth-token"):
            stranger.refuse_open()
    else:
        stranger.refuse_open()
    assert stranger._process.poll() is not None


def test_a_result_that_cannot_be_written_here_ends_the_job_there(lane, tmp_path):
    """The actor hears a cancel, and its job is followed to its last item: the lane is free for the next one."""
    (tmp_path / "staging").write_bytes(b"no folder")
    lane._place, told = PLACE, []
    lane._tell = told.append
    pieces = [Piece("part.wav", start, np.zeros(4, np.uint8), start == 8) for start in (0, 4, 8)]
    items = iter([*pieces, Said(frames.encode(frames.Done(job="x", result={})))])
    task = frames.Run(job="x", operation="render", request={}, staging=str(tmp_path / "staging" / "x"))
    with pytest.raises(OutputUnwritable, match="cannot be written"):
        lane._follow(task, items)
    assert told == [frames.Cancel("x")] and list(items) == [] and lane.sent == []


STOPPED = frames.Failed(job="x", error=Cancelled("the job was cancelled").to_wire())


class Says:
    """A worker (stand-in) that makes files and says what it was told to, as soon as it gets its job; it hears a cancel."""

    def __init__(self, node):
        self._node = node
        self._busy = False
        self.lines = []

    def take(self, message):
        if isinstance(message, frames.Run):
            self._busy = True
            folder = Path(message.staging)
            folder.mkdir(parents=True)
            for name in ("a.wav", "b.wav"):
                (folder / name).write_bytes(b"sound")
            for line in self.lines:
                self._node._outlet.job.put(line)
        elif isinstance(message, frames.Cancel) and self._busy:
            self._node._outlet.job.put(STOPPED)


@pytest.fixture
def actor(tmp_path):
    """A node's actor whose worker is a stand-in."""
    node = NodeWorker()
    node._copies = FarCopies(tmp_path / "copies", node._ask)
    node._staging = tmp_path / "staging"
    node._worker = Says(node)
    return node


def begin(node, files=()):
    """A job named x as its driver carries it."""
    task = frames.Run(job="x", operation="render", request={}, staging="")
    return node.run(frames.encode(task), msgspec.msgpack.encode(list(files)), {})


def tick(step):
    """A step of the job."""
    return frames.Tick(job="x", stage="generate", step=step, steps=4, fraction=0.1)


def ended(items):
    """How a job ended: the last thing that its driver is told, and how many things before it."""
    *before, last = items
    (said,) = frames.FrameReader().feed(last.frame)
    return (said.error["code"] if isinstance(said, frames.Failed) else "done"), len(before)


def test_a_cancel_is_heard_while_a_file_is_fetched(actor, tmp_path):
    """Also while the daemon's machine is silent, and no further piece is asked for."""
    size = 3 * CHUNK
    far = FarFile(path="/home/me/song.flac", place="elsewhere/a/song.flac", size=size, changed=0)
    job = begin(actor, [far])
    first = next(job)
    assert isinstance(first, Wanted) and (first.start, first.end) == (0, CHUNK)
    actor.give(first.number, np.zeros(CHUNK, np.uint8))
    assert next(job).start == CHUNK
    actor.tell(frames.encode(frames.Cancel("x")))
    assert ended(job) == ("cancelled", 0)


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_cancel_is_heard_while_a_result_is_handed_over(actor, cancelled):
    """The rest of the files stays where it is, and goes; without a cancel all come."""
    actor._worker.lines = [frames.Done(job="x", result={})]
    job = begin(actor)
    assert next(job).name == "a.wav"
    if cancelled:
        actor.tell(frames.encode(frames.Cancel("x")))
    assert ended(job) == (("cancelled", 0) if cancelled else ("done", 1))
    assert not (actor._staging / "x").exists()


def test_a_preview_that_nobody_wants_does_not_end_the_job_before_its_worker_does(actor):
    """The worker still computes: its own last word is waited for, or the next job would get it."""
    actor._worker.lines = [tick(1), frames.Preview(job="x", file={"name": "a.wav"})]
    job = begin(actor)
    next(job)
    actor.tell(frames.encode(frames.Cancel("x")))
    assert ended(job) == ("cancelled", 0)
    assert actor._outlet.job.empty()


def test_a_job_whose_reader_is_gone_is_ended_before_the_next_one(actor):
    """Ray drops a job whose items it cannot keep; without this the next job would end with that one's last word."""
    actor._worker.lines = [tick(1), tick(2)]
    job = begin(actor)
    next(job)
    job.close()
    assert actor._outlet.job.empty() and not actor._cancelled
    actor._worker.lines = [frames.Done(job="x", result={})]
    assert ended(begin(actor)) == ("done", 2)
