"""docs/front-ends.md: what the original front ends offer is offered here, and a test shows each row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "front-ends.md"
ROW = re.compile(r"^\| (?P<offered>.+?) \| (?P<here>.+?) \| `(?P<test>[^`]+)` \|$")


def rows() -> list[tuple[str, str]]:
    """What is offered, and the test that shows it here."""
    section = PAGE.read_text("utf-8").partition("\n## Chains, recipes and notes\n")[2]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    body = [line for line in lines if not line.startswith(("| offered", "| ---"))]
    found = [ROW.match(line) for line in body]
    assert all(found), [line for line, match in zip(body, found, strict=True) if not match]
    return [(match["offered"], match["test"]) for match in found if match]


@pytest.mark.parametrize(("offered", "test"), rows(), ids=lambda text: text[:40])
def test_every_row_names_a_test_that_is_run(offered: str, test: str) -> None:
    """A function of a test module of the suite."""
    module, _, name = test.partition("::")
    tree = ast.parse((ROOT / module).read_text("utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assert module.startswith("tests/") and name.startswith("test_") and name in functions, offered


def test_no_row_stands_twice() -> None:
    offered = [row for row, _ in rows()]
    assert len(offered) == len(set(offered))
