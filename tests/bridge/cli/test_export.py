"""`export`: a job as a project file, from this machine and from another, never over something of the person's."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.cli.exits import Exit


@pytest.fixture
def job(cli, source):
    """A repaint that is done."""
    done = cli("repaint", source, "--start", "24000", "--end", "48000", "--bpm", "120", "--json")
    assert done.code == 0, done.err
    return done.json["id"]


def sounds(path):
    with zipfile.ZipFile(path) as archive:
        return sorted(Path(name).name for name in archive.namelist() if name.startswith("audio/"))


def test_where_the_project_goes(cli, job, tmp_path, monkeypatch):
    """A file, a folder, or the job's name in the folder one is in; the answer names file and tracks."""
    told = cli("export", job, "--out", str(tmp_path / "mine.dawproject"), "--json").json
    assert told["path"] == str(tmp_path / "mine.dawproject")
    assert told["tracks"] == ["Song", "Repaint"]
    assert sounds(told["path"]) == ["repaint-patch.wav", "tone.wav"]
    (tmp_path / "folder").mkdir()
    assert cli("export", job, "--out", str(tmp_path / "folder")).out.strip().endswith(f"folder/{job}.dawproject")
    monkeypatch.chdir(tmp_path)
    cli("export", job)
    assert sounds(tmp_path / f"{job}.dawproject") == ["repaint-patch.wav", "tone.wav"]


def test_nothing_is_replaced_unasked(cli, job, tmp_path):
    """A name that is taken needs --force; one that belongs to another kind of file is refused."""
    out = tmp_path / "mine.dawproject"
    out.write_bytes(b"mine")
    refused = cli("export", job, "--out", str(out))
    assert (refused.code, out.read_bytes()) == (Exit.REFUSED, b"mine")
    assert "--force replaces it" in refused.err
    assert cli("export", job, "--out", str(out), "--force").code == 0
    assert zipfile.is_zipfile(out)
    refused = cli("export", job, "--out", str(tmp_path / "song.wav"))
    assert refused.code == Exit.REFUSED
    assert "a project's name ends in .dawproject" in refused.err


def test_a_job_that_is_not_there(cli, tmp_path):
    """One sentence, and no file."""
    refused = cli("export", "no-such-job", "--out", str(tmp_path / "x.dawproject"))
    assert refused.code == Exit.UNKNOWN_JOB
    assert list(tmp_path.glob("*.dawproject")) == []


def test_from_another_machine_the_sounds_are_fetched(cli, running, job, tmp_path, capsys):
    """The results come over the connection; the song stays where it is, and a note says so."""
    rpc = running.connection["rpc"]
    out = tmp_path / "far.dawproject"
    capsys.readouterr()
    assert main(["export", job, "--out", str(out), "--json", "--connect", f"{rpc['host']}:{rpc['port']}"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tracks"] == ["Repaint"]
    assert sounds(out) == ["repaint-patch.wav"]
    assert any("other machine" in note for note in told["notes"])
