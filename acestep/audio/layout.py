"""Where a sound file keeps its samples and in which form: what all header parsers give."""

from __future__ import annotations

import msgspec

INTEGER_SUBTYPES = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24", 32: "PCM_32"}
FLOAT_SUBTYPES = {32: "FLOAT", 64: "DOUBLE"}


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file keeps its samples and in which form. ``data`` is the offset of the first sample; 0 where a decoder finds it."""

    container: str
    """``WAV``, ``RF64``, ``FLAC``, ``AIFF``, ``AIFC``, ``MP3`` or ``OGG``."""
    subtype: str
    """Form of a sample; of a lossy file the form in which its decoder gives it, ``FLOAT``."""
    rate: int
    channels: int
    frames: int
    data: int = 0
    big_endian: bool = False
    coding: str = ""
    """How a lossy file codes its sound: ``MPEG_LAYER_III``, ``VORBIS`` or ``OPUS``; empty for all others."""

    position: int = 0
    """Where the file says that it begins on its own timeline (bext, iXML ...), in samples."""
    open_ended: bool = False
    """Whether its header does not say how long it is."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: what about the file is not as it should be."""

    @property
    def lossy(self) -> bool:
        """Whether the sound changes each time it is written in this form."""
        return bool(self.coding)

    @property
    def floating(self) -> bool:
        """Whether the samples are floating point numbers."""
        return self.subtype in FLOAT_SUBTYPES.values()

    @property
    def bits(self) -> int:
        """Bits of one sample."""
        return {"PCM_S8": 8, "PCM_U8": 8, "FLOAT": 32, "DOUBLE": 64}.get(self.subtype) or int(self.subtype[4:])

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels, in uncompressed files."""
        return self.bits // 8 * self.channels


def never_completed(name: str, frames: int) -> str:
    """The note about a file whose header was left as its writer began it: from a pipe, or after a crash."""
    return f"the header of {name} was never completed; all {frames:,} samples up to the end of the file are read"
