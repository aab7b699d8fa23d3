"""What the page gets over HTTP: its own files, sounds, peaks, copies, ZIP files, uploads; and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import zipfile

import httpx
import msgspec
import numpy as np
import pytest
import soundfile

from bridge.core.interface import Submission
from bridge.core.uploads import Uploads
from bridge.doors.dispatch import Dispatcher
from bridge.doors.http import page
from bridge.doors.http.app import build
from bridge.doors.http.guard import EntryTerms, Guard
from bridge.doors.http.page import peaks_process
from bridge.doors.http.site import Site
from bridge.paths import AllowedRoots
from bridge.testing.core import ScriptedCore

HOST = "127.0.0.1:9702"


@pytest.fixture
async def core(tmp_path):
    """A core whose jobs end at once, and a home."""
    folder = tmp_path / "results"
    folder.mkdir()
    core = ScriptedCore(folder)
    plain = core.status
    core.status = lambda: {**plain(), "home": str(tmp_path)}
    yield core
    await core.close()


@pytest.fixture
def uploads(tmp_path):
    """Room for ten megabytes a file."""
    return Uploads(tmp_path / "uploads", largest=10_000_000, quota=20_000_000)


@pytest.fixture
async def http(core, uploads):
    """A browser at the guarded door."""
    app = Guard(build(Site(Dispatcher(core, uploads))), EntryTerms(hosts=frozenset({HOST})))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{HOST}") as client:
        yield client


async def finished(core, path=None):
    """The id of a job that has ended; its sound is the file at ``path``."""
    accepted = await core.submit(Submission(operation="sketch", params={"caption": "one"}), "test")
    while not core.job(accepted.id).state.terminal:
        await core.wait(accepted.id, after=core.job(accepted.id).seq)
    if path is not None:
        view = core.job(accepted.id)
        files = [{**view.result["files"][0], "path": str(path), "name": path.name}]
        core._jobs[accepted.id] = msgspec.structs.replace(view, result={**view.result, "files": files})
    return accepted.id


async def test_the_page_runs_only_its_own_scripts_and_talks_to_nobody_else(http):
    """Nothing inline, nothing of other sites, embedded nowhere; every file it names is there."""
    answer = await http.get("/studio")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert f"connect-src 'self' ws://{HOST}" in policy and "frame-ancestors 'none'" in policy
    for path in sorted(page.STATIC.rglob("*.*")):
        address = f"/studio/static/{path.relative_to(page.STATIC).as_posix()}"
        found = await http.get(address)
        assert (found.status_code, found.content) == (200, path.read_bytes()), address
        assert (
            found.headers["content-security-policy"] == policy and found.headers["x-content-type-options"] == "nosniff"
        )


async def test_a_host_name_cannot_smuggle_itself_into_the_policy(core, uploads):
    """Where any name is allowed, an odd one is left out."""
    app = Guard(build(Site(Dispatcher(core, uploads))), EntryTerms())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        answer = await client.get("/studio", headers={"host": "a b; script-src *"})
    assert "script-src *" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "address", ["static/../__init__.py", "static/%2e%2e/policy.py", "static/", "static/views", "static/main.js.map"]
)
async def test_only_the_pages_files_can_be_had(http, address):
    """No other file by any name."""
    assert (await http.get(f"/studio/{address}")).status_code == 404


async def test_the_audition_leads_to_the_library(http):
    """Old bookmarks and host scripts keep working."""
    answer = await http.get("/audition")
    assert (answer.status_code, answer.headers["location"]) == (307, "/studio#library")


@pytest.mark.parametrize("address", ["/studio", "/studio/static/main.js", "/audition", "/studio/sounds/x/0/y.wav"])
async def test_other_sites_and_other_names_are_refused_here_too(http, address):
    """The guard stands in front of every address, uploads included."""
    assert (await http.get(address, headers={"host": "evil.example"})).status_code == 421
    assert (await http.get(address, headers={"sec-fetch-site": "cross-site"})).status_code == 403
    answer = await http.put("/studio/uploads?name=x.wav", content=b"x", headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


async def test_only_sounds_of_results_can_be_had(core, http, tmp_path):
    """By job and number; no other number, no path, no file that is not a sound or has gone."""
    job = await finished(core)
    assert (await http.get(f"/studio/sounds/{job}/0/x.wav")).content == job.encode() * 10_000
    part = await http.get(f"/studio/sounds/{job}/0/x.wav", headers={"range": "bytes=10-19"})
    assert (part.status_code, len(part.content)) == (206, 10)
    wrong = [f"/studio/sounds/{job}/{index}/x" for index in ("1", "-1", "9" * 5000, "%D9%A0", "0x0", " 0")]
    wrong += [
        "/studio/sounds/nobody/0/x",
        f"/studio/sounds/{job}/0/..%2F..%2Fsecret",
        "/studio/sounds/upload/up-0123456789abcdef",
    ]
    wrong += ["/studio/sounds/upload/..%2F..%2Fjobs.sqlite3", f"/studio/peaks/{job}/1", f"/studio/copies/{job}/1/flac"]
    wrong += [f"/studio/copies/{job}/0/exe", "/studio/zip", "/studio/zip?take=nobody:0", "/studio/zip?take=../x:0"]
    assert [
        (address, answer.status_code) for address in wrong if (answer := await http.get(address)).status_code != 404
    ] == []
    notes = tmp_path / "notes.txt"
    notes.write_text("private")
    other = await finished(core, notes)
    assert (await http.get(f"/studio/sounds/{other}/0/x.wav")).status_code == 404


async def test_several_results_are_one_file_with_their_recipes(core, http, tmp_path):
    """Each take in the folder of its job, once, beside the recipe; more than fit are refused, not left out."""
    first, second = await finished(core), await finished(core)
    takes = [("take", f"{job}:0") for job in (first, second, first)]
    answer = await http.get("/studio/zip", params=takes)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        recipes = [json.loads(archive.read(f"{job}/recipe.json")) for job in (first, second)]
        sounds = [archive.read(name) for name in names if name.endswith(".wav")]
    assert len(names) == len(set(names)) == 4 and all(isinstance(one, dict) and one for one in recipes)
    assert sorted(sounds) == sorted(job.encode() * 10_000 for job in (first, second))
    refused = await http.get("/studio/zip", params=[("take", f"{first}:0")] * 201)
    assert (refused.status_code, "at most 200" in refused.text) == (413, True)


def read_peaks(data):
    """Header and bins [n, 3] of a peaks file."""
    header, bins = data[:28], np.frombuffer(data[28:], np.uint8).reshape(-1, 3)
    return struct.unpack("<4sIIIIQ", header), bins


async def test_peaks_hold_the_largest_samples_and_the_loudness(core, http, tmp_path):
    """One loud sample shows in its bin alone; the peaks are kept, and made again when the sound has changed."""
    path = tmp_path / "click.wav"
    sound = np.zeros((48_000, 2), np.float32)
    sound[10_000, 1] = -0.5
    soundfile.write(path, sound, 48_000, subtype="PCM_24")
    job = await finished(core, path)
    answer = await http.get(f"/studio/peaks/{job}/0")
    header, bins = read_peaks(answer.content)
    assert header == (b"PEAK", 1, 48_000, 2, 128, 48_000)
    assert bins.shape == (375, 3)
    low = bins[:, 0].view(np.int8)
    assert (low[10_000 // 128], sorted(set(low))) == (-64, [-64, 0])
    kept = list((tmp_path / "peaks").glob("*.peaks"))
    assert len(kept) == 1 and (await http.get(f"/studio/peaks/{job}/0")).content == answer.content
    soundfile.write(path, sound[:24_000], 48_000, subtype="PCM_24")
    assert read_peaks((await http.get(f"/studio/peaks/{job}/0")).content)[0][5] == 24_000


def test_two_hours_are_a_megabyte_of_peaks(tmp_path, monkeypatch):
    """The bins grow with the sound, and never is more than a piece of it held."""
    assert peaks_process.samples_per_bin(48_000 * 60) == 128
    size = peaks_process.samples_per_bin(48_000 * 7200)
    assert 48_000 * 7200 / size <= peaks_process.MOST_BINS
    monkeypatch.setattr(peaks_process, "MOST_BINS", 100)
    path = tmp_path / "long.flac"
    soundfile.write(path, np.full((100_001, 1), 0.25, np.float32), 8_000)
    with (tmp_path / "out").open("wb") as sink:
        peaks_process.write_peaks(str(path), sink)
    header, bins = read_peaks((tmp_path / "out").read_bytes())
    assert (header[4], header[5], len(bins)) == (1024, 100_001, 98)
    assert set(bins[:, 2]) == {64}


async def test_what_cannot_be_read_has_no_peaks_and_keeps_none(core, http, tmp_path):
    """The page sees a file that ends before it begins."""
    path = tmp_path / "broken.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVE")
    job = await finished(core, path)
    assert (await http.get(f"/studio/peaks/{job}/0")).content == b""
    assert list((tmp_path / "peaks").glob("*")) == []


async def test_an_upload_is_one_request_and_is_checked_before_it_is_taken(http, uploads, sound_file, tmp_path):
    """Its facts come back; the same file once more is the same upload; what is not a sound leaves nothing behind."""
    data = sound_file(frames=4_800).read_bytes()
    taken = (await http.put("/studio/uploads?name=my%20song.wav", content=data)).json()
    assert (taken["name"], taken["frames"], taken["rate"], taken["complete"]) == ("my song.wav", 4_800, 48_000, True)
    assert uploads.path(taken["id"]).read_bytes() == data
    again = (await http.put("/studio/uploads?name=other.wav", content=data)).json()
    assert again["id"] == taken["id"]
    assert (await http.get(f"/studio/sounds/upload/{taken['id']}", headers={"range": "bytes=0-3"})).content == data[:4]
    assert read_peaks((await http.get(f"/studio/peaks/upload/{taken['id']}")).content)[0][5] == 4_800
    before = sorted(path.name for path in (tmp_path / "uploads").iterdir())
    refused = await http.put("/studio/uploads?name=..%2Fnotes.wav", content=b"not a sound at all")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "not_audio")
    assert (
        "notes.wav" in error["message"]
        and "up-" not in error["message"]
        and "/" not in error["message"].replace("notes.wav", "")
    )
    assert (await http.put("/studio/uploads", content=b"")).status_code in (400, 413)
    assert (await http.put("/studio/uploads", content=b"x" * 10_000_001)).json()["error"]["code"] == "too_large"
    assert sorted(path.name for path in (tmp_path / "uploads").iterdir()) == before


async def test_an_upload_that_breaks_off_leaves_nothing(uploads, tmp_path):
    """Whatever had come is forgotten at once."""
    incoming = uploads.receive(100, "x.wav")
    incoming.write(b"half")
    incoming.close()
    assert list((tmp_path / "uploads").iterdir()) == []
    with pytest.raises(Exception, match="4 of 100 bytes"):
        short = uploads.receive(100, "x.wav")
        short.write(b"half")
        short.arrived()


async def test_many_uploads_at_a_time_hold_up_nobody(http):
    """Beyond four, they wait for each other; the page's own files do not."""

    async def slowly():
        for _ in range(4):
            await asyncio.sleep(0.02)
            yield b"x"

    sent = [
        asyncio.ensure_future(http.put("/studio/uploads?name=x", content=slowly(), headers={"content-length": "4"}))
        for _ in range(8)
    ]
    assert (await http.get("/studio")).status_code == 200
    assert {(await one).json()["error"]["code"] for one in sent} == {"not_audio"}


