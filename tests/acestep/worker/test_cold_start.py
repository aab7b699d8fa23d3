"""What a worker has loaded when the embedded model has made a song, and what it has done before anybody asked."""

from __future__ import annotations

import json

import pytest

from acestep.api import frames
from acestep.testing.process import Process

TELLING = """
import atexit, json, runpy, sys
atexit.register(lambda: open({path!r}, "w").write(json.dumps(sorted(sys.modules))))
runpy.run_module("acestep.worker", run_name="__main__", alter_sys=True)
"""

HEAVY = {
    "diffusers",
    "transformers",
    "peft",
    "torchao",
    "accelerate",
    "gguf",
    "torch._dynamo",
    "torch._inductor",
    "sympy",
    "scipy",
}

SONG = {
    "stages": [{"type": "generate", "steps": 1, "seed": 3}],
    "conditioning": {"caption": "slow jazz"},
    "output": {"rate": 48_000, "channels": 2, "length": 48_000},
}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A worker with the embedded model from start to end: its messages, and the modules it had loaded at its end."""
    home = tmp_path_factory.mktemp("home")
    script = TELLING.format(path=str(home / "modules.json"))
    worker = Process(home, backend="torch", worker=("-c", script))
    seen = worker.until(frames.Info)
    worker.send(frames.Run(job="a", operation="generate", request=SONG, staging=str(home / "s")))
    seen += worker.until(frames.Done, frames.Failed)
    worker.process.stdin.close()
    assert worker.process.wait(timeout=60) == 0
    worker.process.stdout.close()
    return seen, set(json.loads((home / "modules.json").read_text()))


def test_the_embedded_model_needs_torch_and_nothing_large_besides(story):
    """No diffusers, no transformers, no compiler: they take five times as long to import as the song to make."""
    seen, modules = story
    assert isinstance(seen[-1], frames.Done), seen[-1]
    assert "torch" in modules and not HEAVY & modules


def test_the_embedded_model_is_open_before_the_first_job(story):
    """Ready comes first, so that a job is not kept waiting; then the model, unasked."""
    seen, _ = story
    ready, opened = seen[:2]
    assert isinstance(ready, frames.Ready) and ready.info["models"] == []
    assert isinstance(opened, frames.Info) and opened.info["models"] == ["nano"]
