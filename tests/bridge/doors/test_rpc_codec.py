"""The MessagePack-RPC codec: messages however the stream is cut, limits before anything is decoded, one error."""

from __future__ import annotations

import contextlib
import random
import struct

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acestep.api.errors import BadRequest, ProtocolError
from bridge.doors import limits
from bridge.doors.rpc import codec
from bridge.doors.rpc.codec import Notification, Response, RpcRequest, Splitter, decode, parameters

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=17) | st.dictionaries(st.text("abcd", max_size=6), inner, max_size=17),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=3), st.integers(1, 60))
def test_messages_come_out_whole_however_the_stream_is_cut(values, size):
    """Differential: what the msgpack library packs is split at the right places and decoded to the same values."""
    messages = [[0, number, "method", value] for number, value in enumerate(values)]
    stream = b"".join(msgpack.packb(message) for message in messages)
    splitter, found = Splitter(), []
    for at in range(0, len(stream), size):
        found += splitter.feed(stream[at : at + size])
    assert [decode(body) for body in found] == [RpcRequest(*message[1:]) for message in messages]
    assert not splitter.unfinished


def test_every_form_of_value_is_skipped_by_its_size():
    """Strings, bytes, arrays, maps and numbers of every width, as other encoders may write them."""
    forms = [
        *(
            b"\xc4\x01x",
            b"\xc5\x00\x01x",
            b"\xc6\x00\x00\x00\x01x",
            b"\xd9\x01x",
            b"\xda\x00\x01x",
            b"\xdb\x00\x00\x00\x01x",
        ),
        *(b"\xdc\x00\x01\x01", b"\xdd\x00\x00\x00\x01\x01", b"\xde\x00\x01\xa1a\x01", b"\xdf\x00\x00\x00\x01\xa1a\x01"),
        *(b"\xca" + bytes(4), b"\xcb" + bytes(8), b"\xcc\x01", b"\xcd\x00\x01", b"\xce" + bytes(4), b"\xcf" + bytes(8)),
        *(b"\xd0\x01", b"\xd1\x00\x01", b"\xd2" + bytes(4), b"\xd3" + bytes(8), b"\x80", b"\x90", b"\xa0", b"\xc0"),
    ]
    for form in forms:
        body = b"\x93\x02\xa1m" + form
        assert Splitter().feed(body + body) == [body, body]
        assert decode(body) == Notification("m", msgpack.unpackb(form, strict_map_key=False))


def test_the_three_kinds_of_message():
    """Request, response and notification round trip."""
    assert decode(codec.request(7, "m", {"a": 1})) == RpcRequest(7, "m", [{"a": 1}])
    assert decode(codec.response(2**32 - 1, None, 5)) == Response(2**32 - 1, None, 5)
    assert decode(codec.notification("event", {})) == Notification("event", [{}])


BOMBS = [
    ("a map on top", b"\x80"),
    ("a text on top", b"GET / HTTP/1.1\r\n"),
    ("an extension", b"\x93\x02\xa1m\xd4\x01\x00"),
    ("a long extension", b"\x93\x02\xa1m\xc9\xff\xff\xff\xff\x01"),
    ("the unused byte", b"\x93\x02\xa1m\xc1"),
    ("a text of 4 GiB", b"\x93\x02\xa1m\xdb\xff\xff\xff\xff"),
    ("bytes just too long", b"\x93\x02\xa1m\xc6" + struct.pack(">I", limits.RPC_MESSAGE)),
    ("an array of 4 G entries", b"\x93\x02\xa1m\xdd\xff\xff\xff\xff"),
    ("a map of 4 G entries", b"\x93\x02\xa1m\xdf\xff\xff\xff\xff"),
    ("containers without end", b"\x91" * (limits.RPC_DEPTH + 1)),
    ("many small values", b"\x94" + (b"\xdc\xff\xff" + b"\x01" * 65_535) * 4),
    ("a message that only grows", b"\x93\x02\xa1m\x9f" + (b"\xc5\xff\xff" + b"x" * 65_535) * 17),
]


