"""A job as an arrangement: what lies where, what is heard, and where the project begins."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from acestep.api.errors import BadRequest, NotFound
from bridge.core.arrangement import arrange
from bridge.core.dawproject import write_dawproject
from bridge.core.interface import JobState, JobView


@pytest.fixture
def job(tmp_path):
    """``job(*(role, start, length, facts), song=..., stages=..., **wish)``: a done job with silent files, and its song."""

    def make(*files, state=JobState.DONE, stages=({"type": "repaint"},), caption="", **wish):
        entries = []
        for number, (role, start, length, facts) in enumerate(files):
            path = tmp_path / f"{number}.wav"
            soundfile.write(path, np.zeros((length, 2)), facts.get("rate", 48_000))
            entry = {"role": role, "name": path.name, "path": str(path), "start": start, "length": length}
            entries.append({**entry, "rate": 48_000, "channels": 2, "variant": 0, "stage": 1, **facts})
        request = {"conditioning": wish, "stages": list(stages), "source": None}
        return JobView(
            id="take-1",
            operation="render",
            state=state,
            seq=9,
            caption=caption,
            request=request,
            result={"files": entries},
        )

    return make


@pytest.fixture
def song(tmp_path):
    """Ten seconds."""
    path = tmp_path / "song.wav"
    soundfile.write(path, np.zeros((480_000, 2)), 48_000)
    return path


def laid(arrangement):
    return {track.name: [(clip.start, clip.end, clip.offset) for clip in track.clips] for track in arrangement.tracks}


def test_edits_at_another_rate_leave_their_gap_too(job, song):
    """A patch at 44.1 kHz takes the place of the same seconds of a song at 48 kHz."""
    found = arrange(job(("patch", 44_100, 88_200, {"rate": 44_100}), bpm=100.0), song)
    assert laid(found) == {"Song": [(0, 48_000, 0), (144_000, 480_000, 144_000)], "Repaint": [(44_100, 132_300, 0)]}


def test_an_edit_that_reaches_beyond_the_song(job, song):
    """What goes on after the end leaves the song before it; what begins before it moves the project's beginning to a bar line."""
    found = arrange(job(("patch", -24_000, 72_000, {}), ("patch", 470_000, 90_000, {"stage": 2}), bpm=60.0), song)
    assert laid(found)["Song"] == [(48_000, 470_000, 48_000)]
    assert found.beat(0.0) == 4.0  # a bar of 4/4 before the song's own first
    assert found.beat(-0.5) == 3.5


def test_sounds_that_would_overlap_get_a_track_each(job):
    """Two parts of a chain that begin at the same place are not laid over one another."""
    parts = [
        ("part", 0, 48_000, {"stage": 1}),
        ("part", 0, 96_000, {"stage": 2}),
        ("part", 48_000, 48_000, {"stage": 1}),
    ]
    found = arrange(job(*parts, stages=({"type": "generate"}, {"type": "generate"}), bpm=120.0), None)
    assert [len(track.clips) for track in found.tracks] == [2, 1]
    assert not any(track.muted for track in found.tracks)


def test_what_is_no_sound_to_place_is_left_out(job):
    """Latents, copies and previews are not on the timeline."""
    out = [("latent", 0, 10, {}), ("copy", 0, 10, {}), ("part", 0, 10, {"preview": True})]
    found = arrange(job(("part", 0, 48_000, {}), *out), None)
    assert len(found.tracks) == 1
    with pytest.raises(BadRequest, match="has no sound"):
        arrange(job(*out), None)


def test_a_job_that_is_not_done_is_not_exported(job):
    """The sentence says where it stands."""
    with pytest.raises(BadRequest, match="the job take-1 is running, not done"):
        arrange(job(("part", 0, 48_000, {}), state=JobState.RUNNING), None)


def test_a_song_that_programs_read_differently_stays_out(job, tmp_path):
    """An MP3 begins at another sample in each program; the results are exported, and a note says why without it."""
    song = tmp_path / "song.mp3"
    soundfile.write(song, np.zeros((48_000, 2)), 48_000)
    found = arrange(job(("part", 0, 48_000, {}), bpm=90.0), song)
    assert list(laid(found)) == ["Repaint"]
    assert found.notes == (
        "song.mp3 is in a lossy format, and programs begin such files at different samples, so the project contains only "
        "the results; save it as WAV and use that",
    )
    gone = arrange(job(("part", 0, 48_000, {}), bpm=90.0), tmp_path / "gone.wav")
    assert gone.notes == ("gone.wav can no longer be read, so the project contains only the results",)


def test_without_a_tempo_it_says_what_it_took(job):
    """120 bpm, as in most DAWs; the sounds lie at their times all the same."""
    found = arrange(job(("part", 24_000, 48_000, {})), None)
    assert found.beat(0.5) == 1.0
    assert "120 bpm" in found.notes[0]


def test_captions_become_plain_xml(job, tmp_path):
    """Characters that XML cannot hold are blanks; everything else comes back."""
    path = write_dawproject(
        arrange(job(("part", 0, 48_000, {}), caption="a\x00b & <c> \ud83e é 音"), None), tmp_path / "x.dawproject"
    )
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert ElementTree.fromstring(archive.read("metadata.xml")).findtext("Comment") == "a b & <c>   é 音"


def test_a_sound_that_was_deleted_is_named(job, tmp_path):
    """Nothing half is left behind."""
    view = job(("part", 0, 48_000, {}))
    found = arrange(view, None)
    Path(view.result["files"][0]["path"]).unlink()
    with pytest.raises(NotFound, match=r"0\.wav is no longer there"):
        write_dawproject(found, tmp_path / "x.dawproject")
    assert list(tmp_path.glob("*dawproject*")) == []
