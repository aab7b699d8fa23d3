"""Command lines against a real daemon with the fake backend."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge.cli import main
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon


class Answer(NamedTuple):
    """What a command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for all tests of this folder."""
    home = tmp_path_factory.mktemp("cli")
    roots = [tmp_path_factory.getbasetemp()]
    with start_daemon({**FREE_PORTS, "home": home, "backend": "fake", "read_roots": roots}) as daemon:
        yield daemon


@pytest.fixture
def cli(running: DaemonProcess, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """``cli("status")``: run a command line against that daemon, in this process."""

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        try:
            code = main([*arguments, "--home", str(running.paths.home)])
        except SystemExit as ended:
            code = int(ended.code or 0)
        taken = capsys.readouterr()
        return Answer(code, taken.out, taken.err)

    return run


@pytest.fixture
def source(sound_file: Callable[..., Path]) -> str:
    """A file of two seconds."""
    return str(sound_file(frames=96_000))
