"""Lights and clock go to a receiver that may come, go and come back; here it listens on a socket, as mido's own ports do."""

from __future__ import annotations

import socket
import time

import mido
import pytest
from mido.sockets import PortServer, SocketPort

from bridge.performance.player.messages import ClockBeat, FeedbackOutput, Lights
from bridge.performance.tempo import ClockInput


class Receiver:
    """A controller that listens on a TCP port."""

    def __init__(self, port: int = 0) -> None:
        self._server = PortServer("127.0.0.1", port)
        self._lines: list[SocketPort] = []
        self.port = self._server._socket.getsockname()[1]
        self.heard: list[tuple[float, mido.Message]] = []

    @property
    def output(self) -> str:
        return f"tcp:127.0.0.1:{self.port}"

    def until(self, condition, timeout: float = 20.0) -> None:
        """Listen until it holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.listen()
            time.sleep(0.002)

    def listen(self) -> None:
        """Take in what has arrived."""
        if (line := self._server.accept(block=False)) is not None:
            self._lines.append(line)
        for line in self._lines:
            while (message := line.poll()) is not None:
                self.heard.append((time.monotonic(), message))

    def types(self) -> list[str]:
        return [message.type for _, message in self.heard]

    def unplug(self) -> None:
        for line in self._lines:
            if not line.closed:
                line._socket.shutdown(socket.SHUT_RDWR)  # close alone would leave it open, for the files on it
                line.close()
        self._server.close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.unplug()


def song(**wish) -> ClockBeat:
    return ClockBeat(
        **{"bpm": 150.0, "anchor": time.monotonic(), "beat": 0.0, "running": True, "clock": True, "join": 0.25, **wish}
    )


def notes(receiver: Receiver) -> list[tuple[int, int, int]]:
    return [(m.channel, m.note, m.velocity) for _, m in receiver.heard if m.type == "note_on"]


def test_a_clock_sent_by_the_player_is_heard_with_its_tempo_and_position(player, receiver):
    """A round trip: our clock out, a real socket, our clock in."""
    player.send(FeedbackOutput(output=receiver.output))
    beat = song()
    player.send(beat)
    receiver.until(lambda: len(receiver.heard) > 4 * 24)
    assert receiver.types()[:2] == ["start", "clock"] or "continue" in receiver.types()[:10]
    ear = ClockInput()
    for when, message in receiver.heard:
        ear.feed(message, when, "out")
    timeline = ear.timeline(time.monotonic())
    assert timeline.bpm == pytest.approx(150.0, rel=0.01)
    now = time.monotonic()
    assert timeline.beat_at(now) == pytest.approx((now - beat.anchor) * 150.0 / 60, abs=0.2)


def test_the_transport_of_the_host_is_passed_on(player, receiver):
    player.send(FeedbackOutput(output=receiver.output))
    player.send(song(running=False))
    receiver.until(lambda: receiver.types().count("clock") > 5)
    player.send(song())
    receiver.until(lambda: "start" in receiver.types())
    player.send(song(running=False, beat=2.0))
    receiver.until(lambda: "stop" in receiver.types())
    player.send(song(beat=8.0))
    receiver.until(lambda: "continue" in receiver.types())
    assert [message.pos for _, message in receiver.heard if message.type == "songpos"] == [32]
    assert set(receiver.types()) == {"clock", "start", "stop", "songpos", "continue"}


def test_a_receiver_that_was_unplugged_gets_its_lights_and_its_place_in_the_song_again(player, receiver):
    player.send(Lights(pads=((9, 36, 127),)))
    player.send(FeedbackOutput(output=receiver.output))
    player.send(song())
    receiver.until(lambda: notes(receiver) == [(9, 36, 127)])
    receiver.unplug()
    player.until(lambda levels: not levels.feedback)
    player.send(Lights(pads=((9, 37, 32),)))
    again = Receiver(receiver.port)
    try:
        again.until(lambda: "continue" in again.types())
        assert set(notes(again)) == {(9, 36, 127), (9, 37, 32)}
        player.until(lambda levels: levels.feedback and levels.clock == "running")
    finally:
        again.unplug()


def test_a_player_that_ends_leaves_its_receiver_stopped_and_dark(player, receiver):
    player.send(FeedbackOutput(output=receiver.output))
    player.send(song())
    player.send(Lights(pads=((0, 1, 127), (0, 2, 0))))
    receiver.until(lambda: {"start", "continue"} & set(receiver.types()) and (0, 1, 127) in notes(receiver))
    player.close()
    receiver.until(lambda: "stop" in receiver.types() and (0, 1, 0) in notes(receiver))


async def test_the_mapping_names_the_output_and_pads_show_what_their_slots_do(stage, until, tmp_path, click, receiver):
    """Bright while playing, dim while ready, off when another mapping has no such pad; and the clock follows the host."""
    mapping = tmp_path / "map.toml"
    head = f'feedback = "{receiver.output}"\nclock = true\n'
    mapping.write_text(
        head + '[[trigger]]\non = "note"\nchannel = 10\nlow = 40\nhigh = 41\naction = "launch"\nslot = -1\n'
    )
    performance = await stage(mapping=mapping)
    performance.set_host(180.0)

    async def shows(*expected):
        def seen():
            receiver.listen()
            return notes(receiver)[-1:] == list(expected)

        await until(seen)

    await performance.slots.load(1, str(click))
    await shows((9, 41, 32))
    await performance.slots.launch(1, "now")
    await shows((9, 41, 127))
    await until(lambda: performance.state()["feedback"]["clock"]["state"] == "running")
    mapping.write_text(head)
    await shows((9, 41, 0))
    assert {"clock", "start"} <= set(receiver.types()) or "continue" in receiver.types()
    performance.feedback.send_clock(False)
    await until(lambda: performance.state()["feedback"]["clock"]["state"] == "")


async def test_a_clock_without_an_output_says_what_is_missing(stage):
    performance = await stage(midi_clock=True)
    assert "feedback" in performance.state()["feedback"]["problem"]
