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
from .ardour_studio import FIRST_START
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


PRESSED = ardour.menu(DATA["actions"])


def their(text: bytes) -> bytes:
    """A list with these action scripts and a hook of somebody else."""
    hook = b'<LuaCallback lua="Lua 5.3" id="7" name="Their hook" signals="0">eA==</LuaCallback>'
    return (
        b'<UIScripts><ActionScript lua="Lua 5.3">' + base64.b64encode(text) + b"</ActionScript><ActionHooks>" + hook
        + b"</ActionHooks></UIScripts>"
    )  # fmt: skip


def ours(tmp_path: Path) -> list[str]:
    built = ardour.build(SCRIPTS, DATA, tmp_path)
    return [text for name, text in built.items() if name.parent.name == "scripts"]


def action_text(registry: bytes) -> bytes:
    return base64.b64decode(ElementTree.fromstring(registry).findtext("ActionScript") or "")


def test_ardour_keeps_scripts_of_others_and_installs_twice_without_doubles(tmp_path: Path) -> None:
    """Other actions and hooks stay where they are; a second installation replaces ours in their slots."""
    before = their(
        b'scripts = {} scripts[2] = {} scripts[2]["n"] = "Theirs" scripts[2]["s"] = "\\\n\xe4 \\" scripts[3]" '
    )
    once = ardour.register(before, ours(tmp_path), "7", PRESSED)
    twice = ardour.register(once, ours(tmp_path), "7", PRESSED)
    assert twice == ardour.register(twice, ours(tmp_path), "7", PRESSED) and len(twice) <= len(once)
    found = ardour.slots(twice)
    assert found == ardour.slots(once) and found["Theirs"] == 2
    assert b'scripts[2]["s"] = "\\\n\xe4 \\" scripts[3]" ' in action_text(twice)
    assert len(set(found.values())) == len(found) == len(offered(DATA["actions"], "ardour")) + 1
    names = [callback.get("name") for callback in ElementTree.fromstring(twice).iter("LuaCallback")]
    assert names == ["Their hook", "ACE-Step: place results"]


def test_ardours_own_bytecode_stays_as_it_is(tmp_path: Path) -> None:
    """After Ardour's own first start: its two scripts keep slots and bytes, seven of ours fill its menu, all others follow."""
    before = FIRST_START.read_bytes()
    after = ardour.register(before, ours(tmp_path), "7", PRESSED)
    old, new = action_text(before), action_text(after)
    with pytest.raises(UnicodeDecodeError):
        old.decode("utf-8")
    assert new.startswith(old.rstrip())
    found = ardour.slots(after)
    assert found["Mixer Screenshot"] == 1 and found["List Plugins"] == 2
    assert [found[name] for name in PRESSED] == [3, 4, 5, 6, 7, 8, 9]
    assert sorted(found.values()) == list(range(1, len(found) + 1))
    assert len(after) < 60_000  # it is read at every start of Ardour


def test_an_older_installation_gives_up_its_places(tmp_path: Path) -> None:
    """Actions in the order of the table, one that is gone: the menu's places go to those that belong there, the rest moves."""
    titles = [action["title"] for action in offered(DATA["actions"], "ardour") if action["name"] != "more"]
    names = [f"ACE-Step: {title}" for title in [*titles, "Gone"]]
    text = b"scripts = {} " + b"".join(
        f'scripts[{slot}] = {{}} scripts[{slot}]["n"] = "{name}" scripts[{slot}]["s"] = "x" '.encode()
        for slot, name in enumerate(names, 3)
    )
    found = ardour.slots(ardour.register(their(text), ours(tmp_path), "7", PRESSED))
    assert all(found[name] <= 9 for name in PRESSED) and "ACE-Step: Gone" not in found
    assert len(set(found.values())) == len(found) == len(titles) + 1


def test_an_unreadable_list_loses_nothing(tmp_path: Path) -> None:
    """What is not understood stays at the end of the list, byte for byte."""
    after = ardour.register(their(b"scripts = {} scripts[1] = {} what is this \xff"), ours(tmp_path), "7", PRESSED)
    assert action_text(after).endswith(b"what is this \xff")


@pytest.mark.parametrize("version", ["53", "54"])
def test_ardour_scripts_are_whole(version: str) -> None:
    """Each file runs in a bare Lua without require, package, dofile and debug, as Ardour's own has none of them."""
    for path, text in ardour.build(SCRIPTS, DATA, Path("/nowhere")).items():
        name, lua = path.name, lua_host.runtime(version)
        if path == ardour.LIBRARY:
            assert lua.eval("function(text) return load(text) ~= nil end")(text)
            continue
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
