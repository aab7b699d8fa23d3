"""The OSC codec: exactly OSC 1.0 with our types, and for everything else one error."""

from __future__ import annotations

import contextlib
import math
import random
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY as PEER_NOW
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from acestep.api.errors import ProtocolError
from bridge.doors import limits
from bridge.doors.osc.codec import IMMEDIATELY, NTP_EPOCH, Bundle, Message, decode, shortest, weight


def text(word: str | bytes) -> bytes:
    raw = word.encode() if isinstance(word, str) else word
    return raw + b"\0" * (4 - len(raw) % 4)


def message(tags: str, body: bytes = b"", address: str | bytes = "/a") -> bytes:
    return text(address) + text("," + tags) + body


def bundle(*elements: bytes, time: int = IMMEDIATELY) -> bytes:
    return b"#bundle\0" + struct.pack(">Q", time) + b"".join(struct.pack(">i", len(e)) + e for e in elements)


VALID = [
    ("no arguments", message(""), ()),
    ("int32", message("i", struct.pack(">i", -7)), (-7,)),
    ("int64", message("h", struct.pack(">q", 2**40)), (2**40,)),
    ("float32", message("f", struct.pack(">f", 0.7)), (0.7,)),
    ("float32 of nine digits", message("f", struct.pack(">f", 0.0110045085)), (0.011004508472979069,)),
    ("float64", message("d", struct.pack(">d", 0.1)), (0.1,)),
    ("string", message("s", text("héllo")), ("héllo",)),
    ("string of four", message("s", text("four")), ("four",)),
    ("empty string", message("s", text("")), ("",)),
    ("blob", message("b", struct.pack(">i", 3) + b"abc\0"), (b"abc",)),
    ("blob of four", message("b", struct.pack(">i", 4) + b"abcd"), (b"abcd",)),
    ("empty blob", message("b", struct.pack(">i", 0)), (b"",)),
    ("true, false, nil", message("TFN"), (True, False, None)),
    ("time tag", message("t", struct.pack(">Q", 5)), (5,)),
    ("array", message("i[ii]s", struct.pack(">iii", 1, 2, 3) + text("x")), (1, [2, 3], "x")),
    ("empty array", message("[]"), ([],)),
]


@pytest.mark.parametrize(("packet", "arguments"), [case[1:] for case in VALID], ids=[case[0] for case in VALID])
def test_every_type_is_read(packet, arguments):
    """Each supported type tag gives its value, in order."""
    assert decode(packet) == Message("/a", arguments)


INVALID = [
    ("empty", b""),
    ("odd size", b"/a\0"),
    ("no slash", text("a") + text(",")),
    ("control character in the address", text("/a\n") + text(",")),
    ("no type tags at all", text("/a")),
    ("tags without comma", text("/a") + text("i") + b"\0\0\0\1"),
    ("unknown tag", message("c", b"\0\0\0a")),
    ("impulse", message("I")),
    ("number cut off", message("h", b"\0\0\0\1")),
    ("string never ends", text("/a") + text(",s") + b"abcd"),
    ("address never ends", b"/abc"),
    ("padding is not zero", b"/a\0x" + text(",")),
    ("string padding missing", text("/a") + text(",s") + b"abc\0"[:3] + b"d" * 5),
    ("not UTF-8", message("s", b"\xff\xfe\0\0")),
    ("address is not UTF-8", text(b"/\xff") + text(",")),
    ("blob too long", message("b", struct.pack(">i", 9) + b"abcd")),
    ("blob negative", message("b", struct.pack(">i", -1) + b"abcd")),
    ("blob padding", message("b", struct.pack(">i", 3) + b"abcX")),
    ("blob without room for padding", text("/a") + text(",b") + struct.pack(">i", 4) + b"abcd" + b"\0" * 4),
    ("bytes left over", message("i", struct.pack(">ii", 1, 2))),
    ("nested array", message("[[i]]", struct.pack(">i", 1))),
    ("array never ends", message("[i", struct.pack(">i", 1))),
    ("array never began", message("i]", struct.pack(">i", 1))),
    ("bundle without time", b"#bundle\0"),
    ("element of size zero", b"#bundle\0" + struct.pack(">Qi", 1, 0)),
    ("element of negative size, which hangs python-osc", b"#bundle\0" + struct.pack(">Qi", 1, -4)),
    ("element of odd size", b"#bundle\0" + struct.pack(">Qi", 1, 5) + b"/a\0\0,\0\0\0"),
    ("element too long", b"#bundle\0" + struct.pack(">Qi", 1, 12) + b"/a\0\0,\0\0\0"),
    ("element size cut off", b"#bundle\0" + struct.pack(">Q", 1) + b"\0\0" + b"\0\0"[:0]),
    ("garbage in a bundle", bundle(b"abcd")),
    ("inner bundle before the outer", bundle(bundle(time=5 << 32), time=9 << 32)),
    ("too many elements", bundle(*[message("")] * limits.OSC_ELEMENTS)),
    ("too deep", bundle(bundle(bundle(bundle(bundle()))))),
]


@pytest.mark.parametrize("packet", [case[1] for case in INVALID], ids=[case[0] for case in INVALID])
def test_everything_else_is_refused(packet):
    """A packet that breaks any rule raises the protocol error."""
    with pytest.raises(ProtocolError):
        decode(packet)


