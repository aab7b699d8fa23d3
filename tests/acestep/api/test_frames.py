"""Daemon and worker understand each other whatever the pipe does to their bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestep.api import frames
from acestep.api.errors import ProtocolError

MESSAGES = [
    frames.Run(job="a", operation="repaint", request={"x": [1, None, "ü"]}, staging="/s"),
    frames.Cancel("a"),
    frames.Unload(),
    frames.Ready(pid=7, info={"device": "cpu"}),
    frames.Tick(job="a", stage="denoise", step=1, steps=8, fraction=0.25),
    frames.Preview(job="a", file={"name": "p.wav"}),
    frames.Done(job="a", result={"files": []}),
    frames.Failed(job="a", error={"code": "cancelled"}),
    frames.Info({"memory": 1}),
]


@given(st.lists(st.sampled_from(MESSAGES), max_size=6), st.integers(1, 40))
def test_messages_survive_any_split_of_the_stream(messages, size):
    stream = b"".join(map(frames.encode, messages))
    reader = frames.FrameReader()
    seen = [m for at in range(0, len(stream), size) for m in reader.feed(stream[at : at + size])]
    assert seen == messages


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", frames.MAX_FRAME + 1),
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        struct.pack(">I", 1) + b"\x01",
        struct.pack(">I", 12) + b"\x81\xa4type\xa5Nopey",
        struct.pack(">I", 200) + b"\x91" * 200,
    ],
)
def test_what_is_no_message_is_a_protocol_error(data):
    with pytest.raises(ProtocolError):
        frames.FrameReader().feed(data)
