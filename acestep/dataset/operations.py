"""The daemon's operations on datasets: scan, load, save, list, edit. No torch.

``check_*`` is what the door checks besides the schema, ``run_*`` is ``async run(request, daemon)`` with the daemon's paths as
``daemon.core.paths``. Reading many files happens in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.daemon_context import DaemonContext
from acestep.api.errors import AceError, BadRequest, NotFound, OutputUnwritable
from acestep.api.schema import inside
from acestep.api.threads import Progress, in_a_thread
from acestep.dataset.edit import edit_dataset, edit_sample, remove_samples
from acestep.dataset.file import open_dataset, save_dataset, to_data
from acestep.dataset.sample import Dataset, TrainingSample
from acestep.dataset.scan import SampleRegion, Scan, from_regions, scan
from acestep.dataset.split import validation_ids
from acestep.dataset.store import Datasets, check_name, usual_name

SETTINGS = ("custom_tag", "validation")
"""Fields of a scan that become the dataset's settings."""


def check_scan(request: Any, host: Any) -> Any:
    """See that there is something to scan, and that every region's file may be read."""
    if not request.folders and not request.regions:
        raise BadRequest("name at least one folder, or regions", field="folders")

    def readable(region: Any) -> Any:
        return msgspec.structs.replace(region, path=str(host.file(region.path, "path")))

    regions = [inside(f"regions[{index}]", partial(readable, one)) for index, one in enumerate(request.regions)]
    if request.dataset:
        check_name(request.dataset, "dataset")
    return msgspec.structs.replace(request, regions=regions)


