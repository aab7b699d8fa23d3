"""Uploads: chunks, resumed by offset, checked by digest, bounded."""

import hashlib
import os

import pytest

from acestep.api.errors import BadRequest, Busy, CorruptAudio, NotFound, TooLarge
from bridge.core.uploads import CHUNK, MAX_OPEN, Uploads, read_chunk

DATA = os.urandom(CHUNK * 2 + 12_345)
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def uploads(tmp_path):
    return Uploads(tmp_path / "uploads", largest=10**7, quota=2 * 10**7)


def send(uploads, upload, data=DATA, start=0):
    for offset in range(start, len(data), CHUNK):
        known = uploads.write(upload, offset, data[offset : offset + CHUNK])
    return known


def test_a_file_arrives_whole(uploads):
    """In chunks, byte for byte, and complete only at the end."""
    upload = uploads.begin(len(DATA), DIGEST)
    assert not upload.complete
    assert send(uploads, upload.id).complete
    assert uploads.path(upload.id).read_bytes() == DATA


def test_a_broken_upload_goes_on_where_it_stopped(tmp_path, uploads):
    """Announced again, also after a restart, it is the same upload and says how far it came."""
    first = uploads.begin(len(DATA), DIGEST)
    uploads.write(first.id, 0, DATA[:CHUNK])
    again = Uploads(tmp_path / "uploads", largest=10**7, quota=2 * 10**7).begin(len(DATA), DIGEST)
    assert (again.id, again.received) == (first.id, CHUNK)
    assert send(uploads, again.id, start=CHUNK).complete


def test_a_repeated_chunk_is_harmless(uploads):
    """Retries of a client whose answer got lost."""
    upload = uploads.begin(len(DATA), DIGEST).id
    for _ in range(2):
        assert uploads.write(upload, 0, DATA[:CHUNK]).received == CHUNK
    send(uploads, upload)
    assert uploads.write(upload, 0, DATA[:CHUNK]).complete
    assert uploads.path(upload).read_bytes() == DATA


def test_a_gap_is_refused_and_says_where_to_go_on(uploads):
    """The error's limits hold the next offset."""
    upload = uploads.begin(len(DATA), DIGEST).id
    with pytest.raises(BadRequest) as caught:
        uploads.write(upload, CHUNK, DATA[CHUNK : 2 * CHUNK])
    assert caught.value.limits == {"received": 0}


def test_damage_on_the_way_is_found(uploads):
    """A wrong digest discards the file."""
    upload = uploads.begin(len(DATA), DIGEST).id
    with pytest.raises(CorruptAudio):
        send(uploads, upload, DATA[:-1] + b"\x00" if DATA[-1] else DATA[:-1] + b"\x01")
    with pytest.raises(NotFound):
        uploads.find(upload)


def test_an_incomplete_upload_is_no_source(uploads):
    """Jobs refer to whole files only."""
    upload = uploads.begin(len(DATA), DIGEST).id
    uploads.write(upload, 0, DATA[:CHUNK])
    with pytest.raises(BadRequest, match="not complete"):
        uploads.path(upload)


@pytest.mark.parametrize("name", ["", "../up-0000000000000000", "up-0", "up-00000000000000zz", "up-0000000000000000"])
def test_only_known_ids_are_found(uploads, name):
    """An id is not a path."""
    with pytest.raises(NotFound):
        uploads.find(name)


def test_size_space_and_number_are_bounded(uploads):
    """Too large is refused forever; full space and too many open ones are `busy`."""
    with pytest.raises(TooLarge):
        uploads.begin(10**7 + 1, DIGEST)
    with pytest.raises(BadRequest):
        uploads.begin(1, "nonsense")
    with pytest.raises(TooLarge):
        uploads.write(uploads.begin(len(DATA), DIGEST).id, 0, b"x" * (CHUNK + 1))
    for number in (1, 2):
        with pytest.raises(Busy) if number == 2 else open(os.devnull):
            uploads.begin(10**7, f"{number:064x}")
    with pytest.raises(Busy):
        for number in range(MAX_OPEN + 1):
            uploads.begin(1, f"{number + 10:064x}")


def test_what_nobody_uses_goes(uploads):
    """Old uploads are removed, except those that a waiting job uses."""
    kept, dropped = (uploads.begin(10, f"{number:064x}").id for number in (1, 2))
    for path in uploads._folder.iterdir():
        os.utime(path, (1, 1))
    assert uploads.expire(60.0, frozenset({kept})) == 1
    assert uploads.find(kept)
    with pytest.raises(NotFound):
        uploads.find(dropped)


def test_a_file_is_read_in_chunks(tmp_path):
    """Downloads resume by offset too, and never hand out more than a chunk."""
    path = tmp_path / "take.wav"
    path.write_bytes(DATA)
    pieces = []
    while sum(map(len, pieces)) < len(DATA):
        answer = read_chunk(path, sum(map(len, pieces)), 10**9)
        assert answer["size"] == len(DATA) and 0 < len(answer["data"]) <= CHUNK
        pieces.append(answer["data"])
    assert b"".join(pieces) == DATA
    with pytest.raises(BadRequest):
        read_chunk(path, len(DATA) + 1)


def test_sentences_name_the_file_as_its_owner_does(uploads):
    """The name it had where it came from, and of the same bytes under another name the latest; what is not an upload stays."""
    upload = uploads.begin(len(DATA), DIGEST, name="first take.wav").id
    said = f"{upload}.audio is damaged, up-0123456789abcdef.audio too"
    assert uploads.named(said) == "first take.wav is damaged, up-0123456789abcdef.audio too"
    assert uploads.begin(len(DATA), DIGEST, name="take 2.wav").id == upload
    assert uploads.named(said).startswith("take 2.wav is")
    assert uploads.begin(len(DATA), DIGEST).name == "take 2.wav"
