"""Every hook is explained where plug-in authors look."""

from __future__ import annotations

from pathlib import Path

from acestep.api import Plan, hooks

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text("utf-8")
HOOKS = [name for name in vars(hooks) if name.startswith("register_")]


def test_every_hook_has_its_row_with_an_example():
    """A hook without a line and a call in docs/plugins.md does not exist for anybody."""
    assert len(HOOKS) >= 6
    for name in HOOKS:
        row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")), "")
        assert "register(" in row.split("|")[3] if row else False, name
        assert "Example:" in getattr(hooks, name).__doc__, name


def test_the_page_names_only_fields_that_a_plan_has():
    """The table of Plan fields does not drift from the struct."""
    table = PAGE.split("| Plan field |")[1].split("\n\n")[0]
    named = {
        word
        for line in table.splitlines()
        if line.startswith("| `")
        for word in line.split("|")[1].replace("`", "").replace(",", " ").split()
    }
    assert named and named <= set(Plan.__struct_fields__)
