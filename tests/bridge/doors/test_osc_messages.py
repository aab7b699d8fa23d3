"""What the daemon says over OSC."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage

from acestep.api.errors import BadRequest
from bridge.core.interface import Event, EventKind
from bridge.doors.methods import METHODS
from bridge.doors.osc import messages
from bridge.doors.osc.codec import decode

EVENTS = [
    (EventKind.ACCEPTED, {"position": 4}, "/ace/accepted", ["j", 3, 4]),
    (
        EventKind.PROGRESS,
        {"stage": "denoise", "step": 2, "steps": 8, "fraction": 0.25, "eta": None},
        "/ace/progress",
        ["j", 3, "denoise", 2, 8, 0.25, -1.0],
    ),
    (
        EventKind.RESULT,
        {"index": 1, "role": "patch", "path": "/x.wav", "start": 5, "length": 6, "rate": 44100, "channels": 2},
        "/ace/result",
        ["j", 3, 1, "patch", "/x.wav", 5, 6, 44100, 2, 0, "", 0],
    ),
    (EventKind.DONE, {"seconds": 1.5, "files": 2, "notes": ["a", "b"]}, "/ace/done", ["j", 3, 1.5, 2, "a", "b"]),
    (EventKind.DONE, {"seconds": 1.5, "files": [{}, {}]}, "/ace/done", ["j", 3, 1.5, 2]),
    (
        EventKind.FAILED,
        {"error": {"code": "disk_full", "message": "full", "field": None}},
        "/ace/failed",
        ["j", 3, "disk_full", "full", None],
    ),
    (EventKind.CANCELLED, {"reason": "asked"}, "/ace/cancelled", ["j", 3, "asked"]),
    (
        EventKind.SUSPENDED,
        {"reason": "another job runs first", "stage": "training", "step": 3, "steps": 8, "fraction": 0.25},
        "/ace/suspended",
        ["j", 3, "another job runs first", 0.25],
    ),
    (EventKind.INTERRUPTED, {"reason": "power"}, "/ace/interrupted", ["j", 3, "power"]),
]


@pytest.mark.parametrize(("kind", "data", "address", "arguments"), EVENTS)
def test_each_event_has_its_message(kind, data, address, arguments):
    """Address and arguments as the reference page says."""
    assert messages.event(Event(job="j", seq=3, kind=kind, data=data)) == (address, arguments)


def test_only_types_every_client_has_are_sent():
    """Ints, floats and texts; switches as 1 and 0, absent values as empty texts, an int64 only where it must be."""
    packet = messages.encode("/a", [True, False, None, 5, 2**31, 2**70, 1e99, ["a", "b"], "x\0y"])
    assert decode(packet).arguments[:5] == (1, 0, "", 5, 2**31)
    assert decode(packet).arguments[5] == str(2**70)
    assert decode(packet).arguments[7:] == ("a,b", "x y")
    assert b",iisihsfss" in packet


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(lambda t: t * 40), max_size=4))
def test_a_datagram_never_grows_beyond_its_limit(words):
    """The longest text is shortened until the packet fits, and stays readable for an independent reader."""
    packet = messages.encode("/ace/failed", ["j", 1, *words], 1200)
    assert len(packet) <= 1200
    assert OscMessage(packet).params[:2] == ["j", 1]


def test_a_list_is_answered_as_numbered_items():
    """Index and number of rows before each row; an empty list is one message that says so."""
    rows = list(messages.answer(METHODS["plugins.list"], [{"name": "a", "state": "enabled"}, {"name": "b"}]))
    assert rows[1] == ("/ace/plugins", [1, 2, "b", None, None, None])
    assert list(messages.answer(METHODS["models.list"], [])) == [("/ace/models", [0, 0])]


def test_a_map_is_answered_as_dotted_keys():
    """Nested maps and lists of maps are flattened."""
    data = {"queue": {"length": 2, "by": {}}, "warnings": [{"a": 1}], "tags": ["x", "y"]}
    rows = [arguments for _, arguments in messages.answer(METHODS["status"], data)]
    assert rows == [
        [0, 4, "queue.length", 2],
        [1, 4, "queue.by", ""],
        [2, 4, "warnings.0.a", 1],
        [3, 4, "tags", ["x", "y"]],
    ]


def test_a_job_that_ended_repeats_its_last_word():
    """``/ace/job/result`` sends files and terminal message again, in every end."""
    file = {"role": "part", "path": "/x", "start": 0, "length": 9}
    done = {"id": "j", "seq": 5, "state": "done", "result": {"files": [file], "seconds": 2.0, "notes": ["n"]}}
    assert [address for address, _ in messages.result(done)] == ["/ace/result", "/ace/done"]
    failed = {"id": "j", "seq": 5, "state": "failed", "error": BadRequest("no", field="x").to_wire()}
    assert list(messages.result(failed)) == [("/ace/failed", ["j", 5, "bad_request", "no", "x"])]
    cancelled = {"id": "j", "seq": 5, "state": "cancelled", "error": None}
    assert list(messages.result(cancelled)) == [("/ace/cancelled", ["j", 5, ""])]
    running = {"id": "j", "operation": "o", "seq": 5, "state": "running", "position": 0, "progress": {"fraction": 0.5}}
    assert list(messages.result(running)) == [("/ace/job/status", ["j", "o", "running", 5, 0, 0.5])]


def test_a_shortened_text_says_so():
    """It ends in an ellipsis, between two characters."""
    packet = messages.encode("/a", ["j", "ä" * 2000], 1200)
    assert 1190 < len(packet) <= 1200
    assert decode(packet).arguments[1].strip("ä") == "…"
