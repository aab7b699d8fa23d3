"""The limits of this machine's device: from the worker to `describe`, and into help when no daemon runs."""

from __future__ import annotations

import json
import subprocess
import sys

from acestep.runtime.tiers import limit_facts, tier_of
from bridge.client import Client
from bridge.core.device_limits import KnownDevices, read_limits


def card(name, memory, *others):
    """What a worker tells of a card."""
    return {"device": name, "devices": [name, *others], **limit_facts(tier_of(memory), memory)}


def test_what_was_told_is_kept_and_what_is_gone_forgotten(tmp_path):
    """A second worker adds its device; another machine's, or a broken file, is no reason to fail."""
    path = tmp_path / "limits.json"
    known = KnownDevices(path)
    assert known.narrowest is None and known.told(card("cuda:0", 24.5)) and not known.told(card("cuda:0", 24.5))
    assert known.told(card("cuda:1", 7.5, "cuda:0")) and known.narrowest.device == "cuda:1"
    known.keep()
    assert {one.device for one in read_limits(path)} == {"cuda:0", "cuda:1"}
    again = KnownDevices(path)
    assert again.told({"device": "cpu", "memory_gb": None}) and again.narrowest is None
    path.write_text('{"format": "another", "version": 1, "devices": []}')
    assert read_limits(path) == []
    path.write_bytes(b"\xff")
    assert read_limits(path) == []


def test_describe_and_help_tell_the_limits(daemon, monkeypatch, tmp_path):
    """Of a daemon whose worker has a card of 7 GB; help tells them still when the daemon has ended."""
    monkeypatch.setenv("MAX_CUDA_VRAM", "7")
    running = daemon()
    with Client(str(running.paths.home)) as client:
        client.wait(client.submit("generate", {"caption": "fake: steps=1", "duration": 1}))
        (generate,) = client.describe("generate")
    fields = {info["name"]: info for info in generate["fields"]}
    assert generate["device"]["tier"] == "3" and generate["device"]["seconds_with_planner"] == 480
    assert "up to 600 s" in fields["duration"]["hint"] and "2 at a time" in fields["variants"]["hint"]
    assert "SFT: 3 to 5" in fields["guidance_scale"]["hint"]
    running.stop()
    command = [sys.executable, "-m", "bridge.cli", "generate", "--help"]
    environment = {"ACESTEP_BRIDGE_HOME": str(running.paths.home), "COLUMNS": "400", "PATH": ""}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert "up to 600 s at once, 480 s where a language model plans first" in shown and "SFT: 3 to 5" in shown
    described = [sys.executable, "-m", "bridge.cli", "describe", "generate", "--json"]
    rows = json.loads(subprocess.run(described, capture_output=True, text=True, check=True, env=environment).stdout)
    assert "renders 2 at a time" in next(row["hint"] for row in rows[0]["fields"] if row["name"] == "variants")
