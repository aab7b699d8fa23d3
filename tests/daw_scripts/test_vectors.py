"""The host-independent core gives the same answers in Lua 5.3, Lua 5.4, Python and JavaScript: one set of vectors for all."""

from __future__ import annotations

import importlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acestep.api.errors import BadRequest
from acestep.dataset.store import check_name

from . import lua_host

VECTORS = Path(__file__).parent / "vectors"
PYTHON_CORE = lua_host.SCRIPTS / "core" / "python"
CASES = [
    {"module": data["module"], **case}
    for data in (json.loads(path.read_text("utf-8")) for path in sorted(VECTORS.glob("*.json")))
    for case in data.get("cases", [])
]
NAMES = [f"{case['module']}: {case['rule']}" for case in CASES]
NOT_IN_PYTHON = {"forms", "operations", "song_map"}
"""The control surface has no form: what controllers send goes to the daemon as it is. Live tells no script its tempo map."""
NOT_IN_JAVASCRIPT = {"song_map"}


def plain(value: Any) -> Any:
    """Without null entries: whether an absent value is left out or null is a language's own habit."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def close(found: Any, expected: Any) -> bool:
    """Equal, floats within 1e-9; integers are integers."""
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    if isinstance(expected, float) and isinstance(found, (int, float)):
        return abs(found - expected) <= 1e-9 * max(1.0, abs(expected))
    if isinstance(expected, dict) and isinstance(found, dict):
        return found.keys() == expected.keys() and all(close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    return type(found) is type(expected) and found == expected


def check(case: dict[str, Any], value: Any, refusal: Any) -> None:
    if "refusal" in case:
        assert value is None
        assert refusal if case["refusal"] is True else refusal == case["refusal"]
        return
    assert refusal is None
    assert close(plain(value), plain(case["result"])), f"{plain(value)} is not {plain(case['result'])}"


@pytest.mark.parametrize("version", ["53", "54"])
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_lua(case: dict[str, Any], version: str) -> None:
    """REAPER 7 and 6 and Ardour: the same rule in both Lua versions."""
    lua, load = lua_host.core(version)
    answer = lua_host.call(lua, load, case["module"], case["call"], case["args"])
    check(case, answer["value"], answer.get("refusal"))


@pytest.mark.parametrize("case", [c for c in CASES if c["module"] not in NOT_IN_PYTHON], ids=lambda c: c["rule"])
def test_python(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The Remote Script's core."""
    monkeypatch.syspath_prepend(str(PYTHON_CORE))
    module = importlib.import_module(f"acestep_core.{case['module']}")
    found = getattr(module, case["call"])(*case["args"])
    value, refusal = found if isinstance(found, tuple) else (found, None)
    check(case, json.loads(json.dumps(value)), refusal)


NAMED = [case["result"] for case in CASES if (case["module"], case["call"]) == ("dataset", "name")]


@pytest.mark.parametrize("name", NAMED)
def test_the_daemon_takes_the_names_that_hosts_make(name: str) -> None:
    """Also with accents of their own (as macOS writes file names), dashes and symbols."""
    assert check_name(name, "dataset") == name


@pytest.mark.parametrize(
    "name", ["", ".x", "a/b", "a\u200bb", "a\u00a0b", "a\nb", "x.", "x ", "CON", "a:b", "x" * 81, "a\ud800"]
)
def test_the_daemon_refuses_what_cannot_be_a_folder(name: str) -> None:
    """Invisible characters, those that folders cannot have, names of devices."""
    with pytest.raises(BadRequest, match="cannot be a name"):
        check_name(name, "dataset")


@pytest.mark.foreign
def test_javascript(foreign: Callable[[str], str]) -> None:
    """The Max for Live device's core, all vectors in one Node process."""
    node = foreign("node")
    cases = [case for case in CASES if case["module"] not in NOT_IN_JAVASCRIPT]
    done = subprocess.run(
        [node, str(Path(__file__).with_name("javascript_host.js"))],
        input=json.dumps({"folder": str(lua_host.SCRIPTS / "core" / "javascript"), "cases": cases}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    for case, answer in zip(cases, json.loads(done.stdout), strict=True):
        check(case, answer["value"], answer.get("refusal"))


@pytest.mark.parametrize("version", ["53", "54"])
def test_json_reads_and_writes_exactly(version: str) -> None:
    """Valid texts survive with every digit, the type of every number and empty lists; invalid ones give a sentence."""
    lua, load = lua_host.core(version)
    module = load("json")
    again = lua.eval(
        "function(json, text) local v, e = json.decode(text) if e then return nil, e end return json.encode(v) end"
    )
    data = json.loads((VECTORS / "json.json").read_text("utf-8"))
    for entry in data["valid"]:
        assert again(module, entry["text"]) == entry["again"]
        assert json.loads(entry["again"]) == json.loads(entry["text"])
    for text in data["invalid"]:
        found = again(module, text)
        assert isinstance(found, tuple) and found[0] is None and "json" in found[1], text


@pytest.mark.parametrize("version", ["53", "54"])
def test_json_refuses_what_json_cannot_say(version: str) -> None:
    """NaN, infinity, functions and keys that are not strings are errors, not silent nonsense."""
    lua, load = lua_host.core(version)
    encode = lua.eval("function(json, value) return pcall(json.encode, value) end")
    for text in ("0/0", "1/0", "print", "{[1.5] = 1}", "{[true] = 1}"):
        ok, why = encode(load("json"), lua.eval(text))
        assert ok is False and "json" in why


def test_actions_are_complete() -> None:
    """Every action says what it needs, sends and places; names are plain and unique."""
    table = json.loads((lua_host.SCRIPTS / "core" / "actions.json").read_text("utf-8"))
    names = [action["name"] for action in table["actions"]]
    assert len(set(names)) == len(names)
    for action in table["actions"]:
        assert set(action) == set(table["fields"])
        assert action["needs"] in {"selection", "position", "recipe", "nothing"}
        assert action["audio"] in {"none", "target", "heard", "others"}
        assert action["place"] in {"take", "track", "tracks", "nothing"}
