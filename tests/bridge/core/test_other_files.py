"""The files a request names besides its source: guides and reference audio, of this machine or uploaded, checked at the door."""

from __future__ import annotations

import hashlib
import struct

import pytest

from acestep.api.errors import AceError, BadRequest, CorruptAudio, NotAllowed, NotAudio, NotFound, OutputUnwritable
from acestep.api.rights import Right
from bridge.core.access import Access
from bridge.core.housekeeping import uploads_in
from bridge.core.interface import JobState, Submission

NOTE = b"\0\x90\x3c\x64\x83\x60\x80\x3c\0\0\xff\x2f\0"


def midi(division: int = 480) -> bytes:
    """A clip of one note."""
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, division) + b"MTrk" + struct.pack(">I", len(NOTE)) + NOTE


def upload(service, data: bytes, name: str) -> str:
    """A file as another machine sends it."""
    sent = service.uploads.begin(len(data), hashlib.sha256(data).hexdigest(), name=name)
    service.uploads.write(sent.id, 0, data)
    return sent.id


@pytest.mark.parametrize("guide", ["Am F C G/B", "beat", "four: am f", "auto", "none", "C/G | % | F/A"])
async def test_a_chord_line_with_a_slash_is_no_file(desk, guide):
    """The text is kept as it was given."""
    one = await desk()
    view = await one.run("steps=1", "x", guide=guide)
    assert view.request["conditioning"]["guide"] == guide


@pytest.mark.parametrize("guide", ["I V vi IV", "disco: Am", "Am ? F"])
async def test_a_guide_that_cannot_be_read_is_refused_at_the_door(desk, guide):
    """One sentence about the field; no worker sees it."""
    one = await desk()
    with pytest.raises(BadRequest) as caught:
        await one.submit("", "x", guide=guide)
    assert caught.value.field == "guide"


@pytest.mark.parametrize(
    ("content", "word"), [(midi(0), "0 ticks"), (b"RIFF", "not a MIDI file"), (midi()[:20], "no tracks")]
)
@pytest.mark.parametrize("how", ["path", "upload"])
async def test_a_midi_file_that_cannot_be_played_is_refused_at_the_door(desk, tmp_path, content, word, how):
    """The reason, with the user's own name of the file, whether it lies here or was sent."""
    one = await desk()
    path = tmp_path / "my clip.mid"
    path.write_bytes(content)
    guide = str(path) if how == "path" else f"upload:{upload(one.service, content, path.name)}"
    with pytest.raises(BadRequest) as caught:
        await one.submit("", "x", guide=guide)
    assert word in caught.value.message and "my clip.mid" in caught.value.message and caught.value.field == "guide"


async def test_what_was_read_otherwise_is_a_note(desk):
    """On acceptance already, and once in the result."""
    one = await desk()
    accepted = await one.submit("steps=1", "x", guide="am hm")
    await one.until("x")
    assert accepted.notes == ("the chords were read as Am | Bm",)
    assert one.service.job("x").result["notes"].count(accepted.notes[0]) == 1


async def test_any_path_field_takes_an_upload(desk, sound_file):
    """Guide and reference are files that were sent; they stay while a job needs them."""
    one = await desk()
    clip = upload(one.service, midi(), "clip.mid")
    song = upload(one.service, sound_file(frames=4800).read_bytes(), "song.wav")
    view = await one.run("steps=1", "x", guide=f"upload:{clip}", reference=f"upload:{song}")
    wish = view.request["conditioning"]
    assert wish["guide"] == str(one.service.uploads.path(clip)) and wish["reference"] == str(
        one.service.uploads.path(song)
    )
    assert uploads_in(view.request) == {clip, song}


@pytest.mark.parametrize(
    ("content", "error"), [(b"not a sound", NotAudio), (b"RIFF\x04\0\0\0WAVE", CorruptAudio), (None, NotFound)]
)
async def test_reference_audio_is_checked_at_the_door(desk, tmp_path, content, error):
    """About its own field, not about the source."""
    one = await desk()
    path = tmp_path / "voice.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error) as caught:
        await one.submit("", "x", reference=str(path))
    assert caught.value.field == "reference" and "voice.wav" in caught.value.message


async def test_an_upload_that_is_not_there_is_refused(desk):
    """Unknown and unfinished ones."""
    one = await desk()
    half = one.service.uploads.begin(100, "0" * 64, name="half.mid")
    for name in ("up-0123456789abcdef", "../../etc/passwd", half.id):
        with pytest.raises(AceError):
            await one.submit("", "x", guide=f"upload:{name}")


