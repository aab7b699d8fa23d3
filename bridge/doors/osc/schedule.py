"""Bundles dated ahead: they wait in the event loop's own timers, within bounds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from acestep.api.errors import BadTime, Busy
from bridge.doors import limits
from bridge.doors.osc.codec import Bundle, weight
from bridge.doors.osc.peers import PeerAddress


class Schedule:
    """Bundles that wait for their time, of all senders."""

    def __init__(self) -> None:
        self.bytes = 0
        self._timers: set[asyncio.TimerHandle] = set()
        self._of: Counter[PeerAddress] = Counter()

    def __len__(self) -> int:
        return len(self._timers)

    def add(self, bundle: Bundle, wait: float, sender: PeerAddress, due: Callable[[], None]) -> None:
        """Call ``due`` in ``wait`` seconds. Raises `BadTime` for a time too far ahead, `Busy` when too many bundles wait."""
        if wait > limits.OSC_SCHEDULE_SECONDS:
            ahead = limits.OSC_SCHEDULE_SECONDS
            raise BadTime(
                f"a bundle may be dated {ahead:g} s ahead, not {wait:.0f} s", limits={"max": ahead, "unit": "s"}
            )
        size = weight(bundle)
        if self._of[sender] >= limits.OSC_SENDER_SCHEDULED:
            most = limits.OSC_SENDER_SCHEDULED
            raise Busy(f"{most} bundles of this sender wait for their time", limits={"bundles": most})
        if len(self) >= limits.OSC_SCHEDULED or self.bytes + size > limits.OSC_SCHEDULED_BYTES:
            raise Busy("too many bundles are waiting for their time", limits={"bundles": limits.OSC_SCHEDULED})

        def ring() -> None:
            self._timers.discard(timer)
            self.bytes -= size
            self._of[sender] -= 1
            self._of += Counter()  # forgets whoever has none
            due()

        timer = asyncio.get_running_loop().call_later(wait, ring)
        self._timers.add(timer)
        self._of[sender] += 1
        self.bytes += size

    def close(self) -> None:
        """Let none of them come."""
        for timer in self._timers:
            timer.cancel()
