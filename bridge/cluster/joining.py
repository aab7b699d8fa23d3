"""How a driver joins a Ray cluster, never starting one, and what keeps it from doing so, in one sentence each."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from acestep.api.errors import AceError, NotAllowed, Unavailable
from bridge.settings import AUTO_ADDRESS, LOOPBACK

NAMESPACE = "acestep-bridge"
ANSWER_SECONDS = 5.0
"""Time that the head gets to accept a connection."""

TOKEN_ADVICE = (
    "`ray get-auth-token --generate` makes one; copy it to ~/.ray/auth_token on every node, and start Ray with "
    "RAY_AUTH_MODE=token everywhere"
)

RESOURCE = "acestep"
"""Custom resource of a node: how many jobs it does at once where it has no GPU, or wants fewer than it has."""

ABILITY = re.compile(rf"{RESOURCE}\.([a-z][a-z0-9_]{{0,15}})")
"""Custom resource that says what a node is for; jobs ask for it by the last word."""


class ActorPlace(NamedTuple):
    """Where a lane's actor can stand: a node and a number on it."""

    key: str
    node: str
    node_id: str
    gpu: bool
    can: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """As it stands in the facts of a lane."""
        return {"place": self.key, "node": self.node, "can": list(self.can)}


def split_address(address: str) -> tuple[str, int]:
    """Host and port of a head's address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def has_token() -> bool:
    """Whether Ray would find a token here."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"
    return path.is_file() and path.stat().st_size > 0


def require_token(address: str) -> None:
    """Refuse a cluster that other machines can reach, where nothing protects it. Raises `NotAllowed`."""
    if address == AUTO_ADDRESS or not reaches_others(address):
        return
    if not has_token() or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        raise NotAllowed(
            f"the Ray cluster at {address} can be reached from other machines, and whoever reaches it can run code on "
            f"all of them; it is joined with a Ray token only: {TOKEN_ADVICE}",
            field="ray_address",
        )


def join(address: str) -> str:
    """Connect this process to the cluster; the head's address. Raises `AceError`."""
    if has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address != AUTO_ADDRESS:
        require_token(address)
        require_head(address)
    import ray

    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    except Exception as failure:  # Ray raises whatever it likes here; only its words tell the cases apart
        raise explain_join(str(failure), address) from failure
    found = str(ray.get_runtime_context().gcs_address)
    require_token(found)
    return found


def require_head(address: str) -> None:
    """See that something answers there. Raises `Unavailable`."""
    try:
        socket.create_connection(split_address(address), ANSWER_SECONDS).close()
    except OSError as failure:
        raise Unavailable(
            f"the head of the Ray cluster does not answer at {address} ({failure.strerror or failure}); "
            "`ray status` on its machine tells whether it runs",
            field="ray_address",
        ) from None


PROBE = (
    "import sys; from ray._raylet import GcsClient; print('asking', flush=True); "
    "GcsClient(address=sys.argv[1]).internal_kv_get(b'acestep', None, timeout=5); print('open', flush=True)"
)

PROBE_SECONDS = 3.0
"""Time in which a cluster that lets everybody in has answered; one that does not leaves whoever asks without an answer."""