def test_bundles_keep_order_time_and_nesting():
    """Elements come in order; the time tag is kept as it is and can be had as Unix seconds."""
    later = (NTP_EPOCH + 100) << 32
    packet = decode(bundle(message("i", b"\0\0\0\1"), bundle(message("", address="/b"), time=later)))
    assert packet == Bundle(1, (Message("/a", (1,)), Bundle(later, (Message("/b"),))))
    assert packet.due == 0.0
    assert packet.elements[1].due == 100.0


def test_the_deepest_and_fullest_packet_passes():
    """The limits themselves are allowed, and nothing of the packet is lost."""
    packet, depth = decode(bundle(bundle(bundle(bundle())))), 1
    while packet.elements:
        (packet,), depth = packet.elements, depth + 1
    assert depth == limits.OSC_DEPTH
    full = decode(bundle(*[message("i", struct.pack(">i", n)) for n in range(limits.OSC_ELEMENTS - 1)]))
    assert [element.arguments for element in full.elements] == [(n,) for n in range(limits.OSC_ELEMENTS - 1)]


def test_the_weight_of_a_packet_follows_its_texts_blobs_and_arrays():
    """What waits in memory is bounded by it."""
    long = message("s[sb]", text("x" * 1000) + text("y" * 1000) + struct.pack(">i", 1000) + b"z" * 1000)
    assert 3000 < weight(decode(long)) < 4000
    assert weight(decode(bundle(long, long))) > 2 * weight(decode(long))


@example(struct.unpack(">f", b"\x7f\x7f\xff\xff")[0])
@example(float("inf"))
@given(st.floats(width=32))
def test_a_float32_is_the_shortest_decimal_that_is_it(value):
    """The decimal packs to the same float32, up to the largest one; so nothing is lost; and what a user typed comes back."""
    found = shortest(value)
    assert math.isnan(value) or struct.pack(">f", found) == struct.pack(">f", value)


@given(st.integers(1, 9999).map(lambda n: n / 1000))
def test_a_typed_decimal_survives_float32(value):
    """0.7 sent as a float32 is 0.7 in the recipe."""
    assert shortest(struct.unpack(">f", struct.pack(">f", value))[0]) == value


ARGUMENTS = st.one_of(
    st.tuples(st.just("i"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("h"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("f"), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just("d"), st.floats(allow_nan=False)),
    st.tuples(st.just("s"), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    st.tuples(st.just("b"), st.binary(min_size=1)),
    st.tuples(st.sampled_from("TFN"), st.none()),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ARGUMENTS, max_size=8))
def test_what_python_osc_writes_we_read_as_it_does(arguments):
    """Differential: packets of an independent builder are read like its own reader reads them."""
    builder = OscMessageBuilder("/peer")
    for tag, value in arguments:
        builder.add_arg(value, tag)
    packet = builder.build().dgram
    ours, theirs = decode(packet).arguments, OscMessage(packet).params
    for (tag, _), mine, yours in zip(arguments, ours, theirs, strict=True):
        assert struct.pack(">f", mine) == struct.pack(">f", yours) if tag == "f" else mine == yours


def test_a_bundle_of_python_osc_is_read():
    """Differential: a nested bundle of the peer's builder."""
    inner = OscBundleBuilder(PEER_NOW)
    inner.add_content(OscMessageBuilder("/in").build())
    outer = OscBundleBuilder(PEER_NOW)
    outer.add_content(OscMessageBuilder("/out").build())
    outer.add_content(inner.build())
    assert decode(outer.build().dgram) == Bundle(1, (Message("/out"), Bundle(1, (Message("/in"),))))


SEEDS = [case[1] for case in VALID] + [
    bundle(message("i", b"\0\0\0\1"), bundle(message("s", text("x")))),
    message("sififs" * 3, text("take-1") * 3, "/ace/op/generate"),
]


def mutate(packet: bytes, chance: random.Random) -> bytes:
    """A packet with a few bytes changed, cut, doubled or added."""
    data = bytearray(packet)
    for _ in range(chance.randint(1, 4)):
        kind, at = chance.random(), chance.randrange(len(data) + 1)
        if kind < 0.5 and at < len(data):
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind < 0.7:
            del data[at : at + 4 * chance.randint(0, 2)]
        elif kind < 0.85:
            data[at:at] = data[: 4 * chance.randint(0, 4)]
        else:
            data[at:at] = chance.randbytes(4)
    return bytes(data)


def test_mutated_packets_raise_nothing_but_the_protocol_error():
    """100,000 damaged packets: a message comes out, or the one error."""
    chance = random.Random(4711)
    read = 0
    for _ in range(100_000):
        try:
            read += isinstance(decode(mutate(chance.choice(SEEDS), chance)), (Message, Bundle))
        except ProtocolError:
            continue
    assert 0 < read < 100_000


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_a_packet_or_the_protocol_error(data):
    """No bytes do anything else, and what is a message has an address."""
    with contextlib.suppress(ProtocolError):
        packet = decode(data)
        assert isinstance(packet, Bundle) or packet.address.startswith("/")
