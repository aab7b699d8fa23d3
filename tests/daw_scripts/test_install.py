"""`install-scripts`: every file in its place, nothing of other people's lost, and what REAPER's own tools would say."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from acestep.api.errors import NotFound, OutputUnwritable, UnknownName
from bridge.hosts import HOSTS, ardour, install, reaper
from bridge.hosts.bundle import offered, shared_data

from . import lua_host
from .conftest import Desk
from .lua_host import SCRIPTS

DATA = shared_data(SCRIPTS, Path("/home/someone/bridge"), ["python", "-m", "bridge.cli", "serve"])
OFFERED = offered(DATA["actions"], "reaper")


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_a_dry_run_writes_nothing_and_names_everything(host: str, tmp_path: Path) -> None:
    """The same list as the real run, which writes exactly that."""
    told = install(host, tmp_path / "there", dry_run=True)
    assert not (tmp_path / "there").exists() and told.next_steps
    done = install(host, tmp_path / "there")
    assert done.files == told.files and all(path.is_file() for path in done.files)
    assert {path for path in (tmp_path / "there").rglob("*") if path.is_file()} == set(done.files)


def test_an_unknown_host_is_refused(tmp_path: Path) -> None:
    """With the list of those there are."""
    with pytest.raises(UnknownName) as refusal:
        install("cubase", tmp_path)
    assert refusal.value.limits["choices"] == sorted(HOSTS)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_a_host_that_is_not_here_is_said(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is missing: a sentence instead of a guess."""
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(NotFound):
        install(host)


def test_a_target_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable):
        install("reaper", tmp_path / "file")


def test_ardour_keeps_scripts_of_others_and_installs_twice_without_doubles() -> None:
    """Other actions and hooks stay where they are; a second installation replaces ours in their slots."""
    theirs = 'scripts = {} scripts[2] = {} scripts[2]["n"] = "Theirs" scripts[2]["s"] = "x" '
    hook = '<LuaCallback lua="Lua 5.3" id="7" name="Their hook" signals="0">eA==</LuaCallback>'
    before = f'<UIScripts><ActionScript lua="Lua 5.3">{base64.b64encode(theirs.encode()).decode()}</ActionScript>'
    before += f"<ActionHooks>{hook}</ActionHooks></UIScripts>"
    files = ardour.build(SCRIPTS, DATA)
    once = ardour.register(before, files, "7")
    twice = ardour.register(once, files, "7")
    found = ardour.slots(twice)
    assert found == ardour.slots(once) and found["Theirs"] == 2
    assert len(set(found.values())) == len(found) == len(offered(DATA["actions"], "ardour")) + 1
    names = [callback.get("name") for callback in ElementTree.fromstring(twice).iter("LuaCallback")]
    assert names == ["Their hook", "ACE-Step: place results"]


@pytest.mark.parametrize("version", ["53", "54"])
def test_ardour_scripts_are_whole(version: str) -> None:
    """Each file runs in a bare Lua without require, package, dofile and debug, as Ardour's own has none of them."""
    for name, text in ardour.build(SCRIPTS, DATA).items():
        lua = lua_host.runtime(version)
        lua.execute("require, package, dofile, debug, coroutine = nil; ardour = function(facts) kind = facts.type end")
        lua.execute(text)
        assert callable(lua.eval("factory()")), name
        assert lua.globals().kind == ("EditorHook" if "place_results" in name else "EditorAction")


def test_the_reapack_index_is_sound() -> None:
    """An index that ReaPack would take: a version, main scripts, no two sources of one name, https addresses."""
    files = reaper.build(SCRIPTS, DATA, "1.2.3")
    text = reaper.reapack_index(files, "1.2.3", "2026-01-01T00:00:00Z", "https://example.org/scripts")
    assert reaper.check_index(text) == []
    root = ElementTree.fromstring(text)
    sources = {source.get("file"): source for source in root.iter("source")}
    assert "lib/settings.json" not in sources and len(sources) == len(files) - 1
    actions = [name for name, source in sources.items() if source.get("main")]
    assert len(actions) == len(OFFERED) + 1
    assert " " not in (sources["acestep-bridge_Repaint selection.lua"].text or "")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        ('version="1" name="acestep-bridge">', "version 1"),
        ('main="main"', "main"),
        ("https://", "address"),
        ('file="lib/json.lua"', "share"),
    ],
)
def test_an_unsound_index_is_found(spoil: str, word: str) -> None:
    """The check fails for each thing it looks at."""
    files = reaper.build(SCRIPTS, DATA, "1")
    text = reaper.reapack_index(files, "1", "2026-01-01T00:00:00Z", "https://example.org")
    swap = {"https://": "ftp://", 'file="lib/json.lua"': 'file="lib/host.lua"', 'main="main"': ""}
    broken = text.replace(spoil, swap.get(spoil, 'name="acestep-bridge">'))
    assert broken != text and any(word in sentence for sentence in reaper.check_index(broken))


def test_set_up_registers_every_action_and_starts_with_reaper(desk: Desk) -> None:
    """All scripts of the action list; one line in __startup.lua however often it is run; other lines stay."""
    startup = desk.project.media / "Scripts" / "__startup.lua"
    startup.parent.mkdir()
    startup.write_text("-- mine")
    desk.run("Set up")
    desk.run("Set up")
    assert len(set(desk.reaper.registered)) == len(OFFERED)
    assert all(Path(path).is_file() for path in desk.reaper.registered)
    lines = startup.read_text().splitlines()
    assert lines[0] == "-- mine" and len(lines) == 2
    desk.lua().execute(lines[1])
    assert desk.reaper.deferred and desk.reaper.messages[0].startswith(f"{len(OFFERED)} actions")
