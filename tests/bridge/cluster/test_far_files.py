"""Files of another machine: what is told of them at once, what is fetched when it is read, and what of it is kept."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.api.errors import NotFound
from acestep.audio import far
from acestep.audio.read import read_window
from acestep.audio.sniff import fingerprint, sniff
from acestep.audio.write import digest
from acestep.latents.latent_index import LatentIndex
from acestep.worker import far_copies
from acestep.worker.far_copies import FarCopies
from acestep.worker.far_files import StoreFolders, far_files


class Other:
    """The machine that has the files: answers as a driver does, and counts what it was asked for."""

    def __init__(self, tmp_path):
        self.folders = StoreFolders(tmp_path / "library", tmp_path / "uploads")
        self.copies = FarCopies(tmp_path / "node", self.ask)
        self.asked = []

    def ask(self, path, start, end):
        self.asked.append((start, end))
        with open(path, "rb") as file:
            file.seek(start)
            self.copies.write(path, start, file.read(end - start))

    def take(self, request):
        files = far_files(request, self.folders, LatentIndex(self.folders.library))
        self.copies.take(files)
        return files


@pytest.fixture
def other(tmp_path):
    one = Other(tmp_path)
    far.use(one.copies)
    yield one
    far.use(None)


def write(path, seconds=20, **form):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (48_000 * seconds, 2))
    soundfile.write(path, noise, 48_000, **form)
    return path


@pytest.mark.parametrize("name,form", [("a.wav", {"subtype": "PCM_24"}), ("a.aiff", {"subtype": "PCM_16"})])
def test_of_uncompressed_sound_only_what_is_read_comes(tmp_path, other, name, form):
    """Every window is right, overlapping ones fetch what is missing; the copy passes for the original all the time."""
    path = write(tmp_path / name, **form)
    other.take({"source": {"path": str(path)}})
    copy = far.here(path)
    assert copy != path and sniff(copy) == sniff(path) and fingerprint(copy) == fingerprint(path) and other.asked == []
    layout = sniff(copy)
    for start, length in ((48_000, 4800), (50_000, 9600), (48_000, 4800), (-100, 200), (layout.frames - 50, 100)):
        assert np.array_equal(read_window(copy, layout, start, length), read_window(path, layout, start, length))
    assert sum(end - start for start, end in other.asked) < path.stat().st_size / 20
    assert fingerprint(copy) == fingerprint(path)
    assert digest(copy) == digest(path)


def test_everything_else_comes_whole_and_before_the_job(tmp_path, other):
    """Compressed sound, a guide, an upload; a path that is no file, and words that look like one, are left alone."""
    flac = write(tmp_path / "b.flac", seconds=1, subtype="PCM_16")
    upload = write(tmp_path / "uploads" / "u1.audio", seconds=1, format="FLAC")
    guide = tmp_path / "clip.mid"
    guide.write_bytes(b"MThd....")
    request = {
        "conditioning": {"reference": str(flac), "guide": str(guide), "caption": "/etc/hostname"},
        "stages": [{"type": "repaint", "source": {"upload": "u1"}, "params": {"source": str(tmp_path / "none.wav")}}],
    }
    files = other.take(request)
    assert {file.path for file in files} == {str(flac), str(guide), str(upload)}
    assert all(far.here(path).read_bytes() == path.read_bytes() for path in (flac, guide))
    assert (other.copies.uploads / "u1.audio").read_bytes() == upload.read_bytes()
    asked = len(other.asked)
    other.take(request)
    assert len(other.asked) == asked, "a file that has not changed comes once"


def test_a_file_that_changed_comes_again(tmp_path, other):
    """Another size or time of change: the old copy is no longer used."""
    path = write(tmp_path / "a.wav", seconds=2, subtype="PCM_16")
    other.take({"source": str(path)})
    read_window(far.here(path), sniff(path), 0, 96_000)
    soundfile.write(path, np.zeros((96_000, 2)), 48_000, subtype="PCM_16")
    other.take({"source": str(path)})
    assert not read_window(far.here(path), sniff(path), 0, 96_000).any()


def test_copies_make_room_for_newer_ones(tmp_path, other, monkeypatch):
    """The oldest go first, and none that the job at hand needs."""
    monkeypatch.setattr(far_copies, "ROOM", 1000)
    paths = [write(tmp_path / f"{number}.flac", seconds=1) for number in range(3)]
    for path in paths:
        other.take({"source": str(path)})
    assert far.here(paths[0]) == paths[0] and far.here(paths[2]) != paths[2]


def test_what_cannot_be_fetched_ends_the_job_with_the_reason(tmp_path, other):
    """The error is the other machine's own."""
    path = write(tmp_path / "a.wav", seconds=20, subtype="PCM_16")
    other.take({"source": str(path)})

    def refuse(path, start, end):
        raise NotFound("a.wav did not come", field="source")

    other.copies._ask = refuse
    with pytest.raises(NotFound, match=r"a\.wav did not come"):
        read_window(far.here(path), sniff(path), 48_000, 4800)
