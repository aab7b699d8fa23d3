"""The commands of the pages: all are parsed as the program would, and run, but for those that say here why not."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.commands.completion import whole_parser
from bridge.cli.exits import Exit

ROOT = Path(__file__).resolve().parents[3]
OWN_TEST = {"plugin-tutorial.md"}
"""Pages whose commands are run by a test of their own."""

PAGES = [
    path
    for path in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
    if path.name not in OWN_TEST
]
NOT_RUN = {
    "serve ": "runs until it is stopped; test_serve.py starts it with its options",
    "models download ": "fetches gigabytes; test_download.py has a hub of its own",
    "models try ": "takes a downloaded model; tests/bridge/trial tries the embedded one",
    "models check ": "looks at weights that the reader has; test_checking.py has some of every kind",
    "export-onnx ": "takes a minute; tests/acestep/onnx exports a small model",
    "capture ": "takes a daemon with --performance; tests/bridge/performance has one",
    "slot ": "takes a daemon with --performance; tests/bridge/performance has one",
    "understand ": "takes a language model; tests/acestep/planner/test_operations.py has a tiny one",
    "--request ": "takes what a planner wrote, and the fake engine writes nothing; planner/test_operations.py renders it",
    "--device planner": "takes a cluster; tests/bridge/cluster places jobs by what a node says of itself",
    "--device gpu80": "the same",
    "--connect ": "takes another machine; test_commands.py connects by address",
    "--model musicgen-small": "takes a downloaded model; test_musicgen_daemon.py has a tiny one",
}
"""Beginnings or parts of commands, and why they are not run by the test below."""

BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (acestep-bridge .*)", re.MULTILINE)
OWN_WORD = re.compile(r"<[^>]*>|\[[^\]]*\]|\.\.\.|\bHOST\b|\bCOMMAND\b|\bOPERATION\b")
"""A word that stands for one of the reader's: such a line is a form, not a command."""

WORDS = dict(
    line.split("|")[1:4:2] for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.count("|") == 4
)
TABLE = [found[1] for text in WORDS.values() if (found := re.fullmatch(r" `(.+)` ", text)) and "FOLDER" not in found[1]]
"""The third column of *You want, you press*; training has tests of its own."""


@pytest.mark.parametrize("line", TABLE)
def test_the_table_of_the_readme_works(
    line: str, cli: Callable[..., Any], sound_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each line, with files of those names in the current folder."""
    for name in ("song.wav", "mix.wav", "guitar.wav"):
        sound_file(frames=16 * 96_000, name=name)
    monkeypatch.chdir(tmp_path)
    if "JOB" in line:
        line = line.replace("JOB", cli("generate", "x", "--duration", "2s", "--detach").out.strip())
    answer = cli(*shlex.split(line))
    assert answer.code == Exit.OK, answer.err
    if "--out" in line:
        assert len([path for path in tmp_path.rglob("*.wav") if path.name not in ("song.wav", "mix.wav", "guitar.wav")])


def commands(page: Path) -> list[str]:
    """The whole commands in the code blocks of a page."""
    lines = "\n".join(BLOCK.findall(page.read_text("utf-8"))).replace("\\\n", " ").splitlines()
    found = [line.split("#")[0].strip() for line in lines]
    return [line for line in found if line.startswith("acestep-bridge ") and not OWN_WORD.search(line)]


def short_commands(page: Path) -> list[str]:
    """The commands that stand indented in a page: with names that the reader chose before, so they are not run."""
    lines = [line.split("  #")[0].strip() for line in INDENTED.findall(BLOCK.sub("", page.read_text("utf-8")))]
    return [re.sub(r" --sound \S+", "", line) for line in lines]


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    """Of the whole program."""
    return whole_parser()


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if commands(page) or short_commands(page)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_commands_of_the_pages_are_commands(page: Path, parser: argparse.ArgumentParser) -> None:
    """Each begins with a command there is and has no option or choice that does not exist."""
    wrong = []
    for line in commands(page) + short_commands(page):
        words = shlex.split(re.split(r"\s(?:\||&&|\|\||>|&$)", line)[0])[1:]
        words = [word for word in words if word not in ("-h", "--help")]
        try:
            parser.parse_args(words)
        except SystemExit:
            wrong.append(line)
    assert wrong == []


def why_not(line: str) -> str:
    """Why a command is not run; empty: it is."""
    words = line.removeprefix("acestep-bridge ")
    return next(
        (why for mark, why in NOT_RUN.items() if words.startswith(mark) or (mark[0] == "-" and mark in line)), ""
    )


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if not all(map(why_not, commands(page)))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_commands_of_the_pages_run(
    page: Path,
    cli: Callable[..., Any],
    foreign: Callable[[str], str],
    sound_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """One after the other in a folder with a song; what stands behind a pipe or an arrow gets what was printed."""
    sound_file(frames=4 * 96_000, name="song.wav")
    monkeypatch.chdir(tmp_path)
    for line in commands(page):
        if why_not(line):
            continue
        piped, _, target = line.partition(">")
        command, *filters = piped.split("|")
        answer = cli(*shlex.split(command)[1:])
        assert answer.code == Exit.OK, (line, answer.err)
        text = answer.out
        for words in map(shlex.split, filters):
            text = subprocess.run(
                [foreign(words[0]), *words[1:]], input=text, capture_output=True, text=True, check=True
            ).stdout
        if target and "~" not in target:
            Path(target.strip()).write_text(text)


def test_what_is_not_run_stands_in_a_page() -> None:
    """No reason is left of a command that is gone."""
    lines = [line for page in PAGES for line in commands(page)]
    assert [mark for mark in NOT_RUN if not any(mark in line for line in lines)] == []
