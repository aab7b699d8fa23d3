"""The original's dataset calls, as our operations: one dataset at a time, as there."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from acestep.api.errors import AceError, UnknownJob
from bridge.core.interface import JobState
from bridge.doors.http.site import HttpCaller
from bridge.doors.rest.door import DOOR, Handler, RestDoor
from bridge.doors.rest.envelope import answer, soft
from bridge.doors.rest.fields import Told, given, read_boolean, read_integer, read_number, read_text
from bridge.doors.rest.results import error_of

NAME = "my_lora_dataset"
"""The original's name of a dataset that nobody has named."""

SHOWN = ("index", "filename", "audio_path", "duration", "caption", "genre", "prompt_override", "lyrics", "bpm", "keyscale",
         "timesignature", "language", "is_instrumental", "labeled")  # fmt: skip
"""What the original shows of a sample."""

CHANGED = frozenset(SHOWN) - {"index", "filename", "audio_path", "duration", "labeled"}

POSITIONS = ("prepend", "append", "replace")

Fits = Callable[[Any], bool]

SETTINGS: dict[str, tuple[Callable[[Any], Any], Fits, str]] = {
    "custom_tag": (read_text, lambda tag: len(tag) <= 200, "a text of at most 200 characters"),
    "tag_position": (read_text, lambda place: place in POSITIONS, "prepend, append or replace"),
    "all_instrumental": (read_boolean, lambda value: True, "true or false"),
    "genre_ratio": (read_number, lambda share: 0 <= share <= 100, "0 to 100"),
}
"""Settings of a dataset, named as ours are: how they are read, which values fit, and what they are. Looked at here, so that a wrong
one is told before anything is replaced."""

MOST_SAMPLES = 1_000

UNUSED = {
    "label": ("skip_metas", "format_lyrics", "transcribe_lyrics"),
    "prepare": (),
}
"""Switches that change nothing here, whatever is asked for: tempo, key and metre are measured, and lyrics stay as they are."""

OPERATIONS = {"label": "dataset-label", "prepare": "dataset-prepare"}


