"""A look with Debian's Firefox, over WebDriver BiDi: the page starts, connects and draws, and its policy lets it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time

import pytest
from websockets.sync.client import connect

pytestmark = pytest.mark.foreign

PATIENCE = 120.0


class Firefox:
    """One headless Firefox and its WebDriver session."""

    def __init__(self, program, profile):
        line = [program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
        environment = {"HOME": str(profile), "PATH": "/usr/bin:/bin", "MOZ_DISABLE_CONTENT_SANDBOX": "1"}
        self.process = subprocess.Popen(
            line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
        )
        address = None
        for said in self.process.stderr:
            if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", said):
                address = found[1]
                break
        assert address, "Firefox did not come up"
        self._numbers = itertools.count(1)
        self._socket = connect(f"{address}/session", max_size=None, open_timeout=PATIENCE, proxy=None)
        self.ask("session.new", capabilities={})
        self.context = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method, **params):
        """The answer of a command."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == number:
                assert answer.get("type") != "error", answer
                return answer["result"]

    def value(self, expression):
        """What an expression of the page gives."""
        target = {"context": self.context}
        answer = self.ask("script.evaluate", expression=expression, target=target, awaitPromise=True)
        return answer["result"].get("value")

    def until(self, expression):
        """Wait until it is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.value(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.1)

    def close(self):
        """End it."""
        self._socket.close()
        self.process.terminate()
        self.process.wait(30)
        self.process.stderr.close()


@pytest.fixture
def firefox(foreign, tmp_path):
    """A Firefox with a profile of its own."""
    one = Firefox(foreign("firefox-esr"), tmp_path)
    yield one
    one.close()


def test_the_page_works_in_firefox(firefox, house, song):
    """Connected, a waveform drawn from peaks, a region made, and the request that comes of it."""
    firefox.ask(
        "browsingContext.navigate",
        context=firefox.context,
        url=f"{house.address}/studio#edit/{song['id']}/0",
        wait="complete",
    )
    firefox.until("document.querySelector('.link')?.dataset.state === 'open'")
    firefox.until("Boolean(document.querySelector('wave-view')?.peaks?.whole)")
    firefox.until("document.querySelector('wave-view').length === 768_000")
    firefox.value("document.querySelector('[data-act=add-region]').click()")
    firefox.until("document.querySelector('wave-view').regions.length === 1")
    firefox.until("document.querySelectorAll('[role=slider].edge').length === 2")  # drawn with the next frame
    firefox.until("document.querySelector('main').textContent.includes('bars 1–4')")
