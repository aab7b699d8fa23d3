"""The real engine in a real worker process: one job over its pipes, from request to synced file."""

from __future__ import annotations

import numpy as np
import soundfile

from acestep.api import frames
from acestep.testing.process import Process


def test_a_repaint_over_the_pipes(tmp_path):
    """Ready, ticks, done: the patch stands in staging, exact to the sample, and the weights are called random."""
    source = tmp_path / "song.wav"
    soundfile.write(source, np.random.default_rng(0).uniform(-0.5, 0.5, (44_100, 2)), 44_100)
    worker = Process(tmp_path, backend="torch", model="tiny")
    ready = worker.receive()
    assert ready.info["backend"] == "torch" and ready.info["models"] == []
    request = {
        "stages": [{"type": "repaint", "steps": 2, "seed": 1}],
        "source": {"path": str(source), "start": 10_000, "length": 5_001},
        "output": {"returns": ["patch"]},
    }
    worker.send(frames.Run(job="a", operation="repaint", request=request, staging=str(tmp_path / "s")))
    *_, done = worker.until(frames.Done, frames.Failed)
    assert isinstance(done, frames.Done), done.error
    (file,) = done.result["files"]
    assert file["length"] == soundfile.info(tmp_path / "s" / file["name"]).frames == 5_001 + 2 * 2_205
    assert any("noise" in note for note in done.result["notes"])
    worker.send(frames.Unload())
    assert worker.until(frames.Info)[-1].info["models"] in ([], ["tiny"])
    worker.process.stdin.close()
    assert worker.process.wait(timeout=30) == 0
    worker.process.stdout.close()
