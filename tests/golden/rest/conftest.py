"""Recorded exchanges of ACE-Step's own servers, and a daemon that is asked the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon

FOLDER = Path(os.environ.get("GOLDEN_REST_DIR") or Path(__file__).parent)
KEY = "K"
"""What the recorded servers of ``...-key.jsonl`` were started with."""


ORIGIN = "http://localhost:3000"
"""The page that the recordings let in."""


def recorded() -> list[tuple[str, dict[str, Any]]]:
    """Every exchange with the name of its file."""
    return [
        (path.stem, json.loads(line))
        for path in sorted(FOLDER.glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]


class Asked:
    """A daemon, over HTTP and, to see what reached a job, over RPC."""

    def __init__(self, folder: Path, http: httpx.Client, client: Client) -> None:
        self.folder, self.http, self.client = folder, http, client

    def send(self, exchange: dict[str, Any]) -> httpx.Response:
        """Ask what was asked of the original. Sounds are sent as we make them; its temporary folder is ours."""
        headers = dict(exchange.get("request_headers") or {})
        path = exchange["path"].replace("<tmp>", str(self.folder))
        if exchange.get("json") is not None:
            text = json.dumps(exchange["json"]).replace("<tmp>", str(self.folder))
            headers.setdefault("content-type", "application/json")
            return self.http.request(exchange["method"], path, content=text, headers=headers)
        if exchange.get("files"):
            sound = (self.folder / "up.wav").read_bytes()
            files = {name: (f"{name}.wav", sound, "audio/wav") for name in exchange["files"]}
            return self.http.request(
                exchange["method"], path, data=exchange.get("form") or {}, files=files, headers=headers
            )
        if exchange.get("form") is not None:
            return self.http.request(exchange["method"], path, data=exchange["form"], headers=headers)
        content = exchange.get("raw")
        return self.http.request(exchange["method"], path, content=content, headers=headers)


def _asked(folder: Path, script: str, **settings: Any) -> Iterator[Asked]:
    t = np.arange(12 * 48_000) / 48_000
    soundfile.write(folder / "up.wav", np.stack([0.2 * np.sin(440 * t), 0.2 * np.sin(660 * t)], 1), 48_000)
    given = {**FREE_PORTS, "home": folder / "home", "backend": "fake", "worker_start": "lazy", "read_roots": [folder],
             "jobs_per_client": 1000, "http_origins": [ORIGIN], **settings}  # fmt: skip
    with start_daemon(given, environment={**os.environ, "ACESTEP_FAKE_SCRIPT": script}) as daemon:
        address = daemon.connection["http"]
        base = f"http://127.0.0.1:{address['port']}"
        with httpx.Client(base_url=base, timeout=30, trust_env=False) as http, Client(str(daemon.paths.home)) as client:
            yield Asked(folder, http, client)


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A daemon without a token."""
    yield from _asked(tmp_path_factory.mktemp("rest"), "hang_at=1")


@pytest.fixture(scope="session")
def asked_with_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """One with the token of the recordings."""
    yield from _asked(tmp_path_factory.mktemp("rest-key"), "hang_at=1", token=KEY)


@pytest.fixture(scope="session")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """One that makes the files that are asked for."""
    yield from _asked(tmp_path_factory.mktemp("rest-working"), "steps=2")
