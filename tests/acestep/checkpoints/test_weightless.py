"""Building networks without weights touches nothing else in the process."""

from __future__ import annotations

import threading

from torch import nn

from acestep.checkpoints.architecture import weightless


def test_two_threads_leave_no_trace() -> None:
    """Whoever leaves first: afterwards, and in a third thread meanwhile, modules have real parameters."""
    plain = nn.Module.register_parameter
    inside, leave = threading.Barrier(2, timeout=20), threading.Event()
    found: list[bool] = []

    def build() -> None:
        with weightless():
            found.append(nn.Linear(1, 1).weight.is_meta)
            inside.wait()
            leave.wait(20)

    def build_after() -> None:
        with weightless():
            found.append(nn.Linear(1, 1).weight.is_meta)

    first, second = threading.Thread(target=build), threading.Thread(target=build_after)
    first.start()
    inside.wait()
    second.start()
    assert not nn.Linear(1, 1).weight.is_meta
    leave.set()
    first.join()
    second.join()
    assert found == [True, True]
    assert nn.Module.register_parameter is plain and not nn.Linear(1, 1).weight.is_meta