async def run_scan(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``dataset-scan``."""
    datasets = Datasets(daemon.core.paths.home)

    def work(progress: Progress) -> dict[str, Any]:
        name = request.dataset or usual_name(Path(request.folders[0]).name if request.folders else "", "project")
        with datasets.changing(name), datasets.logged(name, "scan"):
            known = datasets.open(name).dataset if datasets.has(name) and not request.replace else None
            found = _scan(request, name, known, progress)
            changes = {field: getattr(request, field) for field in SETTINGS if getattr(request, field) is not None}
            dataset = edit_dataset(found.dataset, changes)
            datasets.save(name, dataset)
        left_out = [{"path": one.path, "reason": one.reason} for one in found.left_out]
        datasets.note(name, "scan", folders=request.folders, samples=len(dataset.samples), left_out=left_out,
                      notes=list(found.notes))  # fmt: skip
        notes = [*found.notes, *(f"left out: {one.reason}" for one in found.left_out)]
        return {**datasets.row(name), "left_out": left_out, "notes": notes}

    return await in_a_thread(daemon, work)


def _scan(request: Any, name: str, known: Dataset | None, progress: Progress) -> Scan:
    """Folders and regions together; samples that are known and are not among them stay as they are."""
    parts: list[Scan] = []
    if request.folders:
        parts.append(scan(map(Path, request.folders), name=name, known=known,
                          advance=lambda done, total: progress("scan", done, total)))  # fmt: skip
    if request.regions:
        regions = [SampleRegion(**msgspec.structs.asdict(one)) for one in request.regions]
        parts.append(from_regions(regions, name=name))
    before = {sample.id: sample for sample in known.samples} if known else {}
    new = {sample.id: sample for part in parts for sample in part.dataset.samples}
    merged = {**before, **new, **{id_: _renewed(before[id_], new[id_]) for id_ in before.keys() & new.keys()}}
    first = known or parts[0].dataset
    dataset = msgspec.structs.replace(first, name=first.name or name, samples=tuple(merged.values()))
    return Scan(
        dataset=dataset,
        left_out=tuple(one for part in parts for one in part.left_out),
        notes=tuple(note for part in parts for note in part.notes),
    )


def _renewed(old: TrainingSample, new: TrainingSample) -> TrainingSample:
    """A known sample with the length that its file has now."""
    own = msgspec.structs.replace(old.own, seconds=new.own.seconds)
    return msgspec.structs.replace(old, duration=new.duration, own=own)


def check_load(request: Any, host: Any) -> Any:
    """See that the file is a dataset whose songs may be read; those that are gone are told when it is prepared."""
    opened = open_dataset(Path(request.file))
    for sample in opened.dataset.samples:
        try:
            host.file(sample.audio_path, "file")
        except NotFound:
            continue
    name = request.dataset or usual_name(opened.dataset.name, "dataset")
    _require_new(Datasets(host.home), check_name(name, "dataset"), request.replace)
    return msgspec.structs.replace(request, dataset=name)


def _require_new(datasets: Datasets, name: str, replace: bool) -> None:
    if datasets.has(name) and not replace:
        raise BadRequest(f"there is a dataset {name!r} already; name another one, or set replace", field="dataset")


async def run_load(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``dataset-load``."""
    datasets = Datasets(daemon.core.paths.home)

    def work(progress: Progress) -> dict[str, Any]:
        opened = open_dataset(Path(request.file))
        with datasets.changing(request.dataset):
            _require_new(datasets, request.dataset, request.replace)
            datasets.save(request.dataset, opened.dataset)
        gone = [f"{sample.audio_path} is not there" for sample in opened.dataset.samples if not sample.path.is_file()]
        notes = [*opened.notes, *gone]
        datasets.note(request.dataset, "load", file=request.file, notes=notes)
        return {**datasets.row(request.dataset), "notes": notes}

    return await in_a_thread(daemon, work)


def check_known(request: Any, host: Any) -> Any:
    """See that the dataset that a request names is there."""
    if request.dataset:
        Datasets(host.home).require(request.dataset)
    return request


async def run_save(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``dataset-save``."""
    datasets = Datasets(daemon.core.paths.home)

    def work(progress: Progress) -> dict[str, Any]:
        dataset = datasets.open(request.dataset).dataset
        _require_free(Path(request.file))
        save_dataset(dataset, Path(request.file))
        return {"dataset": request.dataset, "file": request.file, "samples": len(dataset.samples)}

    return await in_a_thread(daemon, work)


def _require_free(path: Path) -> None:
    """Only a dataset is replaced by a dataset. Raises `OutputUnwritable`."""
    if path.exists():
        try:
            open_dataset(path)
        except AceError:
            raise OutputUnwritable(f"{path} is there and holds no dataset; name another file", field="file") from None


async def run_list(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``dataset-list``: every dataset, or the samples of one."""
    datasets = Datasets(daemon.core.paths.home)

    def work(progress: Progress) -> dict[str, Any]:
        if not request.dataset:
            return {"datasets": [datasets.row(name) for name in datasets.names()]}
        opened = datasets.open(request.dataset)
        rows, listening = to_data(opened.dataset)["samples"], validation_ids(opened.dataset)
        shown = rows[request.offset : request.offset + request.limit]
        samples = [
            {**row, "index": request.offset + place, "validates": row["id"] in listening}
            for place, row in enumerate(shown)
        ]
        return {**datasets.row(request.dataset), "total": len(rows), "samples": samples, "notes": list(opened.notes)}

    return await in_a_thread(daemon, work)


def check_edit(request: Any, host: Any) -> Any:
    """See that the changes fit before they wait for their turn."""
    datasets = Datasets(host.home)
    dataset = datasets.open(request.dataset).dataset
    if not request.delete:
        _edited(dataset, request)
    return request


async def run_edit(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``dataset-edit``."""
    datasets = Datasets(daemon.core.paths.home)

    def work(progress: Progress) -> dict[str, Any]:
        with datasets.changing(request.dataset):
            if request.delete:
                datasets.delete(request.dataset)
                return {"dataset": request.dataset, "deleted": True}
            dataset = _edited(datasets.open(request.dataset).dataset, request)
            datasets.save(request.dataset, dataset)
        datasets.note(request.dataset, "edit", sample=request.sample, changes=request.changes, remove=request.remove)
        answer = datasets.row(request.dataset)
        if request.sample:
            id_ = _id(dataset, request.sample)
            answer["sample"] = next(row for row in to_data(dataset)["samples"] if row["id"] == id_)
        return answer

    return await in_a_thread(daemon, work)


def _edited(dataset: Dataset, request: Any) -> Dataset:
    """Raises `NotFound`, `UnknownName`, `BadRequest`."""
    if not request.changes and not request.remove:
        raise BadRequest("name changes, samples to remove, or delete", field="changes")
    if request.changes:
        changes = dict(request.changes)
        dataset = (
            edit_sample(dataset, _id(dataset, request.sample), changes)
            if request.sample
            else edit_dataset(dataset, changes)
        )
    return remove_samples(dataset, [_id(dataset, name) for name in request.remove])


def _id(dataset: Dataset, name: str) -> str:
    """The id of a sample that is named by its id, or by a file name that only it has."""
    samples: Sequence[TrainingSample] = dataset.samples
    if any(sample.id == name for sample in samples):
        return name
    named = [sample.id for sample in samples if sample.filename == name]
    return named[0] if len(named) == 1 else name
