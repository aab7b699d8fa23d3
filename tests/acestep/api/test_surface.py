"""The package `acestep.api` offers each of its names once it is asked for, and only those that its list says."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from acestep import api


def test_the_three_lists_agree():
    """What a type checker sees, what a star import takes, and what is found at run time."""
    tree = ast.parse(Path(api.__file__).read_text("utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    typed = {alias.name: node.module for node in nodes if node.module.startswith("acestep.") for alias in node.names}
    assert set(typed) == set(api.__all__) == set(api._PLACES) == set(dir(api))
    for name, module in typed.items():
        assert getattr(api, name) is getattr(importlib.import_module(module), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        api.nothing  # noqa: B018


def test_an_error_costs_no_registry():
    """Clients import errors; plug-ins and their discovery stay out of that."""
    code = "import sys, acestep.api.errors; print([m for m in ('pluggy', 'acestep.api.registry') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
