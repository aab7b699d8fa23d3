"""A hit becomes a job, a job fills a slot, a slot starts on the bar, and a take is what was played.

The core is a stand-in (the real daemon has tests of its own); the player process, the socket and the files are real.
"""

from __future__ import annotations

import asyncio

import mido
import numpy as np
import pytest
import soundfile
from mido.sockets import connect

from acestep.api.errors import BadRequest, Unavailable
from bridge.core.views import Accepted, Event, EventKind
from bridge.performance.performance import Performance, PerformanceSettings


class Core:
    """A stand-in for the core: accepts every job and finishes it with the given files."""

    def __init__(self, files=()):
        self.files = list(files)
        self.submitted = []
        self.cancelled = []

    async def submit(self, submission):
        self.submitted.append(submission)
        return Accepted(id=f"job{len(self.submitted)}", seq=0, position=0)

    async def cancel(self, job):
        self.cancelled.append(job)

    async def subscribe(self, client, jobs=frozenset(), after=None):
        (job,) = jobs
        for seq, path in enumerate(self.files):
            yield Event(job=job, seq=seq, kind=EventKind.RESULT, data={"role": "part", "path": str(path)})
        yield Event(job=job, seq=len(self.files), kind=EventKind.DONE)


@pytest.fixture
async def stage(tmp_path):
    running = []

    async def start(core, **settings):
        wish = {"folder": tmp_path / "captures", "output": "null", "input": "null", "midi": False, **settings}
        performance = Performance(core, PerformanceSettings(**wish))
        await performance.start()
        running.append(performance)
        return performance

    yield start
    for performance in running:
        await performance.close()


async def until(condition, timeout=20.0):
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_hit_over_a_midi_socket_submits_the_mapped_job_and_its_release_cancels_it(stage, tmp_path):
    mapping = tmp_path / "map.toml"
    mapping.write_text(
        '[[trigger]]\non = "note"\naction = "submit"\noperation = "generate"\nrelease = "cancel"\n'
        '[trigger.params]\nseed = "$note"\nbpm = "$bpm"\n'
    )
    core = Core()
    performance = await stage(core, mapping=mapping, midi_socket=0)
    port = await asyncio.to_thread(connect, "127.0.0.1", performance.state()["midi_socket"])
    port.send(mido.Message("note_on", note=61))
    await until(lambda: core.submitted)
    assert core.submitted[0].operation == "generate"
    assert core.submitted[0].params == {"seed": 61, "bpm": 120.0}
    port.send(mido.Message("note_off", note=61))
    await until(lambda: core.cancelled)
    port.close()


async def test_a_saved_mapping_is_taken_over_and_a_faulty_one_keeps_the_last(stage, tmp_path):
    mapping = tmp_path / "map.toml"
    mapping.write_text("")
    performance = await stage(Core(), mapping=mapping)
    mapping.write_text('[[trigger]]\non = "note"\naction = "tap"\n')
    await until(lambda: performance.state()["mapping"]["triggers"] == 1)
    mapping.write_text('[[trigger]]\non = "sneeze"\naction = "tap"\n# longer\n')
    await until(lambda: "line 2" in performance.state()["mapping"]["problem"])
    assert performance.state()["mapping"]["triggers"] == 1


async def test_a_filled_slot_holds_its_variants_and_starts_on_the_bar(stage, click):
    performance = await stage(Core([click, click]))
    performance.tempo.set_host(240.0)
    await performance.slots.fill(2, "generate", {})
    await until(lambda: len(performance.slots.peek(2).variants) == 2)
    started = await performance.slots.launch(2, "bar")
    assert 0 <= started["in"] <= 1.1
    await until(lambda: list(performance.state()["sound"]["playing"]) == [2])
    assert (await performance.slots.choose_variant(2, 1))["chosen"] == 1
    await performance.slots.stop(2, "beat")
    await until(lambda: list(performance.state()["sound"]["playing"]) == [])


async def test_the_last_bars_are_taken_on_bar_lines_to_the_sample(stage, click):
    """The part begins on a bar line and lasts one bar (0.5 s at 480 bpm ... here 4 beats at 480): every take equals whole parts."""
    performance = await stage(Core())
    performance.tempo.set_host(300.0)
    bar = performance.tempo.timeline().frames(4, 48_000)
    part = np.linspace(0.1, 0.9, bar, dtype=np.float32)
    soundfile.write(click, np.stack([part, part], axis=1), 48_000, subtype="FLOAT")
    await performance.slots.load(0, str(click))
    await performance.slots.launch(0, "bar")
    await asyncio.sleep(3.5)
    taken = await performance.take(bars=2)
    audio, _ = soundfile.read(taken["path"], dtype="float32")
    assert taken["frames"] == len(audio) == 2 * bar
    shift = [int(np.argmin(np.abs(part - audio[at, 0]))) for at in (0, bar)]
    assert all(min(s, bar - s) <= 1 for s in shift)


async def test_without_an_input_a_take_says_what_is_missing(stage):
    performance = await stage(Core(), input="")
    with pytest.raises(Unavailable, match="performance_input"):
        await performance.take()


async def test_a_take_cannot_leave_its_folder(stage):
    performance = await stage(Core())
    with pytest.raises(BadRequest):
        await performance.take(name="../../etc/x")


async def test_a_missing_sound_card_is_stated_and_the_rest_works(stage):
    performance = await stage(Core(), output="a card that is not there", input="")
    assert "not there" in performance.state()["sound"]["problem"]
    assert (await performance.slots.fill(1, "generate", {})).id == "job1"


async def test_a_player_that_dies_comes_back_with_its_slots(stage, click):
    performance = await stage(Core())
    await performance.slots.load(0, str(click))
    performance._player._process.kill()
    await until(lambda: performance.state()["sound"]["deaths"] > 0)
    await until(lambda: performance.state()["sound"]["state"] == "running")
    await performance.slots.launch(0, "now")
    await until(lambda: list(performance.state()["sound"]["playing"]) == [0])


async def test_learning_names_the_next_hit(stage):
    performance = await stage(Core(), midi_socket=0)
    port = await asyncio.to_thread(connect, "127.0.0.1", performance.state()["midi_socket"])
    learning = asyncio.create_task(performance.learn())
    await asyncio.sleep(0.05)
    port.send(mido.Message("control_change", control=20, value=1, channel=2))
    learned = await learning
    assert (learned["on"], learned["channel"], learned["number"]) == ("cc", 3, 20)
    assert "[[trigger]]" in learned["toml"]
    port.close()
