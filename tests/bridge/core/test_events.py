"""Events: bounded memory, merged progress, endings that always arrive."""

import asyncio

import pytest

from acestep.api.errors import Busy
from bridge.core.events import MAX_UNREAD, PROGRESS_INTERVAL, EventHub, ProgressMeter
from bridge.core.interface import Event, EventKind
from bridge.core.records import MAX_EVENTS


def event(seq, kind=EventKind.PROGRESS, job="j"):
    return Event(job=job, seq=seq, kind=kind)


async def taken(subscription, count):
    return [await asyncio.wait_for(anext(subscription), 1) for _ in range(count)]


async def test_progress_that_was_not_read_is_merged():
    """A slow reader gets the latest progress once, in order with everything else."""
    hub = EventHub()
    reader = hub.subscribe("c", frozenset(), [])
    for number in range(1, 6):
        hub.publish(event(number))
    hub.publish(event(6, EventKind.RESULT))
    hub.publish(event(7))
    hub.publish(event(8, EventKind.DONE))
    assert [entry.seq for entry in await taken(reader, 2)] == [6, 8]


async def test_a_reader_of_some_jobs_hears_of_no_other():
    """Named jobs only."""
    hub = EventHub()
    reader = hub.subscribe("c", frozenset({"mine"}), [])
    hub.publish(event(1, EventKind.DONE, "other"))
    hub.publish(event(1, EventKind.DONE, "mine"))
    assert (await taken(reader, 1))[0].job == "mine"


async def test_a_reader_who_never_reads_is_cut_off_and_the_rest_goes_on():
    """Memory stays bounded; nothing is dropped behind the reader's back: it gets an error and may come again."""
    hub = EventHub()
    asleep, awake = hub.subscribe("c", frozenset(), []), hub.subscribe("d", frozenset(), [])
    for number in range(MAX_UNREAD + 1):
        hub.publish(event(1, EventKind.DONE, f"j{number}"))
        await anext(awake)
    with pytest.raises(Busy):
        await anext(asleep)
    assert len(hub) == 1


async def test_previews_give_way_before_endings_do():
    """With a full box the spare events go, every ending stays."""
    hub = EventHub()
    reader = hub.subscribe("c", frozenset(), [])
    for number in range(MAX_UNREAD):
        hub.publish(event(number, EventKind.PREVIEW))
    hub.publish(event(MAX_UNREAD, EventKind.DONE))
    assert (await taken(reader, 1))[0].kind is EventKind.DONE


async def test_a_preview_never_costs_a_result(monkeypatch):
    """With a box full of results a further preview is what is left out; the reader is neither cut off nor robbed."""
    monkeypatch.setattr("bridge.core.events.MAX_UNREAD", 3)
    hub = EventHub()
    reader = hub.subscribe("c", frozenset(), [])
    for number in range(3):
        hub.publish(event(number, EventKind.RESULT))
    for number, kind in ((3, EventKind.PREVIEW), (4, EventKind.PROGRESS)):
        hub.publish(event(number, kind))
    assert [entry.seq for entry in await taken(reader, 3)] == [0, 1, 2]
    hub.publish(event(5, EventKind.DONE))
    assert [entry.seq for entry in await taken(reader, 1)] == [5]


async def test_closing_ends_a_waiting_reader():
    """The loop over a closed subscription ends."""
    hub = EventHub()
    reader = hub.subscribe("c", frozenset(), [])

    async def read():
        return [entry async for entry in reader]

    waiting = asyncio.create_task(read())
    await asyncio.sleep(0)
    await reader.aclose()
    assert await asyncio.wait_for(waiting, 1) == [] and len(hub) == 0


