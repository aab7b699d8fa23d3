"""Options made from schemas, and requests made from options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated, Any

import pytest

from acestep.api.conditioning import Conditioning
from acestep.api.limits import MAX_PATH
from acestep.api.request import Output
from acestep.api.schema import Request, describe, merge_schemas, param
from acestep.api.source import SelectionFields
from bridge.cli.fields import add_fields, positional_field, read_fields
from plugins.loras.datasets import SaveDataset


class Own(Request):
    """Fields a plug-in might bring: every type, an awkward name, a sign that argparse would trip over."""

    strength: Annotated[float, param("How much, 100% is all.", ge=0.0, le=1.0)] = 1.0
    id: Annotated[str, param("A name that the command line uses too.")] = ""
    codes: Annotated[list[int], param("Numbers.")] = []
    settings: Annotated[dict[str, Any], param("A map.")] = {}


FIELDS = describe(merge_schemas("All", [SelectionFields, Own, Conditioning, Output]))


def request(*arguments: str) -> dict[str, Any]:
    """The request that a command line gives."""
    parser = argparse.ArgumentParser()
    add_fields(parser, FIELDS, lambda table: ["one", "two"])
    return read_fields(vars(parser.parse_args(arguments)), FIELDS)


def test_nothing_given_nothing_sent() -> None:
    """Defaults are the daemon's, so that they cannot drift."""
    assert request() == {}


def test_every_type_is_read() -> None:
    """Numbers, switches, lists and maps arrive with their types."""
    line = ["--strength", "0.5", "--instrumental", "--codes", "1,2, 3", "--settings", '{"a": [1]}', "--variants", "2"]
    assert request(*line) == {
        "strength": 0.5,
        "instrumental": True,
        "codes": [1, 2, 3],
        "settings": {"a": [1]},
        "variants": 2,
    }


def test_a_field_of_an_own_options_name_stays_reachable() -> None:
    """``--id`` is the job's; the plug-in's field has a longer option."""
    assert request("--field-id", "x") == {"id": "x"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--start", "48000"], {"start": 48_000}),
        (["--start", "1.5s"], {"start": "1.5s"}),
        (["--start=-1.5s"], {"start": "-1.5s"}),
        (["--start=bar5", "--end=bar9", "--bpm=120"], {"start": "bar5", "end": "bar9", "bpm": 120.0}),
        (
            ["--start=bar2", "--bpm=90", "--time-signature=3/4"],
            {"start": "bar2", "bpm": 90.0, "time_signature": "3/4"},
        ),
        (["--duration", "8bars", "--bpm", "120"], {"duration": "8bars", "bpm": 120.0}),
        (["--duration", "1:30"], {"duration": 90.0}),
    ],
)
def test_positions_and_lengths(arguments: list[str], expected: dict[str, Any]) -> None:
    """What is samples or seconds is sent as a number; the rest as it was written, because only the daemon knows the file."""
    assert request(*arguments) == expected


def test_a_bad_position_names_its_option() -> None:
    """The sentence says which option, and what is missing."""
    with pytest.raises(ValueError, match=r"--start: bars and beats need --bpm"):
        request("--start", "bar5")
    with pytest.raises(ValueError, match=r"--end: 'bar' is not a time; write 384000"):
        request("--end", "bar")
    with pytest.raises(ValueError, match=r"--context: '2bars' is not taken here; write seconds"):
        request("--context", "2bars")


def test_options_win_over_a_request_file_whichever_way_a_position_was_written_there() -> None:
    """A region in seconds from the file does not stand beside one from the command line."""
    parser = argparse.ArgumentParser()
    add_fields(parser, FIELDS, lambda table: [])
    given = vars(parser.parse_args(["--start", "bar2"]))
    assert read_fields(given, FIELDS, {"start_seconds": 4.0, "bpm": 90.0}) == {"start": "bar2", "bpm": 90.0}


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon works in another folder. What may be a path but is not a file here stays as it was written."""
    monkeypatch.chdir(tmp_path)
    assert request("--source", "take.wav") == {"source": str(tmp_path / "take.wav")}
    assert request("--source", "take-1") == {"source": "take-1"}, "a finished job"
    assert request("--source", "take-1/part.wav") == {"source": "take-1/part.wav"}, "a file of it"
    (tmp_path / "take-1").touch()
    assert request("--source", "take-1") == {"source": str(tmp_path / "take-1")}, "a file of this folder comes first"
    assert request("--guide", "Am F C G") == {"guide": "Am F C G"}
    (tmp_path / "clip.mid").touch()
    assert request("--guide", "clip.mid") == {"guide": str(tmp_path / "clip.mid")}
    assert next(info for info in FIELDS if info.name == "guide").max_length == MAX_PATH


def test_help_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Percent signs, units, ranges and choices survive argparse's formatting."""
    parser = argparse.ArgumentParser()
    add_fields(parser, FIELDS, lambda table: ["one", "two"])
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "How much, 100% is all. [0 to 1; default 1.0]" in text
    assert "[bpm; 30 to 300]" in text and "[one, two; default unknown]" in text


def test_the_field_that_needs_no_option() -> None:
    """The source where there is one, else a song's sentence, else the caption, else the first text that is required."""
    assert positional_field(FIELDS).name == "source"
    caption = [info for info in describe(Conditioning) if info.name != "query"]  # a song's alone
    assert positional_field(caption).name == "caption" and positional_field(describe(Conditioning)).name == "query"
    assert positional_field(describe(SaveDataset)).name == "dataset" and positional_field(describe(Own)) is None


def test_only_paths_have_the_limit_of_paths() -> None:
    """Command line and daemon tell path fields from other text by their limit."""
    paths = {info.name for info in FIELDS if info.max_length == MAX_PATH}
    assert paths == {"source", "reference", "guide", "folder"}
