"""What the library forgets: nothing by itself; with a bound the oldest results, never one that somebody still needs."""

import os
import time

import pytest

from bridge.core.library import Library
from bridge.core.records import JobRecord
from bridge.core.retention import FRESH, LibraryBounds, inputs, trim
from bridge.settings import Settings

DAY = 86_400.0


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "library", tmp_path / ".staging")


def result(library, name, days=0.0, size=1000):
    """A result in the library that was made some days ago."""
    job = JobRecord(id=name, request_digest="", client="", operation="", priority=0, request={}, number=1, attempt=1)
    staged = library.stage(job)
    (staged / "take.wav").write_bytes(b"x" * size)
    kept = library.commit(job, staged, {"files": [{"name": "take.wav", "role": "part"}], "notes": []})
    then = time.time() - days * DAY
    os.utime(library.folder / kept["folder"], (then, then))


def names(library):
    return {path.name for path in library.folder.iterdir()}


def test_nothing_is_ever_removed_by_default(library):
    """The usual settings have no bound: a take of ten years ago is still there."""
    result(library, "old", days=3650)
    wish = Settings()
    assert trim(library, LibraryBounds(size=wish.library_bytes, age=wish.library_days * DAY)) == []
    assert names(library) == {"old"}


def test_the_oldest_go_until_the_size_fits(library):
    """And what is not a result, such as a folder of the user's, stays."""
    for days in range(1, 5):
        result(library, f"j{days}", days)
    (library.folder / "mine").mkdir()
    os.utime(library.folder / "mine", (1000, 1000))
    assert trim(library, LibraryBounds(size=2600)) == ["j3", "j4"]
    assert names(library) == {"j1", "j2", "mine"}


def test_what_is_too_old_goes(library):
    """Whatever its size."""
    result(library, "week", days=7)
    result(library, "month", days=31)
    assert trim(library, LibraryBounds(age=30 * DAY)) == ["month"]


def test_a_fresh_result_stays_however_large(library):
    """Its client may still be fetching it, also when it is larger than the bound all by itself."""
    result(library, "fresh", days=(FRESH - 60) / DAY, size=100_000)
    result(library, "stale", days=(FRESH + 60) / DAY)
    assert trim(library, LibraryBounds(size=10, age=1.0)) == ["stale"]


def test_what_a_waiting_job_reads_stays(library):
    """As a file of the library or as a stored latent, anywhere in the request."""
    for name in ("path", "latent", "reference", "other"):
        result(library, name, days=9)
    take = str(library.folder / "path" / "take.wav")
    requests = [
        {"source": {"path": take}},
        {"source": {"latent": "latent/final.safetensors"}},
        {"stages": [{"guide": str(library.folder / "reference" / "take.wav")}]},
    ]
    assert trim(library, LibraryBounds(size=1), requests) == ["other"]


def test_a_caption_names_no_result(library):
    """Text that only looks like the name of a result keeps nothing."""
    assert list(inputs({"caption": "other", "latent": "", "seeds": [1, 2]}, library.folder)) == []


def test_a_result_leaves_the_library_in_one_step(library, monkeypatch):
    """A crash while it is deleted leaves no half of it there; the next start clears the rest."""
    result(library, "old", days=9)
    monkeypatch.setattr("bridge.core.library._remove", lambda path: None)
    library.remove("old")
    assert names(library) == set() and (library.staging / "old~gone" / "take.wav").exists()
    monkeypatch.undo()
    library.clear_staging()
    assert list(library.staging.iterdir()) == []


async def test_latents_have_a_cap_of_their_own(desk):
    """The oldest ones go, the sound stays; status shows count, bytes and cap."""
    one = await desk(latent_bytes=1500)
    for number, name in enumerate(("old", "new")):
        await one.run(job=name)
        path = one.service.library.folder / name / "take.safetensors"
        path.write_bytes(b"x" * 1000)
        os.utime(path, (number + 1, number + 1))
    await one.service.housekeeping.trim_latents()
    assert one.service.status()["latents"] == {"count": 1, "bytes": 1000, "most": 1500}
    kept = [path.parent.name for path in one.service.library.folder.glob("*/take.safetensors")]
    assert kept == ["new"] and len(names(one.service.library)) == 2


def test_a_stored_step_is_an_input_too(tmp_path):
    """A job that resumes needs the result that holds the step."""
    assert list(inputs({"stages": [{"resume": "take-7/generate-1-step-3.safetensors"}]}, tmp_path)) == ["take-7"]
