"""The JSON is the original's: either program opens what the other saved, and nothing that we don't know is lost."""

from __future__ import annotations

import json

import msgspec
import pytest

from acestep.api.errors import BadRequest, NotFound, OutputUnwritable, UnknownName
from acestep.dataset.edit import edit_dataset, edit_sample, remove_samples
from acestep.dataset.file import open_dataset, save_dataset
from acestep.dataset.prompt import genre_samples, tagged, trained_prompt, trained_words
from acestep.dataset.sample import Dataset, TrainingSample
from acestep.dataset.scan import scan

ORIGINAL_SAMPLE = {
    "id": "1a2b3c4d", "audio_path": "/music/one.wav", "filename": "one.wav", "caption": "slow blues", "genre": "blues, slow",
    "lyrics": "[verse]\noh", "raw_lyrics": "oh", "formatted_lyrics": "", "bpm": 72, "keyscale": "A minor", "timesignature": "4",
    "duration": 183, "language": "en", "is_instrumental": False, "custom_tag": "", "labeled": True, "prompt_override": "genre",
}  # fmt: skip
ORIGINAL = {
    "metadata": {"name": "blues", "custom_tag": "mysound", "tag_position": "append", "created_at": "2026-06-26T10:00:00",
                 "num_samples": 1, "all_instrumental": False, "genre_ratio": 30},
    "samples": [ORIGINAL_SAMPLE],
}  # fmt: skip


def test_the_originals_file_comes_back_as_it_was(tmp_path):
    """Opened and saved: the same keys and values, those of strangers included, at all three places."""
    data = json.loads(json.dumps(ORIGINAL))
    data["metadata"]["curator"] = "me"
    data["samples"][0]["rating"] = {"stars": 5}
    data["version"] = 7
    (tmp_path / "d.json").write_text(json.dumps(data))
    opened = open_dataset(tmp_path / "d.json")
    assert not opened.notes and opened.dataset.tag_position == "append" and opened.dataset.samples[0].bpm == 72
    save_dataset(opened.dataset, tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text()) == data


def test_what_we_save_has_every_key_of_the_original(tmp_path, folder):
    """With the original's types, so that it opens there; ours comes back whole, lengths and splits included."""
    dataset = edit_dataset(scan([folder]).dataset, {"validation": 0.25, "custom_tag": "zap"})
    dataset = edit_sample(dataset, dataset.samples[0].id, {"split": "validation", "song": "The One", "bpm": "N/A"})
    save_dataset(dataset, tmp_path / "d.json")
    data = json.loads((tmp_path / "d.json").read_text())
    assert set(ORIGINAL["metadata"]) <= set(data["metadata"]) and data["metadata"]["num_samples"] == 3
    for row in data["samples"]:
        assert set(ORIGINAL_SAMPLE) <= set(row)
        for key, value in ORIGINAL_SAMPLE.items():
            allowed = (
                (int, type(None)) if key == "bpm" else (str, type(None)) if key == "prompt_override" else type(value)
            )
            assert isinstance(row[key], allowed), key
    assert open_dataset(tmp_path / "d.json").dataset == dataset


def test_a_minimal_and_a_sloppy_file_open(tmp_path, folder):
    """Missing keys get the defaults; what is not a label is told and left out; relative and moved paths are found."""
    rows = [
        {"audio_path": "alpha.wav"},
        {"audio_path": "/gone/beta.flac", "bpm": "fast", "keyscale": "Am", "acestep_bridge": 5},
    ]
    (folder / "d.json").write_text(
        json.dumps({"samples": rows, "metadata": {"genre_ratio": 140, "tag_position": "over"}})
    )
    opened = open_dataset(folder / "d.json")
    first, second = opened.dataset.samples
    assert first.path == folder / "alpha.wav" and first.lyrics == "[Instrumental]" and first.filename == "alpha.wav"
    assert second.path == folder / "beta.flac" and second.bpm is None and second.keyscale == "A minor"
    assert (opened.dataset.genre_ratio, opened.dataset.tag_position) == (0, "prepend") and len(opened.notes) == 5


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"samples": 3}', '{"samples": [3]}', '{"samples": [{}]}', '{"samples": [{"audio_path": 4}]}', "[" * 5000,
     '{"samples": [{"audio_path": "a", "id": "x"}, {"audio_path": "b", "id": "x"}]}'],
)  # fmt: skip
def test_what_is_no_dataset_is_refused(tmp_path, text):
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(BadRequest):
        open_dataset(tmp_path / "d.json")
    with pytest.raises(NotFound):
        open_dataset(tmp_path / "e.json")


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputUnwritable):
        save_dataset(Dataset(), tmp_path / "file" / "d.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("position", "words", "expected"),
    [
        ("prepend", "rock", "zap, rock"),
        ("append", "rock", "rock, zap"),
        ("replace", "rock", "zap"),
        ("append", "", "zap"),
    ],
)
def test_the_trigger_stands_where_it_is_wanted(position, words, expected):
    assert tagged(words, "zap", position) == expected
    assert tagged(words, "", position) == words


def test_the_words_of_a_sample():
    """A sample's own choice before the share; the share is exact and falls on the same samples each time."""
    samples = tuple(TrainingSample(id=f"{i}", audio_path="/x", caption=f"c{i}", genre=f"g{i}") for i in range(20))
    dataset = Dataset(samples=samples, genre_ratio=30, custom_tag="zap")
    assert len(genre_samples(dataset)) == 6 and genre_samples(dataset) == genre_samples(dataset)
    told = [trained_words(dataset, sample) for sample in samples]
    assert sum(words.startswith("g") for words in told) == 6
    options = msgspec.structs.replace(samples[0], prompt_override="genre", custom_tag="own", bpm=90, keyscale="A minor")
    prompt = trained_prompt(dataset, options, 33.0)
    assert (prompt.caption, prompt.bpm, prompt.key, prompt.seconds) == ("own, g0", 90, "A minor", 33.0)
    bare = msgspec.structs.replace(samples[0], genre="", prompt_override=None)
    assert trained_words(msgspec.structs.replace(dataset, genre_ratio=100), bare) == "c0"


def test_edits_are_checked_and_made_to_a_copy(folder):
    dataset = scan([folder]).dataset
    one = dataset.samples[0].id
    other = edit_sample(dataset, one, {"bpm": "128 bpm", "keyscale": "c#m", "timesignature": "3/4", "lyrics": "la la"})
    assert dataset.samples[0].bpm is None and other.samples[0].bpm == 128
    assert (other.samples[0].keyscale, other.samples[0].timesignature) == ("C# minor", "3")
    assert not other.samples[0].is_instrumental
    silent = edit_dataset(other, {"all_instrumental": True})
    assert silent.samples[0].lyrics == "[Instrumental]" and silent.samples[0].is_instrumental
    assert len(remove_samples(dataset, [one]).samples) == 2
    for changes, error in (({"bpm": 12}, BadRequest), ({"tempo": 120}, UnknownName), ({"caption": "x" * 5000}, BadRequest),
                           ({"split": "test"}, BadRequest), ({"prompt_override": "tags"}, BadRequest),
                           ({"language": "klingon"}, UnknownName), ({"bpm": True}, BadRequest)):  # fmt: skip
        with pytest.raises(error) as raised:
            edit_sample(dataset, one, changes)
        assert raised.value.field == next(iter(changes))
    with pytest.raises(NotFound):
        edit_sample(dataset, "nobody", {})
    for changes in ({"genre_ratio": 101}, {"tag_position": "middle"}, {"name": " "}, {"validation": 0.9}):
        with pytest.raises(BadRequest):
            edit_dataset(dataset, changes)
