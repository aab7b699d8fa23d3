"""The daemon as a process: doors, lock, connection file, signals, and what a kill leaves behind."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from unittest.mock import ANY

import msgspec
import psutil
import pytest

from acestep.api.errors import AceError, DaemonUnreachable
from bridge import Client
from bridge.launch import FREE_PORTS, start_daemon
from bridge.settings import Settings

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and permissions")


def job(script="", **more):
    return {"caption": f"fake: {script}", "length": 480, "seed": 1, **more}


@pytest.fixture
def client():
    """``client(daemon)``: a connection that is closed at the end."""
    opened = []

    def connect(daemon):
        opened.append(Client(home=str(daemon.paths.home)))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def log_of(daemon):
    return daemon.output.read_text("utf-8")


def test_a_job_runs_through_a_real_daemon(daemon, client):
    """Process, door, store, worker, library."""
    one = daemon()
    me = client(one)
    me.submit("generate", job("steps=2"), id="x")
    assert me.wait("x")["state"] == "done"
    assert (one.paths.library / "x").is_dir()


def test_ready_says_where_the_doors_are(daemon):
    """One line of JSON on standard output with what the connection file says, but not the token."""
    one = daemon(token="a-secret-token", worker_start="lazy")
    (line,) = [line for line in log_of(one).splitlines() if line.startswith("ready ")]
    told = json.loads(line.removeprefix("ready "))
    assert told == {name: value for name, value in one.connection.items() if name != "token"}
    assert {"osc", "rpc", "http", "spool", "pid"} <= set(told)
    assert one.connection["token"] == "a-secret-token" and "a-secret-token" not in log_of(one)


@POSIX
def test_only_the_owner_reads_the_connection_file(daemon):
    """Mode 0600, and gone after the stop."""
    one = daemon(worker_start="lazy")
    assert stat.S_IMODE(one.paths.connection.stat().st_mode) == 0o600
    assert one.stop() == 0
    assert not one.paths.connection.exists()


def test_a_second_daemon_with_the_same_home_is_refused(daemon, tmp_path):
    """With a sentence, and without harm to the first."""
    home = tmp_path / "shared"
    one = daemon(home=home, worker_start="lazy")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bridge.cli",
            "serve",
            f"--home={home}",
            "--osc-port=0",
            "--rpc-port=0",
            "--http-port=0",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0 and "another daemon runs" in done.stderr and "Traceback" not in done.stderr
    assert one.connection["pid"] == one.process.pid


def test_a_taken_port_is_one_clear_sentence(daemon, tmp_path):
    """Which door, which port, and what to do."""
    one = daemon(worker_start="lazy")
    port = one.connection["rpc"]["port"]
    with pytest.raises(DaemonUnreachable, match=f"rpc door cannot open .* port {port}"):
        start_daemon({**FREE_PORTS, "home": tmp_path / "other", "backend": "fake", "rpc_port": port})


@pytest.mark.parametrize(
    ("settings", "missing"), [({"osc": False}, "token"), ({"token": "x" * 32, "osc": True}, "may send OSC")]
)
def test_listening_to_the_network_needs_protection(tmp_path, settings, missing):
    """A token for RPC and HTTP, addresses for OSC; without them the daemon does not start."""
    with pytest.raises(DaemonUnreachable, match=missing):
        start_daemon({**FREE_PORTS, "home": tmp_path / "home", "listen": "0.0.0.0", **settings})


@POSIX
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_loses_no_queued_job(daemon, client, tmp_path, kind):
    """What waits or runs is done by the next daemon of that home."""
    home = tmp_path / "home"
    one = daemon(home=home)
    me = client(one)
    jobs = [me.submit("generate", job("steps=20 delay=0.02"), id=f"j{number}") for number in range(3)]
    one.process.send_signal(kind)
    assert one.process.wait(20) == 0
    two = daemon(home=home)
    assert [client(two).wait(name)["state"] for name in jobs] == ["done"] * 3


def test_the_daemon_never_loads_tensor_code(daemon, client):
    """Not after jobs, status and describe either: no library of torch is mapped into it, and it stays under 80 MB."""
    one = daemon()
    me = client(one)
    me.submit("generate", job("steps=2"), id="x")
    me.wait("x")
    me.status(), me.describe(), me.call("models.list")
    process = psutil.Process(one.process.pid)
    if hasattr(process, "memory_maps"):
        assert [entry.path for entry in process.memory_maps() if "torch" in entry.path] == []
    assert process.memory_info().rss < 80_000_000


def test_the_log_has_job_ids_and_is_rotated(daemon, client):
    """One JSON object a line; never more than the number of files that the settings allow."""
    one = daemon(log_bytes=4096, log_files=2)
    me = client(one)
    for number in range(30):
        me.submit("generate", job("steps=1"), id=f"logged-{number}")
    me.wait("logged-29")
    files = sorted(one.paths.logs.glob("daemon.log*"))
    assert [path.name for path in files] == ["daemon.log", "daemon.log.1", "daemon.log.2"]
    rows = [json.loads(line) for line in files[0].read_text("utf-8").splitlines()]
    assert rows and all({"time", "level", "logger", "message"} <= set(row) for row in rows)
    assert any(row.get("job", "").startswith("logged-") for row in rows)


@POSIX
def test_the_worker_ends_with_a_killed_daemon(daemon, client):
    """kill -9 leaves no process behind."""
    one = daemon()
    me = client(one)
    me.submit("generate", job("steps=1"), id="x")
    me.wait("x")
    children = psutil.Process(one.process.pid).children(recursive=True)
    assert children
    one.process.kill()
    _, left = psutil.wait_procs(children, timeout=20)
    assert not left


def digest(home):
    """What the store says of every job, and what stands in the library."""
    connection = sqlite3.connect(home / "jobs.sqlite3")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    jobs = dict(connection.execute("SELECT id, state FROM jobs").fetchall())
    ends = dict(
        connection.execute(
            "SELECT jobs.id, COUNT(*) FROM events JOIN jobs ON jobs.number = events.job "
            "WHERE kind IN ('done', 'failed', 'cancelled', 'interrupted') GROUP BY jobs.id"
        ).fetchall()
    )
    connection.close()
    return jobs, ends, sorted(path.name for path in (home / "library").iterdir())


@POSIX
def test_kill_9_of_the_daemon_loses_nothing(daemon, client, tmp_path):
    """At random moments of a scripted run: every accepted job ends exactly once, has one whole result, and the store is sound.

    A small number of kills; ``python -m benchmarks.reliability`` does 200.
    """
    rng = random.Random(1)
    home = tmp_path / "home"
    accepted = []
    for round_number in range(4):
        one = daemon(home=home)
        me = client(one)
        deadline = time.monotonic() + rng.uniform(0.0, 1.0)
        while time.monotonic() < deadline:
            name = f"r{round_number}-{len(accepted)}"
            me.submit("generate", job("steps=2 delay=0.01"), id=name)
            accepted.append(name)
            time.sleep(0.02)
        one.process.kill()
        one.process.wait()
    last = daemon(home=home)
    me = client(last)
    states = {name: me.wait(name)["state"] for name in accepted}
    assert set(states.values()) <= {"done", "interrupted"}
    last.stop()
    jobs, ends, folders = digest(home)
    assert jobs == states and set(ends.values()) <= {1} and set(ends) == set(accepted)
    assert folders == sorted(name for name, state in states.items() if state == "done")
    assert all((home / "library" / name / "result.json").is_file() for name in folders)


def plans(home):
    """The thought of every job that has its plan and waits to be rendered, or was being rendered."""
    with contextlib.closing(sqlite3.connect(home / "jobs.sqlite3")) as connection:
        rows = connection.execute("SELECT id, planned FROM jobs WHERE planned IS NOT NULL").fetchall()
    return {name: msgspec.msgpack.decode(plan)["conditioning"]["cot_text"] for name, plan in rows}


@POSIX
@pytest.mark.slow
@pytest.mark.long
def test_kill_9_between_plan_and_render_plans_nothing_twice(daemon, client, tmp_path):
    """Jobs that are planned on one device and rendered on another: whatever plan a killed daemon had stored is the one rendered."""
    rng = random.Random(2)
    home, accepted, seen = tmp_path / "home", [], {}
    devices = {"device": "cpu:1", "planner_device": "cpu:0"}
    for round_number in range(3):
        one = daemon(home=home, devices="cpu,cpu")
        me = client(one)
        for number in range(4):
            name = me.submit(
                "generate", job("steps=5 delay=0.05", thinking=True), id=f"r{round_number}-{number}", **devices
            )
            accepted.append(name)
        next(event for event in me.events(accepted[-4]) if event["kind"] == "suspended")
        time.sleep(rng.uniform(0.0, 0.3))
        one.process.kill()
        one.process.wait()
        for name, thought in plans(home).items():
            assert seen.setdefault(name, thought) == thought
    me = client(daemon(home=home, devices="cpu,cpu"))
    views = {name: me.wait(name) for name in accepted}
    assert seen and {view["state"] for view in views.values()} <= {"done", "interrupted"}
    for name, view in views.items():
        if view["state"] == "done":
            assert me.result(name)["data"]["cot_text"] == seen.get(name, ANY)
    assert plans(home) == {} and set(digest(home)[1].values()) == {1}


@POSIX
def test_kill_9_of_the_worker_ends_one_job_at_a_time(daemon, client):
    """The daemon stays, every job ends, descriptors do not grow. ``python -m benchmarks.reliability`` does 100."""
    one = daemon()
    me = client(one)
    process = psutil.Process(one.process.pid)
    me.wait(me.submit("generate", job("steps=1"), id="warm"))
    before = process.num_fds()
    for number in range(3):
        name = me.submit("generate", job("steps=500 delay=0.01", length=number + 1), id=f"k{number}")
        next(event for event in me.events(name) if event["kind"] == "progress")
        psutil.Process(me.status()["worker"]["pid"]).kill()
        assert me.wait(name)["error"]["code"] == "worker_died"
        assert me.wait(me.submit("generate", job("steps=1"), id=f"good{number}"))["state"] == "done"
    assert one.process.poll() is None and process.num_fds() <= before


@POSIX
def test_a_stale_connection_file_is_replaced(daemon, tmp_path):
    """One that a killed daemon left names a process that is gone."""
    home = tmp_path / "home"
    one = daemon(home=home, worker_start="lazy")
    one.process.kill()
    one.process.wait()
    assert one.paths.connection.exists()
    two = daemon(home=home, worker_start="lazy")
    assert two.connection["pid"] == two.process.pid


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.getuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path):
    """Not a traceback."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o500)
    with pytest.raises(DaemonUnreachable, match="home"):
        start_daemon({**FREE_PORTS, "home": home})