class DatasetCalls:
    """The dataset of the moment, and the newest job of each kind."""

    def __init__(self, door: RestDoor) -> None:
        self._door = door
        self.name = ""
        """The dataset of the moment."""
        self.places: dict[str, str] = {}
        """A folder that a client thinks its tensors are in -> the dataset that was prepared for it."""
        self._made: set[str] = set()
        """Datasets that these calls have made, and may replace."""
        self._jobs: dict[str, str] = {}
        self._saving: set[asyncio.Task[None]] = set()

    def posts(self) -> dict[str, Handler]:
        """Calls that change something, by path."""
        return {
            "dataset/scan": self.scan,
            "dataset/load": self.load,
            "dataset/save": self.save,
            "dataset/auto_label": self.label,
            "dataset/auto_label_async": self.label,
            "dataset/preprocess": self.prepare,
            "dataset/preprocess_async": self.prepare,
        }

    def gets(self) -> dict[str, Handler]:
        """Calls that look, by path."""
        return {
            "dataset/samples": self.samples,
            "dataset/sample/{index}": self.sample,
            "dataset/auto_label_status": self.progress("label"),
            "dataset/auto_label_status/{task}": self.progress("label"),
            "dataset/preprocess_status": self.progress("prepare"),
            "dataset/preprocess_status/{task}": self.progress("prepare"),
        }

    async def _said(self, request: Request, operation: str, **params: Any) -> dict[str, Any]:
        return await self._door.said(operation, params, HttpCaller.of(request, DOOR))

    async def _values(self, request: Request) -> Mapping[str, Any]:
        return (await self._door.body(request, optional=True)).values

    def current(self) -> str:
        """The dataset of the moment. Raises `HTTPException`."""
        if not self.name:
            raise HTTPException(400, "no dataset is open; scan a folder or load one first")
        return self.name

    # Opening and saving

    async def scan(self, request: Request) -> Response:
        """Make a dataset of the songs in a folder."""
        values, told = await self._values(request), Told()
        folder = read_text(values.get("audio_dir"))
        if not folder:
            raise HTTPException(422, "audio_dir names a folder")
        settings = _settings(values)
        name = await self._free_name(request, read_text(values.get("dataset_name")) or NAME, told)
        said = await self._said(request, "dataset-scan", dataset=name, folders=[folder], replace=True)
        told.notes += said.get("notes") or []
        self._open(name)
        if settings:
            await self._said(request, "dataset-edit", dataset=name, changes=settings)
        return await self._listed(request, "✅ the folder was scanned", told)

    async def load(self, request: Request) -> Response:
        """Open a dataset file."""
        path, told = read_text((await self._values(request)).get("dataset_path")), Told()
        if not path:
            raise HTTPException(422, "dataset_path names a file")
        name = await self._free_name(request, _plain_name(path), told)
        said = await self._said(request, "dataset-load", file=path, dataset=name, replace=True)
        told.notes += said.get("notes") or []
        self._open(name)
        return await self._listed(request, "✅ the dataset was loaded", told)

    def _open(self, name: str) -> None:
        self.name = name
        self._made.add(name)

    async def _free_name(self, request: Request, wanted: str, told: Told) -> str:
        """A name under which nothing lies that was made elsewhere: the wanted one, or with a number behind it."""
        rows = (await self._said(request, "dataset-list")).get("datasets") or []
        taken = {str(row["dataset"]) for row in rows} - self._made
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted} {number}", number + 1
        if name != wanted:
            told.change("dataset_name", wanted, name, "there is a dataset of that name already, which stays as it is")
        return name

    async def save(self, request: Request) -> Response:
        """Write the dataset as the original's file, with the settings that are sent."""
        values = await self._values(request)
        path = read_text(values.get("save_path"))
        if not path:
            raise HTTPException(422, "save_path names a file")
        name = read_text(values.get("dataset_name"))
        changes = {**_settings(values), **given(name=name or None)}
        if changes:
            await self._said(request, "dataset-edit", dataset=self.current(), changes=changes)
        said = await self._said(request, "dataset-save", dataset=self.current(), file=path)
        return answer({"message": "✅ the dataset was saved", "save_path": said.get("file", path)})

    # Samples

    async def samples(self, request: Request) -> Response:
        """Every sample."""
        return await self._listed(request, "")

    async def _listed(self, request: Request, message: str, told: Told | None = None) -> Response:
        rows = await self._rows(request)
        head = {"message": message} if message else {}
        data = {
            **head,
            "dataset_name": self.name,
            "num_samples": len(rows),
            "labeled_count": sum(bool(row.get("labeled")) for row in rows),
            "samples": [_shown(row) for row in rows],
        }
        return answer(data, told.to_extra() if told else None)

    async def _rows(self, request: Request) -> list[dict[str, Any]]:
        said = await self._said(request, "dataset-list", dataset=self.current(), limit=MOST_SAMPLES)
        return list(said.get("samples") or [])

    async def _row(self, request: Request) -> dict[str, Any]:
        rows, index = await self._rows(request), read_integer(request.path_params["index"])
        if index is None or not 0 <= index < len(rows):
            raise HTTPException(404, f"there is no such sample; there are {len(rows)}")
        return rows[index]

    async def sample(self, request: Request) -> Response:
        """One sample."""
        return answer(_shown(await self._row(request)))

    async def change(self, request: Request) -> Response:
        """Change labels of one sample."""
        values = await self._values(request)
        row = await self._row(request)
        changes = {name: values[name] for name in values if name in CHANGED and values[name] is not None}
        if not changes:
            raise HTTPException(422, f"name what to change: {', '.join(sorted(CHANGED))}")
        said = await self._said(request, "dataset-edit", dataset=self.current(), sample=row["id"], changes=changes)
        changed = {**(said.get("sample") or row), "index": row["index"]}
        told = Told()
        for name in values:
            if name not in CHANGED:
                told.ignore(str(name)[:100])
        return answer({"message": "✅ the sample was changed", "sample": _shown(changed)}, told.to_extra())

    # Jobs

    async def label(self, request: Request) -> Response:
        """Find out what the songs are: at once, or as a task of its own."""
        values, told = await self._values(request), Told()
        for name in UNUSED["label"]:
            if read_boolean(values.get(name)):
                told.ignore(name)
        only = read_boolean(values.get("only_unlabeled")) is not False
        path = read_text(values.get("save_path"))
        if path:  # a place that cannot be written is told before the work
            await self._said(request, "dataset-save", dataset=self.current(), file=path)
        params = given(planner_model=self._planner(values, told))
        return await self._job(request, "label", told, path or "", replace=not only, **params)

    def _planner(self, values: Mapping[str, Any], told: Told) -> str | None:
        """The language model that is asked for, if it is on this machine."""
        name = PurePath((read_text(values.get("lm_model_path")) or "").replace("\\", "/")).name
        known = self._door.choices.standing(self._door.core, HttpCaller(DOOR, "")).planners
        if name and name not in known:
            told.change("lm_model_path", name, None, "there is no such language model on this machine")
        return name if name in known else None

    async def prepare(self, request: Request) -> Response:
        """Encode the dataset for training: at once, or as a task of its own."""
        values, told = await self._values(request), Told()
        if read_boolean(values.get("skip_existing")) is False:
            told.change(
                "skip_existing", False, True, "what was prepared is made again only where song, labels or model changed"
            )
        folder = read_text(values.get("output_dir")) or ""
        if folder:
            told.notes.append(
                "the tensors are kept with the dataset; start trainings with the same folder as tensor_dir"
            )
        self.places[folder] = self.current()
        return await self._job(request, "prepare", told, "", **given(model=self._door.choices.model or None))

    async def _job(self, request: Request, kind: str, told: Told, path: str, **params: Any) -> Response:
        """Hand a job in, and wait for it unless the call says otherwise; ``path``: where the dataset is saved when it is done."""
        caller, name = HttpCaller.of(request, DOOR), self.current()
        accepted = await self._door.dispatcher.call(f"op.{OPERATIONS[kind]}", {"dataset": name, **params}, caller)
        job = self._jobs[kind] = accepted["id"]
        saving = asyncio.create_task(self._save_when_done(job, name, path, caller))
        self._saving.add(saving)
        saving.add_done_callback(self._saving.discard)
        if request.url.path.endswith("_async"):
            return answer(self._progress(kind, job), told.to_extra())
        await asyncio.shield(saving)
        progress = self._progress(kind, job)
        if progress["status"] == "failed":
            return soft(500, f"❌ {progress['error']}")
        return answer(progress, told.to_extra())

    async def _save_when_done(self, job: str, name: str, path: str, caller: HttpCaller) -> None:
        view = await self._door.tasks.ended(job)
        if path and view.state is JobState.DONE:
            with contextlib.suppress(
                AceError, HTTPException
            ):  # it could be written before the work; the job itself is done
                await self._door.said("dataset-save", {"dataset": name, "file": path}, caller)

    def progress(self, kind: str) -> Handler:
        """Where the newest job of a kind stands, or the one that is named."""

        async def told(request: Request) -> Response:
            return answer(self._progress(kind, request.path_params.get("task") or self._jobs.get(kind, "")))

        return told

    def _progress(self, kind: str, job: str) -> dict[str, Any]:
        """Raises `UnknownJob`, also for a job of another kind."""
        idle = {
            "task_id": None,
            "status": "idle",
            "progress": "",
            "current": 0,
            "total": 0,
            "result": None,
            "error": None,
        }
        if not job:
            return idle
        view = self._door.core.job(job)
        if view.operation != OPERATIONS[kind]:
            raise UnknownJob(f"there is no task {job!r} of this kind")
        status = "completed" if view.state is JobState.DONE else "failed" if view.state.terminal else "running"
        return {
            "task_id": view.id,
            "status": status,
            "progress": str(view.progress.get("stage") or view.state.value),
            "current": int(view.progress.get("step") or 0),
            "total": int(view.progress.get("steps") or 0),
            "result": (view.result or {}).get("data") if status == "completed" else None,
            "error": error_of(view) or None,
        }


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a call says of the dataset itself. Raises `HTTPException`."""
    found: dict[str, Any] = {}
    for name, (read, fits, what) in SETTINGS.items():
        if values.get(name) is not None:
            found[name] = read(values[name])
            if found[name] is None or not fits(found[name]):
                raise HTTPException(422, f"{name} must be {what}")
    return found


def _plain_name(path: str) -> str:
    """A dataset's name made of a file's."""
    stem = PurePath(path.replace("\\", "/")).stem
    return re.sub(r"[^\w .+-]", " ", stem).strip(" ._+-")[:60].rstrip(" .") or NAME


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in SHOWN}
