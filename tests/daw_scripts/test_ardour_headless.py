"""The parts of the Ardour scripts that need no window, in Ardour's own Lua: tempo map, the track's audio, the mix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.hosts.bundle import bundle, modules, quote, shared_data

from . import ardour_host
from .conftest import RATE, sound
from .lua_host import SCRIPTS

pytestmark = pytest.mark.foreign


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


def run(session: Path, code: str) -> str:
    """Run code with `import`, `track(name)` and the session loaded; what it printed."""
    data = shared_data(SCRIPTS, session.parent, [])
    chunk = bundle(modules(SCRIPTS, "ardour"), data, f"assert(load({quote('local import = ... ' + code)}))(import)")
    script = (
        "Session = load_session(arg[1], arg[2])\n"
        "function track(name) for route in Session:get_tracks():iter() do\n"
        "if route:name() == name then return route:to_track() end end end\n"
        f"{chunk.replace('return assert(load', 'assert(load')}\nio.stdout:flush() os.exit(0)\n"
    )
    return ardour_host.headless(script, str(session), session.name, folder=session.parent)


def last(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_one_tempo_is_one_segment(session: Path) -> None:
    """A plain session: one segment, exact."""
    found = json.loads(last(run(session, "print(import('json').encode(import('host').segments(0, 480000)))")))
    assert found == [{"start": 0, "bpm": 120, "num": 4, "den": 4}]


def test_a_tempo_change_is_found_to_the_sample(session: Path) -> None:
    """A change on a bar: the second segment begins exactly there, with its own tempo and metre."""
    code = (
        "local map = Temporal.TempoMap.fetch_writable() "
        "map:set_tempo(Temporal.Tempo(90, 90, 4), Temporal.timepos_t(192000)) "
        "map:set_meter(Temporal.Meter(7, 8), Temporal.timepos_t(192000)) "
        "Temporal.TempoMap.update(map) map = nil "
        "print(import('json').encode(import('host').segments(96000, 480000)))"
    )
    first, second = json.loads(last(run(session, code)))
    assert first == {"start": 2, "bpm": 120, "num": 4, "den": 4}
    assert (second["bpm"], second["num"], second["den"]) == (90, 7, 8)
    assert second["start"] * RATE == pytest.approx(192_000, abs=1)


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
