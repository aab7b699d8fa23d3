"""A model's parts as ONNX files: what is written, that it computes the same, and what is refused."""

from __future__ import annotations

import errno
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from acestep.api.errors import (
    BadCheckpoint,
    BadRequest,
    Cancelled,
    DiskFull,
    ModelUnsuited,
    NumericFailure,
    OutOfMemory,
    Unavailable,
    UnknownName,
)
from acestep.api.registry import Registry
from acestep.api.schema import convert
from acestep.api.variants import ModelInfo
from acestep.checkpoints.info import EMBEDDED, read_info
from acestep.onnx import check, export
from acestep.onnx.door import check_export
from acestep.onnx.graph import Graph
from acestep.onnx.manifest import MANIFEST, read_export
from acestep.worker.backend import Ties

pytestmark = pytest.mark.timeout(900)  # the export is done once, in whichever test comes first

Export = Callable[..., types.SimpleNamespace]

GRAPHS = {"transformer", "condition_encoder", "token_embedding", "text_encoder", "audio_tokenizer", "audio_detokenizer",
          "codec_encoder", "codec_decoder"}  # fmt: skip


def test_every_graph_is_there_and_was_checked_at_three_sizes(exported: types.SimpleNamespace) -> None:
    """The manifest tells of each its shapes and how far it is from the model; the job says so too."""
    found = read_export(exported.folder)
    assert set(found.parts) == GRAPHS
    for name, part in found.parts.items():
        assert len(part.difference) == 3 and max(part.difference) <= 1e-5, name
        assert (exported.folder / part.file).is_file()
    assert len(exported.result.notes) == len(GRAPHS)
    assert "3 sizes in ONNX Runtime" in exported.result.notes[0]
    velocity = found.parts["transformer"]
    assert [(port.name, port.shape) for port in velocity.inputs] == [
        ("latents", ["batch", "2*patches", 64]),
        ("timestep", ["batch"]),
        ("timestep_r", ["batch"]),
        ("context", ["batch", "2*patches", 128]),
        ("condition", ["batch", "tokens", 64]),
    ]


def test_the_manifest_says_how_to_run_them_and_where_they_come_from(exported: types.SimpleNamespace) -> None:
    """Schedule, texts, licence and digests; nothing of this machine."""
    found = read_export(exported.folder)
    assert found.schedule.steps == 8 and found.schedule.times[0] == 1.0 and found.schedule.times[-1] == 0.0
    assert found.license and len(found.digests["model"]) == 32
    assert found.text["instruction"].startswith("Fill the audio semantic mask")
    silence = np.load(exported.folder / found.files["silence_latent"])
    assert silence.shape == (1, 15_000, 64) and silence.dtype == np.float32
    assert str(Path.home()) not in (exported.folder / MANIFEST).read_text() and found.model.path == ""


def test_files_are_opset_18_with_their_weights_beside_them(exported: types.SimpleNamespace) -> None:
    """And say of themselves what they are. (The folder was moved since: weights are found by a relative name.)"""
    for path in exported.folder.glob("*.onnx"):
        onnx.checker.check_model(str(path))
        model = onnx.load(str(path), load_external_data=False)
        assert {one.domain: one.version for one in model.opset_import}[""] == 18
        assert {one.key for one in model.metadata_props} >= {"model", "license", "part"}
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                assert entry.key != "location" or entry.value == f"{path.name}.data"


def test_weight_norm_is_folded(exported: types.SimpleNamespace) -> None:
    """No graph computes the length of a weight."""
    for path in exported.folder.glob("codec_*.onnx"):
        model = onnx.load(str(path), load_external_data=False)
        assert not {"ReduceL2"} & {node.op_type for node in model.graph.node}


@pytest.mark.parametrize(("batch", "frames", "tokens"), [(1, 2, 1), (4, 700, 3), (2, 1640, 11)])
def test_the_transformer_takes_any_batch_length_and_context(
    exported: types.SimpleNamespace, small: types.SimpleNamespace, batch: int, frames: int, tokens: int
) -> None:
    """Also the shortest, and where the engine cuts its attention into blocks."""
    dit = small.engine.models.open(small.name, lambda: None).transformer
    draw = torch.Generator().manual_seed(5)
    x, context = (torch.randn(batch, frames, width, generator=draw) for width in (64, 128))
    states, t = torch.randn(batch, tokens, 64, generator=draw), torch.rand(batch, generator=draw)
    session = onnxruntime.InferenceSession(exported.folder / "transformer.onnx", providers=["CPUExecutionProvider"])
    fed = dict(zip((one.name for one in session.get_inputs()), (x, t, t, context, states), strict=True))
    (got,) = session.run(None, {name: value.numpy() for name, value in fed.items()})
    if tokens == 1:  # the engine takes a single token for the condition of every item
        wanted = torch.cat(
            [
                dit.velocity(*(one[i : i + 1] for one in (x, t, context)), [dit.condition(states[i : i + 1])])[0]
                for i in range(batch)
            ]
        )
    else:
        wanted = dit.velocity(x, t, context, [dit.condition(states)])[0]
    assert check.difference(got, wanted.numpy()) <= 1e-5


