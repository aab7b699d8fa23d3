"""Operation ``export-onnx``: a model's parts one after the other, each opened alone, written, and checked at once."""

from __future__ import annotations

import gc
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.disk import require_space, unwritable
from acestep.api.errors import BadRequest, OutOfMemory, Unavailable
from acestep.api.family import OnnxParts
from acestep.api.registry import Registry
from acestep.api.result import Result, StageReport
from acestep.api.schema import convert
from acestep.api.times import schedule_times
from acestep.api.variants import ModelInfo
from acestep.checkpoints.memory import checks_skipped, free_ram
from acestep.onnx.check import check_graph, prepare_trials
from acestep.onnx.convert import OPSET, to_half, write_graph
from acestep.onnx.door import chosen_parts, target_of
from acestep.onnx.graph import Graph
from acestep.onnx.manifest import WEIGHTS, ExportedGraph, ExportedPort, ExportedSchedule, ModelExport, write_export
from acestep.worker.backend import JobContext

SHARE = 2.2
"""Times the float32 weights of a part: the networks, and what ONNX Runtime keeps of them while it is checked."""

AROUND = 600 * 10**6
"""Bytes of the exporter's own."""

BESIDE = 50 * 10**6
"""Bytes on disk of graphs, tokenizer and silence latent."""

NUMBER_BYTES = {"float32": 4, "float16": 2}

GB = 1e9

OPENED, WRITTEN = 0.05, 0.9
"""Shares of a graph's time after which it is opened, and written."""

OVERHEAD = 100 * 10**6
"""Bytes of weights that take as long as what a part of any size costs."""

LAST = 0.99
"""Share of the whole after which only the manifest is to be written."""


@dataclass
class ExportRun:
    """An export at work."""

    context: JobContext
    parts: OnnxParts
    folder: Path
    dtype: str
    info: ModelInfo
    sizes: Mapping[str, int]
    """Bytes of each part, in the order in which they are written."""
    written: dict[str, ExportedGraph] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    finished: int = 0
    """Parts that are done."""

    def write(self) -> None:
        """Every part's graphs."""
        begun = 0.0
        for part, size in self.sizes.items():
            self._tick("open", part, begun)
            graphs = self.parts.graphs(part)
            share = (size + OVERHEAD) / sum(one + OVERHEAD for one in self.sizes.values()) / len(graphs)
            while graphs:
                self._write(graphs.pop(0), begun, share)
                begun += share
                gc.collect()
            self.finished += 1

    def _write(self, graph: Graph, begun: float, share: float) -> None:
        """One graph, which takes ``share`` of the whole from ``begun`` on."""
        name = graph.name
        trials = prepare_trials(graph)
        dtype = "float32" if graph.whole else self.dtype
        if dtype == "float16":
            to_half(graph.module)
        self._tick("write", name, begun + OPENED * share)
        path = write_graph(graph, self.folder, {"model": self.info.name, "license": self.info.license, **_facts(graph)})
        described = _described(graph)
        del graph
        gc.collect()
        self._tick("check", name, begun + WRITTEN * share)
        found = check_graph(path, trials, dtype)
        allowed = max(trial.allowed(dtype) for trial in trials)
        self.written[name] = ExportedGraph(
            file=path.name,
            dtype=dtype,
            difference=found,
            allowed=allowed,
            checked_at=[dict(trial.sizes) for trial in trials],
            **described,
        )
        self.notes.append(
            f"{name}: {len(found)} sizes in ONNX Runtime {metadata.version('onnxruntime')}, largest difference {max(found):.1e} "
            f"(allowed: {allowed:.1g})"
        )

    def _tick(self, what: str, name: str, done: float) -> None:
        """Between two pieces of work a cancel is heard; the exporter itself knows no stop."""
        self.context.tick(f"{what} {name}", self.finished, len(self.sizes), LAST * done)


