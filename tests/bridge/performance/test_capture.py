"""A take is what was just played, a recording is what is played from the next line on; both exact to the sample."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import soundfile

from acestep.api.errors import BadRequest, Busy, Unavailable
from bridge.performance.capture import place_in_bars

RATE = 48_000


@pytest.fixture
async def playing(stage, make_core, click):
    """A stage on which a part of exactly one bar (0.8 s) plays from a bar line on: sample n of the bar is number n of the part."""
    core = make_core(lasting=True)
    performance = await stage(core)
    performance.set_host(300.0)
    bar = performance.tempo.timeline().frames(4, RATE)
    part = np.linspace(0.1, 0.9, bar, dtype=np.float32)
    soundfile.write(click, np.stack([part, part], axis=1), RATE, subtype="FLOAT")
    await performance.slots.load(0, str(click))
    await performance.slots.launch(0, "bar")
    return performance, core, part


def check(path, part, *, bars, places=(0,)):
    """The file has so many bars of samples, and each bar begins with the first sample of the part (the clock of the card and
    that of the machine may round differently, by one sample) or, for beats, at one of the given places."""
    audio, rate = soundfile.read(path, dtype="float32")
    assert (len(audio), rate) == (bars * len(part), RATE)
    for start in range(0, len(audio), len(part)):
        found = int(np.argmin(np.abs(part - audio[start, 0])))
        assert min(abs((found - place + 2) % len(part) - 2) for place in places) <= 1
        assert np.array_equal(audio[start : start + len(part), 0], np.roll(part, -found))


async def test_the_last_bars_are_taken_on_bar_lines_to_the_sample(playing):
    performance, _, part = playing
    await asyncio.sleep(3.5)
    taken = await performance.take(2)
    assert taken["frames"] == 2 * len(part)
    check(taken["path"], part, bars=2)


@pytest.mark.parametrize(("quantise", "lines"), [("bar", 1), ("2 bars", 1), ("beat", 4)])
async def test_a_recording_begins_on_the_next_line_and_lasts_whole_bars_to_the_sample(playing, quantise, lines):
    performance, _, part = playing
    await asyncio.sleep(1.8)  # the part plays
    begun = performance.capture.record(2, quantise)
    assert begun["state"] == "waiting"
    recorded = await performance.capture.wait()
    assert (recorded["state"], recorded["frames"]) == ("done", 2 * len(part))
    check(recorded["path"], part, bars=2, places=[beat * len(part) // lines for beat in range(lines)])


async def test_a_recording_says_where_it_stands(playing, until):
    performance, _, _ = playing
    performance.capture.record(2, "2 bars", "riff")
    waiting = performance.state()["capture"]["recording"]
    assert (waiting["state"], waiting["bars"]) == ("waiting", 2)
    await until(lambda: performance.capture.state()["state"] == "recording")
    assert performance.capture.state()["left"] == pytest.approx(1.6, abs=0.5)
    with pytest.raises(Busy):
        performance.capture.record(1)


async def test_the_level_of_the_input_is_in_the_status(playing, until):
    """The largest sample since the last report, so that a peak between two reports is not missed."""
    performance, _, part = playing
    levels = []

    def loudest():
        levels.append(performance.state()["capture"]["level"])
        return max(levels) == pytest.approx(part.max())

    await until(loudest)


async def test_a_cancelled_recording_leaves_no_file_and_room_for_the_next(playing, tmp_path):
    performance, _, _ = playing
    performance.capture.record(4, "4 bars")
    assert performance.capture.cancel()["state"] == "cancelled"
    assert (await performance.capture.wait())["state"] == "cancelled"
    assert list((tmp_path / "captures").iterdir()) == []
    assert performance.capture.record(1)["state"] == "waiting"


async def test_a_recording_waits_for_a_song_that_stands_still(playing, until):
    performance, _, part = playing
    performance.set_host(300.0, beat=0.0, running=False)
    performance.capture.record(1, "bar")
    await asyncio.sleep(0.5)
    assert "in" not in performance.capture.state()
    performance.set_host(300.0, beat=3.9)
    assert (await performance.capture.wait())["frames"] == len(part)


async def test_captured_audio_goes_on_as_the_source_of_a_job(playing):
    performance, core, _ = playing
    await asyncio.sleep(1.8)
    then = performance.onward("complete", {"tracks": ["drums"]}, slot=3)
    taken = await performance.take(1, then=then)
    performance.capture.record(1, "now", then=then)
    recorded = await performance.capture.wait()
    for answer, submission in zip([taken, recorded], core.submitted, strict=True):
        assert (submission.operation, submission.params["source"]) == ("complete", answer["path"])
        assert (submission.params["bpm"], answer["job"][:3]) == (300.0, "job")
    assert performance.slots.peek(3).state == "filling"


def test_places_in_bars_are_samples_of_the_capture():
    taken = {"frames": 100_001, "bars": 4}
    wish = {"start": "4 bars", "end": "6 bars", "caption": "4 bars", "length": 7}
    assert place_in_bars(wish, taken) == {"start": 100_001, "end": 150_002, "caption": "4 bars", "length": 7}
    assert place_in_bars({"start": 5}, taken) == {"start": 5}


async def test_no_more_bars_are_recorded_than_are_held(stage):
    performance = await stage(capture_seconds=10.0)
    performance.set_host(60.0)
    with pytest.raises(BadRequest) as refused:
        performance.capture.record(3)
    assert refused.value.limits == {"max": 2}


async def test_without_an_input_it_says_what_is_missing(stage):
    performance = await stage(input="")
    with pytest.raises(Unavailable, match="performance_input"):
        await performance.take(1)
    with pytest.raises(Unavailable, match="performance_input"):
        performance.capture.record(1)


async def test_a_file_cannot_leave_its_folder(stage):
    performance = await stage()
    with pytest.raises(BadRequest):
        await performance.take(1, name="../../etc/x")