async def test_a_copy_is_the_sound_in_another_format(core, http, sound_file):
    """Lossless ones sample by sample, lossy ones as long."""
    path = sound_file(frames=9_600)
    job = await finished(core, path)
    answer = await http.get(f"/studio/copies/{job}/0/flac")
    assert answer.headers["content-disposition"].endswith("tone.flac")
    (path.parent / "copy.flac").write_bytes(answer.content)
    assert np.array_equal(
        soundfile.read(path.parent / "copy.flac", dtype="int32")[0], soundfile.read(path, dtype="int32")[0]
    )
    (path.parent / "copy.ogg").write_bytes((await http.get(f"/studio/copies/{job}/0/ogg")).content)
    assert soundfile.info(path.parent / "copy.ogg").frames == 9_600


async def test_a_song_of_a_dataset_can_be_heard_and_nothing_else(core, http, sound_file, tmp_path):
    """By the ids of the dataset's own file, never by a path; where it may no longer be read, or is no sound, there is nothing."""
    (tmp_path / "music").mkdir()
    song, notes = sound_file(frames=4_800).rename(tmp_path / "music" / "tone.wav"), tmp_path / "music" / "notes.txt"
    notes.write_text("private")
    secret = tmp_path / "elsewhere.wav"
    secret.write_bytes(song.read_bytes())
    roots = AllowedRoots([song.parent], [])
    core.readable = lambda path, access, field="path": roots.reading(path, field)
    found = {"a1": song, "b2": notes, "d4": secret}
    rows = [{"id": name, "audio_path": str(path), "filename": path.name} for name, path in found.items()]
    folder = tmp_path / "datasets" / "my songs"
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps({"metadata": {"name": "my songs"}, "samples": rows}))
    part = await http.get("/studio/songs/my%20songs/a1", headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"RIFF", "audio/wav")
    wrong = [
        "my%20songs/b2",
        "my%20songs/d4",
        "my%20songs/c3",
        "other/a1",
        "..%2F..%2Fx/a1",
        "my%20songs/..%2Fnotes.txt",
    ]
    answers = [(await http.get(f"/studio/songs/{address}")).status_code for address in wrong]
    assert set(answers) <= {400, 403, 404}
    song.unlink()
    assert (await http.get("/studio/songs/my%20songs/a1")).status_code == 404