def test_progress_rises_and_nothing_is_left_behind(exported: types.SimpleNamespace) -> None:
    """Three pieces of work a part, by the parts' sizes; the files went to their folder."""
    fractions = [told[3] for told in exported.ticks]
    assert fractions == sorted(fractions) and fractions[-1] < 1
    assert [told[0] for told in exported.ticks[:3]] == ["open transformer", "write transformer", "check transformer"]
    assert "write token_embedding" in [told[0] for told in exported.ticks]
    assert list(exported.staging.iterdir()) == []


def test_a_folder_that_lacks_a_file_is_refused_by_its_name(exported: types.SimpleNamespace, tmp_path: Path) -> None:
    """Half an export is none."""
    shutil.copy(exported.folder / MANIFEST, tmp_path)
    with pytest.raises(BadCheckpoint, match=r"not complete: .*transformer\.onnx"):
        read_export(tmp_path)
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(BadCheckpoint, match="no export of this version"):
        read_export(tmp_path)


# what is refused


def request(**fields: object) -> msgspec.Struct:
    """A typed request."""
    return convert({"model": "nano", **fields}, Registry.load().operation("export-onnx").schema)


def host(tmp_path: Path, **changes: object) -> types.SimpleNamespace:
    """A machine with one model."""
    info = msgspec.structs.replace(read_info(EMBEDDED), **changes)
    return types.SimpleNamespace(home=tmp_path, model=lambda name: info)


def test_the_door_settles_the_parts(tmp_path: Path) -> None:
    """None named: all; twice named: once."""
    assert len(check_export(request(), host(tmp_path)).parts) == 7
    assert check_export(request(parts=["transformer", "transformer"]), host(tmp_path)).parts == ["transformer"]


def test_unknown_parts_are_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownName, match="nano has no part 'decoder'; it has transformer, condition_encoder"
    ) as refused:
        check_export(request(parts=["decoder"]), host(tmp_path))
    assert refused.value.field == "parts" and "codec_decoder" in refused.value.limits["choices"]


def test_missing_parts_are_refused_by_name(tmp_path: Path) -> None:
    """A checkpoint whose files hold no networks for codes exports the rest."""
    lacking = host(tmp_path, exports=("transformer",), unexported={"audio_detokenizer": "audio_token_detokenizer"})
    with pytest.raises(ModelUnsuited, match="do not hold audio_token_detokenizer, so audio_detokenizer cannot"):
        check_export(request(parts=["audio_detokenizer"]), lacking)
    assert check_export(request(), lacking).parts == ["transformer"]


def test_models_without_exports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsuited, match=r"MusicGen.*no parts that could be exported"):
        check_export(request(), host(tmp_path, exports=(), family_title="MusicGen"))


def test_a_folder_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "onnx" / "nano-float32").mkdir(parents=True)
    with pytest.raises(BadRequest, match="already exists"):
        check_export(request(), host(tmp_path))
    assert check_export(request(dtype="float16"), host(tmp_path)).dtype == "float16"


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(Unavailable, match=r"package onnxscript: pip install 'acestep-bridge\[onnx\]'"):
        check_export(request(), host(tmp_path))


def test_too_little_memory_is_refused_with_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models in memory give way first."""
    free = iter([10**9, 2 * 10**9])
    gone = []
    monkeypatch.setattr(export, "free_ram", lambda: next(free))
    with pytest.raises(
        OutOfMemory, match=r"transformer of turbo needs about 22\.6 GB of memory and 2\.0 GB are"
    ) as refused:
        export.require_memory("turbo", {"transformer": 10 * 10**9, "codec_decoder": 10**8}, lambda: gone.append(1))
    assert gone == [1] and refused.value.limits == {"need_bytes": 22_600_000_000, "free_bytes": 2 * 10**9}


def test_a_full_disk_is_refused_before_anything_is_written(
    small: types.SimpleNamespace, run_export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(small.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=10**7))
    with pytest.raises(DiskFull, match=r"takes \d+ MB and 10 MB are free in"):
        run_export(
            small.engine,
            small.home,
            {"model": small.name, "parts": ["text_encoder"], "folder": str(small.home / "full")},
        )
    assert not (small.home / "full").exists()


def test_the_disk_that_it_is_written_on_first_counts_too(
    small: types.SimpleNamespace, run_export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of jobs may lie elsewhere than the export's."""
    usage = shutil.disk_usage(small.home)
    here = str(small.home / "staging")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=10**7) if str(place) == here else usage)
    asked = {"model": small.name, "parts": ["text_encoder"], "folder": str(small.home / "elsewhere")}
    with pytest.raises(DiskFull, match=r"takes \d+ MB and 10 MB are free in .*staging"):
        run_export(small.engine, small.home, asked)
    assert not (small.home / "elsewhere").exists()


