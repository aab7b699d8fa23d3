"""New parts without torch: the backend that runs exported graphs."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from acestep.admission.recipe import read_recipe
from acestep.admission.render import admit_render
from acestep.api.errors import BadCheckpoint, Cancelled, ModelMissing, Unavailable, WeightsChanged
from acestep.api.registry import Registry
from acestep.api.result import Result
from acestep.onnx.backend import OnnxBackend
from acestep.onnx.manifest import MANIFEST
from acestep.onnx.part import OWN_DRUMS, PartRender
from acestep.worker.backend import JobContext, Ties
from bridge.client import Client
from bridge.launch import DaemonProcess

pytestmark = pytest.mark.timeout(900)  # the export is done once, in whichever test comes first

CAPTION = "slow piano, warm strings"
PART = {"caption": CAPTION, "duration": 10, "seed": 7, "check": "off", "format": "wav32f", "instrumental": True}


class Runs:
    """Runs new parts on either backend."""

    def __init__(self, small: types.SimpleNamespace, folder: Path) -> None:
        self.small, self.folder, self.registry = small, folder, Registry.load()
        self.backend = OnnxBackend(
            {"home": small.home, "library": folder, "uploads": folder, "checkpoints": [small.checkpoint.parent],
             "device": "auto", "threads": 1, "registry": self.registry}
        )  # fmt: skip
        self.ticks: list[tuple[str, int, int, float]] = []
        self.count = 0

    def admit(self, **params: Any) -> dict[str, Any]:
        """A canonical request."""
        asked = {**PART, "model": self.small.name, **params}
        return admit_render(self.registry, "generate", asked, self.backend.host).render.to_recipe()

    def run(self, recipe: dict[str, Any], backend: Any = None, ties: Ties | None = None) -> tuple[Result, np.ndarray]:
        """The result, and its first file's sound."""
        self.count += 1
        staging = self.folder / f"job-{self.count}"
        staging.mkdir()
        self.ticks = []
        backend = backend or self.backend
        context = JobContext(
            "job", staging, self.registry, lambda *told: self.ticks.append(told), backend=backend, ties=ties
        )
        result = backend.run("render", recipe, context)
        return result, soundfile.read(staging / result.files[0].name, dtype="float32")[0]


