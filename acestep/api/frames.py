"""The language between daemon and worker: length-prefixed MessagePack, one typed message per frame.

Pure bytes on both sides; pipes are the caller's business. A frame is an unsigned 32-bit big-endian length and that many bytes of
MessagePack. The worker's standard output carries nothing else.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from acestep.api.errors import ProtocolError

MAX_FRAME = 64 * 1024 * 1024
"""Bytes; progress and requests are tiny, a result with a long recipe is not, audio never travels here."""

_LENGTH = struct.Struct(">I")


class Run(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Daemon -> worker: do this job; files go into ``staging``. ``planned``: the plan of a render that another device has made."""

    job: str
    operation: str
    request: dict[str, Any]
    staging: str
    planned: dict[str, Any] = {}


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """Daemon -> worker: stop this job at the next check."""

    job: str


class StepAside(msgspec.Struct, tag=True, frozen=True):
    """Daemon -> worker: another job waits; this one saves its place and ends with the error ``suspended``."""

    job: str


class Unload(msgspec.Struct, tag=True, frozen=True):
    """Daemon -> worker: free the memory of a model (empty: of all)."""

    model: str = ""


class Ping(msgspec.Struct, tag=True, frozen=True):
    """Daemon -> worker: are you there? Answered at once, whatever the worker does."""


class Pong(msgspec.Struct, tag=True, frozen=True):
    """Worker -> daemon: yes."""


class Ready(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Worker -> daemon: up, with what it runs on."""

    pid: int
    info: dict[str, Any] = {}


class NoDevice(msgspec.Struct, tag=True, frozen=True):
    """Worker -> daemon: the device that this worker was started for is not here, and it ends; ``reason`` is for people."""

    reason: str


class Tick(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Worker -> daemon: one unit of work (velocity call, VAE tile, shard read) is done.

    ``fraction`` is the share of the whole job, 0 to below 1; ``stage`` names what is going on (load, encode, stage
    types, decode, write); ``step`` of ``steps`` counts within it.
    """

    job: str
    stage: str
    step: int
    steps: int
    fraction: float


class Saved(msgspec.Struct, tag=True, frozen=True):
    """Worker -> daemon: the job has saved something new, so a crash from now on is not the one of before."""

    job: str


class Follow(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Worker -> daemon: a running job hands in a further one, under this id, for its own client."""

    job: str
    operation: str
    params: dict[str, Any]
    id: str


class Preview(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Worker -> daemon: a preview file stands in the staging folder."""

    job: str
    file: dict[str, Any]


class Done(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Worker -> daemon: everything is written and synced; ``result`` is an `acestep.api.result.Result` as a map."""

    job: str
    result: dict[str, Any]


class Failed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Worker -> daemon: the job ended with an error (code ``cancelled`` after a cancel)."""

    job: str
    error: dict[str, Any]


class Info(msgspec.Struct, tag=True, frozen=True):
    """Worker -> daemon: changed facts (device, loaded models, memory), for status."""

    info: dict[str, Any]


Message = (
    Run
    | Cancel
    | StepAside
    | Unload
    | Ping
    | Pong
    | Ready
    | NoDevice
    | Tick
    | Saved
    | Follow
    | Preview
    | Done
    | Failed
    | Info
)

_encoder = msgspec.msgpack.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """One message as a frame."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Bytes in, messages out. Feed it whatever arrived; it keeps the rest of an unfinished frame.

    ``kinds`` is the union of tagged structs that may arrive (the worker's language unless told otherwise).
    Raises `ProtocolError` on a frame beyond `MAX_FRAME` or one that is not a message; the stream is unusable after that.
    """

    def __init__(self, kinds: Any = Message) -> None:
        self._buffer = bytearray()
        self._decoder = msgspec.msgpack.Decoder(kinds)

    def feed(self, data: bytes) -> list[Any]:
        """The messages completed by ``data``, in order."""
        self._buffer += data
        messages: list[Any] = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise ProtocolError(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(self._decode(bytes(self._buffer[_LENGTH.size : end])))
            del self._buffer[:end]
        return messages

    def _decode(self, body: bytes) -> Any:
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise ProtocolError(f"the frame is not a message: {failure}") from None
