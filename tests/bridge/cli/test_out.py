"""--out: what a name means, and that nothing of the person's is lost, whatever stands there and by whatever name."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import soundfile

from acestep.api.errors import AceError, BadRequest
from bridge.cli.exits import Exit
from bridge.cli.results import save_files
from bridge.cli.targets import check_returns, inputs_of, instead, read_target

if TYPE_CHECKING:
    from bridge.cli.contact import Contact

MAKE = ("generate", "fake: steps=1", "--duration", "0.1")


@pytest.mark.parametrize("how", ["itself", "symbolic link", "hard link", "dot path", "link to its folder"])
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_source_is_never_a_target(
    cli: Callable[..., Any], source: str, tmp_path: Path, how: str, force: tuple[str, ...]
) -> None:
    """By no name and under no option; the song is what it was, and no job ran."""
    song, before = Path(source), Path(source).read_bytes()
    target = tmp_path / "other.wav"
    if how == "itself":
        target = song
    elif how == "symbolic link":
        target.symlink_to(song)
    elif how == "hard link":
        os.link(song, target)
    elif how == "dot path":
        (tmp_path / "sub").mkdir()
        target = tmp_path / "sub" / ".." / song.name
    else:
        (tmp_path / "alias").symlink_to(tmp_path)
        target = tmp_path / "alias" / song.name
    known = len(cli("jobs", "--json", "--limit", "100").json)
    answer = cli("repaint", source, "--start", "0", "--end", "24000", "--out", str(target), *force)
    assert answer.code == Exit.REFUSED and "never replaced" in answer.err
    assert song.read_bytes() == before and len(cli("jobs", "--json", "--limit", "100").json) == known


def test_a_result_never_replaces_its_jobs_source(cli: Callable[..., Any], source: str) -> None:
    """Also later, by the job's id, and also when the source stands in a request file or is the reference."""
    before = Path(source).read_bytes()
    made = cli("repaint", source, "--start", "0", "--end", "24000", "--json").json["id"]
    other = cli(*MAKE, "--reference", source, "--json").json["id"]
    for job in (made, other):
        for force in ((), ("--force",)):
            assert "never replaced" in cli("result", job, "--out", source, *force).err
            assert "never replaced" in cli("job", job, "--wait", "--out", source, *force).err
    assert Path(source).read_bytes() == before


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_another_file_is_replaced_only_by_force(cli: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    """A recording of that name stays, and nothing was run for nothing."""
    target = tmp_path / "take1.wav"
    if kind == "file":
        target.write_bytes(b"the only take")
    else:
        target.symlink_to(tmp_path / "gone.wav")
    refused = cli(*MAKE, "--out", str(target))
    assert refused.code == Exit.REFUSED and "--force" in refused.err
    made = cli(*MAKE, "--json").json["id"]
    assert cli("result", made, "--out", str(target)).code == Exit.REFUSED
    assert kind != "file" or target.read_bytes() == b"the only take"
    assert cli("result", made, "--out", str(target), "--force").code == Exit.OK
    assert soundfile.info(target).frames == 4800 and not target.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["take1.wav"]


@pytest.mark.parametrize(
    ("out", "folder"),
    [("takes/", "takes"), ("takes.v2/", "takes.v2"), ("takes.v2", "takes.v2"), ("x.wav/", "x.wav"), ("2026.11.30", "2026.11.30"),
     ("there.wav", "there.wav"), ("new/deep", "new/deep"), (".", ".")],
)  # fmt: skip
def test_a_folder_is_the_folder_that_was_named(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, folder: str
) -> None:
    """A slash at the end, a dot in the name, a folder that is there already: the file lies inside under its own name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.wav").mkdir()
    saved = cli(*MAKE, "--out", out, "--json").json["saved"]
    assert [Path(path).parent.resolve() for path in saved] == [(tmp_path / folder).resolve()]
    assert Path(saved[0]).suffix == ".wav" and Path(saved[0]).is_file()


@pytest.mark.parametrize("name", ["x.flac", "X.FLAC"])
def test_the_ending_chooses_the_format(cli: Callable[..., Any], tmp_path: Path, name: str) -> None:
    """A .flac holds FLAC."""
    target = tmp_path / name
    assert cli(*MAKE, "--out", str(target)).code == Exit.OK
    assert soundfile.info(target).format == "FLAC" and target.read_bytes()[:4] == b"fLaC"


@pytest.mark.parametrize(("name", "container"), [("x.oga", "OGG"), ("x.wave", "WAV")])
def test_another_ending_of_the_same_kind(cli: Callable[..., Any], tmp_path: Path, name: str, container: str) -> None:
    """Ogg is Ogg, by whichever of its endings."""
    assert cli(*MAKE, "--out", str(tmp_path / name)).code == Exit.OK
    assert soundfile.info(tmp_path / name).format == container


def test_what_would_have_been_clipped_is_saved_under_its_own_ending(tmp_path: Path) -> None:
    """A stem that turns out a float WAV is neither lost nor called FLAC, and replaces nothing."""
    target, beside = read_target(str(tmp_path / "stem.flac")), tmp_path / "stem.wav"
    (tmp_path / "made.wav").write_bytes(b"RIFF, of floats")
    entry = {"name": "extract-stem.wav", "role": "stem", "path": str(tmp_path / "made.wav")}
    latent = {"name": "extract-latent.safetensors", "role": "latent"}
    assert instead(target, [entry, latent]) == target._replace(path=beside)
    assert instead(target, [{"name": "generate-part.wav", "role": "part"}]) is None
    view = {"id": "one", "request": {}, "result": {"files": [entry]}}
    options = argparse.Namespace(out=str(target.path), force=False)
    contact = cast("Contact", SimpleNamespace(remote=False))
    assert save_files(contact, view, options) == [beside] and beside.read_bytes() == b"RIFF, of floats"
    with pytest.raises(BadRequest, match="--force"):
        save_files(contact, view, options)


@pytest.mark.parametrize(
    "name", ["x.m4a", "x.aac", "x.txt", "x.mid", "x.json", "x.mp4", "x.w64", "x.caf", "x.rf64", "x.wv"]
)
def test_an_ending_that_is_not_written_is_refused(cli: Callable[..., Any], tmp_path: Path, name: str) -> None:
    """Before anything is started, with those there are."""
    answer = cli(*MAKE, "--out", str(tmp_path / name))
    assert answer.code == Exit.REFUSED and ".flac" in answer.err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "out", "word"),
    [
        ([*MAKE, "--format", "wav24"], "x.flac", "contradict"),
        ([*MAKE, "--variants", "2"], "x.wav", "2 files"),
        ([*MAKE], "x.aiff", "part (.wav)"),
        (["repaint", "SOURCE", "--end", "24000"], "x.flac", "patch (.wav)"),
        (["repaint", "SOURCE", "--end", "24000", "--returns", "whole"], "x.flac", "whole (.wav)"),
        ([*MAKE, "--detach"], "x.wav", "--detach"),
    ],
)
def test_what_does_not_fit_the_name_is_refused(
    cli: Callable[..., Any], source: str, tmp_path: Path, line: list[str], out: str, word: str
) -> None:
    """Before the work, not behind it."""
    answer = cli(*[source if part == "SOURCE" else part for part in line], "--out", str(tmp_path / out))
    assert answer.code == Exit.REFUSED and word in answer.err and not (tmp_path / out).exists()


def test_a_file_is_no_folder(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Named with a slash, or without an ending."""
    (tmp_path / "takes").write_text("words")
    for out in (f"{tmp_path}/takes", f"{tmp_path}/takes/"):
        answer = cli(*MAKE, "--out", out)
        assert answer.code == Exit.REFUSED and "not a folder" in answer.err
    assert (tmp_path / "takes").read_text() == "words"


def test_two_commands_never_take_each_others_name(cli: Callable[..., Any], tmp_path: Path) -> None:
    """A name is claimed in one step, and a stranger's draft is left alone."""
    (tmp_path / "generate-part.wav.part").write_text("mine")
    saved = [Path(cli(*MAKE, "--out", f"{tmp_path}/", "--json").json["saved"][0]).name for _ in range(3)]
    assert saved == ["generate-part.wav", "generate-part-2.wav", "generate-part-3.wav"]
    assert (tmp_path / "generate-part.wav.part").read_text() == "mine"


def test_the_files_of_a_request_are_found_wherever_they_stand() -> None:
    """Flat, nested, in lists; folders for copies are none."""
    request = {
        "source": {"path": "/a.wav"},
        "stages": [{"mix": "/b.wav"}],
        "conditioning": {"guide": "/c.mid", "n": 3},
        "output": {"folder": "/d"},
    }
    assert sorted(map(str, inputs_of(request))) == ["/a.wav", "/b.wav", "/c.mid"]


def test_what_a_file_name_may_be(tmp_path: Path) -> None:
    """A name with an ending of ours is a file, in any case."""
    for name in ("a.wav", "a.b.WAV", "ü.flac", "x.aif"):
        assert read_target(str(tmp_path / name)).single
    with pytest.raises(AceError):
        read_target(str(tmp_path / "a.m4a"))
    with pytest.raises(BadRequest):
        check_returns(
            read_target(str(tmp_path / "a.flac")), {"output": {"returns": ["stem", "residual"], "format": "flac24"}}
        )


def test_a_recipe_and_any_unicode_are_read(cli: Callable[..., Any], tmp_path: Path) -> None:
    """With a byte order mark, as UTF-16 of another shell, wrapped as a recipe: by any command; options beside it are refused."""
    plain = {"caption": "fake: steps=1", "duration": 0.1}
    made = cli(*MAKE, "--seed", "3", "--json").json
    texts = {
        "bom.json": b"\xef\xbb\xbf" + json.dumps(plain).encode(),
        "wide.json": json.dumps(plain).encode("utf-16"),
        "recipe.json": json.dumps(made["result"]["recipe"]).encode(),
        "chain.json": json.dumps(made["request"]).encode(),
    }
    for name, data in texts.items():
        (tmp_path / name).write_bytes(data)
        answer = cli("generate", "--request", str(tmp_path / name), "--json")
        assert answer.code == Exit.OK, answer
    refused = cli("generate", "--request", str(tmp_path / "recipe.json"), "--caption", "other")
    assert refused.code == Exit.REFUSED and "accepts no further options" in refused.err
    (tmp_path / "broken.json").write_bytes(b"\xff\xfe{")
    assert "not valid JSON" in cli("generate", "--request", str(tmp_path / "broken.json")).err
