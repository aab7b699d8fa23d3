"""What a test waits for, where Playwright's own `expect` has no word for it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.bridge.doors.page.conftest import PATIENCE_MS

expect = pytest.importorskip("playwright.sync_api").expect
"""Playwright's, which asks again until what it expects is there."""
expect.set_options(timeout=PATIENCE_MS)


def becomes(page: Any, expression: str, value: Any) -> None:
    """Wait until an expression of the page has a value: what a page shows comes later than what made it do so."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while (found := page.evaluate(expression)) != value:
        assert time.monotonic() < deadline, f"{expression} is {found!r}, not {value!r}"
        page.wait_for_timeout(60)