async def test_of_a_part_of_a_file_that_part_is_heard(core, http, sound_file, tmp_path):
    """A project's region: its own samples, the same file for every Range, another one when the song has changed."""
    song = sound_file(frames=96_000)
    core.readable = lambda path, access, field="path": song
    windows = {
        "a1": {"start": 12_000, "length": 24_000},
        "b2": {"start": 90_000},
        "c3": {"start": 500_000, "length": 5},
    }
    rows = [{"id": name, "audio_path": str(song), "acestep_bridge": {"window": one}} for name, one in windows.items()]
    folder = tmp_path / "datasets" / "parts"
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps({"metadata": {"name": "parts"}, "samples": rows}))

    async def heard(name):
        answer = await http.get(f"/studio/songs/parts/{name}")
        assert answer.status_code == 200
        return answer.content, soundfile.read(io.BytesIO(answer.content), dtype="int32")[0]

    whole = soundfile.read(song, dtype="int32")[0]
    data, found = await heard("a1")
    assert np.array_equal(found, whole[12_000:36_000])
    piece = await http.get("/studio/songs/parts/a1", headers={"range": "bytes=1000-1999"})
    assert (piece.status_code, piece.content) == (206, data[1000:2000])
    assert np.array_equal((await heard("b2"))[1], whole[90_000:])
    assert len((await heard("c3"))[1]) == 0
    assert len(list((tmp_path / "parts").glob("*.wav"))) == 3
    soundfile.write(song, -whole, 48_000, subtype="PCM_24")
    assert np.array_equal((await heard("a1"))[1], soundfile.read(song, dtype="int32")[0][12_000:36_000])
    song.write_bytes(b"RIFFno sound any more")
    refused = await http.get("/studio/songs/parts/a1")
    assert (refused.status_code, refused.json()["error"]["message"]) == (404, "tone.wav cannot be read")
