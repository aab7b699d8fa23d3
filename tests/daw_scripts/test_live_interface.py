"""The Remote Script and the stand-in for Live against an independent list of Live's interface (ableton-live-stubs)."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from bridge.hosts import install

from . import fake_live

STANDS_FOR = {
    "Clip": ("Clip", "Clip"),
    "WarpMarker": ("Clip", "WarpMarker"),
    "WarpMode": ("Clip", "WarpMode"),
    "TakeLane": ("TakeLane", "TakeLane"),
    "Slot": ("ClipSlot", "ClipSlot"),
    "Track": ("Track", "Track"),
    "OldTrack": ("Track", "Track"),
    "MasterTrack": ("Track", "Track"),
    "View": ("Song", "Song.View"),
    "Song": ("Song", "Song"),
    "LimitationError": ("Base", "LimitationError"),
}
"""Class of the fake -> module and class of Live."""

OWN = {
    "Clip": {"clip_tempo", "is_gone", "tick"},
    "Song": {
        "auto_warp_start",
        "most_tracks",
        "new_clip",
        "recorded",
        "run",
        "taken_for",
        "tick",
        "track_kind",
        "undo_steps",
    },
}
"""What the fake has for tests, and Live has not: no script may use it."""

NEWER: dict[str, str] = {}
"""What scripts may use although the list, which is of Live 12.3.6, lacks it: `Class.name` -> where Ableton documents it."""


@cache
def listed(module: str, name: str) -> dict[str, ast.FunctionDef | None]:
    """The members of a class of Live, with those of the classes it is derived from; a function where it is one, else None."""
    folder = Path(str(importlib.metadata.distribution("ableton-live-stubs").locate_file("Live-stubs")))
    body: list[ast.stmt] = ast.parse((folder / f"{module}.pyi").read_text("utf-8")).body
    top = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    node = None
    for part in name.split("."):
        node = {node.name: node for node in body if isinstance(node, ast.ClassDef)}[part]
        body = node.body
    assert node is not None
    members: dict[str, ast.FunctionDef | None] = {}
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in top:
            members |= listed(module, base.id)
    for member in body:
        if isinstance(member, ast.FunctionDef):
            is_property = any(not isinstance(mark, ast.Name) or mark.id == "property" for mark in member.decorator_list)
            members[member.name] = None if is_property else member
        elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            members[member.target.id] = None
    return members


def arity(function: ast.FunctionDef) -> tuple[int, int]:
    """The least and the greatest number of arguments besides self."""
    positional = len(function.args.posonlyargs) + len(function.args.args) - 1
    return positional - len(function.args.defaults), positional


def offered(name: str) -> set[str]:
    """The public names of a class of the fake, without those that only tests use."""
    kind = getattr(fake_live, name)
    names = {name for owner in kind.__mro__ if owner.__module__ == fake_live.__name__ for name in owner.__dict__}
    names |= {slot for owner in kind.__mro__ for slot in getattr(owner, "__slots__", ())}
    return {known for known in names if not known.startswith("_")} - OWN.get(name, set())


@pytest.mark.parametrize("name", STANDS_FOR)
def test_the_fake_offers_only_what_live_has(name: str) -> None:
    """Every attribute is one of Live's; every function takes as many arguments as Live's."""
    real = listed(*STANDS_FOR[name])
    assert sorted(known for known in offered(name) if known not in real and f"{name}.{known}" not in NEWER) == []
    for known in offered(name) & real.keys():
        function, own = real[known], getattr(getattr(fake_live, name), known, None)
        if function is None:
            assert not callable(own) or isinstance(own, type), f"{name}.{known} is a property"
        else:
            assert callable(own), f"{name}.{known} is a function"
            least, most = arity(function)
            takes = own.__code__.co_argcount - 1
            assert least <= takes <= most, f"{name}.{known} takes {least} to {most} arguments"


def test_the_fake_has_no_class_that_is_not_compared() -> None:
    """What scripts get from the fake is in the table above, or is no object of Live's: an input's name, the hand of the host."""
    classes = {
        name
        for name, kind in vars(fake_live).items()
        if isinstance(kind, type) and kind.__module__ == fake_live.__name__
    }
    assert classes - STANDS_FOR.keys() == {"Late", "Edge", "Routing", "Instance"}
    routes = [listed("Track", kind) for kind in ("RoutingType", "RoutingChannel")]
    assert all("display_name" in route for route in routes)


def test_the_list_tells_what_live_lacks() -> None:
    """The comparison itself: take lanes delete no clips, and clips of the arrangement are made with a file and a place."""
    assert "delete_clip" not in listed("TakeLane", "TakeLane")
    made = listed("TakeLane", "TakeLane")["create_audio_clip"]
    assert made is not None and arity(made) == (2, 2)
    assert "tracks" in listed("Song", "Song") and listed("Song", "Song")["tracks"] is None


CONFIGURATION = """[mypy]
python_version = 3.11
disallow_untyped_defs = True
warn_unused_ignores = True
[mypy-AceStepBridge.acestep_core.*]
disallow_untyped_defs = False
"""


def check_types(library: Path) -> str:
    """What mypy says of an installed Remote Script."""
    configuration = library / "mypy.ini"
    configuration.write_text(CONFIGURATION, "utf-8")
    command = [sys.executable, "-m", "mypy", f"--config-file={configuration}", f"--cache-dir={library / 'cache'}"]
    checked = subprocess.run(
        [*command, "-p", "AceStepBridge"], cwd=library / "Remote Scripts", capture_output=True, text=True, check=False
    )
    return checked.stdout + checked.stderr


def test_the_remote_script_uses_live_as_its_types_say(tmp_path: Path) -> None:
    """As installed, every function annotated, checked against the stubs; and a call that Live lacks would be found."""
    install("ableton", tmp_path)
    assert check_types(tmp_path).startswith("Success"), check_types(tmp_path)
    live = tmp_path / "Remote Scripts" / "AceStepBridge" / "live.py"
    wrong = (
        "\n\ndef wrong(lane: TakeLane, clip: Clip) -> None:\n    lane.delete_clip(clip)\n    clip.start_marker = 'no'\n"
    )
    live.write_text(live.read_text("utf-8") + wrong, "utf-8")
    said = check_types(tmp_path)
    assert 'has no attribute "delete_clip"' in said and "Found 2 errors" in said