def test_a_disk_that_fills_up_meanwhile_is_told_as_that(
    small: types.SimpleNamespace, run_export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(graph: Any, folder: Path, metadata: Any) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export, "write_graph", full)
    asked = {"model": small.name, "parts": ["text_encoder"], "folder": str(small.home / "filled")}
    with pytest.raises(DiskFull, match=r"no space left in .*filled") as told:
        run_export(small.engine, small.home, asked)
    assert told.value.field == "folder" and not (small.home / "filled").exists()


def test_a_cancel_is_heard_between_two_graphs(
    small: types.SimpleNamespace, run_export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written goes; an export that is there already is not touched."""
    ties, real, written = Ties(), export.write_graph, []

    def write_and_cancel(graph: Any, folder: Path, metadata: Any) -> Path:
        written.append(real(graph, folder, metadata))
        ties.cancelled.set()
        return written[-1]

    monkeypatch.setattr(export, "write_graph", write_and_cancel)
    asked = {"model": small.name, "parts": ["text_encoder"], "folder": str(small.home / "broken off")}
    with pytest.raises(Cancelled):
        run_export(small.engine, small.home, asked, ties)
    assert [path.name for path in written] == ["token_embedding.onnx"] and not written[0].exists()
    assert not (small.home / "broken off").exists() and list((small.home / "staging").iterdir()) == []


def test_a_graph_is_never_checked_at_a_size_that_it_is_recorded_at() -> None:
    """A wrong one cannot be made."""
    sizes = {"batch": 2, "tokens": 13}
    graph = {"name": "g", "summary": "", "module": torch.nn.Identity(), "inputs": (), "outputs": (), "truth": list,
             "example": sizes}  # fmt: skip
    Graph(**graph, unseen=({"batch": 1, "tokens": 14},))
    with pytest.raises(ValueError, match="a size that it is recorded at"):
        Graph(**graph, unseen=({"batch": 2, "tokens": 14},))


def test_a_cancelled_export_leaves_nothing(small: types.SimpleNamespace, run_export: Export) -> None:
    ties = Ties()
    ties.cancelled.set()
    with pytest.raises(Cancelled):
        run_export(small.engine, small.home, {"model": small.name, "folder": str(small.home / "cancelled")}, ties)
    assert not (small.home / "cancelled").exists() and list((small.home / "staging").iterdir()) == []


def test_a_graph_that_computes_something_else_is_given_up(
    small: types.SimpleNamespace, run_export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check is no formality: the whole export fails, and no folder appears."""
    prepare = check.prepare_trials

    def wrong(graph: object) -> list[check.GraphTrial]:
        return [
            check.GraphTrial(one.sizes, one.inputs, tuple(part * 1.001 for part in one.wanted), one.own)
            for one in prepare(graph)
        ]

    monkeypatch.setattr(export, "prepare_trials", wrong)
    with pytest.raises(NumericFailure, match=r"token_embedding differs by .* in ONNX Runtime at batch 1, tokens 3"):
        run_export(
            small.engine,
            small.home,
            {"model": small.name, "parts": ["text_encoder"], "folder": str(small.home / "wrong")},
        )
    assert not (small.home / "wrong").exists()


def test_float16_halves_the_weights(
    small: types.SimpleNamespace, exported: types.SimpleNamespace, run_export: Export
) -> None:
    """Within a hundredth of the model; what goes in and comes out stays float32."""
    asked = {
        "model": small.name,
        "parts": ["audio_detokenizer"],
        "dtype": "float16",
        "folder": str(small.home / "half"),
    }
    run = run_export(small.engine, small.home, asked)
    half, whole = (folder / "audio_detokenizer.onnx.data" for folder in (run.folder, exported.folder))
    assert half.stat().st_size < 0.7 * whole.stat().st_size
    found = read_export(run.folder)
    assert (
        found.parts["audio_detokenizer"].dtype == "float16" and max(found.parts["audio_detokenizer"].difference) <= 1e-2
    )
    session = onnxruntime.InferenceSession(run.folder / "audio_detokenizer.onnx", providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].type == "tensor(float)"


def test_the_facts_name_what_can_be_exported() -> None:
    """And a fresh `ModelInfo` claims nothing."""
    assert read_info(EMBEDDED).exports[0] == "transformer"
    assert ModelInfo(name="x", path="", variant="nano", task_types=()).exports == ()
