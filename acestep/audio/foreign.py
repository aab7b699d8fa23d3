"""Kinds of files that are often meant to be sound and cannot be read here, known by their first bytes so that they can be named."""

from __future__ import annotations

_BOXES = {
    b"M4A ": "an M4A file (AAC or ALAC)",
    b"M4B ": "an M4B audio book (AAC)",
    b"3gp": "a 3GP recording",
    b"qt  ": "a QuickTime movie",
}
"""Brands of the MP4 family; every other one is called MP4."""

_MAGIC = (
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA or WMV file"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
    (b"wvpk", "a WavPack file"),
    (b"MAC ", "a Monkey's Audio file"),
    (b"MPCK", "a Musepack file"),
    (b"MP+", "a Musepack file"),
    (b"TTA1", "a TTA file"),
    (b"DSD ", "a DSD file"),
    (b"FRM8", "a DSDIFF file"),
    (b"caff", "a Core Audio file"),
    (b".snd", "an AU file"),
    (b"RIFX", "a big-endian WAV file (RIFX)"),
    (b"riff\x2e\x91\xcf\x11", "a Wave64 file"),
    (b"#!AMR", "an AMR recording"),
    (b"MThd", "a MIDI file, which contains notes and no audio"),
    (b"\x0b\x77", "an AC-3 file"),
)


def name_of(head: bytes) -> str:
    """What a file with these first twelve bytes is, in words; empty for one that is not known."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return next((name for start, name in _BOXES.items() if brand.startswith(start)), "an MP4 file")
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "an AVI movie"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "a raw AAC stream"
    return next((name for start, name in _MAGIC if head.startswith(start)), "")


def advice(name: str, kind: str) -> str:
    """The sentence about such a file: what it is and what to do."""
    if kind.startswith("a MIDI"):
        return f"{name} is {kind}; give it as the guide instead"
    return (
        f"{name} is {kind}, which is not read here; convert it first, for example with: ffmpeg -i {name} converted.wav"
    )
