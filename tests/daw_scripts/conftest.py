"""REAPER's stand-in with the installed scripts in a real Lua, and a project that lies on a disk."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from filelock import FileLock

from acestep.api.errors import DaemonUnreachable, ModelMissing
from acestep.families.ace_step_v1.tiny import build_tiny
from bridge import Client
from bridge.hosts import install
from bridge.launch import FREE_PORTS, DaemonProcess, read_connection, start_daemon
from bridge.paths import Paths

from . import lua_host
from .fake_reaper import FakeReaper, Item, Project, Source

RATE = 48_000
V1 = "v1-tiny"


def sound(path: Path, seconds: float = 32.0, rate: int = RATE, channels: int = 2) -> Path:
    """A file of quiet noise, the same every time."""
    noise = np.random.default_rng(7).uniform(-0.4, 0.4, (round(seconds * rate), channels))
    soundfile.write(path, noise, rate, subtype="PCM_24")
    return path


def set_environment(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Settings for daemons that hosts start: free ports, the fake engine, a folder that may be read."""
    for name, value in {**FREE_PORTS, "backend": "fake", "read_roots": folder}.items():
        patch.setenv(f"ACESTEP_BRIDGE_{name.upper()}", str(value))


@contextlib.contextmanager
def no_daemon_left(paths: Paths) -> Iterator[None]:
    """Whatever daemon runs at the end, of whomever, is stopped."""
    try:
        yield
    finally:
        with contextlib.suppress(DaemonUnreachable):
            daemon = psutil.Process(read_connection(paths)["pid"])
            daemon.terminate()
            daemon.wait(20)


class Desk:
    """The stand-in with installed scripts: run an action, let time pass."""

    def __init__(self, folder: Path, home: Path, version: str) -> None:
        self.folder = folder
        self.home = home
        self.version = version
        media = folder / "Söng" / "Media"
        media.mkdir(parents=True)
        self.project = Project(media.parent / "Söng.rpp", media)
        self.reaper = FakeReaper(self.project)
        self.last: Any = None
        self.scripts = folder / "REAPER" / "Scripts" / "acestep-bridge"

    def lua(self) -> Any:
        """A new Lua state, as REAPER gives every script its own."""
        lua = lua_host.runtime(self.version)
        lua.globals().reaper = self.reaper.table(lua)
        return lua

    def run(self, title: str) -> None:
        """Press the key of an action."""
        path = self.scripts / f"acestep-bridge_{title}.lua"
        lua = self.lua()
        lua.globals().reaper.get_action_context = lambda: (False, str(path), 0, 0, 0, 0, 0, "")
        lua.eval("function(path) assert(loadfile(path))() end")(str(path))

    def resident(self) -> None:
        """What the line in __startup.lua does."""
        self.lua().eval("function(folder) dofile(folder .. '/start.lua')(folder, 'resident') end")(
            str(self.scripts / "lib")
        )

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        """Let REAPER's loop run until something is true."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"it did not happen; messages: {self.reaper.messages}"
            self.reaper.tick()
            time.sleep(0.01)

    def waiting(self) -> list[dict[str, Any]]:
        """Jobs that the project waits for."""
        paths = list(self.project.media.glob("*.acestep-pending.json"))
        return [job for path in paths for job in json.loads(path.read_text("utf-8"))["jobs"]]


def loop_item(desk: Desk, position: float = 1.0, length: float = 30.0, offset: float = 0.5, **file: Any) -> Item:
    """A selected item of a 32 s file, trimmed at the front, and a selected stretch of it."""
    track = desk.project.add_track("Loop")
    source = Source(sound(desk.project.rpp.parent / "loop.wav", **file))
    item = desk.project.add_item(track, source, position, length, offset)
    item.selected = track.selected = True
    desk.project.loop = (9.0, 17.0)
    return item


def done(desk: Desk) -> bool:
    return bool(desk.reaper.deferred) and not desk.waiting() and not list((desk.home / "spool/requests").iterdir())


def finish(desk: Desk, takes: int, item: Item) -> None:
    desk.until(lambda: len(item.takes) >= takes and done(desk))


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One real daemon with the fake engine for all tests of this folder; it may read all their folders."""
    settings = {
        "home": tmp_path_factory.mktemp("daemon"),
        "backend": "fake",
        "read_roots": [tmp_path_factory.getbasetemp()],
    }
    with start_daemon({**FREE_PORTS, **settings}) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def v1_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of another family, written once."""
    return build_tiny(tmp_path_factory.mktemp("v1"))


@pytest.fixture
def v1(running: DaemonProcess, v1_folder: Path) -> Iterator[str]:
    """That model in the daemon of these tests, for as long as the test runs; its name."""
    root = Path(shutil.copytree(v1_folder, running.paths.checkpoints / v1_folder.name))
    with Client(str(running.paths.home)) as client:
        for _ in range(100):
            with contextlib.suppress(ModelMissing):  # a named model is looked for on the disk, which a list is not
                client.call("describe", {"operation": "generate", "model": V1})
                break
            time.sleep(0.3)
        else:
            pytest.fail(f"the daemon does not see {V1}")
        yield V1
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def only_ardour() -> Iterator[None]:
    """No other Ardour runs meanwhile, in whatever process of the tests: all of them answer OSC at the same port."""
    with FileLock(Path(tempfile.gettempdir()) / "acestep-bridge-tests-ardour.lock"):
        yield


@pytest.fixture(params=["53", "54"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """REAPER 6 (Lua 5.3) and REAPER 7 (Lua 5.4), scripts installed; without a daemon unless the test asks for `running`."""
    home = tmp_path / "home"
    if "running" in request.fixturenames:
        home = request.getfixturevalue("running").paths.home
    for name in ("requests", "status"):
        (home / "spool" / name).mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(home))
    install("reaper", tmp_path / "REAPER")
    return Desk(tmp_path, home, request.param)