def run_export(request: Mapping[str, Any], context: JobContext) -> Result:
    """Write the parts of a model to a folder, which appears whole or not at all. Raises `AceError`."""
    begun = time.monotonic()
    engine: Any = context.backend
    models: Any = getattr(engine, "models", None)
    if models is None:
        raise Unavailable(
            "this worker's backend has no networks that could be exported; start it with torch", field="backend"
        )
    typed: Any = convert(dict(request), context.registry.operation("export-onnx").schema)
    info = models.info(typed.model)
    parts: OnnxParts = models.runtime(info).onnx_parts(info, context.check)
    home = Path(engine.settings["home"])
    names, target = chosen_parts(typed.parts, info), target_of(typed, info, home)
    needs = {name: parts.numbers(name) * NUMBER_BYTES["float32"] for name in names}
    require_memory(info.name, needs, lambda: engine.unload(""))
    size = sum(needs.values()) * NUMBER_BYTES[typed.dtype] // 4 + BESIDE
    for place in (context.staging, target.parent):  # it is written in the one and moved to the other
        require_space("the export takes", size, place, "folder")
    draft = context.staging / "export"
    draft.mkdir(parents=True)
    run = ExportRun(context, parts, draft, typed.dtype, info, needs)
    try:
        run.write()
        _finish(run, context.registry)
        _publish(draft, target)
    except OSError as failure:
        raise unwritable(target, failure, "folder") from failure
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    seconds = time.monotonic() - begun
    files = {path.name: path.stat().st_size for path in sorted(target.iterdir())}
    return Result(
        data={"folder": str(target), "model": info.name, "dtype": typed.dtype, "opset": OPSET, "files": files,
              "difference": {name: one.difference for name, one in run.written.items()}},
        notes=tuple(run.notes),
        stages=(StageReport(type="export-onnx", model=info.name, seconds={"total": seconds}),),
        seconds=seconds,
    )  # fmt: skip


def require_memory(name: str, needs: Mapping[str, int], make_room: Any) -> None:
    """See that the largest part fits; other models give way first. Raises `OutOfMemory` with the figures."""
    part = max(needs, key=lambda one: needs[one])
    need, free = int(SHARE * needs[part]) + AROUND, free_ram()
    if checks_skipped() or free is None or need <= free:
        return
    make_room()
    free = free_ram() or 0
    if need > free:
        raise OutOfMemory(
            f"exporting the {part} of {name} needs about {need / GB:.1f} GB of memory and {free / GB:.1f} GB are free; close other "
            "programs, or name smaller parts",
            field="parts",
            limits={"need_bytes": need, "free_bytes": free},
        )


def _finish(run: ExportRun, registry: Registry) -> None:
    """What lies beside the graphs."""
    more = run.parts.write_companions(run.folder)
    export = ModelExport(
        model=_without_places(run.info),
        digests=run.parts.digests(),
        license=run.info.license,
        dtype=run.dtype,
        opset=OPSET,
        versions={
            name: metadata.version(name) for name in ("acestep-bridge", "torch", "onnx", "onnxscript", "onnxruntime")
        },
        schedule=_schedule(run.info, registry),
        parts=run.written,
        files=more.get("files", {}),
        text=more.get("text", {}),
    )
    write_export(run.folder, export)


def _without_places(info: ModelInfo) -> ModelInfo:
    """What holds on any machine."""
    return msgspec.structs.replace(info, path="", near=(), borrowed={}, weight_files=(), origin="ONNX")


def _schedule(info: ModelInfo, registry: Registry) -> ExportedSchedule:
    usual = info.defaults
    return ExportedSchedule(
        name=usual.schedule,
        steps=usual.steps,
        shift=usual.shift,
        times=schedule_times(registry.schedules[usual.schedule], usual.steps, usual.shift),
        guidance=usual.guidance if usual.guidance_scale > 1 else "none",
        guidance_scale=usual.guidance_scale,
        guidance_start=usual.guidance_start,
    )


def _publish(draft: Path, target: Path) -> None:
    """Put the finished folder in its place in one move. Raises `BadRequest` where something came to be there meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise BadRequest(f"{target} already exists; choose another folder, or move it away", field="folder")
    if draft.stat().st_dev == target.parent.stat().st_dev:
        draft.rename(target)
        return
    near = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.copytree(draft, near)
        near.rename(target)
    finally:
        shutil.rmtree(near, ignore_errors=True)


def _described(graph: Graph) -> dict[str, Any]:
    """What the manifest says of a graph."""
    inputs, outputs = (
        [ExportedPort(name=port.name, dtype=port.dtype, shape=list(port.shape)) for port in ports]
        for ports in (graph.inputs, graph.outputs)
    )
    return {"summary": graph.summary, "inputs": inputs, "outputs": outputs, "facts": dict(graph.facts)}


def _facts(graph: Graph) -> dict[str, str]:
    """What a file's metadata says of it."""
    facts = {key: str(value) for key, value in graph.facts.items()}
    return {"part": graph.name, "weights": f"{graph.name}.onnx{WEIGHTS}", **facts}
