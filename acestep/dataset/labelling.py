"""Labelling as a job of the worker: a few songs at a time, each few saved, so that it can stop anywhere and continue."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, Cancelled, ModelMissing, ModelUnsuited, OutOfMemory, Unavailable
from acestep.api.result import Result, StageReport
from acestep.api.schema import convert
from acestep.dataset.label import LabelOptions, label
from acestep.dataset.sample import Dataset, TrainingSample
from acestep.dataset.store import Datasets
from acestep.worker.backend import JobContext

BATCH = 4
"""Songs between two saves."""

NO_EAR = (ModelMissing, ModelUnsuited, OutOfMemory, Unavailable)
"""What the language model fails with when it can listen to no song at all."""


def run_label(request: Mapping[str, Any], context: JobContext) -> Result:
    """Operation ``dataset-label``. Raises `Suspended` where another job waits."""
    begun = time.monotonic()
    typed: Any = convert(dict(request), context.registry.operation("dataset-label").schema)
    backend: Any = context.backend
    job = _Labelling(typed, Datasets(Path(backend.settings["home"])), context)
    try:
        with job.datasets.logged(typed.dataset, "label"):
            notes = job.run()
    except Cancelled:
        job.forget()
        raise
    job.datasets.note(typed.dataset, "label", notes=notes)
    seconds = time.monotonic() - begun
    return Result(
        data=job.datasets.row(typed.dataset),
        notes=tuple(notes),
        stages=(StageReport(type="dataset-label", model="", seconds={"total": seconds}),),
        seconds=seconds,
    )


class _Labelling:
    """One job: what it has labelled so far stands in a file beside the dataset until it has ended."""

    def __init__(self, typed: Any, datasets: Datasets, context: JobContext) -> None:
        self.datasets = datasets
        self._typed, self._context = typed, context
        self._ear = _Ear(typed, context)
        self._done_file = datasets.place(typed.dataset) / f".labelled-{context.job}.json"
        self._options = LabelOptions(skip=typed.skip, replace=typed.replace, instrumental=typed.instrumental)

    def run(self) -> list[str]:
        """Label what is left to label; returns what the user should know."""
        name = self._typed.dataset
        samples = self._chosen(self.datasets.open(name).dataset)
        done, notes = self._read_done()
        left = [sample for sample in samples if sample.id not in done]
        for first in range(0, len(left), BATCH):
            batch = left[first : first + BATCH]
            self._context.tick("label", len(done), len(samples), len(done) / len(samples))
            notes += self._label(name, batch)
            done |= {sample.id for sample in batch}
            self._done_file.write_text(json.dumps({"done": sorted(done), "notes": notes}), "utf-8")
            self._context.saved()
            if first + BATCH < len(left):
                self._context.make_way()
        self.forget()
        return list(dict.fromkeys([*notes, *self._ear.notes]))

    def forget(self) -> None:
        """Leave no trace of how far it was."""
        self._done_file.unlink(missing_ok=True)

    def _chosen(self, dataset: Dataset) -> list[TrainingSample]:
        """Raises `BadRequest` for ids that are not in the dataset."""
        strange = set(self._typed.only) - {sample.id for sample in dataset.samples}
        if strange:
            raise BadRequest(f"the dataset has no samples {', '.join(sorted(strange))}", field="only")
        return [sample for sample in dataset.samples if not self._typed.only or sample.id in self._typed.only]

    def _label(self, name: str, batch: list[TrainingSample]) -> list[str]:
        """Listen to a few songs, and save their labels unless somebody else changed them meanwhile."""
        part = Dataset(samples=tuple(batch))
        listen = None if self._typed.skip or self._typed.understand == "off" else self._ear.hear
        labelled = label(part, self._options, listen, lambda done, total, file: self._context.check())
        before = {sample.id: sample for sample in batch}
        after = {sample.id: sample for sample in labelled.dataset.samples}
        with self.datasets.changing(name):
            dataset = self.datasets.open(name).dataset
            samples = tuple(
                after[sample.id] if before.get(sample.id) == sample else sample for sample in dataset.samples
            )
            self.datasets.save(name, msgspec.structs.replace(dataset, samples=samples))
        return list(labelled.notes)

    def _read_done(self) -> tuple[set[str], list[str]]:
        try:
            found = json.loads(self._done_file.read_text("utf-8"))
            return set(found["done"]), list(found["notes"])
        except (OSError, ValueError, KeyError, TypeError):
            return set(), []


class _Ear:
    """The language model that listens; with ``auto``, nothing where there is none."""

    def __init__(self, typed: Any, context: JobContext) -> None:
        self._typed, self._context = typed, context
        self.notes: list[str] = []
        self._deaf = False
        if typed.understand == "auto" and not typed.skip:
            self._look()

    def _look(self) -> None:
        """Spare the songs' codes where nobody is there to read them."""
        from acestep.planner.session import known_planners  # heavy

        backend: Any = self._context.backend
        if not known_planners(backend.settings):
            self._go_deaf("none is on this machine")

    def _go_deaf(self, reason: str) -> None:
        self._deaf = True
        self.notes.append(f"no language model listened ({reason}); words are from files and their names only")

    def hear(self, sample: TrainingSample) -> dict[str, Any]:
        """Caption, genre, lyrics and language of a sample."""
        if self._deaf:
            return {}
        try:
            heard = self._understand(sample)
        except NO_EAR as failure:
            if self._typed.understand == "on":
                raise
            self._go_deaf(failure.message)
            return {}
        sung = not heard.get("instrumental")
        return {
            "caption": heard.get("caption"),
            "genre": heard.get("genres"),
            "lyrics": heard.get("lyrics") if sung else None,
            "language": heard.get("language") if sung else None,
        }

    def _understand(self, sample: TrainingSample) -> dict[str, Any]:
        from acestep.planner.operations import understand  # heavy

        typed, window = self._typed, sample.own.window
        request = {
            "source": sample.audio_path,
            "model": typed.planner_model,
            "checkpoint": typed.checkpoint,
            "seed": typed.seed,
        }
        if window.start or window.length:
            request |= {"start": window.start, "length": window.length or None}
        quiet = JobContext(self._context.job, self._context.staging, self._context.registry, _still(self._context),
                           backend=self._context.backend)  # fmt: skip
        found = understand(request, quiet)
        self.notes += [note for note in found.notes if note not in self.notes]
        return found.data


def _still(context: JobContext) -> Any:
    """Progress that nobody hears, and that stops with the job."""
    return lambda stage, step, steps, fraction: context.check()
