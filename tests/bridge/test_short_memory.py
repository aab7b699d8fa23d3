"""A worker whose memory really ends: its address space is limited from outside, in steps, so that each phase of a job meets the end
once. Whatever the phase, the job ends with the sentence of `out_of_memory`, nothing is left behind, and the next job works: in the
same worker, or in a new one where a library has ended the process (OpenBLAS does).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

from bridge.client import Client
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

resource = pytest.importorskip("resource", reason="the system has no limits of this kind")
if not hasattr(resource, "prlimit"):
    pytest.skip("the system cannot limit another process", allow_module_level=True)

pytestmark = pytest.mark.slow

MARGINS = (1, 30, 60, 90)
"""MiB that a worker may still take: from not even the imports of a first job up to nearly enough."""

SHORT = {"caption": "x", "duration": 10.0, "seed": 1, "steps": 1}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon whose worker has opened nothing yet."""
    home = tmp_path_factory.mktemp("short")
    settings = {**FREE_PORTS, "home": home / "home", "threads": 1, "warm": "off", "read_roots": [home]}
    with start_daemon(settings) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def client(house: DaemonProcess) -> Iterator[Client]:
    """Somebody who hands jobs in."""
    with Client(str(house.paths.home)) as client:
        yield client


@pytest.fixture(scope="module")
def song(house: DaemonProcess) -> str:
    """Twenty seconds of noise."""
    path = house.paths.home.parent / "song.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal((960_000, 2)), 48_000)
    return str(path)


def worker_of(house: DaemonProcess, client: Client) -> psutil.Process:
    """The worker, as soon as it waits for jobs."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        worker = client.status()["worker"]
        if worker["state"] == "idle" and worker["pid"]:
            return psutil.Process(worker["pid"])
        if not worker["pid"]:  # a library has ended it; the next job starts another
            end_of(client, "generate", {**SHORT, "duration": 1.0})
        time.sleep(0.05)
    raise AssertionError(f"no worker is ready: {client.status()}")


@contextlib.contextmanager
def limited(worker: psutil.Process, margin: int) -> Iterator[None]:
    """The worker may take so many MiB more than it has."""
    most = worker.memory_info().vms + margin * 2**20
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(worker.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def assert_nothing_is_left(folder: Path) -> None:
    """What failed jobs had begun to write is gone; a job is told as failed a moment before."""
    deadline = time.monotonic() + 60
    while left := list(folder.iterdir()):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def end_of(client: Client, operation: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A job's id and its last event."""
    job = client.submit(operation, params)
    *_, last = client.events(job)
    return job, last


@pytest.mark.parametrize("margin", MARGINS)
def test_memory_that_ends_in_any_phase_ends_the_job_with_one_sentence(
    house: DaemonProcess, client: Client, song: str, margin: int
) -> None:
    """Loading, encoding, denoising or decoding: a lack of memory is never told as a bad file, a bad plug-in or a fault of ours."""
    edit = {"source": song, "start": 240_000, "end": 384_000, "steps": 1, "seed": 2}
    for operation, params in (("generate", SHORT), ("repaint", edit)):
        with limited(worker_of(house, client), margin):
            job, last = end_of(client, operation, params)
        if last["kind"] == "done":
            continue  # nearly enough was enough
        error = last["data"]["error"]
        assert (last["kind"], error["code"]) == ("failed", "out_of_memory"), error
        assert "too little memory" in error["message"] and "smaller model" in error["message"]
        assert not (Path(house.paths.library) / job).exists()
    assert_nothing_is_left(Path(house.paths.home) / ".library-staging")


def test_what_is_no_render_says_so_too(house: DaemonProcess, client: Client) -> None:
    """An export's own libraries cannot even be loaded."""
    with limited(worker_of(house, client), 1):
        _, last = end_of(client, "export-onnx", {"model": "nano"})
    assert last["data"]["error"]["code"] == "out_of_memory", last


def test_the_next_job_works(house: DaemonProcess, client: Client) -> None:
    """After all that, with memory again."""
    worker_of(house, client)
    assert end_of(client, "generate", SHORT)[1]["kind"] == "done"
