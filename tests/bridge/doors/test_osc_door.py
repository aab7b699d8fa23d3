"""The OSC door over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from types import SimpleNamespace

import pytest

from acestep.api.errors import BadRequest
from bridge.core.interface import PROTOCOL, EventKind
from bridge.doors import limits
from bridge.doors.osc import peers as osc_peers
from bridge.doors.osc import sockets as osc_sockets
from bridge.doors.osc.allow import AllowList
from bridge.doors.osc.codec import NTP_EPOCH, decode
from bridge.doors.osc.framing import Framer, frame
from bridge.doors.osc.messages import encode


def bundle(wait: float, *messages: bytes) -> bytes:
    tag = 1 if wait == 0 else int((time.time() + wait + NTP_EPOCH) * 2**32)
    return b"#bundle\0" + struct.pack(">Q", tag) + b"".join(struct.pack(">i", len(m)) + m for m in messages)


async def test_a_job_runs_from_submit_to_done(udp, core):
    """accepted, progress, result and done come to the sender, with growing seq."""
    core.pace = 0.02
    peer = await udp()
    peer.send("/ace/op/sketch", "take-1", "steps", 3, "start", 480)
    found = await peer.until_end("take-1")
    assert [m.address.removeprefix("/ace/") for m in found] == ["accepted", *["progress"] * 2, "result", "done"]
    assert [m.arguments[1] for m in found] == [0, 1, 2, 4, 5]  # the last progress is merged into the end
    assert found[-2].arguments[5:7] == (480, 48_000)


async def test_a_repeated_submit_is_the_same_job(udp, core):
    """A retry gets the same answer and makes no second job; another body under the id is refused."""
    peer = await udp()
    for _ in range(3):
        peer.send("/ace/op/sketch", "a", "steps", 1)
    for _ in range(3):
        assert (await peer.next("/ace/accepted")).arguments[:2] == ("a", 0)
    assert len(await core.jobs()) == 1
    peer.send("/ace/op/sketch", "a", "steps", 2)
    assert (await peer.next("/ace/rejected")).arguments[:3] == ("a", "id_conflict", "id")


async def test_who_cannot_be_remembered_hands_in_no_job(udp, core, osc_door, monkeypatch):
    """Nobody would hear of it: an operation and a method that submits are refused before the core has stored anything."""
    peer = await udp()
    peer.send("/ace/op/sketch", "a", "steps", 1)
    await peer.until_end("a")
    monkeypatch.setattr(osc_door.door, "peers", osc_peers.Peers())
    monkeypatch.setattr(osc_door.door.peers, "add", lambda address, peer: False)
    peer.send("/ace/op/sketch", "b")
    assert (await peer.next("/ace/rejected")).arguments[:2] == ("b", "busy")
    peer.send("/ace/job/rerun", "a")
    assert (await peer.next("/ace/error")).arguments[:2] == ("/ace/job/rerun", "busy")
    assert [job.id for job in await core.jobs()] == ["a"]


async def test_the_retry_of_a_job_that_has_ended_hears_its_end_again(udp):
    """Whoever lost the terminal message gets it by asking again, or by submitting again."""
    peer = await udp()
    peer.send("/ace/op/sketch", "a")
    await peer.until_end("a")
    peer.send("/ace/op/sketch", "a")
    assert (await peer.until_end("a"))[-1].address == "/ace/done"
    peer.send("/ace/job/result", "a")
    assert [(await peer.next()).address for _ in range(2)] == ["/ace/result", "/ace/done"]


async def test_cancel_ends_a_running_job(udp):
    """The answer tells the state, the event the end; a second cancel changes nothing."""
    peer = await udp()
    peer.send("/ace/op/sketch", "a", "hold", 1)
    await peer.next("/ace/progress")
    peer.send("/ace/job/cancel", "a")
    seen = {(await peer.next()).address for _ in range(2)}
    assert seen == {"/ace/cancelled", "/ace/job/cancel"}
    peer.send("/ace/job/cancel", "a")
    assert (await peer.next("/ace/job/cancel")).arguments[2] == "cancelled"


async def test_a_cancel_right_behind_its_submit_is_kept_in_order(udp):
    """Both in one bundle: the cancel waits for the submit to be stored."""
    peer = await udp()
    peer.send_raw(bundle(0, encode("/ace/op/sketch", ["a", "hold", 1]), encode("/ace/job/cancel", ["a"])))
    assert (await peer.until_end("a"))[-1].address == "/ace/cancelled"


async def test_a_failed_job_says_why(udp):
    """Code, sentence, field."""
    peer = await udp()
    peer.send("/ace/op/sketch", "a", "fail", "disk_full")
    assert (await peer.until_end("a"))[-1].arguments[2:4] == ("disk_full", "as told")


REFUSALS = [
    (("/ace/op/sketch", "a", "steps", 1000), "/ace/rejected", ("a", "bad_request", "steps")),
    (("/ace/op/sketch", "a", "nonsense", 1), "/ace/rejected", ("a", "bad_request", "nonsense")),
    (("/ace/op/sketch", "a", "bpm", float("nan")), "/ace/rejected", ("a", "bad_request", "bpm")),
    (("/ace/op/secret", "a"), "/ace/rejected", ("a", "feature_disabled", "operation")),
    (("/ace/op/unheard", "a"), "/ace/rejected", ("a", "unknown_operation", "")),
    (("/ace/op/sketch/nonsense", 1), "/ace/error", ("/ace/op/sketch/nonsense", "bad_request", "nonsense")),
    (("/ace/job/status", "missing"), "/ace/error", ("/ace/job/status", "unknown_job", "id")),
    (("/ace/job/*", "a"), "/ace/error", ("/ace/job/*", "unknown_operation", "")),
    (("/ace/notify", 1, 70_000), "/ace/error", ("/ace/notify", "bad_request", "port")),
    (("/ace/sync", "x"), "/ace/error", ("/ace/sync", "bad_request", "n")),
]


@pytest.mark.parametrize(("sent", "address", "words"), REFUSALS, ids=lambda value: str(value)[:50])
async def test_what_is_wrong_is_refused_with_code_and_field(udp, sent, address, words):
    """One message, to the sender."""
    peer = await udp()
    peer.send(*sent)
    message = await peer.next()
    assert (message.address, message.arguments[:3]) == (address, words)
    assert message.arguments[3]


async def test_a_draft_of_single_floats_runs(udp, core):
    """A device that sends only numbers fills a draft and submits it with the number of parameters."""
    peer = await udp()
    for name, value in (("steps", 2.0), ("bpm", 96.0), ("instrumental", 1.0)):
        peer.send(f"/ace/op/sketch/{name}", value)
    peer.send("/ace/op/sketch", 4.0)
    assert (await peer.next("/ace/rejected")).arguments[1] == "incomplete"
    peer.send("/ace/op/sketch", 3.0)
    job = (await peer.next("/ace/accepted")).arguments[0]
    assert core.job(job).request == {"steps": 2, "bpm": 96.0, "instrumental": True}


@pytest.mark.parametrize("release", [0.0, 0, False])
async def test_a_released_button_never_submits(udp, core, release):
    """Neither with a draft nor without one, nor between two presses; the draft stays as it is."""
    peer = await udp()
    peer.send("/ace/op/sketch", release)
    peer.send("/ace/op/sketch/steps", 5)
    peer.send("/ace/op/sketch", release)
    peer.send("/ace/op/sketch", 1.0)
    peer.send("/ace/op/sketch", release)
    peer.send("/ace/op/sketch", 1.0)
    peer.send("/ace/op/sketch", release)
    peer.send("/ace/sync", 1)
    await peer.next("/ace/synced")
    assert [job.request for job in await core.jobs()] == [{"steps": 5}]


async def test_drafts_belong_to_their_sender(udp, core):
    """What one sender drafts is nothing to another."""
    one, two = await udp(), await udp()
    one.send("/ace/op/sketch/steps", 5)
    one.send("/ace/sync", 1)
    await one.next("/ace/synced")
    two.send("/ace/op/sketch")
    assert core.job((await two.next("/ace/accepted")).arguments[0]).request == {}


async def test_sync_answers_behind_every_earlier_request(udp, core):
    """The number comes back when all submits before it are stored."""
    peer = await udp()
    for number in range(50):
        peer.send("/ace/op/sketch", f"j{number}")
    peer.send("/ace/sync", 77)
    assert (await peer.next("/ace/synced")).arguments == (77,)
    assert len(await core.jobs()) == 50


async def test_a_listener_hears_all_jobs_and_the_answers_to_its_machine(udp):
    """A program that listens on a port of its own, told by a sender whose own port nobody reads."""
    sender, listener = await udp(), await udp()
    sender.send("/ace/notify", 1, listener.port, 30)
    on, name, level, lease = (await listener.next("/ace/notify")).arguments
    assert (on, name, level, lease) == (1, f"osc:127.0.0.1:{listener.port}", PROTOCOL, 30.0)
    third = await udp()
    third.send("/ace/op/sketch", "a")
    assert [m.address for m in await listener.until_end("a")][-1] == "/ace/done"
    assert [m.address for m in await third.until_end("a")][-1] == "/ace/done"
    third.send("/ace/job/status", "a")
    assert (await listener.next("/ace/job/status")).arguments[:3] == ("a", "sketch", "done")


async def test_a_registered_sender_gets_each_message_once(udp, core):
    """Its own jobs come through its registration, not a second time."""
    core.pace = 0.02
    peer = await udp()
    peer.send("/ace/notify", 1)
    await peer.next("/ace/notify")
    peer.send("/ace/op/sketch", "a", "steps", 2)
    found = await peer.until_end("a")
    events = [m.arguments[1] for m in found if m.address != "/ace/accepted"]
    assert events == [1, 3, 4]


async def test_leaving_ends_the_events(udp):
    """After ``/ace/notify 0`` other programs' jobs are heard no longer, one's own still are."""
    peer, other = await udp(), await udp()
    peer.send("/ace/notify", 1)
    peer.send("/ace/op/sketch", "mine", "hold", 1)
    await peer.next("/ace/progress")
    peer.send("/ace/notify", 0)
    other.send("/ace/op/sketch", "theirs")
    await other.until_end("theirs")
    other.send("/ace/job/cancel", "mine")
    assert (await peer.next("/ace/cancelled", "/ace/done")).arguments[0] == "mine"


async def test_a_lease_runs_out_unless_it_is_renewed(udp, osc_door):
    """The door forgets a listener that does not renew."""
    peer = await udp()
    peer.send("/ace/notify", 1)
    await peer.next("/ace/notify")
    known = next(iter(osc_door.door.peers._peers.values()))
    known.lease_ends = time.monotonic() - 1
    osc_door.door.peers.sweep()
    assert osc_door.door.peers.registered() == 0
    assert len(osc_door.door.peers) == 0


async def test_a_renewed_lease_holds_on(udp, osc_door, monkeypatch):
    """Renewing counts from that moment, with the length asked for last; then it runs out all the same."""
    now = time.monotonic()
    monkeypatch.setattr(osc_peers, "time", SimpleNamespace(monotonic=lambda: now))
    peer, peers = await udp(), osc_door.door.peers
    for _ in range(3):
        peer.send("/ace/notify", 1, 0, 30.0)
        await peer.next("/ace/notify")
        now += 29.0
        peers.sweep()
        assert peers.registered() == 1
    now += 2.0
    peers.sweep()
    assert peers.registered() == 0


async def test_listeners_are_bounded(udp):
    """One more than may be is told so."""
    peer, late = await udp(), await udp()
    for number in range(limits.OSC_LISTENERS):
        peer.send("/ace/notify", 1, 20_000 + number)
    late.send("/ace/notify", 1)
    assert (await late.next("/ace/error")).arguments[1] == "busy"


async def test_a_bundle_for_later_waits_and_nothing_else_does(udp, core):
    """The dated job comes after what was sent behind it; the door answers meanwhile."""
    peer = await udp()
    peer.send_raw(bundle(0.3, encode("/ace/op/sketch", ["later"])))
    peer.send("/ace/op/sketch", "now")
    await peer.until_end("now")
    assert [job.id for job in await core.jobs()] == ["now"]
    assert (await peer.until_end("later"))[-1].address == "/ace/done"


async def test_a_bundle_too_far_ahead_is_refused(udp):
    """Beyond a minute: bad_time, and nothing waits."""
    peer = await udp()
    peer.send_raw(bundle(limits.OSC_SCHEDULE_SECONDS + 10, encode("/ace/ping", [1])))
    assert (await peer.next()).arguments[:2] == ("#bundle", "bad_time")


async def test_what_waits_for_its_time_is_bounded(udp, osc_door, monkeypatch):
    """By number and by size; what is one too many is busy, and a bundle whose time has come makes room."""
    monkeypatch.setattr(limits, "OSC_SCHEDULED", 1)
    peer = await udp()
    peer.send_raw(bundle(0.2, encode("/ace/ping", [1])))
    peer.send_raw(bundle(0.2, encode("/ace/ping", [2])))
    assert (await peer.next()).arguments[:2] == ("#bundle", "busy")
    assert (await peer.next()).arguments == (1,)
    monkeypatch.setattr(limits, "OSC_SCHEDULED_BYTES", 1000)
    peer.send_raw(bundle(0.2, encode("/ace/op/sketch", ["a", "lyrics", "x" * 1000])))
    assert (await peer.next()).arguments[:2] == ("#bundle", "busy")
    assert osc_door.door.schedule.bytes == 0


async def test_a_bundle_of_the_past_is_now(udp):
    """As OSC 1.0 asks."""
    peer = await udp()
    peer.send_raw(bundle(-5, encode("/ace/ping", [1])))
    assert (await peer.next()).arguments == (1,)


async def test_questions_are_answered_on_their_own_address(udp):
    """status, version and describe; long answers as numbered items."""
    peer = await udp()
    peer.send("/ace/version")
    rows = [(await peer.next("/ace/version")).arguments for _ in range(3)]
    assert [row[:2] for row in rows] == [(0, 3), (1, 3), (2, 3)]
    assert dict(row[2:] for row in rows)["protocol"] == PROTOCOL
    peer.send("/ace/describe")
    assert (await peer.next("/ace/describe")).arguments == (0, 1, "sketch", "Does what it is told.")
    peer.send("/ace/describe", "sketch")
    assert (await peer.next("/ace/describe")).arguments[2:5] == ("caption", "str", "")
    peer.send("/ace/queue/pause")
    assert (await peer.next("/ace/queue/pause")).arguments == ("ok",)


async def test_dump_shows_what_comes_in(udp):
    """Every message, as text, to whoever asked."""
    watcher, other = await udp(), await udp()
    watcher.send("/ace/dump", 1)
    watcher.send("/ace/sync", 1)
    await watcher.next("/ace/synced")
    other.send("/ace/ping", 5)
    assert (await watcher.next("/ace/dump")).arguments == (f"127.0.0.1:{other.port}", "/ace/ping 5")
    watcher.send("/ace/dump", 0)


async def test_malformed_packets_are_counted_and_answered_briefly(udp, osc_door):
    """One short error a packet; the door goes on."""
    peer = await udp()
    peer.send_raw(b"#bundle\0" + struct.pack(">Qi", 1, -4))
    assert (await peer.next()).arguments[:2] == ("", "bad_packet")
    assert osc_door.door.counters.malformed == 1
    peer.send("/ace/ping", 1)
    assert (await peer.next()).arguments == (1,)


async def test_datagrams_stay_below_1200_bytes(udp, core, tmp_path):
    """A path that does not fit is left out, and an error says where to ask; nothing else is lost."""
    deep = tmp_path / ("x" * 200) / ("y" * 200) / ("z" * 200) / ("u" * 200) / ("v" * 200) / ("w" * 200)
    core.folder = deep
    peer = await udp()
    peer.send("/ace/op/sketch", "a")
    found = await peer.until_end("a")
    assert next(m for m in found if m.address == "/ace/result").arguments[4] == ""
    peer.send("/ace/job/result", "a")
    assert (await peer.next("/ace/error")).arguments[1:3] == ("too_large", "path")
    assert (await peer.next("/ace/result")).arguments[4] == ""
    assert max(peer.sizes) <= limits.OSC_OUT


async def test_a_reader_that_looks_every_100_ms_misses_nothing(osc_door, core):
    """A host that drains its socket on a timer gets every event of four jobs at full progress rate.

    (The last progress is merged into the end, which follows at once.)
    """
    core.pace = 0.1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", osc_door.address["udp"]))
        sock.setblocking(False)
        for number in range(4):
            sock.send(encode("/ace/op/sketch", [f"j{number}", "steps", 8]))
        seen: dict[str, list[int]] = {}
        for _ in range(60):
            await asyncio.sleep(0.1)
            while True:
                try:
                    message = decode(sock.recv(65_536))
                except BlockingIOError:
                    break
                seen.setdefault(message.arguments[0], []).append(message.arguments[1])
            if all(seqs[-1] == 10 for seqs in seen.values()) and len(seen) == 4:
                break
    assert all(seqs == [*range(8), 9, 10] for seqs in seen.values())


# TCP


async def connect(osc_door):
    return await asyncio.open_connection("127.0.0.1", osc_door.address["tcp"])


async def read_until(reader, address):
    framer, found = Framer(), []
    async with asyncio.timeout(5):
        while True:
            for packet in framer.feed(await reader.read(65_536)):
                found.append(decode(packet))
                if found[-1].address == address:
                    return found


@pytest.mark.parametrize("mode", ["length", "slip"])
async def test_both_framings_run_a_job(osc_door, mode):
    """The framing is told by the first byte, and the answers come in the same."""
    reader, writer = await connect(osc_door)
    writer.write(frame(encode("/ace/op/sketch", ["a", "lyrics", "la " * 10_000]), mode))
    found = await read_until(reader, "/ace/done")
    assert [m.address for m in found] == ["/ace/accepted", "/ace/result", "/ace/done"]
    writer.close()


async def test_previews_to_a_slow_stream_never_cost_it_the_end(osc_door, core, monkeypatch):
    """Far more previews than fit wait for a client that does not read: some are left out, the result and the end are not."""
    monkeypatch.setattr(osc_sockets.limits, "OSC_SEND_BUFFER", 64 * 1024)
    reader, writer = await connect(osc_door)
    writer.write(frame(encode("/ace/op/sketch", ["a", "hold", 1]), "length"))
    await read_until(reader, "/ace/progress")
    writer.transport.pause_reading()
    for number in range(250):
        core._publish("a", EventKind.PREVIEW, {"index": number, "path": "x" * 60_000})
        await asyncio.sleep(0)
    core._publish("a", EventKind.RESULT, {"index": 0})
    await core.cancel("a")
    writer.transport.resume_reading()
    found = [message.address for message in await read_until(reader, "/ace/cancelled")]
    assert found[-2:] == ["/ace/result", "/ace/cancelled"]
    assert found.count("/ace/preview") + osc_door.door.counters.dropped == 250 > osc_door.door.counters.dropped > 0
    writer.close()


async def test_several_frames_in_one_read_and_one_frame_in_several(osc_door):
    """Streams may be cut anywhere."""
    reader, writer = await connect(osc_door)
    frames = frame(encode("/ace/ping", [1]), "slip") + frame(encode("/ace/ping", [2]), "slip")[1:]
    writer.write(frames)
    late = frame(encode("/ace/job/list", []), "slip")
    for byte in late:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    found = await read_until(reader, "/ace/job/list")
    assert [m.arguments for m in found] == [(1,), (2,), (0, 0)]
    writer.close()


async def test_a_bad_length_ends_only_that_connection(osc_door):
    """The stream is lost; the door is not."""
    reader, writer = await connect(osc_door)
    other_reader, other = await connect(osc_door)
    writer.write(b"\x00\xff\xff\xff")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    other.write(frame(encode("/ace/ping", [1]), "length"))
    assert (await read_until(other_reader, "/ace/ping"))[0].arguments == (1,)
    other.close()


async def test_a_frame_that_is_never_finished_ends_the_connection(osc_door, monkeypatch):
    """A peer gets a few seconds to finish what it began; one that has nothing unfinished may be silent for longer."""
    monkeypatch.setattr(osc_sockets.limits, "FRAME_SECONDS", 0.05)
    reader, writer = await connect(osc_door)
    quiet, other = await connect(osc_door)
    other.write(frame(encode("/ace/ping", [1]), "length"))
    await read_until(quiet, "/ace/ping")
    writer.write(b"\0\0\0\x10/abc")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    other.write(frame(encode("/ace/ping", [2]), "length"))
    assert (await read_until(quiet, "/ace/ping"))[0].arguments == (2,)
    other.close()


async def test_a_closed_connection_follows_nothing(osc_door, core):
    """Its subscriptions end with it."""
    _, writer = await connect(osc_door)
    writer.write(frame(encode("/ace/op/sketch", ["a", "hold", 1]), "length"))
    async with asyncio.timeout(5):
        while not len(core.hub):
            await asyncio.sleep(0.01)
        writer.close()
        while len(core.hub):
            await asyncio.sleep(0.01)


# Who may speak


def test_the_allow_list_knows_addresses_and_networks():
    """Loopback always; others only when listed, IPv4 also in its IPv6 clothes."""
    allow = AllowList(["192.168.1.7", "10.0.0.0/8", "fe80::/10"])
    admitted = ["127.0.0.1", "::1", "192.168.1.7", "10.9.8.7", "::ffff:10.0.0.1", "fe80::1%eth0"]
    assert all(map(allow.admits, admitted))
    assert not any(map(allow.admits, ["192.168.1.8", "11.0.0.1", "2001:db8::1", "", "host"]))
    with pytest.raises(BadRequest):
        AllowList(["not an address"])


async def test_a_sender_that_is_not_allowed_is_not_heard(udp, osc_door):
    """Its datagrams are counted and nothing more."""
    osc_door.door._allow.admits = lambda host: False
    peer = await udp()
    peer.send("/ace/ping", 1)
    with pytest.raises(TimeoutError):
        await peer.next(timeout=0.2)
    assert osc_door.door.counters.refused == 1


async def test_nobody_is_remembered_for_a_mere_question(udp, osc_door):
    """Only drafts, jobs and leases hold a sender in memory."""
    for _ in range(5):
        peer = await udp()
        peer.send("/ace/ping", 1)
        await peer.next()
    assert len(osc_door.door.peers) == 0
