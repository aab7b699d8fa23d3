"""The parts of the Ardour scripts that need no window, in Ardour's own Lua: tempo map, the track's audio, the mix."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from acestep.api.tempo_map import TempoMap, TempoPoint
from acestep.families.ace_step_v1.tiny import build_tiny
from bridge.client import Client
from bridge.core.handovers import Handovers
from bridge.core.interface import JobState, JobView
from bridge.hosts.bundle import quote
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

from . import ardour_host
from .ardour_host import run
from .conftest import RATE, sound

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600), pytest.mark.usefixtures("only_ardour")]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, foreign: Callable[[str], str]) -> Path:
    """Two tracks with a file each, the second one starting later."""
    foreign("ardour7-lua")
    folder = tmp_path_factory.mktemp("headless")
    made = ardour_host.make_session(folder, "song", ["One", "Two", "Empty"], 120.0)
    for name, track, position in (("one", "One", 0), ("two", "Two", 24_000)):
        ardour_host.place_file(
            made, sound(folder / f"{name}.wav", seconds=4.0, channels=1 if name == "two" else 2), track, position
        )
    return made


def last(text: str) -> str:
    return text.strip().splitlines()[-1]


PIECES = """
local daemon, host = import('daemon'), import('host')
daemon.ready = function() return true end
daemon.finished = function(operation, params) print(import('json').encode({ operation = operation, params = params })) end
host.say, host.sleep = function() end, function() end
import('pieces').make()
"""


def test_the_regions_of_a_session_become_a_dataset(session: Path) -> None:
    """Without a selection all of them: files with all channels are named as they are, split ones are written as one; each exact."""
    asked = json.loads(last(run(session, PIECES)))
    assert (asked["operation"], asked["params"]["dataset"]) == ("dataset-scan", "song")
    regions = asked["params"]["regions"]
    assert [(one["title"], one["length"], one["song"]) for one in regions] == [
        ("One", 4 * RATE, "song"),
        ("Two", 4 * RATE, "song"),
    ]
    for one, name in zip(regions, ("one", "two"), strict=True):
        read, rate = soundfile.read(one["path"], start=one["start"], frames=one["length"], always_2d=True)
        source, _ = soundfile.read(session.parent / f"{name}.wav", always_2d=True)
        assert rate == RATE and read.shape == source.shape and np.abs(read - source).max() < 1e-6


def test_one_tempo_is_one_segment(session: Path) -> None:
    """A plain session: one segment, exact."""
    found = json.loads(last(run(session, "print(import('json').encode(import('host').segments(0, 480000)))")))
    assert found == [{"start": 0, "bpm": 120, "num": 4, "den": 4, "bar": 1}]


@pytest.fixture(scope="module")
def winding(tmp_path_factory: pytest.TempPathFactory, foreign: Callable[[str], str]) -> Path:
    """120 bpm in 4/4, from bar 3 on in 7/8, then in 5/4, then a ramp down to 90 bpm; a file lies under all of it."""
    foreign("ardour7-lua")
    folder = tmp_path_factory.mktemp("winding")
    made = ardour_host.make_session(folder, "song", ["One"], 120.0)
    ardour_host.change_tempo(made, ardour_host.WINDING)
    ardour_host.place_file(made, sound(folder / "one.wav", seconds=24.0), "One", 0)
    return made


def segments(session: Path, first: int, last_sample: int) -> list[dict[str, Any]]:
    """The tempo map between two samples, as the core gets it."""
    code = f"print(import('json').encode(import('host').segments({first}, {last_sample})))"
    found: list[dict[str, Any]] = json.loads(last(run(session, code)))
    return found


def test_a_tempo_change_is_found_to_the_sample(winding: Path) -> None:
    """A change of metre on a bar: the second segment begins exactly there; a selection that only touches it has one segment."""
    bar = {"bpm": 120, "num": 4, "den": 4}
    odd = {"bpm": 120, "num": 7, "den": 8}
    assert segments(winding, 96_000, 276_000) == [{"start": 2, "bar": 2, **bar}, {"start": 4, "bar": 3, **odd}]
    assert segments(winding, 192_000, 276_000) == [{"start": 4, "bar": 3, **odd}]
    assert segments(winding, 96_000, 192_000) == [{"start": 2, "bar": 2, **bar}]
    assert segments(winding, 120_000, 192_000) == [{"start": 2.5, "bar": 2.25, **bar}]


AROUND = 60_000
"""Where the audio that is sent begins: between two beats."""

BAR_LINES = """
local map, host = Temporal.TempoMap.read(), import('host')
local found = {}
for bar = 2, 13 do
  local low, high = 0, 1600000
  while high - low > 1 do
    local middle = (low + high) // 2
    if map:bbt_at(Temporal.timepos_t(middle)).bars < bar then low = middle else high = middle end
  end
  found[#found + 1] = high
end
local points = import('song_map').points(host.segments(%d, 1500000), %d / %d, %d)
print(import('json').encode({ lines = found, points = points }))
"""


def test_bar_lines_lie_where_ardour_has_them(winding: Path) -> None:
    """What the daemon is told, as it reads it: in every metre and behind the ramp to a tick; in the ramp, to 5 ms."""
    found = json.loads(last(run(winding, BAR_LINES % (AROUND, AROUND, RATE, RATE))))
    tempo = TempoMap.of(msgspec.convert(found["points"], list[TempoPoint]), RATE)
    begin, end = ardour_host.tempo_changes(winding)[1:]
    for number, line in enumerate(found["lines"], start=2):
        inside = begin < line <= end
        assert abs(tempo.bar_sample(number) + AROUND - line) <= (240 if inside else 15), number


def test_bars_are_those_of_the_tempo_map(winding: Path) -> None:
    """A bar line belongs to the bar behind it, also where it is missed by a few samples; a cursor has one bar; 7/8 counts."""
    places = ((0, 96_000), (95_990, 192_010), (96_100, 96_100), (192_000, 276_000), (276_000, 360_100))
    calls = ", ".join(f"{{ import('host').bars({first}, {end}) }}" for first, end in places)
    assert json.loads(last(run(winding, f"print(import('json').encode({{ {calls} }}))"))) == [
        [1, 1],
        [2, 2],
        [2, 2],
        [3, 3],
        [4, 5],
    ]


def quarters(session: Path, sample: int) -> float:
    """Where Ardour's own map counts a sample, in quarter notes."""
    code = f"print(Temporal.TempoMap.read():quarters_at(Temporal.timepos_t({sample})):str())"
    beats, ticks = last(run(session, code)).split(":")
    return int(beats) + int(ticks) / 1920


def test_a_ramp_is_one_segment_with_the_mean_of_ardours_own_beats(winding: Path) -> None:
    """Ardour's ramps are curves: what the core takes for a line has the curve's quarter notes, begins and ends where it does."""
    begin, end = ardour_host.tempo_changes(winding)[1:]
    before, ramp, after = segments(winding, begin - 48_000, end + 96_000)
    assert (before["bpm"], after["bpm"]) == (120, 90)
    assert [round(part["start"] * RATE) for part in (ramp, after)] == [begin, pytest.approx(end, abs=1)]
    counted = quarters(winding, end) - quarters(winding, begin)
    mean = (ramp["bpm"] + ramp["ramp_to"]) / 2
    assert mean * (end - begin) / RATE / 60 == pytest.approx(counted, abs=1e-3)
    assert ramp["bpm"] > ramp["ramp_to"] > 80


def test_a_selection_inside_a_ramp_has_nothing_but_the_ramp(winding: Path) -> None:
    """It begins and ends while the tempo moves: one job, whatever the user chooses."""
    begin, end = ardour_host.tempo_changes(winding)[1:]
    code = (
        f"local plan, host = import('tempo').plan, import('host') local first, last = {begin + 24_000}, {end - 24_000} "
        "for _, choice in ipairs({ 'average', 'split' }) do "
        f"local passages = plan(host.segments(first, last), first / {RATE}, last / {RATE}, choice) "
        "out('plan', #passages, passages[1].start, passages[1]['end'], passages[1].notes[1].code) end"
    )
    lines = [line.split("|") for line in run(winding, code).splitlines() if line.startswith("plan")]
    assert len(lines) == 2
    for _, count, first, last_second, note in lines:
        assert (count, note) == ("1", "tempo_average")
        assert [round(float(second) * RATE) for second in (first, last_second)] == [begin + 24_000, end - 24_000]


def test_the_track_is_written_bit_by_bit(session: Path, tmp_path: Path) -> None:
    """A stretch across blocks, past the region's end: the file's samples, then silence."""
    out = tmp_path / "out.wav"
    run(session, f"print(import('audio').write_track(track('One'), {quote(str(out))}, 100, 200000))")
    found, rate = soundfile.read(out, dtype="float32")
    source, _ = soundfile.read(session.parent / "one.wav", dtype="float32")
    assert rate == RATE and soundfile.info(out).subtype == "FLOAT"
    expected = np.concatenate([source, np.zeros((8_000, 2), "f4")])[100:200_000]
    assert np.array_equal(found, expected)


def test_a_mono_track_is_written_as_mono(session: Path, tmp_path: Path) -> None:
    """No channel is invented."""
    out = tmp_path / "out.wav"
    run(session, f"print(import('audio').write_track(track('Two'), {quote(str(out))}, 24000, 48000))")
    found, _ = soundfile.read(out, dtype="float32")
    source, _ = soundfile.read(session.parent / "two.wav", dtype="float32")
    assert np.array_equal(found, source[:24_000])


def test_the_mix_leaves_the_target_out(session: Path, tmp_path: Path) -> None:
    """What is heard without one track: the other track's sound, in place."""
    out = tmp_path / "mix.wav"
    call = f"import('audio').write_mix({quote(str(out))}, 0, 96000, {{[id] = true}}, 'mix')"
    code = f"local id = track('Two'):to_stateful():id():to_s() print({call})"
    assert last(run(session, code)).startswith("true")
    found, _ = soundfile.read(out, dtype="float32")
    source, _ = soundfile.read(session.parent / "one.wav", dtype="float32")
    assert found.shape == (96_000, 2)
    assert np.abs(found - source[:96_000]).max() < 1e-6


def test_the_extent_of_a_track(session: Path) -> None:
    """First and last sample of all regions; nothing for an empty track."""
    code = "print(import('audio').extent(track('Two'))) print(import('audio').extent(track('Empty')))"
    words = [line.split() for line in run(session, code).strip().splitlines()[-2:]]
    assert words == [["24000", "216000"], ["nil", "nil"]]


# -- actions with the window stood in for: what is selected and what the user is told; everything else is Ardour's own


RECORDING = "{ first = 0, last = 48000, tracks = { track('One') }, regions = {} }"

WRONG = {
    "nothing is selected": ("repaint", "{ tracks = {}, regions = {} }", "Nothing is selected"),
    "an empty range": ("repaint", "{ first = 9, last = 9, tracks = { track('One') }, regions = {} }", "has no length"),
    "only MIDI": ("repaint", "{ first = 0, last = 9, tracks = {}, regions = {}, midi_only = true }", "only MIDI"),
    "eleven minutes": ("repaint", RECORDING.replace("48000", "31680000"), "limit is 600 s"),
    "no audio track": (
        "repaint",
        "{ first = 0, last = 48000, tracks = {}, regions = {} }",
        "no audio in the selection",
    ),
    "re-roll of a recording": ("vary", RECORDING, "not made by acestep-bridge"),
    "keep of a recording": ("keep", RECORDING, "not made by acestep-bridge"),
    "restore of a recording": ("restore", RECORDING, "not made by acestep-bridge"),
}
"""What is wrong -> action, what `host.selection` gives, and a part of the sentence."""


def acts(session: Path, cases: Iterable[tuple[str, str]]) -> list[str]:
    """What the user is told when actions are run on selections, all in one process."""
    code = (
        "local host, action, told = import('host'), import('action'), {} "
        "function host.tell(sentence) told[#told + 1] = sentence end "
    )
    for name, selected in cases:
        code += (
            f"function host.selection() return {selected} end action.run({quote(name)}) "
            "out('told', table.concat(told, ' / ')) told = {} "
        )
    return [line.split("|")[1] for line in run(session, code).splitlines() if line.startswith("told")]


@pytest.fixture(scope="module")
def told(session: Path) -> dict[str, str]:
    return dict(zip(WRONG, acts(session, [case[:2] for case in WRONG.values()]), strict=True))


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_in_one_sentence(told: dict[str, str], case: str) -> None:
    """Before anything is asked of the daemon or written."""
    assert WRONG[case][2] in told[case] and " / " not in told[case]


def test_the_form_asks_what_to_do_where_the_tempo_changes(
    winding: Path, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only there, with three choices, and the last one comes first."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(running.paths.home))
    code = (
        "local host, form = import('host'), import('form') local first, last "
        "function host.tell(sentence) out('told', sentence) end "
        "function host.selection() return { first = first, last = last, tracks = { track('One') }, regions = {} } end "
        "function form.ask(title, rows) local row = rows[#rows - 1] "
        "out('row', row.name, tostring(row.value), table.concat(row.choices or {}, ' ')) return { tempo_changes = 'refuse' } end "
        "for _, stretch in ipairs({ { 96000, 276000 }, { 96000, 276000 }, { 192000, 276000 } }) do "
        "first, last = table.unpack(stretch) import('action').run('repaint') end"
    )
    lines = [line.split("|")[1:] for line in run(winding, code).splitlines() if line.startswith(("row", "told"))]
    change, _, again, _, steady = lines
    assert steady[0] != "tempo_changes"
    assert change == ["tempo_changes", "average", "average split refuse"]
    assert again == ["tempo_changes", "refuse", "average split refuse"]


def test_at_a_cursor_there_is_one_job_of_the_typed_duration(
    winding: Path, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metre changes three seconds on, the tempo much later: no question, one job, the tempo of what is asked for alone."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(running.paths.home))
    code = (
        "local host, form, daemon, files = import('host'), import('form'), import('daemon'), import('files') host.prepare(files) "
        "import('choices').keep(host.folder() .. '/choices.json', 'generate', { tempo_changes = 'split' }) "
        "function host.tell(sentence) out('told', sentence) end "
        "function host.selection() return { tracks = {}, regions = {} } end function host.cursor() return 48000 end "
        "function form.ask(title, rows) for _, row in ipairs(rows) do out('row', row.name) end "
        "return { duration = 6.0, tempo_changes = 'split' } end "
        "function daemon.submit(pending, operation, params) "
        "out('job', pending.origin, params.bpm, params.duration, params.time_signature, tostring(params.length)) return true end "
        "import('action').run('generate') os.remove(host.folder() .. '/choices.json')"
    )
    lines = [line for line in run(winding, code).splitlines() if line.startswith(("row", "job", "told"))]
    assert "row|tempo_changes" not in lines
    assert [line for line in lines if not line.startswith("row")] == ["job|48000|120.0|6.0|4|nil"]


def test_a_folder_that_takes_no_files_is_told(session: Path) -> None:
    """The session's folder is read-only (root writes anywhere, so the test says what `files` would find)."""
    code = (
        "local host, files = import('host'), import('files') local told = 'nothing' "
        "function files.writable() return false end function host.tell(sentence) told = sentence end "
        "function host.selection() return { first = 0, last = 9, tracks = { track('One') }, regions = {} } end "
        "import('action').run('repaint') print(told)"
    )
    assert "media folder cannot be written" in last(run(session, code))


def test_a_daemon_that_does_not_run_is_offered_to_start(session: Path) -> None:
    """Nobody answers: the question names the command; no leaves nothing behind."""
    code = (
        "local host = import('host') local asked local now = 0 "
        "function host.clock() now = now + 1 return now end function host.sleep() end "
        "function host.ask(sentence) asked = sentence return false end "
        "function host.selection() return { first = 0, last = 9, tracks = { track('One') }, regions = {} } end "
        "import('action').run('repaint') print((asked or 'nothing'):gsub('%s+', ' '))"
    )
    assert "Start it now?" in last(run(session, code, ["acestep-bridge", "serve"]))


def test_a_daemon_that_does_not_come_up(session: Path) -> None:
    """Yes, but nothing answers: the command was run, a sentence, no job, nothing left in the spool. (The clock runs ahead.)"""
    code = (
        "local host, now = import('host'), 0 "
        "function host.clock() now = now + 1 return now end function host.sleep() end "
        "function host.tell(sentence) out('told', sentence) end function host.ask() return true end "
        "function host.start(words) out('told', table.concat(words, ' ')) end "
        "function host.selection() return { first = 0, last = 9, tracks = { track('One') }, regions = {} } end "
        "import('action').run('repaint') out('told', #import('exchange').journal(host.folder() .. '/pending.json').read())"
    )
    told = [line.split("|")[1] for line in run(session, code, ["acestep-bridge", "serve"]).splitlines() if "|" in line]
    assert told == [
        "acestep-bridge serve",
        "The daemon did not answer within 15 s. To find out why, run: acestep-bridge doctor",
        "0",
    ]


def test_a_daemon_of_another_protocol(session: Path) -> None:
    """An older or newer daemon: told which side to update, and the action ends."""
    code = (
        "local host, exchange, daemon = import('host'), import('exchange'), import('daemon') local level "
        "function exchange.send() return true end "
        "function exchange.look() return { ended = true, answer = { protocol = level } } end "
        "function host.tell(sentence) out('told', sentence) end "
        "level = 0 out('ready', tostring(daemon.ready())) level = 2 out('ready', tostring(daemon.ready()))"
    )
    lines = [line.split("|")[1] for line in run(session, code).splitlines() if line.startswith(("told", "ready"))]
    older, first, newer, second = lines
    assert "Update acestep-bridge" in older and "install-scripts ardour" in newer and first == second == "false"


JOB = "ardour-20260101-1"


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory, foreign: Callable[[str], str]) -> Path:
    """A session with the recording and, above it, two of our takes at one place and one of another key press.

    Besides these a job of two variants on tracks of their own, the first of which has two files.
    """
    foreign("ardour7-lua")
    folder = tmp_path_factory.mktemp("taken")
    made = ardour_host.make_session(folder, "song", ["One", "Two", "Three", "Four"], 120.0)
    (made / "acestep-bridge").mkdir()
    ardour_host.place_file(made, sound(folder / "one.wav", seconds=4.0), "One", 0)
    for number, group in enumerate("aab", 1):
        file = sound(folder / f"repaint-{JOB}{number}-1.wav", seconds=1.0)
        ardour_host.place_file(made, file, "One", 24_000 + number)
        pending = {"id": f"{JOB}{number}", "group": group, "title": "Repaint", "action": "repaint-again", "values": {}}
        remember(made, {**pending, "operation": "repaint", "context": "/nowhere.wav"}, {})
    variants = {f"lego-{JOB}4-{index}": variant for index, variant in ((1, 0), (2, 0), (3, 1))}
    for name, track in zip(variants, ("Two", "Three", "Four"), strict=True):
        ardour_host.place_file(made, sound(folder / f"{name}.wav", seconds=1.0), track, 24_000)
    (source,) = (key for key, name in ardour_host.tracks(made).items() if name == "One")
    pending = {"id": f"{JOB}4", "group": "c", "title": "Add", "action": "add-instrument", "track": source}
    remember(made, {**pending, "operation": "lego", "values": {"caption": "warm"}}, variants)
    return made


def remember(session: Path, pending: dict[str, Any], variants: dict[str, int]) -> None:
    """What the session remembers of a placed result."""
    pending = {"first": 0, "last": 9, "place": "take", **pending}
    memory = {"format": "acestep-bridge/take", "version": 1, "pending": pending, "request": {"stages": []}}
    path = session / "acestep-bridge" / f"{pending['id']}.recipe.json"
    path.write_text(json.dumps({**memory, "variants": variants}))


def test_a_take_and_its_alternatives_are_known_by_their_files(taken: Path) -> None:
    """The session remembers how each of our regions was made; keep would remove those of the same key press, nothing else."""
    code = (
        "local takes, lists = import('takes'), import('lists') "
        "for _, name in ipairs({ 'One', 'Two', 'Three', 'Four' }) do "
        "for _, region in ipairs(lists.of(track(name):playlist():region_list())) do "
        "local memory, names = takes.memory(region), {} "
        "local found = memory and takes.alternatives({ region = region, track = track(name), memory = memory }) or {} "
        "for index, other in ipairs(found) do names[index] = other.track:name() .. ' ' .. other.region:name() end "
        "table.sort(names) "
        "out('take', region:name(), memory and memory.pending.group or '-', table.concat(names, ',')) end end"
    )
    found = [line.split("|")[1:] for line in run(taken, code).splitlines() if line.startswith("take")]
    first, second, third = (f"repaint-{JOB}{number}-1" for number in (1, 2, 3))
    part, sibling, other = (f"lego-{JOB}4-{index}" for index in (1, 2, 3))
    takes = [["one", "-", ""], [first, "a", f"One {second}"], [second, "a", f"One {first}"], [third, "b", ""]]
    parts = [[part, "c", f"Four {other}"], [sibling, "c", f"Four {other}"]]
    assert sorted(found) == sorted([*takes, *parts, [other, "c", f"Three {sibling},Two {part}"]])


def test_keep_removes_alternatives_on_other_tracks(taken: Path) -> None:
    """The part on the selected track stays with its second file; the other variant goes from a track that nobody selected."""
    code = (
        "local host, lists = import('host'), import('lists') "
        "local function list(name) return #lists.of(track(name):playlist():region_list()) end "
        "function host.selection() return { first = 24000, last = 48000, tracks = { track('Two') }, regions = {} } end "
        "import('action').run('keep') out('left', list('One'), list('Two'), list('Three'), list('Four'))"
    )
    assert last(run(taken, code)) == "left|4|1|1|0"


def test_restore_opens_the_form_for_the_track_that_was_worked_on(taken: Path) -> None:
    """An action without a form: that of its operation. A part on a track of its own: the job's own track."""
    code = (
        "local host, choosing = import('host'), import('choosing') local selected "
        "function host.selection() return { first = 24000, last = 48000, tracks = { track(selected) }, regions = {} } end "
        "local function opened(name, place) out('run', name, place.first, place.last, place.tracks[1]:name()) end "
        "for _, name in ipairs({ 'One', 'Two' }) do selected = name choosing.restore(opened) end "
        "out('run', import('choices').of(host.folder() .. '/choices.json', 'lego').caption)"
    )
    lines = [line for line in run(taken, code).splitlines() if line.startswith("run")]
    assert lines == ["run|repaint|0|9|One", "run|add-instrument|0|9|One", "run|warm"]


def test_a_reroll_without_its_audio_says_so(taken: Path) -> None:
    """What was sent for the take is gone: nothing is sent, and the user knows what to do."""
    selected = "{ first = 24000, last = 48000, tracks = { track('One') }, regions = {} }"
    (sentence,) = acts(taken, [("vary", selected)])
    assert "no longer there" in sentence


def test_a_reroll_whose_result_nobody_would_place_is_not_sent(taken: Path) -> None:
    """A session that takes no files, seen before or while the job is written down: the sentence, and nothing is sent."""
    code = (
        "local host, files, exchange, daemon = import('host'), import('files'), import('exchange'), import('daemon') "
        "function files.exists() return true end function daemon.ready() return true end "
        "function exchange.send() out('sent') end function host.tell(sentence) out('told', sentence) end "
        "function host.selection() return { first = 24000, last = 48000, tracks = { track('One') }, regions = {} } end "
        "function files.write() return nil, 'read-only' end import('action').run('vary') "
        "function files.writable() return false end import('action').run('vary')"
    )
    lines = [line for line in run(taken, code).splitlines() if line.startswith(("told", "sent"))]
    assert len(lines) == 2 and all("media folder cannot be written" in line for line in lines)


def test_a_reroll_is_the_old_job_with_new_seeds(taken: Path) -> None:
    """The daemon makes its own job again; when that is not known any more, what the take remembers is sent, once."""
    code = (
        "local host, files, exchange, daemon, follow = import('host'), import('files'), import('exchange'), import('daemon'), "
        "import('follow') function files.exists() return true end function daemon.ready() return true end "
        "function exchange.send(_, name, method, params) "
        "out('sent', method, tostring(params.job), tostring(params.vary), tostring(params.operation)) end "
        "function host.tell(sentence) out('told', sentence) end "
        "function host.selection() return { first = 24000, last = 48000, tracks = { track('One') }, regions = {} } end "
        "function follow.look() return { ended = true, error = { message = 'gone' } } end "
        "import('action').run('vary') import('placing').tick() import('placing').tick() "
        "out('left', #exchange.journal(host.folder() .. '/pending.json').read())"
    )
    lines = [line.split("|") for line in run(taken, code).splitlines() if line.startswith(("sent", "told", "left"))]
    first, instead, told, left = lines
    assert first[:2] == ["sent", "job.rerun"] and first[2] != "nil" and first[3] == "true"
    assert instead[:2] == ["sent", "job.submit"] and instead[4] != "nil"
    assert told[0] == "told" and told[1].endswith(": gone") and left == ["left", "0"]


BROKEN = (
    "local host, files, follow, placing = import('host'), import('files'), import('follow'), import('placing') "
    "local landing, audition, audio = import('landing'), import('audition'), import('audio') host.prepare(files) "
    "function host.tell(sentence) out('told', sentence) end "
    "files.write(host.folder() .. '/made.wav', 'sound') "
    "local file = { role = 'part', path = host.folder() .. '/made.wav', start = 0, length = 9, rate = 48000 } "
    "local pending = { id = 'j-1', title = 'Generate', operation = 'generate', place = 'track', origin = 0, rate = 48000, "
    "first = 0, last = 9 } "
    "local ended = { ended = true, job = { state = 'done', result = { files = { file } } } } "
    "function follow.look() return ended end "
    "local journal = import('exchange').journal(host.folder() .. '/pending.json') journal.add(pending) "
)
"""A job that has ended, and what the user is told."""


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        ("function audio.import() end", "could not import"),
        (
            "function audio.import() return {} end function audio.new_track() return {} end "
            "function audio.lay() error('it is broken') end",
            "it is broken",
        ),
    ],
    ids=["a file Ardour cannot read", "an error of the script"],
)
def test_what_cannot_be_placed_is_told_and_waits(session: Path, breaks: str, sentence: str) -> None:
    """Once, with how to go on; its copy stays, and the user may choose it again."""
    code = (
        BROKEN
        + breaks
        + (
            " placing.tick() placing.tick() "
            "out('left', audition.count(), tostring(files.exists(host.folder() .. '/generate-j-1-1.wav')), #journal.read()) "
            "os.remove(host.folder() .. '/held.json') os.remove(host.folder() .. '/generate-j-1-1.wav')"
        )
    )
    told, left = [line for line in run(session, code).splitlines() if line.startswith(("told", "left"))]
    assert told.startswith("told|Generate: ") and sentence in told and told.endswith("Place a waiting result.")
    assert left == "left|1|true|0"


