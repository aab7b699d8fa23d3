"""OSC in a stream: both framings, however the bytes are cut up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestep.api.errors import ProtocolError
from bridge.doors.osc.framing import END, ESC, Framer, frame

PACKETS = [b"/one\0\0\0\0,\0\0\0", b"/two" + bytes([0xC0, 0xDB, 0xDC, 0xDD]) * 3, b"#bundle\0" + b"\0" * 8]


@pytest.mark.parametrize("mode", ["length", "slip"])
@given(st.lists(st.sampled_from(PACKETS), min_size=1, max_size=6), st.integers(1, 60))
def test_frames_come_out_whole_however_they_are_cut(mode, packets, size):
    """Any split of the stream gives the same packets, in order."""
    stream = b"".join(frame(packet, mode) for packet in packets)
    framer, found = Framer(), []
    for at in range(0, len(stream), size):
        found += framer.feed(stream[at : at + size])
    assert found == packets
    assert framer.mode == mode
    assert not framer.unfinished


CUTS = [
    ("END on both sides, doubled", END + PACKETS[0] + END + END + PACKETS[2] + END, 2),
    ("END behind only", PACKETS[0] + END + PACKETS[2] + END, 2),
    ("one END between", END + PACKETS[0] + END + PACKETS[2] + END, 2),
    ("idle ENDs", END * 3 + PACKETS[0] + END, 1),
]


@pytest.mark.parametrize(("stream", "count"), [cut[1:] for cut in CUTS], ids=[cut[0] for cut in CUTS])
def test_slip_as_real_clients_send_it(stream, count):
    """Ends may be single, double, shared or idle."""
    framer = Framer()
    found = framer.feed(stream)
    assert len(found) == count


@pytest.mark.parametrize(
    "stream",
    [END + b"/x" + ESC + b"?" + END, END + b"/x" + ESC + END, END + PACKETS[0] + END + b"/x" + ESC + b"?" + END],
)
def test_a_bad_escape_ends_the_stream(stream):
    """What is not SLIP may be anything; nothing behind it is looked at."""
    with pytest.raises(ProtocolError):
        Framer().feed(stream + PACKETS[0] + END)


@pytest.mark.parametrize(
    "first", [b"POST / HTTP/1.1\r\n", b"GET /", b"hello", b"\x16\x03\x01", b"\r\n", b"\x01", b" /ace", b"{"]
)
def test_a_stream_that_begins_otherwise_is_no_osc(first):
    """Whatever follows, such as a SLIP frame in the body of a web page's request, is not looked at."""
    with pytest.raises(ProtocolError):
        Framer().feed(first + END + PACKETS[0] + END)


@pytest.mark.parametrize("first", range(256))
def test_only_what_may_begin_a_stream_begins_one(first):
    """A length below 16 MiB, an END, an address, a bundle: 4 of 256 bytes, none of them a letter."""
    framer = Framer()
    if first in (0x00, 0xC0, 0x23, 0x2F):
        assert framer.feed(bytes([first])) == []
    else:
        with pytest.raises(ProtocolError):
            framer.feed(bytes([first]))


def test_nothing_decides_nothing():
    """Without a byte the framing is open."""
    framer = Framer()
    assert framer.feed(b"") == []
    assert framer.mode is None


@pytest.mark.parametrize("stream", [b"\0\0\1\0", b"/" * 300, b"/" * 300 + END])
def test_a_frame_beyond_the_limit_ends_the_stream(stream):
    """A declared or a growing frame over the cap raises at once, before it is stored whole."""
    with pytest.raises(ProtocolError):
        Framer(most=100).feed(stream)


def test_mutated_streams_raise_nothing_but_the_protocol_error():
    """20,000 damaged streams."""
    chance = random.Random(42)
    for _ in range(20_000):
        mode = chance.choice(("length", "slip"))
        stream = bytearray(b"".join(frame(chance.choice(PACKETS), mode) for _ in range(3)))
        for _ in range(3):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        try:
            Framer(most=1000).feed(bytes(stream))
        except ProtocolError:
            continue
