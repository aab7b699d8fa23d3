"""What goes wrong on a node, in the words that the user hears. Nothing here starts Ray; its errors are its own classes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from acestep import __version__
from acestep.api import frames
from acestep.api.errors import (
    BadRequest,
    DiskFull,
    ModelMissing,
    Unavailable,
    WeightsChanged,
)
from acestep.checkpoints.families import find_models
from acestep.checkpoints.info import EMBEDDED
from acestep.checkpoints.installed import fingerprint
from bridge.cluster import driver, joining
from bridge.cluster.joining import ActorPlace
from bridge.cluster.node import NodeWorker
from bridge.cluster.parcel import Greeting
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
        ("disk", "DiskFull", "the disk behind the object store of the node box is full"),
        ("room", "Unavailable", "the node box gives no room"),
        ("task", "InternalError", "failed on the node box: ValueError"),
        ("memory", "WorkerDied", "the node had too little memory, and Ray ended it"),
        ("actor", "WorkerDied", "the process that did the job on the node box ended"),
        ("node", "NodeLost", "the node box was lost"),  # no fault of the job: it runs once more elsewhere
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


def test_a_node_of_another_version_gets_no_job(monkeypatch, lane):
    """Both versions are named, and what to do."""
    monkeypatch.setattr(joining, "join", lambda address: address)
    monkeypatch.setattr(joining, "find_places", lambda: [PLACE])
    monkeypatch.setattr(joining, "reaches_others", lambda head: False)
    monkeypatch.setattr(driver.Driver, "_watch", lambda self: None)
    monkeypatch.setattr(driver.Driver, "_greet", lambda self, place: Greeting(version="0.0.9"))
    with pytest.raises(Unavailable) as caught:
        lane.start()
    assert caught.value.message == (
        f"the node box has acestep-bridge 0.0.9, this machine has {__version__}; install the same version on both"
    )