def test_an_error_before_anything_is_there_is_told(session: Path) -> None:
    """The job waits no longer, so a script that stumbles over its result says so instead of printing it."""
    code = BROKEN + "function landing.fetch() error('no such field') end placing.tick() out('left', #journal.read())"
    told, left = [line for line in run(session, code).splitlines() if line.startswith(("told", "left"))]
    assert told.startswith("told|Generate: ") and "no such field" in told and left == "left|0"


def test_what_was_sent_from_the_page_is_taken_once(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook takes the file that the daemon wrote, copies both takes into the session and lays them at the playhead."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(tmp_path))
    (tmp_path / "spool").mkdir()
    files = [{"name": f"{n}.wav", "path": str(sound(tmp_path / f"{n}.wav", seconds=1.0)), "role": "stem"} for n in "ab"]
    facts = {"start": 4800, "length": RATE, "rate": RATE}
    view = JobView(
        id="j-9",
        operation="extract",
        state=JobState.DONE,
        seq=1,
        client="me",
        caption="drums",
        created=1.0,
        result={"files": [{**file, **facts, "variant": n, "track": "drums"} for n, file in enumerate(files)]},
    )
    waiting = Handovers(tmp_path / "spool")
    waiting.send("ardour", view, [])
    code = (
        "local audio, host, placing = import('audio'), import('host'), import('placing') local heard "
        "function audio.import(path) out('import', path) return path end "
        "function audio.new_track(name) return name end import('takes').remember = function() end "
        "function host.cursor() return 144000 end function host.tell(sentence) out('told', sentence) end "
        "function audio.lay(layers, title) out('title', title) "
        "for _, layer in ipairs(layers) do out('laid', layer.position, layer.name) end end "
        "import('view').keep = function(change, ...) return change(...) end "
        "placing.tick() placing.tick()"
    )
    lines = [line.split("|") for line in run(session, code).splitlines() if "|" in line]
    assert [line[1:] for line in lines if line[0] == "laid"] == [["144000", "drums 2"], ["144000", "drums 1"]]
    assert [line[1] for line in lines if line[0] == "title"] == ["ACE-Step: Sent: drums"]
    imported = [Path(line[1]) for line in lines if line[0] == "import"]
    assert {path.parent for path in imported} == {session / "acestep-bridge"} and len(set(imported)) == 2
    assert "told" not in {line[0] for line in lines} and waiting.rows() == []
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_cancelled_job_is_told_by_show_jobs(session: Path) -> None:
    """Whoever cancelled it: a dialog would only be in the way."""
    code = BROKEN + "ended.job.state = 'cancelled' placing.tick() import('action').run('queue')"
    assert last(run(session, code)) == "told|Generate: cancelled."


def test_markers_follow_the_jobs(session: Path) -> None:
    """One range marker a job, renamed as it goes on, gone when it has ended; the user's own markers stay."""
    code = (
        "local progress, lists = import('progress'), import('lists') "
        "Session:locations():add_range(Temporal.timepos_t(7), Temporal.timepos_t(9)):set_name('mine') "
        "local function list() local names = {} for _, l in ipairs(lists.of(Session:locations():list())) do "
        "if l:name() == 'mine' or l:name():find('ACE') then names[#names + 1] = l:name() .. '@' .. l:start():samples() end end "
        "out('markers', table.concat(names, ',')) end "
        "local function job(first, percent) local view = { state = 'running', progress = { fraction = percent / 100 } } "
        "return { first = first, last = first + 10, text = progress.text({ operation = 'repaint' }, view) } end "
        "progress.show({ job(10, 1), job(30, 2) }) list() "
        "progress.show({ job(30, 3) }) list() progress.show({}) list()"
    )
    lines = [line.split("|")[1] for line in run(session, code).splitlines() if line.startswith("markers")]
    assert [sorted(line.split(",")) for line in lines] == [
        ["1 % ACE-Step repaint@10", "2 % ACE-Step repaint@30", "mine@7"],
        ["3 % ACE-Step repaint@30", "mine@7"],
        ["mine@7"],
    ]


def test_one_variant_of_those_that_wait_is_placed(session: Path) -> None:
    """Two jobs wait, the newer one is offered first; the hook places what is chosen, the rest of its job goes; none drops all."""
    code = (
        "local host, form, files, audition = import('host'), import('form'), import('files'), import('audition') "
        "local landing, answer = import('landing') host.prepare(files) "
        "local function state(moment) local left = {} for _, name in ipairs({ 'a1', 'a2', 'b1', 'b2' }) do "
        "if files.exists(landing.path({ copy = name })) then left[#left + 1] = name end end "
        "out(moment, audition.count(), table.concat(left, ' ')) end "
        "function landing.land(jobs) local one = jobs[1] out('landed', one.memory.pending.id, #one.list, one.list[1].copy) end "
        "function host.tell(sentence) out('told', sentence) end "
        "function form.ask(title, rows) local choices = rows[2].choices "
        "out('offered', table.unpack(choices)) return { variant = choices[answer] } end "
        "for id, caption in string.gmatch('a=,b=new', '(%w)=(%w*)') do "
        "local list = { { variant = 0, copy = id .. '1' }, { variant = 1, copy = id .. '2' } } "
        "for _, place in ipairs(list) do files.write(landing.path(place), '') end "
        "local pending = { id = id, operation = 'cover', first = 0, last = 9, rate = 48000 } "
        "audition.hold({ request = { conditioning = { caption = caption } }, pending = pending }, list) end "
        "local function hint() local marks = audition.tick() out('marker', #marks, marks[1] and marks[1].text or '') end "
        "hint() answer = 2 audition.place() state('chosen') hint() state('placed') hint() "
        "answer = 3 audition.place() state('none') hint() audition.place()"
    )
    found = [line for line in run(session, code).splitlines() if "|" in line]
    assert found == [
        "marker|2|4 wait ACE-Step Listen to waiting results",
        "offered|1  cover: new, variant 1|2  cover: new, variant 2|3  cover, variant 1|4  cover, variant 2|none: drop them all",
        "chosen|2|a1 a2 b1 b2",
        "landed|b|1|b2",
        "marker|1|2 wait ACE-Step Listen to waiting results",
        "placed|2|a1 a2",
        "marker|1|2 wait ACE-Step Listen to waiting results",
        "offered|1  cover, variant 1|2  cover, variant 2|none: drop them all",
        "none|0|",
        "marker|0|",
        "told|No variant is waiting for you to listen to. Switch on 'Listen before placing' in the form of an action.",
    ]


def test_what_keeps_waiting_results_from_being_heard(session: Path) -> None:
    """Nothing waits, no daemon, no page: a sentence each and nothing is opened; else the page is. A file that is gone is named."""
    code = (
        "local host, daemon, form, audition = import('host'), import('daemon'), import('form'), import('audition') "
        "import('host').prepare(import('files')) local now, doors = 0, nil "
        "function host.clock() now = now + 1 return now end function host.sleep() end "
        "function host.tell(sentence) out('told', sentence) end "
        "function host.ask(sentence) out('asked', (sentence:gsub('%s+', ' '))) return false end "
        "function host.start(words) out('started', table.concat(words, ' ')) end "
        "function form.ask(title, rows) return { variant = rows[2].choices[1] } end "
        "local function listen() import('action').run('listen-page') end "
        "listen() audition.hold({ request = {}, pending = { id = 'a', operation = 'cover', pick = 'drums' } }, "
        "{ { variant = 0, copy = 'gone.wav' } }) listen() "
        "function daemon.ready() return true end function daemon.call() return { doors = doors } end "
        "doors = {} listen() doors = { http = { port = 1 } } listen() "
        "import('action').run('place-waiting') out('left', audition.count()) os.remove(host.folder() .. '/held.json')"
    )
    nothing, asked, off, started, gone, left = [
        line for line in run(session, code, ["acestep-bridge", "serve"]).splitlines() if "|" in line
    ]
    assert nothing.startswith("told|No variant is waiting")
    assert asked.startswith("asked|The acestep-bridge daemon is not running") and asked.endswith("Start it now?")
    assert off.startswith("told|The page for listening to results is off")
    assert (started, left) == ("started|listener", "left|1")
    assert gone == f"told|The file of this result is gone: {session}/acestep-bridge/gone.wav. Run the action again."


def test_missing_audio_is_named(tmp_path: Path, foreign: Callable[[str], str]) -> None:
    """Ardour plays silence for a file that is gone; that is not sent for the user's audio."""
    foreign("ardour7-lua")
    made = ardour_host.make_session(tmp_path, "song", ["One"], 120.0)
    ardour_host.place_file(made, sound(tmp_path / "one.wav", seconds=1.0), "One", 0)
    code = (
        "local function missing(from, to) return tostring(import('audio').missing(track('One'), from, to)) end "
        "out('missing', missing(0, 9), missing(90000, 99000))"
    )
    assert last(run(made, code)) == "missing|nil|nil"
    (tmp_path / "one.wav").unlink()
    assert last(run(made, code)) == f"missing|{tmp_path / 'one.wav'}|nil"


def test_a_preset_is_asked_for_by_its_own_form(
    session: Path, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other operation: chosen from the real daemon's describe, its fields in the form, its audio and values in the job."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(running.paths.home))
    code = (
        "local form, host, asked = import('form'), import('host'), {} "
        "function host.tell(sentence) out('told', sentence) end "
        "function host.selection() return { first = 24000, last = 72000, tracks = { track('One') }, regions = {} } end "
        "function form.ask(title, rows) for _, row in ipairs(rows) do asked[#asked + 1] = row.name end "
        "return #asked == 2 and { operation = 'refine' } or { caption = 'warm' } end "
        "import('action').run('operation') out('asked', table.unpack(asked)) "
        "local job = import('exchange').journal(host.folder() .. '/pending.json').read()[1] "
        "local status repeat host.sleep(0.05) status = import('follow').look("
        + quote(str(running.paths.home / "spool"))
        + ", job, {}, 0) "
        "until status and status.ended "
        "out('job', status.job.operation, status.job.state, status.job.result.recipe.request.conditioning.caption)"
    )
    lines = [line.split("|") for line in run(session, code).splitlines() if line.startswith(("asked", "job", "told"))]
    asked, job = lines
    assert asked[1:3] == ["note", "operation"] and {"caption", "variants"} <= set(asked[3:])
    assert job == ["job", "refine", "done", "warm"]


def test_a_chosen_job_is_cancelled(session: Path) -> None:
    """Show jobs: a numbered line each, then the number of the one to cancel."""
    code = (
        "local host, form, daemon, files = import('host'), import('form'), import('daemon'), import('files') host.prepare(files) "
        "local journal = import('exchange').journal(host.folder() .. '/pending.json') "
        "journal.write({ { id = 'a', title = 'Repaint' }, { id = 'b', title = 'Cover' } }) "
        "function host.tell(sentence) out('told', (sentence:gsub('\\n', '/'))) end "
        "function form.ask(title, rows) host.tell(rows[1].label) return { cancel = rows[2].choices[3] } end "
        "function daemon.call(method, params) out('call', method, params.id) end "
        "import('action').run('queue') journal.write({})"
    )
    lines = [line for line in run(session, code).splitlines() if line.startswith(("told", "call"))]
    assert lines[0].startswith("told|1  Repaint: not accepted yet/2  Cover: not accepted yet")
    assert lines[1] == "call|job.cancel|b"


SEVERAL = (
    "local host, daemon, files, audio = import('host'), import('daemon'), import('files'), import('audio') "
    "host.prepare(files) local press = {} "
    "function host.tell(sentence) out('told', sentence) end "
    "function daemon.submit(pending, operation, params) press[pending.press] = true "
    "out('job', pending.first, pending.last, pending.track_name or host.track(pending.track):name(), params.start, params['end'], "
    "files.exists(pending.context) and 'read' or '-', pending.id) return true end "
    "local function regions(...) local list = {} for _, place in ipairs({ ... }) do "
    "list[#list + 1] = { track = track(place[1]), first = place[2], last = place[3] } end return list end "
    "function host.selection() return { tracks = {}, first = 0, last = 216000, regions = regions(%s) } end "
    "import('action').run('repaint-again') local count = 0 for _ in pairs(press) do count = count + 1 end out('presses', count)"
)


def test_several_regions_are_one_action(session: Path, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three regions on two tracks: a job each for its own place, in the order of the song, all of one key press."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(running.paths.home))
    lines = run(
        session, SEVERAL % "{ 'Two', 48000, 96000 }, { 'One', 0, 24000 }, { 'One', 96000, 144000 }"
    ).splitlines()
    found = [line.split("|")[1:] for line in lines if line.startswith(("job", "told"))]
    assert [job[:6] for job in found] == [
        ["0", "24000", "One", "0", "24000", "read"],
        ["48000", "96000", "Two", "48000", "96000", "read"],
        ["96000", "144000", "One", "96000", "144000", "read"],
    ]
    assert len({job[6] for job in found}) == 3 and "presses|1" in lines


REPAINTED = (
    "local host, form, placing, landing = import('host'), import('form'), import('placing'), import('landing') local done "
    "function host.tell(sentence) out('told', sentence) end "
    "function host.selection() return { first = 48000, last = 96000, tracks = { track('One') }, regions = {} } end "
    "local answers, rows = { { more = 'Sampling' }, { steps = 1 }, { caption = 'soft piano', seed = 3 } }, {} "
    "function form.ask(title, shown) for _, row in ipairs(shown) do rows[row.name] = row end return table.remove(answers, 1) end "
    "import('choices').keep(host.folder() .. '/choices.json', 'repaint', { steps = 1 }) "
    "function landing.land(jobs) done = true out('landed', landing.path(jobs[1].list[1]), jobs[1].memory.pending.first) end "
    "import('action').run('repaint') "
    "out('form', tostring(rows.steps.value), rows.steps.max, table.concat(rows.sampler.choices, ' '), tostring(rows.timesteps)) "
    "local notes = {} function form.ask(title, shown) "
    "for _, row in ipairs(shown) do if row.kind == 'note' then notes[#notes + 1] = row.label end end end "
    "import('action').run('extract') out('notes', table.unpack(notes)) "
    "for _ = 1, 240 do if not done then placing.tick() os.execute('sleep 0.5') end end"
)


def test_a_repaint_by_a_model_of_another_family(
    session: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key press with a tiny v1 as the daemon's model: the form is that model's, the patch begins and ends as the track's own
    audio, and is new inside. The form of what that model cannot do says so."""
    folder = tmp_path_factory.mktemp("family")
    build_tiny(folder / "models")
    settings = {"home": folder / "home", "backend": "torch", "model": "v1-tiny", "checkpoints": [folder / "models"]}
    with start_daemon({**FREE_PORTS, **settings, "read_roots": [session.parent]}):
        monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(folder / "home"))
        lines = run(session, REPAINTED).splitlines()
    landed = [line.split("|") for line in lines if line.startswith(("landed", "told"))]
    assert [line[0] for line in landed] == ["landed"], landed
    assert "form|1|200|auto euler heun pingpong|nil" in lines
    (notes,) = [line.split("|")[1:] for line in lines if line.startswith("notes")]
    assert len(notes) == 2 and "extract" in notes[1] and "v1" in notes[1], notes
    patch, rate = soundfile.read(landed[0][1], dtype="float32")
    source, _ = soundfile.read(session.parent / "one.wav", dtype="float32")
    handle = (len(patch) - 48_000) // 2
    under = source[48_000 - handle : 96_000 + handle]
    assert rate == RATE and handle > 0 and np.abs(patch[[0, -1]] - under[[0, -1]]).max() < 1e-3
    assert not np.allclose(patch[handle:-handle], under[handle:-handle], atol=1e-3)


def test_of_several_regions_all_are_sent_or_none(
    session: Path, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one's track holds nothing: one sentence, no job, and what was read of the first is gone."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(running.paths.home))
    context = session / "acestep-bridge" / "context"
    before = set(context.iterdir()) if context.exists() else set()
    lines = run(session, SEVERAL % "{ 'One', 0, 24000 }, { 'Empty', 48000, 96000 }").splitlines()
    found = [line for line in lines if line.startswith(("job", "told"))]
    assert len(found) == 1 and "no audio in the selection" in found[0]
    assert set(context.iterdir()) == before


def test_the_form_says_what_will_happen(session: Path, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracks, bars, seconds, tempo and what is read; many tracks are counted; a length is asked for at the playhead only."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(running.paths.home))
    code = (
        "local host, form, action = import('host'), import('form'), import('action') local found "
        "function host.selection() return found end function host.cursor() return 96000 end "
        "function form.ask(title, rows) local names = {} for _, row in ipairs(rows) do names[#names + 1] = row.name end "
        "out('form', rows[1].label, table.concat(names, ' ')) end "
        "local one, two, empty = track('One'), track('Two'), track('Empty') "
        "local function place(name) return { track = track(name), first = 96000, last = 192000 } end "
        "found = { ranged = true, first = 96000, last = 192000, tracks = { one }, regions = {} } action.run('repaint') "
        "action.run('generate') "
        "found = { ranged = true, first = 0, last = 9600, tracks = { one, two, empty, one, two }, regions = {} } "
        "for _, name in ipairs({ 'a', 'b' }) do "
        "found.tracks[#found.tracks + 1] = import('audio').new_track(name, 1) end action.run('cover') "
        "found = { first = 0, last = 192000, tracks = { one, two }, regions = { place('One'), place('Two'), "
        "{ track = one, first = 0, last = 24000 } } } action.run('repaint') "
        "found = { tracks = {}, regions = {} } action.run('generate')"
    )
    lines = [line.split("|") for line in run(session, code).splitlines() if line.startswith("form")]
    read = "Sends the audio of the selected tracks, with some seconds around it."
    assert [line[1] for line in lines] == [
        f"One, bar 2, 2.0 s, sent as 120 bpm. {read}",
        "Bar 2, 2.0 s, sent as 120 bpm. Sends no audio.",
        f"One, Two, Empty and 2 more tracks, bar 1, 0.2 s, sent as 120 bpm. {read}",
        f"One, Two, 2 ranges, bars 1 to 2, 2.5 s, sent as 120 bpm. {read}",
        "At bar 2, sent as 120 bpm. Sends no audio.",
    ]
    assert ["duration" in line[2].split() for line in lines] == [False, False, False, False, True]


def test_a_named_sound_is_offered_as_soon_as_it_is_saved(
    session: Path, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row without sounds; then one by its title, and what was made with it has the sound's words."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(running.paths.home))
    code = (
        "local host, form, forms = import('host'), import('form'), import('forms') "
        "function host.tell(sentence) out('told', sentence) end "
        "function host.selection() return { ranged = true, first = 0, last = 96000, tracks = { track('One') }, regions = {} } end "
        "function form.ask(title, rows) for _, row in ipairs(rows) do if row.name == 'sound' then "
        "out('row', row.label, forms.offers(row)[2][2]) return { sound = forms.parse(row, row.choices[2]), variants = 1 } end end "
        "out('row', '-') end "
        "import('action').run('repaint') "
        "local job = import('exchange').journal(host.folder() .. '/pending.json').read()[1] "
        "if job then local status repeat host.sleep(0.05) "
        f"status = import('follow').look({quote(str(running.paths.home / 'spool'))}, job, {{}}, 0) until status and status.ended "
        "out('job', status.job.state, status.job.result.recipe.request.conditioning.caption) "
        "os.remove(host.folder() .. '/pending.json') end"
    )
    assert "row|-" in run(session, code)
    with Client(str(running.paths.home)) as client:
        client.call("sound.save", {"name": "velvet", "title": "Velvet choir", "values": {"caption": "soft voices"}})
    try:
        lines = run(session, code).splitlines()
    finally:
        with Client(str(running.paths.home)) as client:
            client.call("sound.delete", {"name": "velvet"})
    assert "row|Sound|Velvet choir" in lines and "job|done|soft voices" in lines, lines
