"""The clients: found by the connection file, typed errors, reconnecting, files, and nothing lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

import bridge
from acestep.api.errors import BadRequest, Cancelled, CorruptAudio, DaemonUnreachable, DiskFull, NotFound, Unauthorized
from bridge.client import aio, transfers
from bridge.client.aio import AsyncClient
from bridge.client.osc import OscClient
from bridge.client.sync import Client
from bridge.doors import limits
from bridge.doors.limits import CHUNK
from bridge.doors.rpc import codec


@pytest.fixture
def client(house):
    """A blocking client that found its daemon through the connection file."""
    with Client(house.home) as client:
        yield client


def test_importing_bridge_is_cheap_and_has_the_clients():
    """``bridge.Client`` and ``bridge.AsyncClient`` are imported when they are used, without torch."""
    assert (bridge.Client, bridge.AsyncClient) == (Client, AsyncClient)
    code = "import sys, bridge; assert 'msgspec' not in sys.modules; bridge.Client; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_run_gives_the_result(client):
    """Submit, wait, files."""
    seen = []
    job = client.submit("sketch", {"steps": 3}, id="a")
    view = client.wait(job, progress=seen.append)
    assert (job, view["state"]) == ("a", "done")
    assert [data["step"] for data in seen][:1] == [1]
    assert client.run("sketch", {"start": 7})["files"][0]["start"] == 7
    assert [job["id"] for job in client.jobs(search="a", states=["done"])][-1] == "a"
    assert client.describe("sketch")[0]["name"] == "sketch"
    assert client.status()["state"] == "ok"


def test_events_come_once_and_in_order(client):
    """From accepted to done, seq growing."""
    client.submit("sketch", {"steps": 5}, id="a")
    events = list(client.events("a"))
    assert (events[0]["kind"], events[-1]["kind"]) == ("accepted", "done")
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})


def test_errors_are_the_daemons_own(client):
    """Typed, with field and limits; a failed or cancelled job raises when its result is asked for."""
    with pytest.raises(BadRequest) as caught:
        client.submit("sketch", {"steps": 1000})
    assert (caught.value.field, caught.value.limits["max"]) == ("steps", 100)
    with pytest.raises(DiskFull):
        client.run("sketch", {"fail": "disk_full"})
    client.submit("sketch", {"hold": True}, id="held")
    assert client.cancel("held")["state"] == "cancelled"
    with pytest.raises(Cancelled):
        client.result("held")


def test_a_restarted_daemon_is_found_again(client, house):
    """The call that meets the broken connection is repeated over a new one."""
    client.submit("sketch", id="a")
    house.reopen()
    assert client.wait("a")["state"] == "done"


def test_without_a_daemon_it_says_so_at_once(tmp_path, house):
    """No connection file, nobody listening, a file that is none, a wrong token."""
    with pytest.raises(DaemonUnreachable, match="no daemon is running"):
        Client(str(tmp_path / "nowhere")).status()
    with pytest.raises(DaemonUnreachable, match="no daemon answers"):
        Client(host="127.0.0.1", port=1).status()
    with pytest.raises(Unauthorized):
        Client(host="127.0.0.1", port=house.port, token="wrong").status()
    house.connection.write_text("[]")
    with pytest.raises(DaemonUnreachable, match="connection file"):
        Client(house.home).status()


def test_a_wait_can_be_bounded(client):
    """When the time is up the job goes on."""
    client.submit("sketch", {"hold": True}, id="a")
    with pytest.raises(DaemonUnreachable, match="did not end"):
        client.wait("a", timeout=0.2)
    assert client.job("a")["state"] == "running"


def test_threads_take_turns(client):
    """Calls from several threads do not mix up their answers."""
    wrong = []

    def ask(n):
        for _ in range(50):
            if client.call("ping", {"n": n}) != {"n": n}:
                wrong.append(n)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("size", [1, CHUNK, CHUNK + 1])
def test_files_go_both_ways(client, house, tmp_path, size):
    """Uploaded in chunks and checked; downloaded, taken up where it broke off, and checked."""
    source = tmp_path / "source.wav"
    source.write_bytes(os.urandom(size))
    upload = client.upload(source)
    assert house.files.path(upload).read_bytes() == source.read_bytes()
    assert client.upload(source) == upload
    client.run("sketch")
    job = client.jobs()[0]["id"]
    target = tmp_path / "fetched.wav"
    target.write_bytes((house.core.folder / f"{job}.wav").read_bytes()[:1000])
    assert client.download(job, target).read_bytes() == (house.core.folder / f"{job}.wav").read_bytes()


def test_a_damaged_download_is_removed(tmp_path):
    """A sum or a size that differs raises; a missing file to upload is named."""
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    with pytest.raises(CorruptAudio):
        transfers.verify(path, {"name": "x", "size": 3, "sha256": "0" * 64})
    assert not path.exists()
    with pytest.raises(NotFound):
        transfers.announcement(path)


# asyncio


async def test_the_async_client_runs_many_jobs_at_once(house):
    """One connection, answers in any order."""
    async with AsyncClient(house.home) as client:
        results = await asyncio.gather(*(client.run("sketch", {"start": n}) for n in range(20)))
        assert [result["files"][0]["start"] for result in results] == list(range(20))
        with pytest.raises(DiskFull):
            await client.run("sketch", {"fail": "disk_full"})


async def test_an_event_stream_survives_a_restart(house):
    """The connection breaks in the middle; the stream goes on with the next seq, nothing twice."""
    async with AsyncClient(house.home) as client:
        await client.submit("sketch", {"steps": 40}, id="a")
        seqs, kinds = [], []
        async for event in client.events("a"):
            seqs.append(event["seq"])
            kinds.append(event["kind"])
            if len(seqs) == 3:
                await asyncio.to_thread(house.reopen)
    assert kinds[-1] == "done"
    assert seqs == sorted(set(seqs))


async def test_a_cancelled_run_cancels_its_job(house):
    """The task that waits is cancelled: so is the job."""
    async with AsyncClient(house.home) as client:
        task = asyncio.create_task(client.run("sketch", {"hold": True}))
        while not await house.core.jobs():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.jobs())[0]["state"] == "cancelled"


async def test_the_async_client_moves_files(house, tmp_path):
    """As the blocking one."""
    source = tmp_path / "source.wav"
    source.write_bytes(os.urandom(CHUNK + 5))
    async with AsyncClient(house.home) as client:
        upload = await client.upload(source)
        assert house.files.path(upload).read_bytes() == source.read_bytes()
        job = await client.submit("sketch")
        await client.result(job)
        assert (await client.download(job, tmp_path / "x")).stat().st_size == len(job) * 10_000
        assert (await client.status())["state"] == "ok"
        assert (await client.describe())[0]["name"] == "sketch"


async def test_the_async_client_says_when_nobody_is_there(tmp_path):
    """At once, as `DaemonUnreachable`."""
    with pytest.raises(DaemonUnreachable):
        await AsyncClient(str(tmp_path)).status()
    with pytest.raises(DaemonUnreachable):
        await AsyncClient(host="127.0.0.1", port=1).status()


async def test_a_daemon_that_falls_silent_is_given_up(monkeypatch):
    """It answers hello and nothing more, not even heartbeats: the call ends with `DaemonUnreachable`, not in eternity."""
    monkeypatch.setattr(aio, "SILENCE", 0.1)
    monkeypatch.setattr(aio, "RETRIES", ())

    async def answer_once(reader, writer):
        hello = codec.decode(await reader.read(65_536))
        writer.write(codec.response(hello.id, None, {}))
        await reader.read()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    async with AsyncClient(host="127.0.0.1", port=server.sockets[0].getsockname()[1]) as client:
        with pytest.raises(DaemonUnreachable, match="nothing was heard"):
            await client.status()
    server.close()


async def test_heartbeats_are_answered(house, monkeypatch):
    """An idle stream stays open past the time after which a silent client is closed."""
    monkeypatch.setattr(limits, "HEARTBEAT_SECONDS", 0.02)
    async with AsyncClient(house.home) as client:
        await client.status()
        connection = client._connection
        await asyncio.sleep(0.2)
        await client.status()
        assert client._connection is connection


# OSC alone


@pytest.fixture
def osc(house):
    """A client that speaks nothing but OSC."""
    with OscClient("127.0.0.1", house.osc["udp"]) as osc:
        yield osc


def test_a_job_over_osc_alone(osc):
    """Submit, progress, result, done; version and status as numbered answers; barrier."""
    osc.submit("sketch", {"steps": 3, "tracks": "a,b"}, id="a")
    heard = [message.address for message in osc.events("a")]
    assert heard[-2:] == ["/ace/result", "/ace/done"]
    assert osc.version()["program"] == "acestep-bridge"
    assert osc.status()["state"] == "ok"
    osc.sync(5)


def test_cancel_and_errors_over_osc(osc):
    """A cancel tells the state; a rejection raises its own type."""
    osc.submit("sketch", {"hold": 1}, id="a")
    assert osc.cancel("a") == "cancelled"
    assert [message.address for message in osc.events("a")][-1] == "/ace/cancelled"
    with pytest.raises(BadRequest) as caught:
        osc.submit("sketch", {"steps": 1000})
    assert caught.value.field == "steps"
    assert osc.receive(0.05) is None


def test_a_lost_answer_is_asked_for_again(osc, house, monkeypatch):
    """The first packets vanish: the retry has the same id, so there is one job."""
    lost = iter([True, True])
    send = osc._socket.send
    monkeypatch.setattr(osc, "_socket", _Losing(osc._socket, lost, send))
    osc.submit("sketch", id="a")
    assert len(asyncio.run(house.core.jobs())) == 1


class _Losing:
    """A socket that loses its first packets."""

    def __init__(self, sock, lost, send):
        self._sock, self._lost, self._send = sock, lost, send

    def send(self, data):
        return len(data) if next(self._lost, False) else self._send(data)

    def __getattr__(self, name):
        return getattr(self._sock, name)


def test_nobody_answers():
    """After four tries: `DaemonUnreachable`."""
    with OscClient("127.0.0.1", 9) as osc, pytest.raises(DaemonUnreachable):
        osc.ask("/ace/ping", 1, answers=("/ace/ping",))


class Silent:
    """The sending side of a connection, and a client that wants no events."""

    def close(self) -> None:
        """Nothing to close."""

    def write(self, data: bytes) -> None:
        """Nobody reads it."""

    def on_lost(self, connection: object) -> None:
        """Nothing to do."""


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_closes_while_something_comes(turns):
    """Whatever the loop is at when bytes and the end meet: the end is heard (an `asyncio.wait_for` could miss it)."""
    reader, silent = asyncio.StreamReader(), Silent()
    connection = aio._Connection(reader, silent, silent)
    await asyncio.sleep(0.01)
    reader.feed_data(codec.request(1, "ping", {}))
    for _ in range(turns):
        await asyncio.sleep(0)
    done, _ = await asyncio.wait({asyncio.create_task(connection.close())}, timeout=10)
    assert done
