"""Who asks: what a caller may do, and which jobs are its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from acestep.api.errors import NotAllowed, UnknownJob
from acestep.api.rights import Right

if TYPE_CHECKING:
    from bridge.core.interface import JobView


class Access(msgspec.Struct, frozen=True):
    """What a caller may do. The door that let it in decides, from where the caller is and what it has shown.

    ``origin`` matters below `Right.OWNER` only: jobs belong to a machine, not to one of its ports, so it is the client's name
    without the port (``osc:192.168.1.20``).
    """

    right: Right = Right.OWNER
    origin: str = ""

    @property
    def stranger(self) -> bool:
        """Whether it touches nothing but its own jobs."""
        return self.right < Right.OWNER

    def owns(self, client: str) -> bool:
        """Whether jobs of a client (``osc:192.168.1.20:9001``) are this caller's to see and to change."""
        return not self.stranger or client.rpartition(":")[0] == self.origin

    def require(self, right: Right, what: str, field: str = "method") -> None:
        """Raises `NotAllowed` when ``what`` needs more than this caller has."""
        if self.right < right:
            raise NotAllowed(
                f"only the owner may use {what}; osc_allow can mark an address as the owner's (192.168.1.20=owner)",
                field=field,
            )

    def require_own(self, job: JobView) -> JobView:
        """The job. Raises `UnknownJob`, as for one that does not exist, when it is another's."""
        if not self.owns(job.client):
            raise UnknownJob(f"there is no job {job.id!r}", field="id")
        return job


OWNER = Access()
"""Whoever works on this machine or showed the token."""
