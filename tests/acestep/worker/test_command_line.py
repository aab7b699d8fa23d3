"""The worker's threads: how many by default, and how they wait."""

from __future__ import annotations

import os

import pytest

from acestep.worker import command_line

LINE = ["--backend", "fake", "--home", "somewhere"]


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (16, 15)])
def test_a_core_stays_with_the_daw_where_two_are_left(monkeypatch, cores, threads):
    """Unless the user named a number, which holds whatever the machine has."""
    monkeypatch.setattr(command_line, "_cores", lambda: cores)
    assert command_line.parse_arguments(LINE)["threads"] == threads
    assert command_line.parse_arguments([*LINE, "--threads=5"])["threads"] == 5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_cores_that_the_process_may_not_use_do_not_count():
    """A container or `taskset` allows one of many."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert command_line.parse_arguments(LINE)["threads"] == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_waiting_threads_go_to_sleep_soon(monkeypatch):
    """Whatever the user's environment says: the number is the setting's, and waiting never takes a core for long."""
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "active")
    for name in ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TOKENIZERS_PARALLELISM", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    command_line.prepare_environment(3)
    assert {os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert 0 < int(os.environ["GOMP_SPINCOUNT"]) <= 1000