class Stranger:
    """Somebody without a token who asks the cluster. In a process of its own, since Ray reads its mode once."""

    def __init__(self, address: str) -> None:
        self._address = address
        variables = {**os.environ, "RAY_AUTH_MODE": "disabled"}
        line = [sys.executable, "-P", "-c", PROBE, address]
        self._process = subprocess.Popen(line, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def refuse_open(self) -> None:
        """Raise `NotAllowed` when it got an answer."""
        assert self._process.stdout is not None
        try:
            self._process.stdout.readline()
            ready, _, _ = select.select([self._process.stdout], [], [], PROBE_SECONDS)
            answered = bool(ready) and self._process.stdout.readline() == b"open\n"
        finally:
            self._process.kill()
            self._process.wait()
        if answered:
            raise NotAllowed(
                f"the Ray cluster at {self._address} lets everybody in, token or not; stop it and start it again with a token: "
                f"{TOKEN_ADVICE}",
                field="ray_address",
            )


def reaches_others(address: str) -> bool:
    """Whether other machines can reach a head."""
    return split_address(address)[0] not in LOOPBACK


_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


def explain_join(words: str, address: str) -> AceError:
    """What Ray's own words about a failed connection mean."""
    versions = _VERSIONS.findall(words)
    if "Version mismatch" in words and len(versions) == 2:
        (theirs, their_python), (ours, our_python) = versions
        return Unavailable(
            f"the Ray cluster at {address} has Ray {theirs} and Python {their_python}, this machine has Ray {ours} and Python "
            f"{our_python}; every node needs the same versions",
            field="ray_address",
        )
    lower = words.lower()
    if ("auth" in lower and "token" in lower) or "failed to connect to ray cluster" in lower:  # somebody answered there
        return NotAllowed(
            f"the Ray cluster at {address} does not take this machine's token; every node needs the same one: {TOKEN_ADVICE}",
            field="ray_address",
        )
    if "could not find any running ray" in lower or (address == AUTO_ADDRESS and "ray start" in lower):
        return Unavailable(
            "no Ray cluster runs on this machine; start its head with `ray start --head`, or name another one with "
            "--ray-address HOST:PORT",
            field="ray_address",
        )
    if "raylet" in lower or "node_ip" in lower or "no node" in lower:
        return Unavailable(
            f"this machine is not a node of the Ray cluster at {address}; let it join without work of its own: "
            f"`ray start --address={address} --num-cpus=0 --num-gpus=0`",
            field="ray_address",
        )
    first = next((line.strip() for line in words.splitlines() if line.strip()), "no reason given")
    return Unavailable(f"the Ray cluster at {address} could not be joined: {first[:200]}", field="ray_address")


def find_places() -> list[ActorPlace]:
    """Where actors can stand now: one for each GPU of a node, or as many as its resource ``acestep`` says."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    names = Counter(node["NodeName"] for node in nodes)
    return places_of(
        [node for node in nodes if names[node["NodeName"]] == 1 or _answers(node)]
    )  # one may be back, and one dead


def places_of(nodes: list[dict[str, Any]]) -> list[ActorPlace]:
    """The places of the nodes that `ray.nodes` lists. A node is known by its name, by which it is the same when it comes back."""
    alive = sorted((node for node in nodes if node["Alive"]), key=lambda node: str(node["NodeID"]))
    names = [str(node.get("NodeName") or node["NodeManagerAddress"]) for node in alive]
    found = []
    for node, name in zip(alive, names, strict=True):
        resources, node_id = node["Resources"], str(node["NodeID"])
        unique = name if names.count(name) == 1 else f"{name}~{node_id[:8]}"
        gpus = int(resources.get("GPU", 0))
        count = int(resources.get(RESOURCE, gpus))
        can = tuple(sorted(match[1] for key in resources if (match := ABILITY.fullmatch(key))))
        shown = str(node.get("NodeManagerHostname") or name)
        found += [ActorPlace(f"{unique}/{slot}", shown if name == node["NodeManagerAddress"] else name, node_id, gpus > 0, can)
                  for slot in range(count)]  # fmt: skip
    return sorted(found)


def lives(place: ActorPlace) -> bool:
    """Whether a node is there: the head takes half a minute to find a dead one out, its own port tells at once."""
    import ray

    try:
        node = next((node for node in ray.nodes() if str(node["NodeID"]) == place.node_id and node["Alive"]), None)
    except Exception:  # whatever Ray raises when the head is gone
        return False
    return node is not None and _answers(node)


def _answers(node: dict[str, Any]) -> bool:
    try:
        socket.create_connection((node["NodeManagerAddress"], node["NodeManagerPort"]), ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def requirements(place: ActorPlace) -> dict[str, Any]:
    """What an actor there asks of its node."""
    import ray

    resources = ray_resources(place, {str(node["NodeID"]): node["Resources"] for node in ray.nodes()})
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    strategy = NodeAffinitySchedulingStrategy(node_id=place.node_id, soft=False)
    return {"num_cpus": 0, **resources, "scheduling_strategy": strategy}


def ray_resources(place: ActorPlace, known: dict[str, dict[str, float]]) -> dict[str, Any]:
    """A GPU where the node has one, and one of its places where it counts them."""
    counted = {"resources": {RESOURCE: 1}} if RESOURCE in known.get(place.node_id, {}) else {}
    return {"num_gpus": 1 if place.gpu else 0, **counted}
