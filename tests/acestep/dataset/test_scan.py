"""Scanning: every sidecar is read by its rule, and nothing bad in a folder stops the rest."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import soundfile

from acestep.api.errors import BadRequest, NotFound
from acestep.dataset.edit import edit_sample
from acestep.dataset.scan import SampleRegion, from_regions, scan
from acestep.dataset.split import song_of, validation_ids


def by_name(found):
    return {sample.filename: sample for sample in found.dataset.samples}


def test_a_folder_becomes_a_dataset(folder):
    """Named after the folder, in order, with lengths; nothing is labelled where nothing lies beside the songs."""
    found = scan([folder])
    assert found.dataset.name == "songs"
    assert [sample.filename for sample in found.dataset.samples] == ["alpha.wav", "beta.flac", "gamma.wav"]
    assert all(
        sample.duration == 2 and not sample.labeled and sample.is_instrumental for sample in found.dataset.samples
    )
    assert scan([folder]).dataset.samples == found.dataset.samples  # the same ids, too


def test_every_sidecar_by_its_rule(folder):
    """Lyrics.txt before txt, the caption of the JSON before the text's, the table before both."""
    (folder / "alpha.txt").write_text("[verse]\nla", "utf-8")
    (folder / "alpha.lyrics.txt").write_text("[verse]\nlo", "utf-8")
    (folder / "alpha.caption.txt").write_text("from text", "utf-8")
    (folder / "alpha.json").write_text(json.dumps({"caption": "from json", "bpm": 101.6, "keyscale": "f#m",
                                                   "timesignature": "6/8", "language": "EN", "mood": 3}))  # fmt: skip
    (folder / "beta.caption.txt").write_bytes("Gitarre, fröhlich".encode("cp1252"))
    (folder / "table.csv").write_text("BPM;FILE;Key\n90;alpha.wav;N/A\n140;more/gamma.wav;Eb major\n", "utf-8")
    found = scan([folder])
    alpha, beta, gamma = (by_name(found)[name] for name in ("alpha.wav", "beta.flac", "gamma.wav"))
    assert (alpha.lyrics, alpha.caption, alpha.bpm, alpha.keyscale) == ("[verse]\nlo", "from json", 90, "F# minor")
    assert (alpha.timesignature, alpha.language, alpha.is_instrumental, alpha.labeled) == ("6", "en", False, True)
    assert (beta.caption, beta.labeled) == ("Gitarre, fröhlich", True)
    assert (gamma.bpm, gamma.keyscale, gamma.labeled) == (140, "Eb major", False)
    assert not found.dataset.all_instrumental and not found.notes


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_in_three_separators(folder, separator):
    rows = [["File", "Caption", "BPM"], ["ALPHA.wav", "one thing", "120"], ["", "", ""], ["nowhere.wav", "x", "1"]]
    (folder / "t.csv").write_text("\ufeff" + "\r\n".join(separator.join(row) for row in rows), "utf-8")
    found = scan([folder])
    assert by_name(found)["alpha.wav"].caption == "one thing" and by_name(found)["alpha.wav"].bpm == 120
    assert found.notes == ("t.csv names nowhere.wav, which is not there",)


def test_labels_out_of_range_are_left_out_and_told(folder):
    """One sentence with file, value and limits; the other labels are taken."""
    labels = {"bpm": 999, "keyscale": "H flat", "timesignature": "4/5", "language": "klingon", "caption": "fine"}
    (folder / "alpha.json").write_text(json.dumps(labels))
    found = scan([folder])
    alpha = by_name(found)["alpha.wav"]
    assert (alpha.bpm, alpha.keyscale, alpha.timesignature, alpha.language) == (None, "", "", "unknown")
    assert alpha.caption == "fine" and len(found.notes) == 4
    assert found.notes[0] == "alpha.json: a tempo is 30 to 300 bpm, not 999; the label was left out"


@pytest.mark.parametrize("word", ["N/A", "n/a", "", "none", "-", None])
def test_what_says_that_it_is_unknown_is_no_label(folder, word):
    (folder / "alpha.json").write_text(json.dumps({"bpm": word, "keyscale": word, "caption": word, "language": word}))
    found = scan([folder])
    alpha = by_name(found)["alpha.wav"]
    assert (alpha.bpm, alpha.keyscale, alpha.caption, alpha.labeled) == (None, "", "", False) and not found.notes


