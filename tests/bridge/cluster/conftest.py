"""A Ray cluster of two nodes on this machine, real in every part, and a core that computes on it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path

import pytest

from bridge.core.service import Service
from bridge.paths import Paths
from bridge.settings import Settings
from tests.bridge.core.conftest import Desk

TOKEN = "0123456789abcdef" * 4
STORE = 100 << 20


class TwoNodes:
    """A head without work of its own, and the nodes left and right, each with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self._shared = {"include_dashboard": False, "object_store_memory": STORE, "num_cpus": 1}
        self._folder = folder
        self._port = None
        self.begin()

    def begin(self) -> None:
        """Start the head, where it stood before, and both nodes."""
        from ray.cluster_utils import Cluster

        head = {**self._shared, "node_name": "head", **({"gcs_server_port": self._port} if self._port else {})}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = str(self.cluster.address)
        self._port = int(self.address.rpartition(":")[2])
        self.nodes = {}
        for name in ("left", "right"):
            self.add(name)

    def lose_head(self) -> None:
        """End the head as a power cut would, and with it in the end the whole cluster."""
        self.cluster.head_node.kill_gcs_server()
        self.cluster.shutdown()

    def home(self, name: str) -> Path:
        """The bridge's home on a node."""
        return self._folder / name

    def add(self, name: str, **variables: str) -> None:
        """Let a node join; for the planner's work, too, when it is the right one. ``variables``: of its environment."""
        resources = {"acestep": 1, **({"acestep.planner": 1} if name == "right" else {})}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ACESTEP_BRIDGE_HOME", str(self.home(name)))
            for variable, value in variables.items():
                patch.setenv(variable, value)
            self.nodes[name] = self.cluster.add_node(**self._shared, node_name=name, resources=resources)

    def kill(self, name: str) -> None:
        """End all processes of a node at once."""
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    """One cluster for a whole file of tests; whoever kills a node adds it again."""
    if not sys.platform.startswith("linux") or importlib.util.find_spec("ray") is None:
        pytest.skip("needs Linux and the package ray (the extra cluster), of which there is no wheel for every Python")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        nodes = TwoNodes(tmp_path_factory.mktemp("nodes"))
        yield nodes
        nodes.cluster.shutdown()


class Hall(Desk):
    """A core on the cluster."""

    length = 4800

    def row(self, node):
        """What status says of the lane of a node."""
        rows = self.service.status()["devices"]
        return next((row for row in rows if (row.get("info") or {}).get("node") == node), {})

    async def ready(self, *nodes):
        """Wait until each of these nodes takes jobs."""
        while not all(self.row(node).get("state") == "idle" for node in nodes):
            await asyncio.sleep(0.1)


@pytest.fixture
async def hall(two_nodes, tmp_path):
    """``await hall(**settings)``: a started core that computes on both nodes, which are ready."""
    opened = []

    async def start(**settings):
        wish = Settings(
            **{
                "home": str(tmp_path / "home"),
                "backend": "fake",
                "executor": "ray",
                "ray_address": two_nodes.address,
                "read_roots": [str(tmp_path)],
                "degraded_retry": 2.0,
                **settings,
            }
        )
        paths = Paths.of(wish)
        paths.create()
        opened.append(Service(wish, paths))
        await opened[-1].start()
        one = Hall(opened[-1])
        await one.ready("left", "right")
        return one

    yield start
    for service in opened:
        await service.stop()
