"""Exit codes: one table for the code, the help and the documentation."""

from __future__ import annotations

from enum import IntEnum

from acestep.api.errors import AceError, DaemonUnreachable, UnknownJob


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    REFUSED = 2
    NO_DAEMON = 3
    UNKNOWN_JOB = 4
    CANCELLED = 5
    INTERRUPTED = 6
    TRY_LATER = 75
    STOPPED = 130


MEANINGS = {
    Exit.OK: "done",
    Exit.FAILED: "the job failed, or a check found something wrong",
    Exit.REFUSED: "the command line or the request is wrong; nothing was started",
    Exit.NO_DAEMON: "no daemon answers",
    Exit.UNKNOWN_JOB: "there is no such job",
    Exit.CANCELLED: "the job was cancelled from elsewhere",
    Exit.INTERRUPTED: "the daemon ended twice while the job ran",
    Exit.TRY_LATER: "refused for now (queue full, worker down); the same command may work later",
    Exit.STOPPED: "stopped by Ctrl-C",
}
"""The sentence that help and docs/cli.md give for each code."""


def exit_for(error: AceError) -> Exit:
    """The exit code of an error that kept a command from being done."""
    if isinstance(error, DaemonUnreachable):
        return Exit.NO_DAEMON
    if isinstance(error, UnknownJob):
        return Exit.UNKNOWN_JOB
    return Exit.TRY_LATER if error.retryable else Exit.REFUSED


JOB_EXITS = {
    "done": Exit.OK,
    "failed": Exit.FAILED,
    "cancelled": Exit.CANCELLED,
    "interrupted": Exit.INTERRUPTED,
}
"""Terminal state of a job that was waited for -> exit code."""
