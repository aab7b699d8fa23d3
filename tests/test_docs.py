"""The pages stay true: links lead somewhere, and what the program offers is described."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from acestep.api.errors import ERRORS
from acestep.api.plan import Plan
from bridge.cli.app import COMMANDS
from bridge.cli.exits import MEANINGS
from bridge.doors import reference
from bridge.doors.methods import ADDRESSES, METHODS
from bridge.doors.osc.answers import ANSWERS
from bridge.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
]
REGISTRY = reference.built_in()
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


def packages_of(folder: str) -> set[str]:
    """The packages directly below a top-level folder."""
    return {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}


def test_the_map_names_every_package_and_no_other() -> None:
    """docs/architecture.md has a row for each package of acestep and bridge."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert named == packages_of("acestep") | packages_of("bridge")


def test_every_path_of_the_map_exists() -> None:
    """Files and folders that docs/architecture.md and docs/glossary.md name are there."""
    text = "".join((ROOT / "docs" / f"{page}.md").read_text("utf-8") for page in ("architecture", "glossary"))
    paths = set(re.findall(r"`((?:acestep|bridge|plugins|daw_scripts|tests|docs)/[\w./]*)`", text))
    assert len(paths) > 10
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_commands_that_count_bars_say_the_tempo() -> None:
    """A command of a page that names a bar is refused without ``--bpm`` or ``--tempo-map``."""
    lines = [
        (page.name, line)
        for page in PAGES
        for line in page.read_text("utf-8").splitlines()
        if re.search(r"(acestep-bridge|`repaint) .*--(start|end) bar", line)
    ]
    assert len(lines) > 2
    assert [line for line in lines if "--bpm" not in line[1] and "--tempo-map" not in line[1]] == []


def test_the_way_of_a_request_leads_through_functions_that_exist():
    """The table of docs/architecture.md: whoever follows it finds each function in the file beside it."""

    def defined(tree: ast.AST, prefix: str = "") -> Iterator[str]:
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield prefix + node.name
                yield from defined(node, f"{prefix}{node.name}.")

    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `([a-z_/]+\.py)` \| ((?:`[\w.]+`(?:, )?)+) \|$",
        page,
        re.MULTILINE,
    )
    assert len(rows) > 20
    for path, names in rows:
        there = set(defined(ast.parse((ROOT / path).read_text("utf-8"))))
        assert set(re.findall(r"`([\w.]+)`", names)) <= there, path


def test_the_table_of_plan_fields_is_whole() -> None:
    """docs/plugins.md names every field of a Plan, and none that there is not."""
    text = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    table = text[text.index("| Plan field |") :].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert named == set(Plan.__struct_fields__)


def test_settings_that_the_pages_name_exist() -> None:
    """Wherever a page says "the setting `x`", there is one."""
    named = {
        (page.name, name)
        for page in PAGES
        for group in re.findall(r"settings? ((?:`[a-z_]+`(?:, | and | or )?)+)", page.read_text("utf-8"))
        for name in re.findall(r"`([a-z_]+)`", group)
    }
    assert len(named) > 10
    assert {found for found in named if found[1] not in Settings.__struct_fields__} == set()


def mentioned(pattern: str) -> set[tuple[str, str]]:
    """(page, what the pattern's group found), in the pages written by hand."""
    pages = [page for page in PAGES if page.parent.name != "reference"]
    return {(page.name, found) for page in pages for found in re.findall(pattern, page.read_text("utf-8"))}


def test_methods_and_addresses_that_the_pages_name_exist() -> None:
    """A method such as `job.submit`, an operation such as `op.repaint`, an address such as `/ace/job/cancel`."""
    groups = "|".join({name.partition(".")[0] for name in METHODS if "." in name} | {"op"})
    methods = mentioned(rf"`((?:{groups})\.[a-z_-]+)(?![\w.])(?!.(?:md|py|json|toml))")
    known = set(METHODS) | {f"op.{operation.name}" for operation in REGISTRY.operations.values()}
    files = re.compile(r"\.(?:py|json|toml|md|html|onnx|mp3|wav|mid)$")
    own = {"op.soften"}  # of the tutorial's plug-in
    assert len(methods) > 20
    assert sorted(found for found in methods if found[1] not in known | own and not files.search(found[1])) == []
    addresses = mentioned(r"`(/ace/(?!op/|live/)[a-z/-]+[a-z])")
    assert len(addresses) > 20
    assert sorted(found for found in addresses if found[1] not in ADDRESSES and found[1] not in ANSWERS) == []


def test_error_codes_that_the_pages_name_exist() -> None:
    """The table of docs/troubleshooting.md has codes that an answer can have."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    table = text[text.index("| code |") :].split("\n\n")[0]
    codes = {code for row in table.splitlines()[2:] for code in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert len(codes) > 10
    assert codes <= set(ERRORS)
