"""A real daemon under bad conditions: lossy networks, hostile packets, many messages. Counts and states; times are a benchmark."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter

import httpx
import psutil
import pytest

from acestep.api.errors import Unauthorized
from bridge.client import Client
from bridge.client.osc import OscClient
from bridge.testing.hostile import attack
from bridge.testing.hostile_http import attack as attack_http
from bridge.testing.lossy import LossyProxy
from bridge.testing.retries import submit_all

JOB = {"caption": "fake: steps=1", "duration": 0.1}


def test_a_lossy_network_makes_no_job_too_many_or_too_few(daemon):
    """20 % lost, 10 % doubled, 10 % out of order, both ways: as many jobs as were submitted, each once."""
    house = daemon()
    names = {f"job-{number}" for number in range(100)}
    target = ("127.0.0.1", house.connection["osc"]["udp"])
    with LossyProxy(target) as proxy, OscClient("127.0.0.1", proxy.port) as osc:
        answered = submit_all(osc, "generate", sorted(names), JOB)
        assert proxy.lost > 0
    assert set(answered) == names
    with Client(str(house.paths.home)) as client:
        assert {client.wait(name)["state"] for name in names} == {"done"}
        jobs = [job["id"] for job in client.jobs(limit=1000)]
    assert sorted(jobs) == sorted(names)


def test_hostile_packets_disturb_nobody(daemon):
    """Good jobs finish while bad packets and frames come in; the log has no traceback."""
    house = daemon()
    doors = house.connection
    ports = (doors["osc"]["udp"], doors["osc"]["tcp"], doors["rpc"]["port"])
    enemy = threading.Thread(target=attack, args=(*ports, 5_000))
    with Client(str(house.paths.home)) as client:
        enemy.start()
        states = [client.wait(client.submit("generate", JOB))["state"] for _ in range(10)]
        enemy.join()
        assert client.status()["state"] == "ok"
    assert states == ["done"] * 10
    log = house.output.read_text()
    assert "Traceback" not in log
    assert psutil.Process(doors["pid"]).memory_info().rss < 200 * 2**20


def test_a_burst_of_messages_arrives_whole(daemon):
    """A thousand questions without a pause between them: a thousand answers."""
    house = daemon()
    with OscClient("127.0.0.1", house.connection["osc"]["udp"]) as osc:
        for number in range(1000):
            osc.send("/ace/ping", number)
        answers = set()
        while len(answers) < 1000 and (message := osc.receive(5.0)) is not None:
            answers.add(message.arguments[0])
    assert answers == set(range(1000))


def test_the_doors_need_no_torch():
    """Importing every door, the clients and the reference leaves torch alone."""
    modules = "bridge.doors.osc.sockets, bridge.doors.rpc.door, bridge.doors.spool.door, bridge.doors.http.server"
    modules += ", bridge.doors.mcp.stdio, bridge.doors.mcp.http, bridge.doors.gradio.door"
    code = f"import sys, {modules}, bridge.client.aio, bridge.client.osc, bridge.doors.reference\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("door", ["osc", "rpc", "jsonrpc", "http", "spool"])
def test_a_door_can_stay_closed(daemon, door):
    """The others work without it, and the connection file does not name it."""
    house = daemon(**{door: False})
    assert door not in house.connection
    if door != "rpc":
        with Client(str(house.paths.home)) as client:
            assert door not in client.status()["doors"]


def test_on_the_network_every_door_asks_for_its_protection(daemon):
    """RPC and HTTP want the token even from this machine's own address; OSC wants an allowed sender; the connection file helps."""
    house = daemon(listen="0.0.0.0", token="secret", osc_allow=["10.0.0.0/8"])
    doors = house.connection
    with Client(host="127.0.0.1", port=doors["rpc"]["port"]) as stranger, pytest.raises(Unauthorized):
        stranger.status()
    with Client(host="127.0.0.1", port=doors["rpc"]["port"], token="secret") as friend:
        assert friend.status()["state"] == "ok"
    with Client(str(house.paths.home)) as owner:
        assert owner.status()["state"] == "ok"
    page = f"http://127.0.0.1:{doors['http']['port']}/metrics"
    assert httpx.get(page).status_code == 401
    assert httpx.get(page, headers={"authorization": "Bearer secret"}).status_code == 200
    logs = [house.output, *house.paths.logs.iterdir()]
    assert len(logs) > 1 and all("secret" not in log.read_text() for log in logs)


@pytest.mark.long
def test_hostile_requests_disturb_nobody(daemon):
    """Others are answered while bad requests come in over HTTP; none makes the daemon fail, and the log has no traceback."""
    house = daemon(jobs_per_client=100_000, queue_length=100_000, worker_start="lazy")
    port = house.connection["http"]["port"]
    seen = Counter()
    enemy = threading.Thread(target=lambda: seen.update(attack_http(port, 2_000)))
    with (
        Client(str(house.paths.home)) as client,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        client.call("queue.pause")  # some damaged requests are good ones, and their jobs would only take time
        enemy.start()
        while enemy.is_alive():
            task = http.post("/release_task", json={"prompt": "x"}, timeout=60).json()["data"]["task_id"]
            cancelled = http.post("/cancel_task", data={"task_id": task}, timeout=60).json()["data"]
            assert cancelled == {"task_id": task, "status": "cancelled"}
            assert client.status()["state"] == "ok"
            enemy.join(0.1)
    assert seen.total() >= 2_000
    assert not [status for status in seen if status.startswith("5") and status not in ("501", "503")], seen
    assert "Traceback" not in house.output.read_text()
    assert psutil.Process(house.connection["pid"]).memory_info().rss < 250 * 2**20
