"""What waits for a client to read: bounded, progress merged, previews dropped if need be, nothing else ever lost unsaid."""

from __future__ import annotations

from collections import OrderedDict

from bridge.doors import limits


class Outbox:
    """Messages in order. One with a ``merge`` key replaces a waiting one of the same key, goes to the end, and may be dropped."""

    def __init__(self, messages: int = limits.RPC_QUEUE_MESSAGES, size: int = limits.RPC_QUEUE_BYTES) -> None:
        self._most_messages = messages
        self._most_bytes = size
        self._waiting: OrderedDict[object, tuple[bytes, bool]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, data: bytes, merge: str = "") -> bool:
        """Add a message. False when there is no room for it, not even after dropping all that may be dropped."""
        key: object = merge or object()
        self._drop(key)
        if not self._fits(data):
            for waiting, (_, droppable) in list(self._waiting.items()):
                if droppable:
                    self._drop(waiting)
            if merge and not self._fits(data):
                return True  # dropped rather than a client closed for it
            if not self._fits(data):
                return False
        self._waiting[key] = (data, bool(merge))
        self.bytes += len(data)
        return True

    def _fits(self, data: bytes) -> bool:
        return len(self._waiting) < self._most_messages and self.bytes + len(data) <= self._most_bytes

    def _drop(self, key: object) -> None:
        dropped = self._waiting.pop(key, None)
        if dropped is not None:
            self.bytes -= len(dropped[0])

    def take(self) -> bytes:
        """The next message. Raises `KeyError` when there is none."""
        _, (data, _) = self._waiting.popitem(last=False)
        self.bytes -= len(data)
        return data

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self.bytes = 0
