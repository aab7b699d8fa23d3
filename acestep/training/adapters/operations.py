"""Labelling, preparing, training and merging as jobs of the worker. All but the merge step aside for other jobs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch

from acestep.api.errors import OutOfMemory, Suspended
from acestep.api.request import FileRole
from acestep.api.result import Result, ResultFile, StageReport
from acestep.api.schema import convert
from acestep.api.training import TrainOptions
from acestep.checkpoints.adapters import adapter_folders, describe_adapter, parse_adapters
from acestep.checkpoints.merge import merge_adapters
from acestep.dataset.file import open_dataset
from acestep.dataset.log import telling_of_a_break
from acestep.dataset.store import FILE, Datasets
from acestep.training.adapters import resting
from acestep.training.adapters.door import (
    LOG,
    PLOT,
    Story,
    copy_adapter,
    tell_of_a_break,
    train_options,
    training_folder,
)
from acestep.training.adapters.original import open_prepared
from acestep.training.adapters.outputs import HISTORY
from acestep.training.adapters.pace import Progress
from acestep.training.adapters.prepare import PrepareOptions, prepare
from acestep.training.adapters.several import train_on_several
from acestep.training.adapters.train import Hooks, Outcome, Training
from acestep.worker.backend import JobContext

SHARES = {"hashes": (0.0, 0.05), "sounds": (0.05, 0.85), "words": (0.85, 0.95), "conditions": (0.95, 1.0)}
"""Stage of preparing -> the part of the job that it takes."""


def run_prepare(request: Mapping[str, Any], context: JobContext) -> Result:
    """Operation ``dataset-prepare``. Raises `Suspended` where another job waits; what is done stays done."""
    begun, engine = time.monotonic(), _engine(context)
    typed: Any = convert(dict(request), context.registry.operation("dataset-prepare").schema)
    datasets = Datasets(Path(engine.settings["home"]))
    opened = open_dataset(datasets.place(datasets.require(typed.dataset)) / FILE)
    options = PrepareOptions(device=str(engine.device), dtype=_dtype(engine, "auto"), max_seconds=typed.max_seconds)

    def report(progress: Progress) -> None:
        first, last = SHARES[progress.stage]
        if progress.fresh or progress.done == progress.total:  # what was found done would make the rest look quick
            context.tick(progress.stage, progress.done, progress.total, first + (last - first) * progress.fraction)
        if progress.fresh and progress.stage != "hashes":
            context.saved()
        if progress.done < progress.total:
            context.make_way()

    info = engine.models.info(typed.model)
    with datasets.logged(typed.dataset, "prepare"):
        found = prepare(opened.dataset, info, datasets.prepared(typed.dataset), options, report).manifest
    facts = {"dataset": typed.dataset, "model": info.name, "songs": len(found.rows), "left_out": list(found.left_out)}
    datasets.note(typed.dataset, "prepare", **facts, notes=list(found.notes))
    seconds = time.monotonic() - begun
    return Result(
        data={**facts, "validates": sum(row.validation for row in found.rows), "digest": found.dataset},
        notes=(*opened.notes, *found.notes, *(f"left out: {reason}" for reason in found.left_out)),
        stages=(StageReport(type="dataset-prepare", model=info.name, seconds={"total": seconds}),),
        seconds=seconds,
    )


def run_train(request: Mapping[str, Any], context: JobContext) -> Result:
    """Operation ``train``. Raises `Suspended` once its place is saved and another job waits."""
    begun, engine = time.monotonic(), _engine(context)
    typed: Any = convert(dict(request), context.registry.operation("train").schema)
    home = Path(engine.settings["home"])
    folder = training_folder(home, typed.name)
    place = Path(typed.tensors) if typed.tensors else Datasets(home).prepared(typed.dataset)
    options = train_options(typed, device=str(engine.device), dtype=_dtype(engine, typed.dtype))
    samples = Samples(typed, context)

    def report(progress: Progress) -> None:
        context.tick(progress.stage, progress.done, progress.total, progress.fraction)

    hooks = Hooks(
        report=report, yields=context.makes_way, check=context.check, stored=context.saved, saved=samples.ask,
        wanted=samples.wanted,
    )  # fmt: skip
    sitting = _sitting if options.devices == 1 else _sitting_on_several
    with torch.enable_grad(), telling_of_a_break(lambda reason: tell_of_a_break(folder, reason)):
        outcome = sitting(context, folder, options, hooks, place, typed.model)
    if not outcome.finished:
        raise Suspended("the training made room for another job")
    resting.forget()
    files = [_published(folder / name, context.staging, role) for name, role in _SHOWN if (folder / name).is_file()]
    copied = copy_adapter(folder / "final", Path(typed.folder) / typed.name) if typed.folder else []
    seconds = time.monotonic() - begun
    return Result(
        files=tuple(files),
        data={"name": typed.name, "path": str(folder), "files": outcome.files, "step": outcome.step, "steps": outcome.steps,
              "epoch": outcome.epoch, "history": list(outcome.history), "samples": Story(folder).whole(0)["samples"],
              "copies": [str(path) for path in copied]},
        notes=outcome.notes,
        stages=(StageReport(type="train", model=typed.model, settings=msgspec.to_builtins(options), seconds={"total": seconds}),),
        seconds=seconds,
    )  # fmt: skip


_SHOWN: tuple[tuple[str, FileRole], ...] = ((PLOT, "plot"), (HISTORY, "log"), (LOG, "log"))
"""Files of a training that belong to its result."""


def _sitting(
    context: JobContext, folder: Path, options: TrainOptions, hooks: Hooks, place: Path, model: str
) -> Outcome:
    """Train until the end or until another job waits. Other models give way where the memory is short."""
    engine = _engine(context)
    prepared, info = open_prepared(place), engine.models.info(model)
    setup = resting.take(context.job)
    if setup is None:
        try:
            setup = resting.open_setup(prepared, info, options)
        except OutOfMemory:
            if not engine.models.names():
                raise
            engine.unload("")
            setup = resting.open_setup(prepared, info, options)
    outcome = Training(setup, folder, hooks).run()
    if not outcome.finished:
        resting.put(context.job, setup)
    return outcome


def _sitting_on_several(
    context: JobContext, folder: Path, options: TrainOptions, hooks: Hooks, place: Path, model: str
) -> Outcome:
    """The same in processes of their own, which give their networks back at every end."""
    engine = _engine(context)
    info = engine.models.info(model)
    resting.forget()
    try:
        return train_on_several(place, info, folder, options, hooks)
    except OutOfMemory:
        if not engine.models.names():
            raise
        engine.unload("")
        return train_on_several(place, info, folder, options, hooks)


class Samples:
    """The renders that a training asks for on its way: the same prompts and seed after every so many epochs."""

    def __init__(self, typed: Any, context: JobContext) -> None:
        self._typed, self._context = typed, context

    def wanted(self, epoch: int) -> bool:
        """Whether the adapter of an epoch is to be kept to be heard."""
        return bool(self._typed.sample_every) and epoch % self._typed.sample_every == 0

    def ask(self, epoch: int, folder: Path) -> list[dict[str, Any]]:
        """Hand in the renders of an epoch whose adapter was kept; the last one's has the training's own name."""
        typed = self._typed
        if not self.wanted(epoch):
            return []
        lora = typed.name if folder.name == "final" else f"{typed.name}@{epoch}"
        found = []
        for index, prompt in enumerate(typed.sample_prompts):
            job = f"{self._context.job}.e{epoch}.{index + 1}"[-64:]
            params = {"caption": prompt, "instrumental": True, "duration": typed.sample_seconds, "seed": typed.sample_seed,
                      "lora": [lora], "model": typed.model}  # fmt: skip
            self._context.follow("generate", params, job)
            found.append({"job": job, "epoch": epoch, "prompt": prompt, "lora": lora})
        return found


def _published(path: Path, staging: Path, role: FileRole) -> ResultFile:
    """A file of a training as one of its job's result."""
    shutil.copyfile(path, staging / path.name)
    return ResultFile(role=role, name=path.name, rate=0, channels=0, start=0, length=0)