@pytest.mark.parametrize("field", ["source", "reference", "guide"])
async def test_the_user_of_this_machine_names_any_file(desk, tmp_path, sound_file, field):
    """Over the local socket; a caller over the network is told which setting allows the folder."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    one = await desk(read_roots=[str(allowed)])
    path = sound_file(frames=4800)
    if field == "guide":
        path = tmp_path / "clip.mid"
        path.write_bytes(midi())
    params = {"caption": "fake: steps=1", field: str(path)}
    params |= {"start": 0, "end": 480} if field == "source" else {"length": 480}
    operation = "repaint" if field == "source" else "generate"

    async def submit(access: Access):
        return await one.service.submit(
            Submission(operation=operation, params=params, id=f"as-{access.right}"), "me", access
        )

    with pytest.raises(NotAllowed) as caught:
        await submit(Access(Right.OWNER))
    assert "--read-roots" in caught.value.message and caught.value.field == field
    accepted = await submit(Access(Right.USER))
    await one.until(accepted.id)
    assert one.service.job(accepted.id).state is JobState.DONE


@pytest.mark.parametrize(
    "path", ["relative.wav", "/dev/null", "/proc/self/environ/../x", "/nowhere/x.wav", "/tmp", "/" + "x" * 300, "~"]
)
async def test_what_is_no_file_stays_refused_for_the_user_too(desk, path):
    """Devices, folders, other spellings: with a sentence."""
    one = await desk(worker_start="lazy")
    request = Submission(operation="repaint", params={"source": path}, id="x")
    with pytest.raises((NotAllowed, NotFound)):
        await one.service.submit(request, "me", Access(Right.USER))


@pytest.mark.parametrize("guide", ["/etc/hosts.mid", "/etc/hostname", "I V"])
async def test_the_guide_of_a_stage_is_checked_like_the_jobs(desk, guide):
    """Inside the allowed folders first, then as a guide."""
    one = await desk(worker_start="lazy")
    stages = [{"type": "generate", "guide": guide}]
    with pytest.raises((NotAllowed, BadRequest)) as caught:
        await one.submit(operation="render", stages=stages)
    assert isinstance(caught.value, NotAllowed) == guide.startswith("/")


async def test_the_guide_of_a_stage_may_be_an_upload(desk):
    """As everywhere."""
    one = await desk()
    clip = upload(one.service, midi(), "clip.mid")
    stages = [{"type": "generate", "guide": f"upload:{clip}"}]
    view = await one.run(operation="render", stages=stages, conditioning={"caption": "fake: steps=1", "duration": 0.1})
    assert view.request["stages"][0]["guide"] == str(one.service.uploads.path(clip))


async def test_the_user_of_this_machine_names_any_folder_for_copies(desk, tmp_path):
    """Over the local socket; a caller over the network is told which setting allows the folder, a file is no folder for either."""
    one = await desk()
    (tmp_path / "taken").write_text("")

    async def submit(access: Access, name: str):
        params = {"caption": "fake: steps=1", "length": 480, "folder": str(tmp_path / name)}
        return await one.service.submit(
            Submission(operation="generate", params=params, id=f"as-{access.right}"), "me", access
        )

    with pytest.raises(NotAllowed) as caught:
        await submit(Access(Right.OWNER), "takes")
    assert (
        "--write-roots" in caught.value.message and caught.value.field == "folder" and not (tmp_path / "takes").exists()
    )
    with pytest.raises(OutputUnwritable):
        await submit(Access(Right.USER), "taken")
    accepted = await submit(Access(Right.USER), "takes")
    await one.until(accepted.id)
    assert one.service.job(accepted.id).state is JobState.DONE
    assert [path.suffix for path in (tmp_path / "takes").iterdir()] == [".wav"]


async def test_a_folder_that_became_a_link_gets_no_copies(desk, tmp_path):
    """What was allowed is the folder, not what has its name by now: the files stay in the library, and a note says so."""
    target, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    one = await desk(write_roots=[str(target)])
    await one.submit("steps=3 delay=0.2", "x", folder=str(target))
    target.symlink_to(elsewhere)
    await one.until("x")
    view = one.service.job("x")
    assert view.state is JobState.DONE and list(elsewhere.iterdir()) == []
    assert any("another folder" in note for note in view.result["notes"])