def test_bad_files_are_left_out_with_a_sentence(folder, song):
    """Damaged, empty, too short, too long, too many channels, one name twice: each costs itself alone."""
    (folder / "noise.wav").write_bytes(b"no sound at all")
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "nothing.wav", np.zeros((0, 2), np.float32), 44_100)
    soundfile.write(folder / "blink.wav", song(0.5), 22_050)
    soundfile.write(folder / "six.wav", np.zeros((44_100, 6), np.float32), 22_050)
    soundfile.write(folder / "alpha.flac", song(2.0), 22_050)
    soundfile.write(folder / "set.wav", np.zeros(3 * 3600 * 8000, np.uint8).astype(np.int16), 8000, subtype="PCM_U8")
    (folder / "._alpha.wav").write_bytes(b"a Finder's shadow")
    found = scan([folder])
    assert len(found.dataset.samples) == 3
    reasons = {one.path.rpartition("/")[2]: one.reason for one in found.left_out}
    assert set(reasons) == {"noise.wav", "empty.wav", "nothing.wav", "blink.wav", "six.wav", "alpha.flac", "set.wav"}
    assert reasons["set.wav"] == "set.wav is 3:00:00 long and a song at most 10:00: cut it into songs"
    assert reasons["blink.wav"] == "blink.wav holds 0.50 s of sound; at least 1 s are needed"
    assert reasons["six.wav"].startswith("six.wav has 6 channels")
    assert reasons["alpha.flac"] == "alpha.flac has the name of alpha.wav beside it, which is taken"


def test_nothing_to_learn_from_is_an_error(tmp_path):
    """A folder that is not there, one without songs, one with none that can be used."""
    with pytest.raises(NotFound, match="there is no folder"):
        scan([tmp_path / "nowhere"])
    with pytest.raises(BadRequest, match="there are no songs below"):
        scan([tmp_path])
    (tmp_path / "bad.wav").write_bytes(struct.pack("<4sI", b"RIFF", 4) + b"WAVE")
    with pytest.raises(BadRequest, match="none of the 1 songs"):
        scan([tmp_path])


def test_one_name_in_two_folders_is_two_songs_and_a_table_has_to_say_which(folder, song):
    soundfile.write(folder / "more" / "alpha.wav", song(2.0), 22_050)
    (folder / "t.csv").write_text("File,BPM\nalpha.wav,100\nmore/alpha.wav,90\n")
    found = scan([folder])
    assert [sample.bpm for sample in found.dataset.samples if sample.filename == "alpha.wav"] == [100, 90]
    (folder / "t.csv").unlink()
    (folder.parent / "t.csv").write_text("File,BPM\nalpha.wav,100\n")
    found = scan([folder.parent])
    assert not any(sample.bpm for sample in found.dataset.samples)
    assert found.notes == ("t.csv names alpha.wav, and there are 2 files of that name; write its folder, too",)


def test_a_second_scan_keeps_what_was_edited(folder, song):
    """New songs join, songs that are gone leave, the others keep their labels."""
    first = scan([folder]).dataset
    edited = edit_sample(first, first.samples[0].id, {"caption": "mine", "bpm": 77})
    soundfile.write(folder / "delta.wav", song(3.0), 22_050)
    (folder / "beta.flac").unlink()
    again = scan([folder], known=edited).dataset
    assert [sample.filename for sample in again.samples] == ["alpha.wav", "delta.wav", "gamma.wav"]
    assert (again.samples[0].caption, again.samples[0].bpm) == ("mine", 77)


def test_regions_of_a_project_become_samples(folder):
    """Windows of one file are samples of their own and one song; a window outside is left out."""
    place = str(folder / "alpha.wav")
    found = from_regions(
        [
            SampleRegion(path=place, start=0, length=22_050, title="verse"),
            SampleRegion(path=place, start=22_050, title="chorus"),
            SampleRegion(path=place, start=90_000),
            SampleRegion(path=str(folder / "none.wav")),
        ],
        name="session",
    )
    assert [(sample.filename, sample.seconds) for sample in found.dataset.samples] == [("verse", 1.0), ("chorus", 1.0)]
    assert len(found.left_out) == 2 and len({song_of(sample) for sample in found.dataset.samples}) == 1


def test_the_validation_split_is_by_song(tmp_path, song):
    """Stems and parts of a song stay together, a share of the songs validates, and a new song moves none of the others."""
    for name in [f"song{index}" for index in range(10)]:
        for part in ("drums", "bass", "part 2"):
            soundfile.write(tmp_path / f"{name} - {part}.wav", song(1.0), 22_050)
    dataset = scan([tmp_path]).dataset
    from acestep.dataset.edit import edit_dataset

    assert validation_ids(dataset) == frozenset()
    dataset = edit_dataset(dataset, {"validation": 0.2})
    chosen = validation_ids(dataset)
    songs = {song_of(sample) for sample in dataset.samples if sample.id in chosen}
    assert len(chosen) == 6 and len(songs) == 2
    by_hand = edit_sample(dataset, next(s.id for s in dataset.samples if s.id not in chosen), {"split": "validation"})
    assert len(validation_ids(by_hand)) == 6 and validation_ids(by_hand) != chosen
