"""JSON-RPC bytes: what is a call, what is none, and what is too much. Pure."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from acestep.api.errors import (
    BadRequest,
    Busy,
    IdConflict,
    InternalError,
    NotAllowed,
    ProtocolError,
    TooLarge,
    UnknownName,
    UnknownOperation,
)
from bridge.doors import limits
from bridge.doors.jsonrpc import codec


def message(**members):
    """A request as bytes, with members changed; None leaves one out."""
    whole = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}, **members}
    return json.dumps({key: value for key, value in whole.items() if value is not ...}).encode()


@pytest.mark.parametrize("id", [1, 0, -5, 2**63, 10**30, 1.5, "a", "", "\u00e9", None])
def test_a_request_keeps_its_id(id):
    """Texts, numbers and null, as the specification allows."""
    call = codec.decode(message(id=id))
    assert (call.method, call.params, call.id, call.is_notification) == ("ping", {}, id, False)
    assert json.loads(codec.response(call.id, 7)) == {"jsonrpc": "2.0", "id": id, "result": 7}


def test_without_an_id_it_is_a_notification():
    """An id of null is an id."""
    assert codec.decode(message(id=...)).is_notification
    assert not codec.decode(message(id=None)).is_notification


@pytest.mark.parametrize(
    ("data", "field", "id"),
    [
        (b"7", None, None),
        (b'"text"', None, None),
        (b"null", None, None),
        (message(jsonrpc="1.0"), "jsonrpc", 1),
        (message(jsonrpc=...), "jsonrpc", 1),
        (message(jsonrpc=2.0), "jsonrpc", 1),
        (message(method=...), "method", 1),
        (message(method=5), "method", 1),
        (message(method="m" * (limits.RPC_METHOD + 1)), "method", 1),
        (message(id=True), "id", None),
        (message(id=[1]), "id", None),
        (message(id={}), "id", None),
        (message(id="i" * (limits.JSON_ID + 1)), "id", None),
        (b"[]", None, None),
        (b"[" + b",".join([message()] * (limits.JSON_BATCH + 1)) + b"]", None, None),
    ],
)
def test_what_is_json_and_no_request_is_told_so(data, field, id):
    """With the id, where one can be read, and the member at fault."""
    wrong = codec.decode(data)
    assert isinstance(wrong, codec.InvalidCall)
    assert (wrong.error.field, wrong.id) == (field, id)


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"{", b"nonsense", b"{'a': 1}", b"{\"a\": NaN}", b"\xff", b'"\xed\xa0\x80"', b'"\\ud800"', b"[1,]", b"1e999",
     b"{}{}", b"1" * 5000, b'{"a" 1}'],
)  # fmt: skip
def test_what_is_no_json_is_one_sentence_of_ours(data):
    """And none of the library's."""
    with pytest.raises(ProtocolError) as refused:
        codec.decode(data)
    assert refused.value.message == "the message is not valid JSON"


def test_a_batch_is_taken_entry_by_entry():
    """Good and bad ones side by side."""
    batch = codec.decode(
        b"[" + b",".join([message(id=1), b"5", message(id=...), b'{"jsonrpc":"2.0","id":0,"result":1}']) + b"]"
    )
    assert [type(entry) for entry in batch] == [codec.JsonCall, codec.InvalidCall, codec.JsonCall, codec.JsonAnswer]
    assert json.loads(codec.batch([codec.response(1, 2), codec.response("b", None)])) == [
        {"jsonrpc": "2.0", "id": 1, "result": 2},
        {"jsonrpc": "2.0", "id": "b", "result": None},
    ]


@pytest.mark.parametrize(
    "body", [b'{"jsonrpc":"2.0","id":0,"result":null}', b'{"jsonrpc":"2.0","id":0,"error":{"code":1}}']
)
def test_the_answer_to_a_heartbeat_is_known(body):
    """Whether a result or an error."""
    assert codec.decode(body) == codec.JsonAnswer(0)


def nested(depth, opening=b"[", closing=b"]"):
    """A request whose parameters nest."""
    return b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + opening * depth + closing * depth + b"}"