def test_a_jobs_memory_is_bounded():
    """Thousands of previews leave the accepted event, the latest progress and the bound."""
    hub = EventHub()
    hub.open("j", [event(0, EventKind.ACCEPTED)])
    for number in range(1, 3000):
        hub.publish(event(number, EventKind.PREVIEW if number % 2 else EventKind.PROGRESS))
    kept = hub.live("j")
    assert len(kept) <= MAX_EVENTS and kept[0].kind is EventKind.ACCEPTED
    assert sum(entry.kind is EventKind.PROGRESS for entry in kept) == 1


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def meter_with_clock():
    told, clock = [], Clock()
    return ProgressMeter(told.append, clock), told, clock


async def test_progress_never_falls_and_stays_below_one():
    """Whatever a worker says; 1 belongs to the commit."""
    meter, told, clock = meter_with_clock()
    for fraction in (0.1, 0.5, 0.2, 5.0, -1.0):
        clock.now += 1.0
        meter.report("s", 1, 2, fraction)
    fractions = [entry["fraction"] for entry in told]
    assert fractions == sorted(fractions) and fractions[-1] < 1


async def test_progress_comes_at_most_ten_times_a_second():
    """A thousand ticks in one second make ten events or fewer."""
    meter, told, clock = meter_with_clock()
    for tick in range(1000):
        clock.now += 0.001
        meter.report("s", tick, 1000, tick / 1000)
    meter.stop()
    assert len(told) <= 1.0 / PROGRESS_INTERVAL + 1


async def test_the_last_suppressed_progress_still_arrives():
    """Two ticks at once: the second follows by itself."""
    told = []
    arrived = asyncio.Event()
    meter = ProgressMeter(lambda data: (told.append(data), len(told) == 2 and arrived.set()))
    meter.report("s", 1, 3, 0.3)
    meter.report("s", 2, 3, 0.6)
    await asyncio.wait_for(arrived.wait(), 5)
    assert [entry["step"] for entry in told] == [1, 2]


async def test_eta_follows_the_rate_so_far():
    """Half done after ten seconds: ten to go; unknown while nothing is done."""
    meter, told, clock = meter_with_clock()
    meter.report("s", 0, 2, 0.0)
    clock.now += 10.0
    meter.report("s", 1, 2, 0.5)
    assert [entry["eta"] for entry in told] == [None, 10.0]


async def test_eta_counts_what_a_stage_found_done_as_no_time():
    """Preparing is resumed: 800 of 1000 songs are there already. Each further one takes ten seconds, and that is what is told."""
    meter, told, clock = meter_with_clock()
    for song in range(1, 1001):
        clock.now += 0.001
        meter.report("hashes", song, 1000, 0.05 * song / 1000)
    for song in range(801, 811):
        clock.now += 10.0
        meter.report("sounds", song, 1000, 0.05 + 0.8 * song / 1000)
    meter.stop()
    sounds = [entry["eta"] for entry in told if entry["stage"] == "sounds"]
    assert sounds[0] is None
    assert sounds[-1] == pytest.approx(10.0 * (0.95 - 0.8 * 0.81) / 0.0008, rel=0.01)


async def test_a_short_new_stage_has_the_rate_of_the_job():
    """Its first tick says no more of it than what came before."""
    meter, told, clock = meter_with_clock()
    for step in range(5):
        clock.now += 1.0
        meter.report("steps", step, 4, 0.2 * step)
    clock.now += 1.0
    meter.report("decode", 1, 2, 0.81)
    assert told[-1]["eta"] == pytest.approx(5.0 * 0.19 / 0.81, abs=0.01)


@pytest.mark.parametrize("rounds", range(4))
async def test_a_cancel_in_the_moment_of_an_event_is_heard(rounds):
    """Whoever still waits and is cancelled as the event comes stops; else a cancelled call would go on to its job's end."""
    hub = EventHub()
    hub.open("j", client="test")
    waiting = asyncio.create_task(hub.changed("j", 30.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    hub.publish(event(0, EventKind.ACCEPTED))
    for _ in range(rounds):
        await asyncio.sleep(0)
    still_waited = waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled() == still_waited
