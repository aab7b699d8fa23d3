"""A hit becomes a job, a job fills a slot, a slot starts on the bar.

The core is a stand-in (the real daemon has tests of its own); the player process, the socket and the files are real.
"""

from __future__ import annotations

import asyncio

import mido
import pytest
from mido.sockets import connect

from acestep.api.errors import CorruptAudio


@pytest.fixture
def mapping(tmp_path):
    """``mapping(text)``: a mapping file."""

    def write(text):
        path = tmp_path / "map.toml"
        path.write_text(text)
        return path

    return write


async def open_socket(performance):
    return await asyncio.to_thread(connect, "127.0.0.1", performance.state()["midi_socket"])


HIT = mido.Message("note_on", note=61)


async def test_a_hit_over_a_midi_socket_submits_the_mapped_job_and_its_release_cancels_it(
    stage, make_core, mapping, until
):
    path = mapping(
        '[[trigger]]\non = "note"\naction = "submit"\noperation = "generate"\nrelease = "cancel"\n'
        '[trigger.params]\nseed = "$note"\n'
    )
    core = make_core(lasting=True)
    performance = await stage(core, mapping=path, midi_socket=0)
    port = await open_socket(performance)
    port.send(HIT)
    await until(lambda: core.submitted)
    assert core.submitted[0].operation == "generate"
    assert core.submitted[0].params == {"seed": 61, "bpm": 120.0}
    port.send(mido.Message("note_off", note=61))
    await until(lambda: core.cancelled)
    port.close()


async def test_a_release_cancels_a_job_that_is_still_being_accepted(stage, make_core, mapping, until):
    path = mapping('[[trigger]]\non = "note"\naction = "submit"\noperation = "generate"\nrelease = "cancel"\n')
    core = make_core(delay=0.2, lasting=True)
    port = await open_socket(await stage(core, mapping=path, midi_socket=0))
    port.send(HIT)
    port.send(mido.Message("note_off", note=61))
    await until(lambda: core.cancelled == ["job1"])
    port.close()


async def test_a_toggle_begins_anew_once_its_job_has_ended(stage, make_core, mapping, until):
    """There is nothing left to cancel, so the second hit asks again."""
    path = mapping(
        '[[trigger]]\non = "note"\naction = "submit"\noperation = "generate"\nrelease = "toggle"\ndebounce = 0\n'
    )
    core = make_core()
    performance = await stage(core, mapping=path, midi_socket=0)
    port = await open_socket(performance)
    port.send(HIT)
    await until(lambda: core.submitted)
    await asyncio.sleep(0.1)
    port.send(HIT)
    await until(lambda: len(core.submitted) == 2)
    port.close()


async def test_a_toggle_launches_again_a_slot_that_fell_silent_by_itself(stage, mapping, until, click):
    path = mapping('[[trigger]]\non = "note"\naction = "launch"\nslot = 0\nrelease = "toggle"\ndebounce = 0\n')
    performance = await stage(mapping=path, midi_socket=0)
    await performance.slots.load(0, str(click), loop=False)
    port = await open_socket(performance)
    for _ in range(2):
        port.send(HIT)
        await until(lambda: performance.state()["sound"]["playing"])
        await until(lambda: not performance.state()["sound"]["playing"])
    assert performance.state()["hits"] == 2
    port.close()


async def test_a_part_gets_the_ruling_tempo_unless_its_request_has_one(stage, make_core):
    core = make_core()
    performance = await stage(core)
    performance.set_host(93.4567)
    await performance.slots.fill(0, "generate", {})
    await performance.slots.fill(0, "generate", {"bpm": 140.0})
    assert [submission.params["bpm"] for submission in core.submitted] == [93.46, 140.0]


async def test_a_part_of_so_many_bars_lasts_so_long_in_the_ruling_tempo(stage, make_core):
    core = make_core()
    performance = await stage(core)
    performance.set_host(90.0, metre="3/4")
    await performance.slots.fill(0, "generate", {}, bars=4)
    assert core.submitted[0].params["duration"] == pytest.approx(4 * 3 * 60 / 90)


