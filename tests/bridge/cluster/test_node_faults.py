"""What goes wrong on a node, in the words that the user hears. Nothing here starts Ray; its errors are its own classes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from acestep import __version__
from acestep.api import frames
from acestep.api.errors import (
    BadRequest,
    DiskFull,
    InternalError,
    ModelMissing,
    Unavailable,
    WeightsChanged,
    WorkerDied,
)
from acestep.checkpoints.families import find_models
from acestep.checkpoints.info import EMBEDDED
from acestep.checkpoints.installed import fingerprint
from bridge.cluster import driver, joining
from bridge.cluster.joining import ActorPlace
from bridge.cluster.losses import NodeLost, explain_loss
from bridge.cluster.node import NodeWorker
from bridge.cluster.parcel import Greeting, Wanted
from bridge.doors.reference import built_in

raised = pytest.importorskip("ray.exceptions")

PLACE = ActorPlace("box/0", "box", "b" * 56, True, ("cuda",))


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (
            raised.ObjectStoreFullError("Failed to put object"),
            DiskFull,
            "the object store of the node box is full; start Ray",
        ),
        (
            raised.OutOfDiskError("Local disk is full"),
            DiskFull,
            "the disk behind the object store of the node box is full",
        ),
        (raised.GetTimeoutError("timed out"), Unavailable, "the node box gives no room"),
        (raised.RayTaskError("run", "a trace", ValueError("odd")), InternalError, "failed on the node box: ValueError"),
        (
            raised.RayActorError(error_msg="The actor was killed: OOM"),
            WorkerDied,
            "the node had too little memory, and Ray ended it",
        ),
        (
            raised.RayActorError(error_msg="The actor is dead"),
            WorkerDied,
            "the process that did the job on the node box ended",
        ),
    ],
)
def test_each_loss_on_a_living_node_has_its_sentence(monkeypatch, failure, kind, words):
    """Without a word of Ray's own, and without its trace."""
    monkeypatch.setattr("bridge.cluster.losses.SURE_AFTER", 0.0)
    error = explain_loss(failure, PLACE)
    assert type(error) is kind and words in str(error) and "\n" not in str(error)


def test_a_node_that_is_gone_is_no_fault_of_the_job(monkeypatch):
    """Its lane ends, and the job runs once more elsewhere."""
    monkeypatch.setattr(joining, "lives", lambda place: False)
    assert isinstance(explain_loss(raised.RayActorError(error_msg="gone"), PLACE), NodeLost)


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


def test_a_full_store_of_this_machine_is_not_the_nodes(lane, monkeypatch, tmp_path):
    """The node that waits for a piece of a file hears it at once, with the machine whose store it is."""
    ray = pytest.importorskip("ray")
    given = []
    told = SimpleNamespace(remote=lambda *what: given.append(what))
    lane._actor = SimpleNamespace(give=SimpleNamespace(options=lambda **group: told))
    (tmp_path / "song.wav").write_bytes(b"sound")

    def full(value):
        raise raised.ObjectStoreFullError("Failed to put object")

    monkeypatch.setattr(ray, "put", full)
    lane._give(Wanted(7, str(tmp_path / "song.wav"), 0, 5))
    ((number, data, error),) = given
    assert (number, data, error["code"]) == (7, None, "disk_full")
    assert error["message"].startswith("the object store of the daemon's machine is full; start Ray there")


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
