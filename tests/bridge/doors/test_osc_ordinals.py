"""Numbers in place of names: a device that can send nothing but floats reaches every name and every earlier result."""

from __future__ import annotations

from pathlib import Path

import pytest

from acestep.api.errors import BadRequest, NotFound
from acestep.api.limits import MAX_PATH
from acestep.api.schema import FieldInfo
from bridge.core.interface import JobState, JobView
from bridge.doors.osc.ordinals import Ordinal, read, resolve

METRE = FieldInfo(name="metre", type="str", choices_from="metres")
TRACKS = FieldInfo(name="tracks", type="list[str]", choices_from="tracks")
SOURCE = FieldInfo(name="source", type="str", max_length=MAX_PATH, group="source")
STORED = FieldInfo(name="source_latent", type="str", max_length=128, group="source")
FOLDER = FieldInfo(name="folder", type="str", max_length=MAX_PATH, group="output")
CAPTION = FieldInfo(name="caption", type="str", max_length=4096)


def job(name, *files):
    """A done job with these files."""
    found = {"files": [{"path": f"/library/{name}/{file}"} for file in files]}
    return JobView(id=name, operation="x", state=JobState.DONE, seq=1, result=found)


class Core:
    """What the ordinals ask of a core."""

    done = (job("new", "take.safetensors", "take.wav"), job("old", "take.flac"))

    def describe(self, operation):
        names = {"metre": ["", "2", "3", "4", "6"], "tracks": ["vocals", "drums"]}
        return [{"fields": [{"name": name, "choices": choices} for name, choices in names.items()]}]

    def newest(self, endings, back=0, origin=""):
        found = [view for view in self.done if any(Path(f["path"]).suffix in endings for f in view.result["files"])]
        return found[back] if back < len(found) else None


@pytest.mark.parametrize("value", [1.5, -1.0, True, "drums", float("nan"), float("inf")])
def test_only_whole_numbers_are_ordinals(value):
    """What else comes is left to the leniency of the door."""
    assert read(value, TRACKS) is None


@pytest.mark.parametrize("info", [CAPTION, FOLDER, FieldInfo(name="bpm", type="float")], ids=lambda info: info.name)
def test_only_names_and_results_are_numbered(info):
    """A number in a caption is a caption, and a folder to write into is nobody's result."""
    assert read(1.0, info) is None


MEANINGS = [
    (TRACKS, 1.0, ["drums"]),
    (METRE, 0.0, ""),
    (METRE, 3.0, "3"),
    (METRE, 1.0, "2"),
    (SOURCE, 0.0, "/library/new/take.wav"),
    (SOURCE, 1, "/library/old/take.flac"),
    (STORED, 0.0, "new/take.safetensors"),
]


@pytest.mark.parametrize(("info", "sent", "meant"), MEANINGS, ids=str)
def test_a_number_stands_for_a_name_or_a_result(info, sent, meant):
    """The place in the list, from 0, unless the number itself is one of the names; results count back from the newest."""
    assert resolve(read(sent, info), "any", info, Core()) == meant


@pytest.mark.parametrize(("info", "error"), [(TRACKS, BadRequest), (SOURCE, NotFound), (STORED, NotFound)])
def test_a_number_beyond_the_list_says_how_long_it_is(info, error):
    """With the field's name."""
    with pytest.raises(error) as caught:
        resolve(Ordinal(7), "any", info, Core())
    assert caught.value.field == info.name
