"""Keys for Ardour's actions: beside the user's own, never over them, and gone again when the scripts are removed."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.hosts import ardour, ardour_keys, install, remove
from bridge.hosts.bundle import offered, shared_data

from .ardour_studio import FIRST_START
from .lua_host import SCRIPTS

ACTIONS = shared_data(SCRIPTS, Path("/home/someone"), ["serve"])["actions"]
OURS = [action["name"] for action in offered(ACTIONS, "ardour")]

SET = """<?xml version="1.0" encoding="UTF-8"?>
<BindingSet name="ardour.keys.in">
 <!-- windows -->
 <Bindings name="Editor"><Press><Binding key="equal" action="Editor/temporal-zoom-in" group="View"/>{}</Press></Bindings>
 <Bindings name="Global"><Press><Binding key="Primary-s" action="Common/Save"/></Press></Bindings>
</BindingSet>
"""
"""A small set of keys in Ardour's form, with room for more in the editor window."""


def bound(path: Path) -> dict[str, str]:
    """Key -> action of a file of keys."""
    return {found.get("key", ""): found.get("action", "") for found in ElementTree.parse(path).iter("Binding")}


def mine(path: Path) -> set[str]:
    """The keys of actions of Lua scripts."""
    return {key for key, action in bound(path).items() if action.startswith("LuaAction/")}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an Ardour that was started once, with a standard set of keys that this test knows."""
    folder = tmp_path / "ardour7"
    folder.mkdir()
    shutil.copy(FIRST_START, folder / "ui_scripts")
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "ardour.keys").write_text(SET.format(""))
    monkeypatch.setenv("ARDOUR_CONFIG_PATH", str(tmp_path / "system"))
    return folder


def test_every_action_has_a_key_of_its_own() -> None:
    """No action without one, no key twice."""
    assert sorted(ardour_keys.KEYS) == sorted(OURS)
    assert len(set(ardour_keys.KEYS.values())) == len(OURS)


def test_the_keys_are_free_in_ardours_own_set() -> None:
    """Where Ardour is installed: nothing of its own set has one of our keys, in whatever window."""
    standard = ardour_keys.standard_set("7", {})
    if not standard:
        pytest.skip("Ardour 7 is not installed")
    keys = {found.get("key") for found in ElementTree.fromstring(standard).iter("Binding")}
    assert not keys & {f"{ardour_keys.MODIFIERS}{letter}" for letter in ardour_keys.KEYS.values()}


def test_a_new_user_gets_the_standard_set_and_ours(config: Path) -> None:
    """Every action at its own slot, and all that Ardour's own set holds."""
    install("ardour", config)
    found = bound(config / "ardour.keys")
    assert found["equal"] == "Editor/temporal-zoom-in" and found["Primary-s"] == "Common/Save"
    slots = ardour.places((config / "ui_scripts").read_bytes(), ACTIONS)
    assert {found[f"{ardour_keys.MODIFIERS}{ardour_keys.KEYS[name]}"] for name in OURS} == {
        f"LuaAction/script-{slots[name]}" for name in OURS
    }


def test_the_users_own_keys_stay(config: Path) -> None:
    """One of our keys is the user's already, one action has another key already: both stay, and the first is told."""
    taken = (
        f'<Binding key="{ardour_keys.MODIFIERS}P" action="Region/x"/><Binding key="F9" action="LuaAction/script-9"/>'
    )
    own = config / "ardour-7.3.0.keys"
    own.write_text(SET.format(taken))
    done = install("ardour", config)
    found = bound(own)
    assert found[f"{ardour_keys.MODIFIERS}P"] == "Region/x" and found["F9"] == "LuaAction/script-9"
    assert "<!-- windows -->" in own.read_text()
    assert len(mine(own)) == len(OURS) - 1
    assert [step for step in done.next_steps if "was taken" in step] == [
        "Ctrl+Alt+Shift+P was taken, so 'Repaint selection' has no key yet."
    ]


def test_a_key_that_the_user_took_away_does_not_come_back(config: Path) -> None:
    """Ardour wrote the user's own set from ours, without one key and with another in its place: a second run keeps both."""
    install("ardour", config)
    own = config / "ardour-7.3.0.keys"
    text = (config / "ardour.keys").read_text()
    own.write_text(
        text.replace(f'key="{ardour_keys.MODIFIERS}g"', 'key="F3"').replace(f"{ardour_keys.MODIFIERS}j", "F4")
    )
    before = bound(own)
    install("ardour", config)
    assert bound(own) == before and {"F3", "F4"} <= set(before)