@pytest.mark.parametrize(
    ("faulty", "problem"),
    [
        ('[[trigger]]\non = "sneeze"\naction = "tap"\n# longer\n', "line 2"),
        ('[[trigger]]\non = "note"\naction = "submit"\noperation = "generale"\n', "line 4"),
        ("[[trigger]]\non = 'note'\naction = 'tap'\nname = '\xff'\n".encode("latin-1"), "line 4"),
    ],
)
async def test_a_saved_mapping_is_taken_over_and_a_faulty_one_keeps_the_last(stage, mapping, until, faulty, problem):
    path = mapping("")
    performance = await stage(mapping=path)
    path.write_text('[[trigger]]\non = "note"\naction = "tap"\n')
    await until(lambda: performance.state()["mapping"]["triggers"] == 1)
    path.write_bytes(faulty if isinstance(faulty, bytes) else faulty.encode())
    await until(lambda: problem in performance.state()["mapping"]["problem"])
    assert performance.state()["mapping"]["triggers"] == 1
    path.write_text("")
    await until(lambda: performance.state()["mapping"] == {"triggers": 0, "problem": "", "refused": ""})


async def test_what_a_hit_could_not_do_is_in_the_status(stage, mapping, until):
    path = mapping('[[trigger]]\non = "note"\naction = "launch"\nslot = 9\n')
    performance = await stage(mapping=path, midi_socket=0)
    port = await open_socket(performance)
    port.send(HIT)
    await until(lambda: "slot 9 is empty" in performance.state()["mapping"]["refused"])
    port.close()


async def test_a_file_that_is_no_sound_is_refused_and_leaves_the_slot_as_it_was(stage, click, tmp_path):
    performance = await stage()
    await performance.slots.load(4, str(click))
    (tmp_path / "no.wav").write_bytes(b"no audio")
    with pytest.raises(CorruptAudio):
        await performance.slots.load(4, str(tmp_path / "no.wav"))
    assert performance.slots.peek(4).variants == [str(click)]
    assert performance.state()["sound"]["problem"] == ""


async def test_a_launch_says_which_file_begins_on_which_beat(stage, click):
    """So that a DAW can place the file itself; nothing needs to sound here."""
    performance = await stage()
    performance.set_host(240.0, beat=17.5)
    await performance.slots.load(4, str(click))
    launched = await performance.slots.launch(4, "bar")
    assert (launched["path"], launched["beat"]) == (str(click), 20.0)


async def test_a_request_can_bring_its_own_time(stage, click):
    performance = await stage()
    performance.set_host(240.0, beat=17.5)
    await performance.slots.load(4, str(click))
    launched = await performance.slots.launch(4, "bar", performance.tempo.asked(bpm=60.0, beat=6.0, metre="3/4"))
    assert launched["beat"] == 9.0
    assert launched["in"] == pytest.approx(3.0, abs=0.5)


async def test_a_filled_slot_holds_its_variants_and_starts_on_the_bar(stage, make_core, until, click):
    performance = await stage(make_core([click, click]))
    performance.set_host(240.0)
    await performance.slots.fill(2, "generate", {})
    await until(lambda: len(performance.slots.peek(2).variants) == 2)
    started = await performance.slots.launch(2, "bar")
    assert 0 <= started["in"] <= 1.1
    await until(lambda: list(performance.state()["sound"]["playing"]) == [2])
    assert (await performance.slots.choose_variant(2, 1))["chosen"] == 1
    await performance.slots.stop(2, "beat")
    await until(lambda: list(performance.state()["sound"]["playing"]) == [])


async def test_a_missing_sound_card_is_stated_and_the_rest_works(stage):
    performance = await stage(output="a card that is not there", input="")
    assert "not there" in performance.state()["sound"]["problem"]
    assert (await performance.slots.fill(1, "generate", {})).id == "job1"


async def test_a_player_that_dies_comes_back_with_its_slots(stage, until, click):
    performance = await stage()
    await performance.slots.load(0, str(click))
    performance._player._process.kill()
    await until(lambda: performance.state()["sound"]["deaths"] > 0)
    await until(lambda: performance.state()["sound"]["state"] == "running")
    await performance.slots.launch(0, "now")
    await until(lambda: list(performance.state()["sound"]["playing"]) == [0])


async def test_learning_names_the_next_hit(stage):
    performance = await stage(midi_socket=0)
    port = await asyncio.to_thread(connect, "127.0.0.1", performance.state()["midi_socket"])
    learning = asyncio.create_task(performance.learn())
    await asyncio.sleep(0.05)
    port.send(mido.Message("control_change", control=20, value=1, channel=2))
    learned = await learning
    assert (learned["on"], learned["channel"], learned["number"]) == ("cc", 3, 20)
    assert "[[trigger]]" in learned["toml"]
    port.close()
