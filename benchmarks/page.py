"""The studio page: time until it can be used, memory of a tab with many results, and the daemon with many tabs open.

    python -m benchmarks.page [--results 1000] [--tabs 10]

Needs Debian's chromium and Playwright's Python package. The results are written into the library directly, as
`benchmarks.library` does it (as jobs, a thousand take hours on a crowded machine); each has one second of sound, so that
waveforms are drawn. The daemon has the fake backend and nothing to do but to answer.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

from benchmarks import library
from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon
from bridge.paths import Paths
from bridge.settings import Settings

PATIENCE_MS = 120_000
LOADS = 5


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=1000, help="results in the library")
    parser.add_argument("--tabs", type=int, default=10, help="tabs open at a time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fill(Paths.of(Settings(home=folder)), options.results)
        settings = {**FREE_PORTS, "home": Path(folder), "backend": "fake", "history_jobs": options.results + 1000}
        with start_daemon(settings) as daemon, Client(folder) as client:
            made = client.call("history.list", {"limit": 1})["total"]
            assert made == options.results, f"{made} of {options.results} results are in the library"
            address = f"http://127.0.0.1:{daemon.connection['http']['port']}/studio"
            print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
            for name, value in measured(address, client, daemon.process.pid, options):
                print(f"{name:52} {value}", flush=True)


def fill(paths: Paths, results: int) -> None:
    """A library of so many results, all with the same sound."""
    paths.create()
    library.fill(paths, results, 0)
    sound = paths.library / "sound.wav"
    soundfile.write(sound, 0.2 * np.sin(np.arange(48_000) / 20), 48_000)
    for job in paths.library.glob("job-*"):
        (job / "generate-part.wav").hardlink_to(sound)
    sound.unlink()


def measured(address: str, client: Client, pid: int, options: argparse.Namespace) -> Any:
    """Rows of name and value."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--enable-precise-memory-info"]
        )
        times = [opened(browser.new_page(), address) for _ in range(LOADS)]
        yield "until the form can be used, median of 5 (s)", f"{statistics.median(times):.2f}"
        page = browser.new_page()
        opened(page, f"{address}#library")
        page.set_default_timeout(PATIENCE_MS)
        page.locator("#results > li").first.wait_for()
        while (shown := page.locator("#results > li").count()) < options.results:
            page.get_by_role("button", name="Show more").click()
            page.locator(f"#results > li:nth-child({shown + 1})").wait_for()
        used = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        nodes = page.evaluate("document.querySelectorAll('*').length")
        yield f"tab with {options.results} results: JavaScript heap (MB)", f"{used:.0f} ({nodes} elements)"
        before = psutil.Process(pid).memory_info().rss / 1e6
        pages = [browser.new_page() for _ in range(options.tabs)]
        for one in pages:
            opened(one, f"{address}#library")
        yield (
            f"daemon with {options.tabs} tabs: memory (MB, before)",
            f"{psutil.Process(pid).memory_info().rss / 1e6:.0f} ({before:.0f})",
        )
        latencies = sorted(asked(client) for _ in range(300))
        yield (
            f"status with {options.tabs} tabs: median, p99 (ms)",
            f"{latencies[150] * 1e3:.1f}, {latencies[297] * 1e3:.1f}",
        )
        browser.close()


def opened(page: Any, address: str) -> float:
    """Seconds until the page is connected and its form is there."""
    began = time.monotonic()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.wait_for_selector('.link[data-state="open"]')
    return time.monotonic() - began


def asked(client: Client) -> float:
    """Seconds that a question took."""
    began = time.monotonic()
    client.call("status", {})
    return time.monotonic() - began


if __name__ == "__main__":
    main()
