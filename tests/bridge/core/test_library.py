"""The library: a rename commits, nothing half-written, nothing overwritten."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestep.api.errors import DiskFull, InternalError, NotFound, OutputUnwritable
from bridge.core.library import RECIPE, RECORD, Library
from bridge.core.records import JobRecord, folder_name

RESULT = {"files": [{"name": "take.wav", "role": "part"}], "recipe": {"format": "x"}, "notes": []}


def job(name="a", number=1):
    return JobRecord(
        id=name, request_digest="", client="", operation="", priority=0, request={}, number=number, attempt=1
    )


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "library", tmp_path / ".staging")


def staged(library, record, content=b"sound"):
    folder = library.stage(record)
    (folder / "take.wav").write_bytes(content)
    return folder


def test_commit_moves_the_whole_folder(library):
    """After the commit the files, the record and the recipe stand in the library and nothing in the staging."""
    kept = library.commit(job(), staged(library, job()), RESULT)
    assert kept["folder"] == "a" and not list(library.staging.iterdir())
    assert {path.name for path in (library.folder / "a").iterdir()} == {"take.wav", RECORD, RECIPE}
    assert json.loads((library.folder / "a" / RECIPE).read_text()) == RESULT["recipe"]
    assert library.committed(job()) == kept


def test_before_the_commit_nothing_is_in_the_library(library):
    """A crash while the worker writes leaves the library as it was."""
    staged(library, job())
    assert not library.folder.exists() and library.committed(job()) is None


def test_a_forgotten_jobs_folder_is_never_overwritten(library):
    """The same id after the history forgot it: a second folder, both results whole, each found for its own job."""
    first = library.commit(job(number=1), staged(library, job(), b"old"), RESULT)
    second = library.commit(job(number=2), staged(library, job(), b"new"), RESULT)
    assert first["folder"] != second["folder"]
    assert library.file(first, "take.wav").read_bytes() == b"old"
    assert library.committed(job(number=2)) == second and library.committed(job(number=3)) is None


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "missing.wav", RECORD, "link.wav"])
def test_a_result_names_only_its_own_files(library, tmp_path, name):
    """A worker that names something else is wrong, and nothing is committed."""
    folder = staged(library, job())
    (folder / "link.wav").symlink_to(tmp_path)
    with pytest.raises(InternalError):
        library.commit(job(), folder, {**RESULT, "files": [{"name": name}]})
    assert not library.folder.exists()


def test_only_named_files_can_be_fetched(library):
    """The record beside a take is not a result file."""
    kept = library.commit(job(), staged(library, job()), RESULT)
    for name in (RECORD, "../a/take.wav", ""):
        with pytest.raises(NotFound):
            library.file(kept, name)


def test_copies_never_replace_a_users_file(library, tmp_path):
    """Another file of that name stays; the same content is not copied twice."""
    kept = library.commit(job(), staged(library, job()), RESULT)
    target = tmp_path / "takes"
    target.mkdir()
    (target / "take.wav").write_bytes(b"precious")
    copies = library.copy_out(kept, target)
    assert (target / "take.wav").read_bytes() == b"precious"
    assert copies == [str(target / "take-2.wav")] == library.copy_out(kept, target)
    assert sorted(path.name for path in target.iterdir()) == ["take-2.wav", "take.wav"]


def test_no_space_is_refused_before_the_work(tmp_path):
    """Less than the reserve is free: `disk_full` with the number."""
    with pytest.raises(DiskFull) as caught:
        Library(tmp_path / "library", tmp_path / ".staging", free_bytes=1 << 60).stage(job())
    assert caught.value.limits == {"free_bytes": 1 << 60} and caught.value.retryable


@pytest.fixture
def no_space():
    """No file may grow beyond a page: the system refuses writes as it does on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_while_copying_is_named(library, tmp_path, no_space):
    """A write that fails for want of space is `disk_full`, and the half copy is gone."""
    kept = library.commit(job(), staged(library, job(), b"x" * 100_000), RESULT)
    no_space()
    with pytest.raises(DiskFull, match="takes"):
        library.copy_out(kept, tmp_path / "takes")
    assert list((tmp_path / "takes").iterdir()) == []


def test_a_disk_that_fills_while_committing_leaves_the_library_whole(library, no_space):
    """A record that does not fit: `disk_full`, and no folder in the library."""
    folder = staged(library, job())
    no_space()
    with pytest.raises(DiskFull):
        library.commit(job(), folder, {**RESULT, "notes": ["x" * 10_000]})
    assert list(library.folder.iterdir()) == []


def test_a_place_that_cannot_be_a_folder_is_named(library, tmp_path):
    """A file where the library should be."""
    folder = staged(library, job())
    library.folder.write_text("in the way")
    with pytest.raises(OutputUnwritable, match="library"):
        library.commit(job(), folder, RESULT)


@given(st.lists(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True), min_size=2, max_size=2, unique=True))
def test_different_ids_have_different_folders_on_every_file_system(ids):
    """Also where case does not count, for ids of dots and for names of devices; never a way out."""
    one, two = (folder_name(name) for name in ids)
    assert one.lower() != two.lower()
    for name in (one, two):
        assert name.strip(".") == name and name and name.split(".")[0] not in ("con", "nul", "aux")


@pytest.mark.parametrize("name", [".", "..", "CON", "nul.x", "a.", ".a", "A", "a..b"])
def test_ids_that_are_no_folder_names_get_one(name):
    """They are valid ids all the same."""
    assert folder_name(name) != name and "/" not in folder_name(name)
