"""Submits many jobs over OSC from one socket, each repeated until it is answered, as a careful client does."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from bridge.client.osc import RETRIES, OscClient

IN_FLIGHT = 64
"""Requests that wait for their answer at a time."""


def submit_all(client: OscClient, operation: str, jobs: Iterable[str], params: dict[str, Any]) -> dict[str, int]:
    """How many tries each job took to be answered; 0 tries never happen, and nothing is given up."""
    pairs = [part for pair in params.items() for part in pair]
    waiting: dict[str, tuple[int, float]] = {}
    left = list(jobs)[::-1]
    answered: dict[str, int] = {}
    while waiting or left:
        while left and len(waiting) < IN_FLIGHT:
            waiting[left.pop()] = (0, 0.0)
        now = time.monotonic()
        for job, (tries, due) in list(waiting.items()):
            if now >= due:
                client.send(f"/ace/op/{operation}", job, *pairs)
                waiting[job] = (tries + 1, now + RETRIES[min(tries, len(RETRIES) - 1)])
        message = client.receive(0.02)
        while message is not None:
            if message.address in ("/ace/accepted", "/ace/rejected") and message.arguments[0] in waiting:
                answered[message.arguments[0]] = waiting.pop(message.arguments[0])[0]
            message = client.receive(0.0001)
    return answered
