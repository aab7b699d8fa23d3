"""The pages stay true: links lead somewhere, and what the program offers is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.cli.app import COMMANDS
from bridge.cli.exits import MEANINGS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file or folder of the repository."""
    links = [link.split("#")[0] for link in LINK.findall(page.read_text("utf-8"))]
    inner = [link for link in links if link and "://" not in link and not link.startswith("mailto:")]
    assert [link for link in inner if not (page.parent / link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    """docs/README.md lists all pages, directly or by their folder."""
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    links = {(ROOT / "docs" / link.split("#")[0]).resolve() for link in LINK.findall(index) if "://" not in link}
    pages = {page for page in (ROOT / "docs").rglob("*.md") if page.name != "README.md"}
    assert [str(page.relative_to(ROOT)) for page in sorted(pages) if not ({page, *page.parents} & links)] == []


def test_the_command_line_page_is_complete() -> None:
    """docs/cli.md names every command and every exit code with its meaning."""
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    missing = [name for name in COMMANDS if f"`{name}" not in text]
    missing += [
        f"| {int(code)} | {sentence} |"
        for code, sentence in MEANINGS.items()
        if f"| {int(code)} | {sentence} |" not in text
    ]
    assert missing == []


def test_readme_opens_with_the_two_commands() -> None:
    """What it does, then demo and test, before anything else."""
    opening = (ROOT / "README.md").read_text("utf-8")[:1500]
    assert opening.index("python3 run.py demo") < opening.index("python3 run.py test")