def limited(home, size):
    """A daemon whose processes cannot write a file beyond ``size`` bytes, as on a disk that is full."""
    code = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); "
        "from bridge.settings import resolve; from bridge.daemon import main; "
        f"sys.exit(main(resolve({{'home': {str(home)!r}, 'backend': 'fake', 'osc_port': 0, 'rpc_port': 0, 'http_port': 0}})))"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@POSIX
def test_a_disk_that_fills_up_fails_jobs_by_name_and_nothing_else(tmp_path):
    """A result that does not fit is `disk_full`; a smaller one goes through afterwards; the store stays sound."""
    process = limited(tmp_path / "home", 2_000_000)
    try:
        assert process.stdout.readline().startswith(b"ready")
        with Client(home=str(tmp_path / "home")) as me:
            view = me.wait(me.submit("generate", job("steps=1", length=2_000_000), id="big"))
            assert view["error"]["code"] == "disk_full" and view["error"]["retryable"]
            assert me.wait(me.submit("generate", job("steps=1"), id="small"))["state"] == "done"
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
    jobs, ends, folders = digest(tmp_path / "home")
    assert (jobs, folders) == ({"big": "failed", "small": "done"}, ["small"]) and set(ends.values()) == {1}


def test_settings_reach_the_daemon_from_a_file(daemon, client, tmp_path):
    """``config.toml`` in the home, as a user writes it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text("queue_length = 2\nworker_start = 'lazy'\n")
    me = client(daemon(home=home))
    assert me.status()["limits"]["jobs"] == 2


def test_a_misspelt_setting_stops_the_start(tmp_path):
    """Better no daemon than one that does not do what the file says."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text("queue_lenght = 2\n")
    with pytest.raises(DaemonUnreachable):
        start_daemon({**FREE_PORTS, "home": home})
    assert "did you mean 'queue_length'" in (home / "logs" / "daemon-output.log").read_text("utf-8")


