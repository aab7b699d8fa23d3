"""Entry points read from installers' files: the same as Python's own library tells, which is slow to import."""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.machinery import PathFinder

import pytest

from acestep.api import entry_points as module
from acestep.api.entry_points import EntryPoint, entry_points

GROUP = "acestep_bridge"


@pytest.fixture(autouse=True)
def usual_finders(monkeypatch):
    """Python's own alone: a package that another test has imported may have added one of its own."""
    own = [one for one in sys.meta_path if one is PathFinder or not hasattr(one, "find_distributions")]
    monkeypatch.setattr(sys, "meta_path", own)


def told_by_library(group):
    return sorted(
        (point.name, point.value, point.dist.name, point.dist.version) for point in metadata.entry_points(group=group)
    )


def install(folder, name, text, version="1.2.3", suffix=".dist-info", facts="METADATA"):
    info = folder / f"{name}-{version}{suffix}"
    info.mkdir(parents=True)
    description = "\n\nName: not this one\nA text about it.\n"
    (info / facts).write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: x{description}", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(text, encoding="utf-8")


def test_every_group_of_this_environment_is_told_alike():
    """Name, value, distribution and version, for all that is installed here."""
    groups = {point.group for distribution in metadata.distributions() for point in distribution.entry_points}
    assert {GROUP, "console_scripts"} <= groups
    for group in groups:
        assert sorted(entry_points(group)) == told_by_library(group)


def test_files_are_read_as_they_are_written(tmp_path, monkeypatch):
    """Comments, empty lines, spaces, extras, other groups, attributes; of a distribution that is there twice, the first."""
    first, second = tmp_path / "first", tmp_path / "second"
    text = "# a remark = none\none=json : JSONDecoder.decode [more]\ntwo = os.path\n"
    install(first, "Some.Name", f"[console_scripts]\nx = a:b\n\n[{GROUP}]\n{text}[other]\nthree = x\n")
    install(second, "some_name", f"[{GROUP}]\none = gone\n", version="0.9")
    install(second, "egg", f"[{GROUP}]\nfour = string\n", suffix=".egg-info", facts="PKG-INFO")
    install(second, "none", "")
    monkeypatch.setattr(sys, "path", [str(first), str(tmp_path / "missing"), str(second)])
    found = entry_points(GROUP)
    assert sorted(found) == told_by_library(GROUP)
    assert [(one.name, one.distribution, one.version) for one in sorted(found)] == [
        ("four", "egg", "1.2.3"), ("one", "Some.Name", "1.2.3"), ("two", "Some.Name", "1.2.3")]  # fmt: skip
    import json
    import os.path

    loaded = {one.name: one.load() for one in found}
    assert loaded["one"] is json.JSONDecoder.decode and loaded["two"] is os.path


@pytest.mark.parametrize("way", ["zip", "egg", "finder"])
def test_other_ways_to_keep_packages_are_left_to_the_library(tmp_path, monkeypatch, way):
    """A file on the path, an egg, somebody's own finder."""
    asked = [EntryPoint("x", "y", "z", "1")]
    monkeypatch.setattr(module, "_told_by_library", lambda group: asked)
    assert entry_points(GROUP) is not asked
    if way == "finder":
        monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, type("Own", (), {"find_distributions": None})()])
    else:
        place = tmp_path / f"packages.{way}"
        place.touch() if way == "zip" else place.mkdir()
        monkeypatch.setattr(sys, "path", [*sys.path, str(place)])
    assert entry_points(GROUP) is asked


def test_the_library_is_asked_for_the_same_facts(tmp_path, monkeypatch):
    """An egg on the path: what is installed elsewhere is still found, with its distribution."""
    (tmp_path / "old.egg").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "old.egg")])
    assert sorted(entry_points(GROUP)) == told_by_library(GROUP)
