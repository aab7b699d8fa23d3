"""The page's modules, each alone under Node's own test runner, and the files of words."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from bridge.doors.http.page import STATIC

MODULES = Path(__file__).with_name("modules")
LANGUAGES = ("en", "zh", "ja")
SOURCES = {path: path.read_text("utf-8") for path in sorted(STATIC.rglob("*.js"))}

KEY = re.compile(r"""\b(?:t|has)\(\s*(?:[^()"`]*\?\s*)?"([a-z][\w.-]+)"(?:\s*:\s*"([a-z][\w.-]+)")?""")
TABLED = re.compile(r'\["(warn\.\w+)"|"((?:fault|edit\.fault|error|page)\.[\w.]+)"')
STEMS = re.compile(r"\bt\(`([a-z]+\.)\$\{")


def words_of(code: str) -> dict[str, str]:
    """The words of a language."""
    return dict(json.loads((STATIC / "words" / f"{code}.json").read_text("utf-8")))


@pytest.mark.foreign
def test_every_module_holds_under_nodes_test_runner(foreign):
    """Store, client, waveform, form, peaks, checks, meter, catalogue, losses, labels and stored steps; no browser."""
    files = sorted(str(path) for path in MODULES.glob("*.test.mjs"))
    done = subprocess.run([foreign("node"), "--test", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"# pass (\d+)", done.stdout)[1]) >= 66


@pytest.mark.parametrize("code", LANGUAGES[1:])
def test_no_language_lacks_a_word(code):
    """The same keys, the same places for values, nothing empty."""
    english, other = words_of("en"), words_of(code)
    assert sorted(english) == sorted(other)
    places = {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in english.items()}
    assert {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in other.items()} == places
    assert [key for key, text in other.items() if not text.strip()] == []


def test_every_word_that_the_page_says_is_there_and_every_one_there_is_said():
    """Keys in the modules and keys in the files are the same."""
    english, text = words_of("en"), "\n".join(SOURCES.values())
    said = {key for found in KEY.findall(text) for key in found if key}
    assert sorted(key for key in said if "." in key and key not in english) == []
    said |= {key for found in TABLED.findall(text) for key in found if key} | set(
        re.findall(r'"([a-z]+\.[a-z_.]+)"', text)
    )
    stems = (*STEMS.findall(text), "error.", "fault.", "wave.edge.")
    assert (
        sorted(key for key in english if key not in said and not key.startswith(stems) and f'"{key}"' not in text) == []
    )


def test_foreign_text_never_becomes_markup():
    """No module writes markup, runs text, or sets a handler or a style as text."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(\"(?:style|on)|srcdoc"
    )
    assert [path.name for path, text in SOURCES.items() if forbidden.search(text)] == []
    page = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"style=|\son\w+=|<script>|<style>|https?://", page)


def test_files_stay_small():
    """A subject a file."""
    assert {path.name: text.count("\n") for path, text in SOURCES.items() if text.count("\n") > 400} == {}
