"""What other users of the machine could write or read, a stop that a hanging disk would keep from its end, two set-ups at once."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from acestep.api.errors import DaemonUnreachable, NotAllowed
from acestep.api.registry import PluginState, Registry
from bridge import bootstrap
from bridge import daemon as daemon_module
from bridge.client.daemon_address import find_daemon
from bridge.paths import Paths
from bridge.settings import Settings

pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")

PLUGIN = """
from acestep.api import hookimpl

@hookimpl
def register_samplers(register):
    pass
"""


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "loads"),
    [(0o700, 0o600, True), (0o755, 0o644, True), (0o775, 0o664, True), (0o777, 0o644, False), (0o755, 0o666, False),
     (0o1777, 0o644, False), (0o707, 0o604, False)],
)  # fmt: skip
def test_a_plugin_that_others_could_write_is_not_run(tmp_path, folder_mode, file_mode, loads):
    """The reason says which place, and how to protect it."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    file = folder / "mine.py"
    file.write_text(PLUGIN + f"\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n")
    file.chmod(file_mode)
    folder.chmod(folder_mode)
    registry = Registry.load(folder=folder, entry_points=False)
    (report,) = registry.plugins
    assert (tmp_path / "ran").exists() == loads
    assert (report.state is PluginState.ENABLED) == loads
    if not loads:
        assert report.state is PluginState.LOAD_ERROR
        assert "chmod o-w" in report.reason


@pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_user_is_neither_run_nor_believed(tmp_path, monkeypatch):
    """A plug-in, a runtime folder, a connection file: each of them would be somebody else's word."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "mine.py").write_text(PLUGIN)
    os.chown(folder / "mine.py", 12345, 12345)
    (report,) = Registry.load(folder=folder, entry_points=False).plugins
    assert "belongs to another user" in report.reason
    paths = Paths.of(Settings(home=str(tmp_path / "home")))
    paths.create()
    paths.connection.write_text('{"pid": 1, "rpc": {"port": 9701}}')
    os.chown(paths.connection, 12345, 12345)
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    with pytest.raises(DaemonUnreachable) as caught:
        find_daemon(str(tmp_path / "home"))
    assert "another user" in caught.value.message
    monkeypatch.undo()
    os.chown(paths.runtime, 12345, 12345)
    with pytest.raises(NotAllowed) as refused:
        paths.create()
    assert str(paths.runtime) in refused.value.message


def test_a_link_in_place_of_the_runtime_folder_is_refused(tmp_path):
    """It could lead into a folder of somebody else."""
    paths = Paths.of(Settings(home=str(tmp_path / "home")))
    (tmp_path / "elsewhere").mkdir()
    paths.runtime.parent.mkdir()
    paths.runtime.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotAllowed):
        paths.create()


def test_nobody_else_reads_store_and_logs(daemon, tmp_path):
    """Even where the home was made open to all, and the user's own files are."""
    home = tmp_path / "open"
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "daemon.log").write_text("")
    for path in (home, home / "logs", home / "logs" / "daemon.log"):
        path.chmod(0o777)
    before = os.umask(0)
    try:
        house = daemon(home=home)
    finally:
        os.umask(before)
    readable = []
    for path in (
        home / "jobs.sqlite3",
        *home.glob("jobs.sqlite3-*"),
        *(home / "logs").iterdir(),
        *(home / "runtime").iterdir(),
    ):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            readable.append(path.name)
    assert readable == []
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    house.stop()


HANGING = """
import time
from acestep.audio import sniff

def hang(path):
    time.sleep(3600)

sniff.probe = sniff.sniff = hang
"""


def test_a_stop_comes_to_its_end_while_a_disk_hangs(daemon, tmp_path, sound_file):
    """A check of a request and the loop's own helpers wait for a disk that never answers (stood in for by a plug-in that sleeps);
    SIGTERM still ends the daemon, and the next one starts."""
    from bridge.client import Client

    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o700)
    (plugins / "hanging.py").write_text(HANGING)
    house = daemon(plugin_folder=plugins, worker_start="lazy", admission_seconds=300)
    before = psutil.Process(house.process.pid).num_threads()
    waiting = subprocess.Popen(
        [sys.executable, "-P", "-c", f"from bridge.client import Client; Client({str(house.paths.home)!r}, timeout=300)"
         f".submit('repaint', {{'source': {str(sound_file())!r}, 'start': 0, 'end': 480}})"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with Client(str(house.paths.home)) as client:
        deadline = time.monotonic() + 15
        while psutil.Process(house.process.pid).num_threads() <= before and time.monotonic() < deadline:
            assert client.status()["state"] == "ok"
            time.sleep(0.1)
    house.process.send_signal(signal.SIGTERM)
    house.process.wait(daemon_module.STOP_SECONDS + 60)
    waiting.kill()
    waiting.wait()
    again = daemon(home=house.paths.home, worker_start="lazy")
    assert again.process.poll() is None


@pytest.mark.parametrize("how", ["loop", "thread"])
def test_a_stop_that_does_not_end_is_forced(tmp_path, how):
    """The loop itself, or a thread that the loop's end waits for, sleeps for an hour: a second after SIGTERM it is over."""
    script = f"""
import asyncio, os, signal, time
from bridge import daemon
daemon.STOP_SECONDS = 1.0

async def main():
    asked = asyncio.Event()
    with daemon._stop_signals(asked.set):
        if {how!r} == "thread":
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
        os.kill(os.getpid(), signal.SIGTERM)
        await asked.wait()
        if {how!r} == "loop":
            time.sleep(3600)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "did not stop" in done.stderr


def test_two_set_ups_wait_for_each_other(tmp_path):
    """The second says what it waits for, and goes on when the first has ended, however it ended."""
    script = (
        f"import sys, time; sys.path.insert(0, {str(Path(bootstrap.__file__).parent)!r}); import bootstrap; "
        f"from pathlib import Path; bootstrap.LOCK = Path({str(tmp_path / 'lock')!r})\n"
        "with bootstrap.one_at_a_time():\n print('in', flush=True); time.sleep(float(sys.argv[1]))"
    )
    first = subprocess.Popen([sys.executable, "-P", "-c", script, "3600"], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "in\n"
    second = subprocess.Popen([sys.executable, "-P", "-c", script, "0"], stdout=subprocess.PIPE, text=True)
    said = second.stdout.readline()
    assert "another run.py" in said
    first.kill()
    first.wait()
    assert second.stdout.readline() == "in\n"
    assert second.wait(60) == 0
    first.stdout.close()
    second.stdout.close()