def test_a_new_ardour_brings_its_new_keys(config: Path) -> None:
    """Run again after an update: the standard set is the new one; where somebody changed the file, it is kept."""
    install("ardour", config)
    system = config.parent / "system" / "ardour.keys"
    system.write_text(SET.format('<Binding key="n" action="Editor/new"/>'))
    install("ardour", config)
    assert bound(config / "ardour.keys")["n"] == "Editor/new" and len(mine(config / "ardour.keys")) == len(OURS)
    changed = (config / "ardour.keys").read_text().replace('key="n"', 'key="b"')
    (config / "ardour.keys").write_text(changed)
    install("ardour", config)
    assert bound(config / "ardour.keys")["b"] == "Editor/new" and len(mine(config / "ardour.keys")) == len(OURS)


def test_keys_follow_an_action_that_moves(config: Path) -> None:
    """An own script of the user's takes a place of the menu from ours: the key goes with the action."""
    install("ardour", config)
    own = config / "ardour-7.3.0.keys"
    own.write_text(SET.format('<Binding key="F9" action="LuaAction/script-9"/>'))
    standard = bound(config / "ardour.keys")
    move = ardour_keys.Move(now={"more": 31}, before={"more": 9})
    (config / "ardour.keys").unlink()
    made = ardour_keys.give(config, move, b"")
    own.write_bytes(made.files[own])
    assert standard[f"{ardour_keys.MODIFIERS}m"] == "LuaAction/script-9" and bound(own)["F9"] == "LuaAction/script-31"


def test_an_unreadable_file_is_left_alone(config: Path) -> None:
    """Told, and not touched."""
    own = config / "ardour-7.3.0.keys"
    own.write_text("<BindingSet")
    assert any(str(own) in step for step in install("ardour", config).next_steps)
    assert own.read_text() == "<BindingSet"


def test_without_ardours_own_set_the_user_is_told(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nowhere to be found: no file of keys is made up."""
    monkeypatch.setattr(ardour_keys, "standard_set", lambda version: b"")
    done = install("ardour", config)
    assert not list(config.glob("*.keys")) and any("keys were not found" in step for step in done.next_steps)


def test_removing_leaves_what_was_there(config: Path) -> None:
    """Scripts, hook and keys go; the user's own scripts and keys are as before; removing twice is no error."""
    own = config / "ardour-7.3.0.keys"
    own.write_text(SET.format('<Binding key="n" action="Editor/mine"/>'))
    before, scripts = bound(own), ardour.slots((config / "ui_scripts").read_bytes())
    install("ardour", config)
    done = remove("ardour", config)
    assert ardour.slots((config / "ui_scripts").read_bytes()) == scripts
    assert b"place results" not in (config / "ui_scripts").read_bytes()
    assert bound(own) == before and not mine(own)
    left = {path.name for path in config.rglob("*") if path.is_file()}
    assert left == {"ui_scripts", own.name} and len(done.gone) > len(OURS)
    assert not (config / "acestep-bridge").exists()
    assert remove("ardour", config).gone == ()


def test_a_changed_standard_set_stays_without_ours(config: Path) -> None:
    """The user wrote into it: only our keys go."""
    install("ardour", config)
    path = config / "ardour.keys"
    path.write_text(path.read_text().replace("Editor/temporal-zoom-in", "Editor/mine"))
    remove("ardour", config)
    assert bound(path)["equal"] == "Editor/mine" and not mine(path)


@pytest.mark.parametrize("host", ["ableton", "reaper"])
def test_other_hosts_are_removed_too(host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command: every file that was written goes, a file of the user's in the same folder stays."""
    done = install(host, tmp_path)
    theirs = done.files[0].parent / "mine.txt"
    theirs.write_text("mine")
    startup = tmp_path / "Scripts" / "__startup.lua"
    if host == "reaper":
        startup.write_text('-- mine\ndofile("/x/start.lua")("/x", "resident") -- acestep-bridge: place results\n')
    assert main(["--json", "install-scripts", host, "--target", str(tmp_path), "--remove", "--dry-run"]) == 0
    assert set(json.loads(capsys.readouterr().out)["removed"]) == {str(path) for path in done.files}
    assert all(path.is_file() for path in done.files)
    assert main(["install-scripts", host, "--target", str(tmp_path), "--remove"]) == 0
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(left) == sorted([theirs, startup] if host == "reaper" else [theirs])
    assert host != "reaper" or startup.read_text() == "-- mine\n"
