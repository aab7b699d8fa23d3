"""Drafts: jobs filled one parameter at a time, by devices that can send only short messages or single numbers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from acestep.api.errors import Busy, IncompleteRequest
from bridge.doors import limits


class _Draft(msgspec.Struct):
    """Parameters set so far; and the request that was handed in last, out of how many parameters, when."""

    params: dict[str, Any] = {}
    touched: float = 0.0
    sent: dict[str, Any] | None = None
    sent_count: int = 0
    sent_at: float = 0.0


class Drafts:
    """The drafts of one sender, by operation."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, new_id: Callable[[], str] = lambda: f"osc-{uuid.uuid4().hex}"
    ) -> None:
        self._clock = clock
        self._new_id = new_id
        self._drafts: dict[str, _Draft] = {}

    def __len__(self) -> int:
        return len(self._drafts)

    @property
    def touched(self) -> float:
        """When one of them was filled last."""
        return max((draft.touched for draft in self._drafts.values()), default=0.0)

    def set(self, operation: str, name: str, value: Any) -> None:
        """Set one parameter; setting it again replaces it. Raises `Busy` when too many drafts are open."""
        self.expire()
        draft = self._drafts.get(operation)
        if draft is None:
            if len(self._drafts) >= limits.DRAFT_OPERATIONS and not self._forget_spent():
                raise Busy(f"{limits.DRAFT_OPERATIONS} drafts are open", limits={"drafts": limits.DRAFT_OPERATIONS})
            draft = self._drafts[operation] = _Draft()
        draft.params[name] = value
        draft.touched = self._clock()

    def take(self, operation: str, given: dict[str, Any], count: int | None) -> dict[str, Any]:
        """The whole request: what the draft holds and what the submit itself gives; the draft is empty afterwards.

        ``count`` is how many parameters the sender has set. If one was lost the draft stays, so that it can be sent
        again, and `IncompleteRequest` is raised. A submit that is repeated within a few seconds gives the same request, and one
        without anything set since the last, from a second button or the same one later, is incomplete too.
        """
        self.expire()
        draft = self._drafts.get(operation) or _Draft()
        spent = not draft.params and not given and draft.sent_count > 0
        if spent and draft.sent is not None and count in (None, draft.sent_count):
            return dict(draft.sent)
        if spent and count is None:
            raise IncompleteRequest(
                f"no parameter of {operation} was set since it was submitted last",
                field="count",
                limits={"arrived": []},
            )
        if count is not None and count != len(draft.params):
            raise IncompleteRequest(
                f"{len(draft.params)} parameters of {operation} have arrived, not {count}",
                field="count",
                limits={"arrived": sorted(draft.params)},
            )
        request = {**draft.params, **given}
        if draft.params:
            request.setdefault("id", self._new_id())  # so that a repeat is known to be one
            draft.sent, draft.sent_count, draft.sent_at = request, len(draft.params), self._clock()
            draft.touched, draft.params = draft.sent_at, {}
        return dict(request)

    def _forget_spent(self) -> bool:
        """Make room by the draft that was handed in longest ago."""
        spent = [
            (draft.sent_at, name) for name, draft in self._drafts.items() if not draft.params and draft.sent is None
        ]
        if spent:
            del self._drafts[min(spent)[1]]
        return bool(spent)

    def expire(self) -> None:
        """Forget what nobody has touched for long."""
        now = self._clock()
        for operation, draft in list(self._drafts.items()):
            if draft.sent is not None and now - draft.sent_at > limits.DRAFT_REPEAT_SECONDS:
                draft.sent = None
            if draft.sent is None and now - draft.touched > limits.DRAFT_SECONDS:
                del self._drafts[operation]
