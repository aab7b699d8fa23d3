"""--connect: what a request names on this machine travels, and what is said of it names this machine's files."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from bridge.cli.exits import Exit
from bridge.launch import DaemonProcess

NOTE = b"\0\x90\x3c\x64\x83\x60\x80\x3c\0\0\xff\x2f\0"
MIDI = b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk" + struct.pack(">I", len(NOTE)) + NOTE


@pytest.fixture
def far(running: DaemonProcess, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``far("generate", ...)``: a command line to the daemon as if it were another machine's: code, output, errors."""
    rpc = running.connection["rpc"]

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*arguments, "--connect", f"{rpc['host']}:{rpc['port']}"])
        taken = capsys.readouterr()
        return code, taken.out, taken.err

    return run


@pytest.fixture
def clip(tmp_path: Path) -> str:
    path = tmp_path / "my clip.mid"
    path.write_bytes(MIDI)
    return str(path)


def test_guide_and_reference_travel_too(far: Callable[..., Any], source: str, clip: str, tmp_path: Path) -> None:
    """No path of this machine is sent in any field; the daemon works on its own copies."""
    line = ["generate", "fake: steps=1", "--duration", "0.1", "--guide", clip, "--reference", source, "--json"]
    code, out, _ = far(*line)
    wish = json.loads(out)["request"]["conditioning"]
    assert code == Exit.OK
    assert all(Path(wish[field]).name.startswith("up-") for field in ("guide", "reference"))
    assert Path(wish["guide"]).read_bytes() == MIDI
    assert str(tmp_path) not in json.dumps({field: wish[field] for field in ("guide", "reference")})


def test_words_that_begin_like_a_path_are_words(far: Callable[..., Any], tmp_path: Path) -> None:
    """Only fields that take a file are looked at: neither a caption nor lyrics are ever sent as a file."""
    secret = tmp_path / "diary.txt"
    secret.write_text("mine")
    code, out, err = far("generate", "/fake: steps=1", "--lyrics", str(secret), "--duration", "0.1", "--json")
    assert code == Exit.OK and "uploading" not in err
    assert json.loads(out)["request"]["conditioning"]["lyrics"] == str(secret)


def test_a_nested_request_travels_as_well(far: Callable[..., Any], source: str, clip: str, tmp_path: Path) -> None:
    """A chain from a file: its source, its guide."""
    chain = {
        "stages": [{"type": "repaint"}],
        "source": {"path": source, "start": 100, "length": 2000},
        "conditioning": {"caption": "fake: steps=1", "guide": clip},
    }
    (tmp_path / "chain.json").write_text(json.dumps(chain))
    code, out, err = far("render", "--request", str(tmp_path / "chain.json"), "--json")
    assert code == Exit.OK, err
    request = json.loads(out)["request"]
    assert request["source"]["upload"].startswith("up-") and request["source"]["path"] == ""


@pytest.mark.parametrize("field", ["source", "guide", "reference"])
def test_what_is_said_of_a_bad_file_names_the_users(
    far: Callable[..., Any], source: str, tmp_path: Path, field: str
) -> None:
    """Its name here and the field it was given in, neither an upload's id nor a path of the other machine."""
    bad = tmp_path / ("my take.mid" if field == "guide" else "my take.wav")
    bad.write_bytes(b"not what it says " + os.urandom(8))
    line = ["repaint", source if field != "source" else str(bad), "--end", "2000"]
    code, _, err = far(*line, *([] if field == "source" else [f"--{field}", str(bad)]))
    assert code == Exit.REFUSED and bad.name in err and f"field:   {field}" in err
    assert "up-" not in err.split("uploading")[-1].partition("\n")[2]


@pytest.mark.parametrize("field", ["source", "guide", "reference"])
def test_a_file_that_is_not_here_is_named_before_anything_is_sent(
    far: Callable[..., Any], tmp_path: Path, field: str
) -> None:
    """The path as this machine knows it."""
    gone = str(tmp_path / ("gone.mid" if field == "guide" else "gone.wav"))
    line = ["repaint", gone] if field == "source" else ["generate", "x", f"--{field}", gone]
    code, _, err = far(*line)
    assert code == Exit.REFUSED and "gone." in err and f"field:   {field}" in err


def test_a_source_is_no_target_from_far_either(far: Callable[..., Any], source: str) -> None:
    """The rule holds on the machine where the file is."""
    before = Path(source).read_bytes()
    assert far("repaint", source, "--end", "2000", "--out", source, "--force")[0] == Exit.REFUSED
    assert Path(source).read_bytes() == before


def test_notes_name_the_users_file_too(far: Callable[..., Any], source: str, tmp_path: Path) -> None:
    """Once, and under the name of this time where the same bytes were sent before."""
    data = bytearray(Path(source).read_bytes())
    data[4:8] = bytes(4)
    place = data.index(b"data")
    data[place + 4 : place + 8] = bytes(4)
    for name in ("from a pipe.wav", "again.wav"):
        (tmp_path / name).write_bytes(data)
        code, out, _ = far("repaint", str(tmp_path / name), "--end", "2000", "--json")
        (note,) = [note for note in json.loads(out)["result"]["notes"] if "never completed" in note]
        assert code == Exit.OK and name in note
