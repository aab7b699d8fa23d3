"""What the built-in polishes do: each starts where its authors say, no two are the same run, and a later start changes more."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.admission.render import admit_render
from acestep.api import ModelInfo, Registry
from acestep.api.resolve import resolve_stage
from acestep.api.source import AudioFacts
from acestep.api.variants import VARIANTS

NAMED = {
    "base-to-turbo-refine": [("base", None, 3.0, 50), ("turbo", 0.545455, 3.0, 3)],
    "sft-to-turbo-polish": [("sft", None, 2.0, 50), ("turbo", 0.4, 3.0, 2)],
    "three-stage-quality": [("base", None, 3.0, 50), ("sft", 0.5, 2.0, None), ("turbo", 0.3, 3.0, 1)],
    "cover-and-polish": [("turbo", None, 3.0, 8), ("turbo", 0.4, 3.0, 2)],
}
"""Of every stage: model, start (of a polish), shift, steps that it really runs. Turbo starts 0.6 at 0.5455, the next it knows."""


class Host:
    """A machine with every published model and one file."""

    def probe(self, source):
        return AudioFacts(rate=48_000, channels=2, frames=48_000 * 20)

    def model(self, name):
        return ModelInfo(name=name, path="", variant=name, task_types=VARIANTS[name].tasks)


@pytest.mark.parametrize("name", NAMED)
def test_polishes_start_where_their_authors_say(name):
    """With the sampler and shift that go with it; a start never lies above the asked one."""
    registry, host = Registry.load(), Host()
    operation = registry.operation(name)
    wish = {"source": "/a.wav"} if operation.preset.source else {"duration": 12.0}
    admitted = admit_render(registry, name, wish, host)
    settled = [
        resolve_stage(registry, stage, plan, host.model(stage.params.model))
        for stage, plan in zip(admitted.render.stages, admitted.plans, strict=True)
    ]
    for stage, (model, start, shift, steps) in zip(settled, NAMED[name], strict=True):
        assert (stage.params.model, stage.params.shift, stage.params.sampler) == (model, shift, "euler")
        assert stage.times[0] == pytest.approx(1.0 if start is None else start, abs=1e-6)
        if steps is not None:
            assert len(stage.times) - 1 == steps


@pytest.mark.long
def test_a_later_start_changes_more(runner):
    """On the trained small model: what a polish leaves of a take falls from start to start, and a third polish is no second one."""
    wish = {"model": "nano", "length": 4 * 48_000, "rate": 48_000, "seed": 3, "caption": "soft piano", "guide": "none",
            "format": "wav32f"}  # fmt: skip
    made, folder = runner.run("generate", **wish)
    given = soundfile.read(folder / made.files[0].name)[0].ravel()
    name = f"{folder.name}/generate-latent.safetensors"
    alike = []
    for start in (0.3, 0.4, 0.5, 0.6):
        polished, place = runner.run(
            "refine", source_latent=name, model="nano", caption="soft piano", seed=8, t_start=start, format="wav32f"
        )
        sound = soundfile.read(place / polished.files[0].name)[0].ravel()
        alike.append(float(np.corrcoef(given, sound)[0, 1]))
    assert alike == sorted(alike, reverse=True) and alike[0] - alike[-1] > 0.02 and alike[0] < 0.9999
