"""What keeps a daemon out of a cluster, in one sentence each. Nothing here starts Ray; its words are recordings of 2.60."""

from __future__ import annotations

import subprocess
import sys

import pytest

from acestep.api.errors import BadRequest, NotAllowed, Unavailable
from bridge.cluster import command, joining
from bridge.cluster.joining import explain_join, places_of, require_token
from bridge.cluster.losses import explain_words
from bridge.core.fleet import Fleet
from bridge.core.lanes import Lane, suits
from bridge.core.records import Needs
from bridge.daemon import require_packages
from bridge.devices import Device
from bridge.settings import Settings, resolve


@pytest.fixture
def no_token(monkeypatch, tmp_path):
    """A user without a Ray token."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_cluster_that_others_can_reach_is_joined_with_a_token_only(no_token, monkeypatch):
    """On loopback none is needed; a file, a variable or a named file is one, and a mode that switches it off is none."""
    require_token("127.0.0.1:6379")
    require_token("auto")  # its address is known, and looked at, once it was found
    for address in ("10.0.0.5:6379", "studio.local:6379", "[fe80::1]:6379"):
        with pytest.raises(NotAllowed, match="is joined with a Ray token only"):
            require_token(address)
    (no_token / ".ray").mkdir()
    (no_token / ".ray" / "auth_token").write_text("secret")
    require_token("10.0.0.5:6379")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(NotAllowed):
        require_token("10.0.0.5:6379")


def test_serve_refuses_at_the_start_what_cannot_work(no_token, monkeypatch):
    """Without a token, without the package, on another system: before a door is open."""
    wish = Settings(executor="ray", ray_address="10.0.0.5:6379")
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(NotAllowed, match="ray get-auth-token"):
        require_packages(wish)
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"acestep-bridge\[cluster\]"):
        require_packages(wish)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Unavailable, match="--connect HOST:PORT"):
        require_packages(wish)


def test_an_address_is_host_and_port():
    """Anything else is refused with an example."""
    for text in ("10.0.0.5", "http://a:1/", "", "a b:1", "host:"):
        with pytest.raises(BadRequest, match="is not the address of a head"):
            resolve({"executor": "ray", "ray_address": text}, environment={})
    for text in ("auto", "10.0.0.5:6379", "[::1]:6379", "studio-1.local:6379"):
        assert resolve({"ray_address": text}, environment={}).settings.ray_address == text


WORDS = {
    "Version mismatch: The cluster was started with:\n    Ray: 2.55.0\n    Python: 3.12.3\nThis process on node 10.0.0.2 was "
    "started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n": "has Ray 2.55.0 and Python 3.12.3, this machine has Ray 2.60.0 and",
    "Failed to connect to Ray cluster at 10.0.0.5:6379": "does not take this machine's token",
    "Token authentication is enabled but no authentication token was found": "does not take this machine's token",
    "Could not find any running Ray instance. Please specify the one to connect to by setting `--address`": "no Ray cluster runs",
    "Can't find a `node_ip_address.json` file from /tmp/ray. Have you started Ray instance using `ray start`?": "is not a node of",
}


@pytest.mark.parametrize("words", WORDS)
def test_ray_says_it_in_its_own_words_and_the_user_hears_one_sentence(words):
    """Versions, token, no cluster, not a node."""
    error = explain_join(words, "10.0.0.5:6379")
    assert WORDS[words] in error.message and "\n" not in error.message and "Traceback" not in error.message


def test_a_node_without_our_package_is_told_from_one_without_a_library():
    """The words are Ray's when an actor's module does not import there. On one machine both nodes share an environment."""
    words = (
        "The actor with name NodeWorker failed to import on the worker.\nModuleNotFoundError: No module named 'bridge'"
    )
    assert "the node box has no acestep-bridge; install this version" in explain_words(words, "box").message
    assert "the node box has no torch;" in explain_words(words.replace("bridge", "torch"), "box").message
    assert explain_words("The actor died unexpectedly", "box") is None


def node(name, **resources):
    """A row of `ray.nodes`."""
    identity = resources.pop("identity", name * 8)
    row = {"NodeID": identity, "Alive": True, "NodeName": name, "NodeManagerAddress": name, "NodeManagerHostname": name}
    return {**row, "Resources": {key.replace("__", "."): value for key, value in resources.items()}}


def test_a_place_for_each_gpu_or_as_many_as_the_node_counts():
    """A node with neither has none, and one that counts none has none; what a node is for is a resource of its own."""
    found = places_of(
        [
            node("a", GPU=2.0),
            node("b", CPU=8.0),
            node("c", acestep=1.0, acestep__planner=1.0),
            node("d", GPU=4.0, acestep=0.0),
        ]
    )
    assert [(place.key, place.gpu, place.can) for place in found] == [
        ("a/0", True, ()), ("a/1", True, ()), ("c/0", False, ("planner",))]  # fmt: skip
    twins = places_of([node("a", acestep=1.0, identity="11111111xx"), node("a", acestep=1.0, identity="22222222xx")])
    assert [place.key for place in twins] == ["a~11111111/0", "a~22222222/0"]


class Rooms:
    """An executor that has never run anything (a stand-in for lanes)."""

    gone, room, degraded, ready = "", None, False, True

    def __init__(self, device, models=None):
        self.device, self._models = device, models

    def lacks(self, models):
        return self._models is not None and not set(models) <= set(self._models)


def test_jobs_go_where_their_models_and_folders_are():
    """A node without the model is passed over, unless none has it: then the node says what it lacks."""
    here = Lane(Rooms(Device("cpu")))
    without = Lane(Rooms(Device("ray:0", far=True), models=["nano"]))
    with_it = Lane(Rooms(Device("ray:1", far=True, also=("planner",)), models=["nano", "xl"]))
    lanes = [here, without, with_it]
    needs = Needs(models=("xl",))
    assert [suits(lane, needs, lanes) for lane in lanes] == [True, False, True]
    assert suits(without, needs, [without])
    assert [suits(lane, Needs(device="planner"), lanes) for lane in lanes] == [False, False, True]
    assert [suits(lane, Needs(at_home=True), lanes) for lane in lanes] == [True, False, False]


def test_lanes_keep_their_names_while_nodes_come_and_go():
    """The first driver takes any place; the others get lanes of their own; one that comes back finds its own."""

    class Quiet(Rooms):
        started = 0

        def start(self):
            self.started += 1

        def adopt(self, device):
            self.device = device

    import bridge.core.fleet as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LocalExecutor", Quiet)
        fleet = Fleet([Device(far=True)], Quiet)
        left, right = ({"place": f"{name}/0", "node": name, "can": []} for name in ("left", "right"))
        assert not fleet.all_known
        fleet.told_of_places({**right, "places": [left, right]})
        fleet.told_of_places({**left, "places": [right]})
        fleet.told_of_places({"places": [{**left, "can": ["planner"]}, right]})
    assert [(one.device.name, one.device.option, one.device.also) for one in fleet.executors] == [
        ("ray:0", "right/0", ()),
        ("ray:1", "left/0", ("planner",)),
    ]
    assert fleet.all_known and fleet.only_far


def test_ray_is_imported_by_drivers_and_nodes_only():
    """The daemon, the command line and all their modules start without it."""
    modules = "bridge.daemon, bridge.core.service, bridge.cli.__main__, bridge.cluster.command"
    code = f"import sys, {modules}; print('ray' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )
    assert joining.split_address("[::1]:6379") == ("::1", 6379)
