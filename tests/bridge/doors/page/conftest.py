"""A real browser before a real daemon with the embedded model: one daemon for all tests of the page, a browser for each module."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from acestep.planner.planner_models import REPOSITORIES
from bridge.client import Client
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

SHOTS = Path(os.environ.get("ACESTEP_PAGE_SHOTS", ""))
"""Where pictures of the page are kept, when the variable names a folder."""

PATIENCE_MS = int(os.environ.get("ACESTEP_PAGE_PATIENCE", "150000"))
"""Milliseconds for whatever the page waits for: the first job of a cold machine loads torch and the model."""


_HUB = Path(__file__).parents[3] / "acestep" / "checkpoints" / "hub.py"

FETCHED = "0.6B"
"""The language model that the stand-in hub has."""


def stand_in_hub(root: Path) -> Any:
    """A local Hugging Face hub with one small language model in the published form."""
    spec = importlib.util.spec_from_file_location("stand_in_hub_of_the_page", _HUB)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root.mkdir(parents=True)
    (root / "config.json").write_text(json.dumps({"model_type": "qwen3", "vocab_size": 217_204}))
    (root / "tokenizer.json").write_text("{}")
    (root / "chat_template.jinja").write_text("{{ messages }}")
    save_file({"model.embed_tokens.weight": np.zeros((1 << 18, 4), np.float32)}, root / "model.safetensors")
    return module.Hub({REPOSITORIES[FETCHED]: root})


class House:
    """The daemon, which a test may stop and start again at the same address. Its hub is a local one."""

    def __init__(self, home: Path, plugin: Path) -> None:
        self.hub = stand_in_hub(home.parent / "hub")
        self._settings: dict[str, Any] = {
            **FREE_PORTS,
            "home": home,
            "read_roots": [home.parent],
            "history_jobs": 10_000,
        }
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(plugin),
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(home.parent / "hf"),
            "MODELSCOPE_ENDPOINT": "http://127.0.0.1:9",
        }
        self._environment.pop("ACESTEP_DOWNLOAD_SOURCE", None)
        self.daemon: DaemonProcess = start_daemon(self._settings, environment=self._environment)
        doors = self.daemon.connection
        self.address = f"http://127.0.0.1:{doors['http']['port']}"
        self._settings |= {"http_port": doors["http"]["port"]}
        self.home = home

    def restart(self) -> None:
        """A new daemon where the old one was."""
        self.daemon.stop()
        self.daemon = start_daemon(self._settings, environment=self._environment)

    def client(self) -> Client:
        """A client of another door."""
        return Client(str(self.home))

    def run(self, operation: str, **params: Any) -> dict[str, Any]:
        """A job, carried to its end."""
        with self.client() as client:
            job = client.call("job.submit", {"operation": operation, "params": params})["id"]
            while True:
                found = client.call("job.result", {"id": job})
                if found["state"] in ("done", "failed", "cancelled", "interrupted"):
                    assert found["state"] == "done", found["error"]
                    return found
                client.call("job.wait", {"id": job, "after": found["seq"], "timeout": 5.0})


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory, thirdparty_plugin: Path) -> Iterator[House]:
    """The daemon of these tests."""
    found = House(tmp_path_factory.mktemp("studio") / "home", thirdparty_plugin)
    yield found
    found.daemon.stop()
    found.hub.close()


@pytest.fixture(scope="package")
def song(house: House) -> dict[str, Any]:
    """A finished job: eight bars at 120, two takes."""
    return house.run(
        "generate", caption="warm lofi house, rhodes", duration=16.0, bpm=120.0, variants=2, seed=7, steps=2
    )


@pytest.fixture(scope="module")
def browser(foreign: Callable[[str], str]) -> Iterator[Any]:
    """Debian's Chromium. Playwright keeps a loop running in this thread until it is stopped, so it ends with the module: the scope
    ``package`` would end with the session, since these folders are not packages, and no later test could run a loop of its own."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=foreign("chromium"), args=["--no-sandbox", "--mute-audio"])
        yield chromium
        chromium.close()


class Tab:
    """A tab of the page, and what went wrong in it."""

    def __init__(self, house: House, page: Any) -> None:
        self.house, self.page = house, page
        self.faults: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on(
            "console", lambda said: self.faults.append(said.text) if "Content Security Policy" in said.text else None
        )

    def open(self, place: str = "") -> Any:
        """Go to a view, connected."""
        self.page.goto(f"{self.house.address}/studio{place}")
        self.page.wait_for_selector('.link[data-state="open"]')
        return self.page

    def until(self, expression: str, arg: Any = None) -> Any:
        """What an expression (or a function of ``arg``) of the page gives, once it is true. Asked over the protocol: the page's own
        policy lets nobody evaluate text."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not (found := self._value(expression, arg)):
            assert time.monotonic() < deadline, f"never true: {expression}"
            self.page.wait_for_timeout(60)
        return found

    def _value(self, expression: str, arg: Any) -> Any:
        try:
            return self.page.evaluate(expression, arg)
        except Exception as failure:  # a page that is just being loaded again
            if "context was destroyed" not in str(failure):
                raise
            return None

    def tab_to(self, condition: str, most: int = 140) -> None:
        """Press Tab until ``condition`` holds of the focused element, which it calls ``one``."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            if self.page.evaluate(f"(() => {{ const one = document.activeElement; return Boolean({condition}); }})()"):
                return
        raise AssertionError(condition)

    def job(self) -> str:
        """The id of the newest job of the page's store."""
        return str(self.page.evaluate("[...studio.store.jobs.keys()].filter((id) => id.startsWith('page-')).pop()"))

    def ended(self, job: str, state: str = "done") -> dict[str, Any]:
        """The job once the page knows of its end."""
        self.until("id => ['done','failed','cancelled','interrupted'].includes(studio.store.jobs.get(id)?.state)", job)
        with self.house.client() as client:
            found = dict(client.call("job.result", {"id": job}))
        assert found["state"] == state, found["error"]
        return found

    def picture(self, name: str) -> None:
        """Keep a picture of the tab, where somebody wants it."""
        if str(SHOTS) not in ("", "."):
            SHOTS.mkdir(parents=True, exist_ok=True)
            self.page.evaluate("scrollTo(0, 0)")
            self.page.wait_for_timeout(400)
            self.page.screenshot(path=str(SHOTS / f"{name}.png"))


@pytest.fixture
def tab(house: House, browser: Any) -> Iterator[Callable[..., Tab]]:
    """``tab(**options)``: a tab with a storage of its own. At the end no tab may have had an error or met the policy."""
    made: list[tuple[Any, Tab]] = []

    def make(**options: Any) -> Tab:
        context = browser.new_context(
            **{"viewport": {"width": 1360, "height": 900}, "color_scheme": "dark", "locale": "en-GB", **options}
        )
        one = Tab(house, context.new_page())
        made.append((context, one))
        return one

    yield make
    faults = [fault for _, one in made for fault in one.faults]
    for context, _ in made:
        context.close()
    assert faults == []