def run_merge(request: Mapping[str, Any], context: JobContext) -> Result:
    """Operation ``lora-merge``: a new checkpoint beside the downloaded ones."""
    begun, engine = time.monotonic(), _engine(context)
    typed: Any = convert(dict(request), context.registry.operation("lora-merge").schema)
    home, info = Path(engine.settings["home"]), engine.models.info(typed.model)
    adapters = parse_adapters(typed.lora, adapter_folders(home, map(Path, engine.settings["checkpoints"])))
    context.tick("merge", 0, 1, 0.0)
    found = merge_adapters(info, adapters, home / "checkpoints" / typed.name, context.check)
    notes = tuple(describe_adapter(one.name, one.scale, row) for one, row in zip(adapters, found["loras"], strict=True))
    seconds = time.monotonic() - begun
    return Result(
        data={**found, "model": typed.name},
        notes=notes,
        stages=(StageReport(type="lora-merge", model=info.name, seconds={"total": seconds}),),
        seconds=seconds,
    )


def _engine(context: JobContext) -> Any:
    """The torch backend. Raises `Unavailable` for one without models."""
    return resting.require_engine(context.backend)


def _dtype(engine: Any, asked: str) -> str:
    """The number type that was asked for, or the worker's own setting."""
    return str(engine.settings.get("dtype") or "auto") if asked == "auto" else asked
