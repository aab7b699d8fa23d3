"""What Ogg Vorbis and Opus files say of themselves is in the WAV that stands for them: comments, gains, pictures."""

from __future__ import annotations

import base64
import struct

import numpy as np
import pytest
import soundfile

from acestep.audio.ogg_tags import id3_of_ogg
from acestep.audio.sniff import sniff
from acestep.audio.splice import Splice, clamp_handles
from acestep.audio.whole import write_whole

IMAGE = b"\x89PNG" + bytes(range(256)) * 300
BLOCK = (
    struct.pack(">II", 3, 9)
    + b"image/png"
    + struct.pack(">I", 5)
    + b"front"
    + bytes(16)
    + struct.pack(">I", len(IMAGE))
    + IMAGE
)
COMMENTS = [
    "TITLE=Überall",
    "bpm=127.5",
    "REPLAYGAIN_TRACK_GAIN=-7.03 dB",
    "ARTIST=One",
    "ARTIST=Two",
    "COMMENT=a = b",
    "R128_TRACK_GAIN=-512",
    "METADATA_BLOCK_PICTURE=" + base64.b64encode(BLOCK).decode(),
]


def comment_packet(head: bytes, comments: list[str]) -> bytes:
    entries = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in comments)
    return head + struct.pack("<I", 4) + b"test" + struct.pack("<I", len(comments)) + entries


def checksum(page: bytes) -> int:
    """Ogg's CRC: the polynomial of Ethernet's, unreflected, from 0."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value


def pages(packet: bytes, serial: bytes, number: int) -> list[bytes]:
    """A packet on pages of its own."""
    sizes = [255] * (len(packet) // 255) + [len(packet) % 255]
    made, place = [], 0
    for index in range(0, len(sizes), 255):
        part = sizes[index : index + 255]
        head = (
            b"OggS\0" + bytes([1 if index else 0]) + (b"\0" * 8 if index + 255 >= len(sizes) else b"\xff" * 8) + serial
        )
        body = bytes([len(part)]) + bytes(part) + packet[place : place + sum(part)]
        place += sum(part)
        page = head + struct.pack("<I", number + len(made)) + b"\0\0\0\0" + body
        made.append(page[:22] + struct.pack("<I", checksum(page)) + page[26:])
    return made


def split(data: bytes) -> list[bytes]:
    found, place = [], 0
    while place < len(data):
        segments = data[place + 26]
        size = 27 + segments + sum(data[place + 27 : place + 27 + segments])
        found.append(data[place : place + size])
        place += size
    return found


def frames(tag: bytes) -> dict[bytes, list[bytes]]:
    """The frames of an ID3 2.4 tag, read by its own rules."""

    def size(text: bytes) -> int:
        return sum(byte << shift for byte, shift in zip(text, (21, 14, 7, 0), strict=True))

    assert tag[:6] == b"ID3\x04\0\0" and size(tag[6:10]) == len(tag) - 10
    found: dict[bytes, list[bytes]] = {}
    place = 10
    while place < len(tag):
        length = size(tag[place + 4 : place + 8])
        found.setdefault(tag[place : place + 4], []).append(tag[place + 10 : place + 10 + length])
        place += 10 + length
    return found


@pytest.fixture
def opus(tmp_path):
    """A real Opus file with comments as taggers write them, a picture over several pages among them."""
    path = tmp_path / "song.opus"
    soundfile.write(
        path, np.random.default_rng(1).uniform(-0.3, 0.3, (48_000, 2)), 48_000, format="OGG", subtype="OPUS"
    )
    first, _, *rest = split(path.read_bytes())
    tags = pages(comment_packet(b"OpusTags", COMMENTS), first[14:18], 1)
    moved = []
    for number, page in enumerate(rest, 1 + len(tags)):
        plain = page[:18] + struct.pack("<I", number) + b"\0\0\0\0" + page[26:]
        moved.append(plain[:22] + struct.pack("<I", checksum(plain)) + plain[26:])
    path.write_bytes(b"".join([first, *tags, *moved]))
    return path


def test_the_whole_of_an_opus_keeps_its_comments_and_its_picture(tmp_path, opus):
    """In the chunk that WAVs have for them, each with its value."""
    layout = sniff(opus)
    handles = clamp_handles(4_800, 480, layout.frames, 10)
    new = np.zeros((2, 480 + handles.before + handles.after), np.float32)
    target = tmp_path / "whole.wav"
    write_whole(target, Splice(path=opus, layout=layout, start=4_800, length=480, handles=handles, new=new))
    data = target.read_bytes()
    place = data.rindex(b"id3 ")
    (size,) = struct.unpack("<I", data[place + 4 : place + 8])
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8 and soundfile.info(target).frames == 48_000
    found = frames(data[place + 8 : place + 8 + size])
    assert found[b"TIT2"] == ["\3Überall".encode()] and found[b"TBPM"] == [b"\x03127.5"]
    assert found[b"TPE1"] == [b"\3One\0Two"] and found[b"COMM"] == [b"\3XXX\0a = b"]
    assert found[b"TXXX"] == [b"\3REPLAYGAIN_TRACK_GAIN\0-7.03 dB", b"\3R128_TRACK_GAIN\0-512"]
    assert found[b"APIC"] == [b"\3image/png\0\3front\0" + IMAGE]


def test_vorbis_comments_are_read_too(tmp_path):
    """As libsndfile writes them."""
    path = tmp_path / "song.ogg"
    with soundfile.SoundFile(path, "w", 44_100, 1, "VORBIS", format="OGG") as file:
        file.title = "Song"
        file.write(np.zeros(1_000))
    assert frames(id3_of_ogg(path))[b"TIT2"] == [b"\3Song"]


@pytest.mark.parametrize(
    "packet", [b"OpusTags", b"OpusTags\xff\xff\xff\xff", comment_packet(b"OpusTags", COMMENTS)[:60], b"else"]
)
def test_damaged_comments_are_none(tmp_path, packet):
    """The sound is not refused for them."""
    path = tmp_path / "song.opus"
    path.write_bytes(b"".join([*pages(b"OpusHead" + bytes(11), b"abcd", 0), *pages(packet, b"abcd", 1)]))
    assert id3_of_ogg(path) == b""
    picture = comment_packet(b"OpusTags", ["METADATA_BLOCK_PICTURE=no base64!"])
    path.write_bytes(b"".join([*pages(b"OpusHead" + bytes(11), b"abcd", 0), *pages(picture, b"abcd", 1)]))
    assert id3_of_ogg(path) == b""
