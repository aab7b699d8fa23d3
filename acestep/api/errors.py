"""Every error a user can meet: one base, flat subclasses, each with its stable code word.

An error is raised where it is found and translated once per door. ``field`` names the request field at fault and
``limits`` holds what would have been allowed, both optional. No error carries a traceback over the wire.
"""

from __future__ import annotations

from typing import Any


class AceError(Exception):
    """Base of all errors that reach a user.

    ``code`` is stable and machine-readable, the message is one sentence for a person, ``retryable`` says whether
    the same request may succeed later without being changed.
    """

    code = "internal"
    retryable = False

    def __init__(self, message: str, *, field: str | None = None, limits: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.limits = limits or {}

    def to_wire(self) -> dict[str, Any]:
        """The error as the map that every door sends."""
        return {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "field": self.field,
            "limits": self.limits,
        }


def error_from_wire(data: dict[str, Any]) -> AceError:
    """The error that ``to_wire`` described; an unknown code becomes a plain `AceError` that keeps its code."""
    kind = ERRORS.get(str(data.get("code")), AceError)
    error = kind(str(data.get("message", "")), field=data.get("field"), limits=data.get("limits"))
    if kind is AceError:
        error.code = str(data.get("code", AceError.code))
        error.retryable = bool(data.get("retryable", False))
    return error


class InternalError(AceError):
    """Something failed that should not have; the log has the details under the job's id."""

    code = "internal"


class BadRequest(AceError):
    """The request does not fit its schema: missing, unknown or wrongly typed field, or a value out of range."""

    code = "bad_request"


class ProtocolError(AceError):
    """The bytes are no valid message of the door's protocol."""

    code = "bad_packet"


class TooLarge(AceError):
    """A packet, field, file or duration beyond its limit."""

    code = "too_large"


class BadTime(AceError):
    """A bundle dated further ahead than the daemon schedules."""

    code = "bad_time"


class IncompleteRequest(AceError):
    """A draft was submitted with another number of parameters than announced: one was lost on the way."""

    code = "incomplete"
    retryable = True


class UnknownOperation(AceError):
    """No operation, method or address of that name."""

    code = "unknown_operation"


class UnknownName(AceError):
    """No sampler, schedule, guidance, model, track or other choice of that name."""

    code = "unknown_name"


class FeatureDisabled(AceError):
    """The operation is experimental and not enabled on this daemon."""

    code = "feature_disabled"


class NameClash(AceError):
    """Two plug-ins register the same name."""

    code = "name_clash"


class ReservedName(AceError):
    """A plug-in registers a name that the bridge itself uses."""

    code = "reserved_name"


class PluginFailed(AceError):
    """A plug-in raised while it was loaded, planned or run."""

    code = "plugin_failed"


class IdConflict(AceError):
    """The job id is known, with another request."""

    code = "id_conflict"


class UnknownJob(AceError):
    """No job of that id."""

    code = "unknown_job"


class Busy(AceError):
    """The queue, the client's share of it or another bound is full."""

    code = "busy"
    retryable = True


class NotFound(AceError):
    """A file, upload, result or latent that does not exist."""

    code = "not_found"


class NotAllowed(AceError):
    """A path outside the allowed folders, or a caller without the right to do this."""

    code = "not_allowed"


class Unauthorized(AceError):
    """No token or a wrong one."""

    code = "unauthorized"


class NotAudio(AceError):
    """The file is not in an accepted audio format."""

    code = "not_audio"


class CorruptAudio(AceError):
    """The file claims more audio than it holds, or cannot be decoded."""

    code = "corrupt_audio"


class UnsupportedChannels(AceError):
    """More than two channels."""

    code = "unsupported_channels"


class RegionOutside(AceError):
    """The region is empty, reversed or not inside the source."""

    code = "region_outside"


class SourceChanged(AceError):
    """The source file is no longer the one that the job was accepted with."""

    code = "source_changed"


class ModelUnsuited(AceError):
    """The chosen model cannot do this operation; the message names one that can."""

    code = "model_unsuited"


class ModelMissing(AceError):
    """The named model is not on this machine."""

    code = "model_missing"


class BadCheckpoint(AceError):
    """A checkpoint with missing, extra or wrongly shaped tensors, or in an unsafe format."""

    code = "bad_checkpoint"


class BadLatent(AceError):
    """A stored latent that is damaged or belongs to another model family."""

    code = "bad_latent"


class WeightsChanged(AceError):
    """A recipe names weights that are not those of the model of that name here, so its samples cannot come back."""

    code = "weights_changed"


class BadPreset(AceError):
    """A preset that is not a valid chain of stages."""

    code = "bad_preset"


class DownloadFailed(AceError):
    """A download broke off or was refused; what has arrived is kept and resumed."""

    code = "download_failed"
    retryable = True


class OutOfMemory(AceError):
    """The device has too little memory for this request."""

    code = "out_of_memory"


class NumericFailure(AceError):
    """The model produced NaN, infinite or all-zero latents."""

    code = "numeric_failure"


class OutputUnwritable(AceError):
    """The output folder cannot be written."""

    code = "output_unwritable"


class DiskFull(AceError):
    """No space left for the result."""

    code = "disk_full"
    retryable = True


class WorkerDied(AceError):
    """The worker process ended in the middle of the job."""

    code = "worker_died"
    retryable = True


class DeviceLost(AceError):
    """The device that ran the job, or that the job was to run on, is no longer there or stopped working."""

    code = "device_lost"
    retryable = True


class Degraded(AceError):
    """The worker died so often that jobs are refused until someone looks."""

    code = "degraded"
    retryable = True


class Quarantined(AceError):
    """The same request ended the worker twice and is not run again."""

    code = "quarantined"


class Suspended(AceError):
    """The job made room for another one and continues later; no client ever gets it."""

    code = "suspended"
    retryable = True


class Cancelled(AceError):
    """The job was cancelled; raised inside the worker at the next check."""

    code = "cancelled"


class Unavailable(AceError):
    """A part that this machine lacks (a sound card, a MIDI port, an optional package)."""

    code = "unavailable"


class DaemonUnreachable(AceError):
    """No daemon answers at the given place; raised by clients only."""

    code = "daemon_unreachable"
    retryable = True


def _subclasses(kind: type[AceError]) -> list[type[AceError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in _subclasses(child))]


ERRORS: dict[str, type[AceError]] = {kind.code: kind for kind in _subclasses(AceError)[1:]}
"""Code word -> class; the table from which the error reference is made."""
