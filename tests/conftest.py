"""What all tests share: a home of their own, foreign programs, small audio files, and real daemons that never outlive a test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from xdist.scheduler import LoadFileScheduling

from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

THIRDPARTY_PLUGIN = Path(__file__).parent / "thirdparty_plugin"
FOREIGN_PACKAGES = Path(__file__).parent / "foreign-packages.txt"
TOGETHER = {
    "ardour": ("tests/daw_scripts/test_ardour", "tests/daw_scripts/test_plugin_operations.py"),
    "onnx": ("tests/acestep/onnx/",),
}
"""Files of tests that one process runs: there is one Ardour at a time, and an export for all of them takes a minute."""
REQUIRE_FOREIGN = "CI_REQUIRE_FOREIGN"
"""Set by .ci/run: a missing foreign program is then a failure."""


class _FilesSideBySide(LoadFileScheduling):
    """A file belongs to one process, and so do files that share something costly."""

    def _split_scope(self, nodeid: str) -> str:
        for name, files in TOGETHER.items():
            if nodeid.startswith(files):
                return name
        return str(super()._split_scope(nodeid))


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--long``: also the tests that take minutes, which the usual runs leave out."""
    parser.addoption("--long", action="store_true", help="also run the tests marked long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests unless they are asked for."""
    left_out = [item for item in items if "long" in item.keywords and not config.getoption("--long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """How xdist hands out the tests, in whatever form it is started."""
    return _FilesSideBySide(config, log)


@pytest.fixture(scope="session", autouse=True)
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the settings or the home of the person who runs it, nor starts more threads than the cores hold."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("ACESTEP_BRIDGE_", "ACESTEP_FEATURE_"))]:
            patch.delenv(name)
        patch.setenv("ACESTEP_BRIDGE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        patch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        patch.setenv("NO_COLOR", "1")
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "127.0.0.1,localhost,::1")  # the doors of this machine, behind whatever proxy
        yield


def packages() -> dict[str, str]:
    """Program -> Debian package, from the one list that .ci/run installs too."""
    lines = [line.split("#")[0].split() for line in FOREIGN_PACKAGES.read_text("utf-8").splitlines()]
    return {line[0]: line[1] for line in lines if line}


@pytest.fixture(scope="session")
def foreign() -> Callable[[str], str]:
    """``foreign(program)``: its path; without it the test skips and names the package, or fails under .ci/run."""

    def require(program: str) -> str:
        found = shutil.which(program)
        if found is None:
            reason = f"needs {program}: install the package {packages()[program]}"
            if os.environ.get(REQUIRE_FOREIGN):
                pytest.fail(reason)
            pytest.skip(reason)
        return found

    return require


@pytest.fixture(scope="session")
def thirdparty_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in of a third party, installed by pip into a folder of its own, offline; a child process needs it as PYTHONPATH."""
    target = tmp_path_factory.mktemp("site")
    # building leaves traces, so it is built from a copy
    source = shutil.copytree(THIRDPARTY_PLUGIN, tmp_path_factory.mktemp("source") / "plugin")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index",
               "--disable-pip-version-check", "--target", str(target), str(source)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.fixture
def sound_file(tmp_path: Path) -> Callable[..., Path]:
    """``sound_file(frames=..., rate=..., channels=..., subtype=..., name=...)``: a file of quiet noise, the same every time."""

    def write(
        *, frames: int = 48_000, rate: int = 48_000, channels: int = 2, subtype: str = "PCM_24", name: str = "tone.wav"
    ) -> Path:
        path = tmp_path / name
        noise = np.random.default_rng(frames).uniform(-0.5, 0.5, (frames, channels))
        soundfile.write(path, noise, rate, subtype=subtype)
        return path

    return write


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """``daemon(**settings)``: a real daemon on free ports with the fake backend and a home of its own, ready to be asked.

    At the end every daemon is stopped, and none of them may leave a process behind.
    """
    started: list[DaemonProcess] = []
    family: list[psutil.Process] = []

    def start(**settings: Any) -> DaemonProcess:
        defaults = {"home": tmp_path / f"daemon-{len(started)}", "backend": "fake", "read_roots": [tmp_path]}
        one = start_daemon({**FREE_PORTS, **defaults, **settings})
        started.append(one)
        return one

    yield start
    for one in started:
        if one.process.poll() is None:
            family += psutil.Process(one.process.pid).children(recursive=True)
        one.stop()
    _, left = psutil.wait_procs(family, timeout=10)
    for process in left:
        process.kill()
    assert not left, f"the daemon left processes behind: {left}"