@pytest.mark.parametrize("stream", [bomb[1] for bomb in BOMBS], ids=[bomb[0] for bomb in BOMBS])
def test_a_broken_limit_is_seen_in_the_header(stream):
    """What declares or becomes too much is refused before it has arrived."""
    with pytest.raises(ProtocolError):
        Splitter().feed(stream)


def test_nothing_is_decided_before_a_length_is_known():
    """A length that is itself cut off waits for its rest."""
    splitter = Splitter()
    assert splitter.feed(b"\x93\x02\xa1m\xdb\x00\x00") == []
    assert splitter.unfinished
    assert splitter.feed(b"\x00\x01x") == [b"\x93\x02\xa1m\xdb\x00\x00\x00\x01x"]


NO_MESSAGES = [
    [],
    [0, 1, "m"],
    [0, -1, "m", []],
    [0, 2**32, "m", []],
    [0, True, "m", []],
    [0, 1, 5, []],
    [0, 1, "m" * 200, []],
    [1, "1", None, None],
    [2, "m" * 200, []],
    [3, "m", []],
    ["0", 1, "m", []],
]


@pytest.mark.parametrize("value", NO_MESSAGES, ids=repr)
def test_an_array_of_another_shape_is_no_message(value):
    """Only the three shapes of the specification pass."""
    with pytest.raises(ProtocolError):
        decode(msgpack.packb(value))


@pytest.mark.parametrize(
    "body", [b"\x93\x02\xa1\xff\xc0", b"\x93\x02\xa1m\x81\x90\x01", b"\x93", b"\x90\x00"], ids=repr
)
def test_what_msgspec_refuses_is_a_protocol_error(body):
    """Bad UTF-8, impossible keys, cut and trailing bytes."""
    with contextlib.suppress(ProtocolError):
        assert isinstance(decode(body), Notification)


def test_parameters_are_one_map_bare_or_in_an_array():
    """As Neovim and most libraries send them."""
    assert parameters([]) == {}
    assert parameters([{"a": 1}]) == {"a": 1} == parameters({"a": 1})
    for wrong in ([1, 2], [{}, {}], "x", [None], {1: 2}, None, [[]]):
        with pytest.raises(BadRequest):
            parameters(wrong)


SEEDS = [
    codec.request(
        1, "job.submit", {"operation": "generate", "params": {"caption": "x", "seeds": [1, 2, 3], "bpm": 96.5}}
    ),
    codec.response(1, {"code": "busy", "message": "later"}, None),
    codec.notification("event", {"job": "a", "seq": 3, "data": {"fraction": 0.5}}),
    msgspec.msgpack.encode([0, 2, "upload.chunk", [{"data": b"x" * 300, "offset": 2**40}]]),
]


def test_mutated_streams_raise_nothing_but_the_protocol_error():
    """100,000 damaged messages through splitter, decoder and parameters: a value comes out, or one of two errors."""
    chance = random.Random(815)
    read = 0
    for _ in range(100_000):
        data = bytearray(chance.choice(SEEDS))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            if chance.random() < 0.7:
                data[at] = chance.choice((0xC1, 0xDD, 0xFF, 0x9F, chance.randrange(256)))
            else:
                del data[at : at + chance.randint(1, 3)]
            data = data or bytearray(b"\x90")
        try:
            for body in Splitter().feed(bytes(data)):
                message = decode(body)
                read += 1
                if not isinstance(message, Response):
                    parameters(message.params)
        except (ProtocolError, BadRequest):
            continue
    assert 0 < read < 100_000


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_the_protocol_error(data):
    """No bytes do anything else, on top of a valid beginning or not."""
    for stream in (data, b"\x93\x02\xa1m" + data):
        with contextlib.suppress(ProtocolError):
            for body in Splitter().feed(stream):
                decode(body)


def test_a_long_message_is_scanned_piece_by_piece():
    """A bounded number of values at a time: between two pieces others have their turn."""
    body = msgspec.msgpack.encode([0, 1, "m", [list(range(1000))]])
    splitter = Splitter()
    splitter.add(body[:-1])
    pieces = 0
    while not splitter.starved:
        assert splitter.next(100) is None
        pieces += 1
    splitter.add(body[-1:] + body)
    assert pieces >= 10
    assert [splitter.next(), splitter.next(2000), splitter.next()] == [body, body, None]