def test_errors_over_a_door_are_the_cores_own(daemon, client):
    """The same code words, field and limits that the core raises."""
    me = client(daemon(worker_start="lazy"))
    with pytest.raises(AceError) as caught:
        me.submit("generate", {"bpm": 1.0}, id="x")
    assert (caught.value.code, caught.value.field) == ("bad_request", "bpm") and caught.value.limits["min"] == 30.0


def test_a_feature_is_switched_on_while_the_daemon_runs(daemon, client, tmp_path):
    """Hidden with a sentence, then there, then hidden again; nothing restarts."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "extra.py").write_text(
        "from acestep.api import Operation, Request, hookimpl\n"
        "class Nothing(Request): pass\n"
        "@hookimpl\n"
        "def register_operations(register):\n"
        "    register(Operation(name='extra', summary='x', schema=Nothing, runs='daemon', feature='new-thing'))\n"
    )
    me = client(daemon(plugin_folder=folder, worker_start="lazy"))

    def shown():
        return "extra" in {entry["name"] for entry in me.call("describe")["operations"]}

    with pytest.raises(AceError, match="new-thing"):
        me.submit("extra")
    assert not shown()
    me.call("features.set", {"name": "new-thing", "on": True})
    assert shown()
    me.call("features.set", {"name": "new-thing", "on": False})
    assert not shown()


def test_defaults_are_loopback_and_without_a_token():
    """What a musician gets without any configuration."""
    wish = Settings()
    assert (wish.listen, wish.token, wish.osc_port, wish.rpc_port, wish.http_port) == (
        "127.0.0.1",
        "",
        9700,
        9701,
        9702,
    )
