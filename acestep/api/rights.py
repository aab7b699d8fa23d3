"""Who may call what: the one scale of rights that operations and methods name and callers carry."""

from __future__ import annotations

from enum import IntEnum


class Right(IntEnum):
    """What a caller may do; each level may do what the ones below it may.

    ``ANYBODY`` is whoever a door lets in, such as another machine whose address the setting ``osc_allow`` lists: such a caller
    touches its own jobs only. ``OWNER`` is this machine, a peer that showed the token, or an address marked ``=owner``.
    ``USER`` is the user that runs the daemon, which only the local socket and the spool folder prove.
    """

    ANYBODY = 0
    OWNER = 1
    USER = 2

    @property
    def label(self) -> str:
        """The level as tables and pages write it."""
        return self.name.lower()