@pytest.fixture(scope="module")
def runs(
    small: types.SimpleNamespace, exported: types.SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Runs:
    """The backend on the exported checkpoint."""
    return Runs(small, tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    "params",
    [
        {"guide": "none"},
        {"guide": "auto", "bpm": 120.0, "key": "A minor"},
        {
            "guide": "none",
            "sampler": "dpmpp_2m_sde",
            "steps": 5,
            "guidance": "cfg",
            "guidance_scale": 3.0,
            "rate": 44_100,
        },
        {"guide": "none", "bpm": 100.3, "duration": 12.5, "level": "peak"},
    ],
    ids=["plain", "guided", "noisy", "conformed"],
)
def test_a_part_is_that_of_the_torch_backend(runs: Runs, params: dict[str, Any]) -> None:
    """The same request gives the same samples, to rounding: words, guide, noise, sampler, guidance, conforming, level."""
    recipe = runs.admit(**params)
    mine, sound = runs.run(recipe)
    theirs, wanted = runs.run(recipe, runs.small.engine)
    assert sound.shape == wanted.shape
    assert np.abs(sound - wanted).max() < 1e-4 * max(1.0, np.abs(wanted).max())
    assert mine.seeds == theirs.seeds and mine.recipe["weights"] == theirs.recipe["weights"]
    assert {file.role for file in mine.files} == {file.role for file in theirs.files}
    assert mine.recipe["request"]["conditioning"] == theirs.recipe["request"]["conditioning"]


def test_its_recipe_runs_again_and_other_weights_do_not(runs: Runs) -> None:
    """The recipe names the weights that the export was made of."""
    first, sound = runs.run(runs.admit(guide="none", steps=2))
    recipe = first.recipe["request"]
    _, again = runs.run(recipe)
    assert np.array_equal(sound, again)
    with pytest.raises(WeightsChanged):
        runs.run({**recipe, "weights": {runs.small.name: "0" * 32}})


def test_variants_have_seeds_of_their_own_and_progress_rises(runs: Runs) -> None:
    result, _ = runs.run(runs.admit(guide="none", steps=2, variants=2))
    assert len(result.files) == 2 and len(set(result.seeds)) == 2
    fractions = [told[3] for told in runs.ticks]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_graphs_are_dropped_after_their_work_and_the_codec_is_kept(runs: Runs) -> None:
    """Memory holds the codec between jobs, the transformer only while it denoises."""
    runs.run(runs.admit(guide="none", steps=2))
    model = runs.backend._model
    assert (
        model is not None
        and set(model.names()) <= {"codec_decoder", "codec_encoder"}
        and "codec_decoder" in model.names()
    )
    assert 0 < runs.backend.info()["memory_bytes"] < 10**8
    runs.backend.unload(runs.small.name)
    assert runs.backend.info()["models"] == [] and runs.backend.info()["memory_bytes"] == 0


@pytest.mark.parametrize("after", [0, 1, 3, 8, 9])
def test_a_cancel_is_heard_at_every_step(runs: Runs, after: int) -> None:
    ties = Ties()
    recipe = runs.admit(guide="none")
    staging = runs.folder / f"cancel-{after}"
    staging.mkdir()
    seen = []

    def report(*told: Any) -> None:
        seen.append(told)
        if len(seen) > after:
            ties.cancelled.set()

    with pytest.raises(Cancelled):
        runs.backend.run("render", recipe, JobContext("job", staging, runs.registry, report, ties=ties))
    assert len(seen) == after + 1


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"guidance": "apg", "guidance_scale": 4.0}, "guidance", "guidance apg needs the backend torch; .* knows cfg"),
        ({"returns": ["part", "latent"]}, "returns", "returns needs the backend torch"),
        ({"velocity_limit": 0.5}, "velocity_limit", "velocity limit needs the backend torch"),
    ],
)  # fmt: skip
def test_what_only_torch_does_is_refused_by_name(runs: Runs, params: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(Unavailable, match=words) as refused:
        runs.run(runs.admit(guide="none", **params))
    assert refused.value.field == field


def test_edits_and_other_operations_are_refused(runs: Runs, sound_file: Callable[..., Path]) -> None:
    """A source, and whatever brings code of its own."""
    asked = {"source": str(sound_file(frames=480_000)), "caption": CAPTION, "model": runs.small.name, "end": 96_000}
    recipe = admit_render(runs.registry, "repaint", asked, runs.backend.host).render.to_recipe()
    with pytest.raises(Unavailable, match="makes new parts in one stage; edits of a source"):
        runs.run(recipe)
    context = JobContext("job", runs.folder, runs.registry, lambda *told: None)
    with pytest.raises(Unavailable, match="export-onnx needs the backend torch"):
        runs.backend.run("export-onnx", {}, context)
    with pytest.raises(Unavailable, match="runs on the CPU, not on cuda"):
        OnnxBackend({"home": runs.folder, "device": "cuda"})


@pytest.mark.parametrize(("drums", "told"), [("out", True), ("model", False)])
def test_drums_that_stay_are_told(runs: Runs, drums: str, told: bool) -> None:
    """The torch backend would take nano's drums out."""
    recipe = runs.admit(model="nano", guide="none", drums=drums)
    context = JobContext("job", runs.folder, runs.registry, lambda *told: None)
    notes = PartRender(context, read_recipe(runs.registry, recipe), runs.backend.host).notes
    assert (OWN_DRUMS.format("nano") in notes) == told


def test_a_model_that_was_not_exported_is_told_with_the_command(runs: Runs) -> None:
    with pytest.raises(ModelMissing, match="acestep-bridge export-onnx nano` writes one"):
        runs.run(runs.admit(model="nano"))


def test_an_export_of_a_few_parts_is_told_with_the_one_it_lacks(runs: Runs, tmp_path: Path) -> None:
    """The manifest decides, so that nobody looks for a file that never was."""
    source = runs.small.home / "onnx" / "moved"
    target = tmp_path / "onnx" / "some"
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).symlink_to(file)
    data = msgspec.json.decode((source / MANIFEST).read_bytes())
    del data["parts"]["transformer"]
    (target / MANIFEST).unlink()
    (target / MANIFEST).write_bytes(msgspec.json.encode(data))
    backend = OnnxBackend({**runs.backend.settings, "home": tmp_path})
    with pytest.raises(BadCheckpoint, match="has no transformer; export the whole model"):
        runs.run(runs.admit(guide="none"), backend)


NO_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "diffusers", "onnx", "onnxscript"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, NoTorch())
"""


def test_a_daemon_and_its_worker_without_torch(
    runs: Runs, daemon: Callable[..., DaemonProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes, in none of which torch can be imported: a job over the wire, its file in the library."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_TORCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    home = tmp_path / "home"
    (home / "onnx").mkdir(parents=True)
    (home / "onnx" / "small").symlink_to(runs.small.home / "onnx" / "moved")
    one = daemon(backend="onnx", home=home, checkpoints=[runs.small.checkpoint.parent])
    with Client(home=str(one.paths.home)) as client:
        done = client.run("generate", {**PART, "model": runs.small.name, "guide": "none"}, timeout=120)
    sound, _ = soundfile.read(done["files"][0]["path"], dtype="float32")
    _, wanted = runs.run(runs.admit(guide="none"), runs.small.engine)
    assert np.abs(sound - wanted).max() < 1e-4 * max(1.0, np.abs(wanted).max())
