"""The ReaPack repository: made from the tree, complete, and of a form that ReaPack takes. ReaPack itself was not there to try."""

from __future__ import annotations

import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from acestep import __version__
from bridge.hosts import reaper
from bridge.hosts.reapack import main, write_repository

from .lua_host import SCRIPTS, runtime

URL = "https://example.org/acestep"
TIME = "2026-01-02T03:04:05Z"


def sources(folder: Path) -> dict[str, str]:
    """File -> address, of the release of this version."""
    root = ElementTree.parse(folder / "index.xml").getroot()
    (release,) = [found for found in root.iter("version") if found.get("name") == __version__]
    return {str(source.get("file")): str(source.text) for source in release.iter("source")}


def test_the_index_lists_every_script_and_each_lies_where_it_says(tmp_path: Path) -> None:
    """Every module of the tree, every action, both tables; under the version's own folder, byte for byte what is installed."""
    write_repository(tmp_path, URL, TIME)
    listed = sources(tmp_path)
    modules = {path.stem for folder in ("core/lua", "reaper") for path in (SCRIPTS / folder).glob("*.lua")}
    assert {f"lib/{name}.lua" for name in modules} <= listed.keys()
    assert {"lib/actions.json", "lib/messages.json", "acestep-bridge_Set up.lua"} <= listed.keys()
    assert "acestep-bridge_Repaint selection.lua" in listed and "lib/settings.json" not in listed
    for name, address in listed.items():
        inside = urllib.parse.unquote(address.removeprefix(f"{URL}/"))
        assert inside == f"{__version__}/{name}" and (tmp_path / inside).is_file(), address
    written = {path.relative_to(tmp_path / __version__).as_posix() for path in (tmp_path / __version__).rglob("*.*")}
    assert written == listed.keys()
    assert reaper.check_index((tmp_path / "index.xml").read_text("utf-8")) == []


@pytest.mark.parametrize("version", ["53", "54"])
def test_every_published_script_is_lua(tmp_path: Path, version: str) -> None:
    """Both Luas that REAPER had read each of them."""
    write_repository(tmp_path, URL, TIME)
    read = runtime(version).eval("function(path) return (loadfile(path)) ~= nil end")
    assert all(read(str(path)) for path in tmp_path.rglob("*.lua"))


def test_releases_stay_and_the_same_one_is_replaced(tmp_path: Path) -> None:
    """An older release is still in the index after the next; publishing one twice lists it once, with the new time."""
    write_repository(tmp_path, URL, TIME)
    index = tmp_path / "index.xml"
    index.write_text(index.read_text("utf-8").replace(f'name="{__version__}"', 'name="0.0.9"'), "utf-8")
    write_repository(tmp_path, URL, TIME)
    write_repository(tmp_path, URL, "2026-02-02T00:00:00Z")
    releases = [(found.get("name"), found.get("time")) for found in ElementTree.parse(index).getroot().iter("version")]
    assert releases == [("0.0.9", TIME), (__version__, "2026-02-02T00:00:00Z")]


def test_an_address_that_reapack_refuses_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only https; told in a sentence."""
    assert main([str(tmp_path / "out"), "ftp://example.org"]) == 1
    assert not (tmp_path / "out").exists() and "https address" in capsys.readouterr().err


def test_the_command_of_the_page(tmp_path: Path) -> None:
    """As docs/hosts/reaper.md has it."""
    command = [sys.executable, "-m", "bridge.hosts.reapack", str(tmp_path / "reapack"), URL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert f"{URL}/index.xml" in done.stdout and (tmp_path / "reapack" / "index.xml").is_file()