def test_depth_values_and_bytes_are_bounded():
    """Just within is taken, just beyond is not; what stands in a text does not count."""
    assert codec.decode(nested(limits.RPC_DEPTH - 1))
    assert codec.decode(message(params={"text": "[" * 200_000}))
    assert codec.decode(message(params={"text": '"\\,:{' * 20_000}))
    assert codec.decode(message(params=[1] * (limits.RPC_VALUES - 20)))
    for body in (nested(limits.RPC_DEPTH), nested(100_000), b"[" * 500_000, b'{"a":' * 100_000):
        with pytest.raises(TooLarge, match=r"deep|values"):
            codec.decode(body)
    for body in (message(params=[1] * (limits.RPC_VALUES + 20)), b'"' * 900_000, b'[""' + b',""' * 300_000 + b"]"):
        with pytest.raises((TooLarge, ProtocolError)) as refused:
            codec.decode(body)
        assert refused.value.limits or body.startswith(b'""')
    with pytest.raises(TooLarge, match="bytes"):
        codec.decode(b" " * (limits.RPC_MESSAGE + 1))


@pytest.mark.parametrize(
    ("params", "found"), [(None, {}), ([], {}), ({}, {}), ({"a": 1}, {"a": 1}), ([{"a": 1}], {"a": 1})]
)
def test_parameters_come_by_name(params, found):
    """An empty array is what Lua makes of an empty table."""
    assert codec.parameters(params) == found


@pytest.mark.parametrize("params", [5, "x", ["x"], [1, 2], [{}, {}], True])
def test_parameters_by_position_are_refused(params):
    """In one sentence."""
    with pytest.raises(BadRequest, match="one object"):
        codec.parameters(params)


@pytest.mark.parametrize(
    ("failure", "method", "number"),
    [
        (UnknownOperation("x", field="method"), "no.such", -32601),
        (UnknownOperation("x", field="operation"), "op.no-such", -32601),
        (UnknownOperation("x", field="operation"), "job.submit", -32602),
        (BadRequest("x"), "ping", -32602),
        (UnknownName("x"), "op.generate", -32602),
        (InternalError("x"), "ping", -32603),
        (Busy("x"), "ping", -32000),
        (NotAllowed("x"), "ping", -32000),
        (IdConflict("x"), "op.generate", -32000),
    ],
)
def test_every_error_has_its_number(failure, method, number):
    """That of the specification where it has one."""
    assert codec.number(failure, method) == number


def test_an_error_carries_everything_that_other_doors_tell():
    """The sentence as message, the rest in data."""
    error = BadRequest("bpm is at most 300", field="bpm", limits={"max": 300})
    assert json.loads(codec.failure(3, error, -32602)) == {
        "jsonrpc": "2.0",
        "id": 3,
        "error": {
            "code": -32602,
            "message": "bpm is at most 300",
            "data": {"code": "bad_request", "retryable": False, "field": "bpm", "limits": {"max": 300}},
        },
    }


def test_unasked_messages_and_bytes():
    """Requests and notifications of ours; bytes become base64."""
    assert json.loads(codec.request(0, "ping", {"n": 0}))["id"] == 0
    assert "id" not in json.loads(codec.notification("event", {"seq": 1}))
    assert json.loads(codec.response(1, {"data": b"hi"}))["result"] == {"data": "aGk="}


def test_random_bytes_never_raise_anything_else():
    """Twenty thousand of them, mutated from good messages."""
    chance = random.Random(7)
    seeds = [
        message(),
        nested(3),
        b"[" + message() + b"," + message(id=...) + b"]",
        message(params={"a": [1.5, "\u00e9", None]}),
    ]
    for _ in range(20_000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            data[at] = chance.choice((0x22, 0x5B, 0x7B, 0x5C, 0, 0xFF, chance.randrange(256)))
        try:
            codec.decode(bytes(data))
        except (ProtocolError, TooLarge) as refused:
            assert msgspec.json.encode(refused.to_wire())
