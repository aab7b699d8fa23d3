"""The original's dataset and training calls, as our operations: one dataset at a time, one training at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from acestep.api.errors import AceError
from bridge.core.interface import JobState, JobView
from bridge.doors.http.site import HttpCaller
from bridge.doors.rest.door import DOOR, Handler, RestDoor
from bridge.doors.rest.envelope import answer, not_offered, soft
from bridge.doors.rest.fields import given, read_boolean, read_integer, read_number, read_text
from bridge.doors.rest.results import error_of

NAME = "my_lora_dataset"
"""The original's name of a dataset that nobody has named."""

HINT = "this call is not offered; the dataset and training operations of the daemon can do it"

SHOWN = ("index", "filename", "audio_path", "duration", "caption", "genre", "prompt_override", "lyrics", "bpm", "keyscale",
         "timesignature", "language", "is_instrumental", "labeled")  # fmt: skip
"""What the original shows of a sample."""

CHANGED = frozenset(SHOWN) - {"index", "filename", "audio_path", "duration", "labeled"}

MOST_SAMPLES = 1_000

TRAIN = {
    "lora_rank": ("rank", read_integer),
    "lora_alpha": ("alpha", read_integer),
    "lora_dropout": ("dropout", read_number),
    "lokr_linear_dim": ("rank", read_integer),
    "lokr_linear_alpha": ("alpha", read_integer),
    "lokr_factor": ("factor", read_integer),
    "lokr_decompose_both": ("decompose_both", read_boolean),
    "learning_rate": ("learning_rate", read_number),
    "train_epochs": ("epochs", read_integer),
    "train_batch_size": ("batch", read_integer),
    "gradient_accumulation": ("accumulation", read_integer),
    "save_every_n_epochs": ("save_every", read_integer),
    "training_seed": ("seed", read_integer),
}
"""The original's settings of a training -> ours, and how they are read."""


class TrainingCalls:
    """What these calls share: the dataset of the moment, and the job of each kind."""

    def __init__(self, door: RestDoor) -> None:
        self._door = door
        self._dataset = ""
        self._prepared = ""
        """The folder that the client thinks its prepared dataset is in."""
        self._jobs: dict[str, str] = {}

    def routes(self) -> list[tuple[str, Handler, str]]:
        """Path, call and method of each."""
        posts = {
            "dataset/scan": self.scan,
            "dataset/load": self.load,
            "dataset/save": self.save,
            "dataset/auto_label": self.label,
            "dataset/auto_label_async": self.label,
            "dataset/preprocess": self.prepare,
            "dataset/preprocess_async": self.prepare,
            "training/start": self.start,
            "training/start_lokr": self.start,
            "training/stop": self.stop,
            "training/export": self.export,
        }
        gets = {
            "dataset/samples": self.samples,
            "dataset/sample/{index}": self.sample,
            "dataset/auto_label_status": self.progress("label"),
            "dataset/auto_label_status/{task}": self.progress("label"),
            "dataset/preprocess_status": self.progress("prepare"),
            "dataset/preprocess_status/{task}": self.progress("prepare"),
            "training/status": self.status,
        }
        found = [(f"/v1/{path}", _softly(call), "POST") for path, call in posts.items()]
        found += [(f"/v1/{path}", _softly(call), "GET") for path, call in gets.items()]
        found.append(("/v1/dataset/sample/{index}", _softly(self.change), "PUT"))
        return found

    async def _said(self, request: Request, operation: str, **params: Any) -> dict[str, Any]:
        return await self._door.said(operation, params, HttpCaller.of(request, DOOR))

    async def _values(self, request: Request) -> Mapping[str, Any]:
        return (await self._door.body(request, optional=True)).values

    def _current(self) -> str:
        if not self._dataset:
            raise HTTPException(400, "no dataset is open; scan a folder or load one first")
        return self._dataset

    # The dataset

    async def scan(self, request: Request) -> Response:
        """Make a dataset of the songs in a folder."""
        values = await self._values(request)
        folder = read_text(values.get("audio_dir"))
        if not folder:
            raise HTTPException(422, "audio_dir names a folder")
        name = read_text(values.get("dataset_name")) or NAME
        tag = read_text(values.get("custom_tag"))
        await self._said(
            request, "dataset-scan", dataset=name, folders=[folder], replace=True, **given(custom_tag=tag or None)
        )
        self._dataset = name
        return await self._listed(request, "✅ the folder was scanned")

    async def load(self, request: Request) -> Response:
        """Open a dataset file."""
        path = read_text((await self._values(request)).get("dataset_path"))
        if not path:
            raise HTTPException(422, "dataset_path names a file")
        name = PurePath(path.replace("\\", "/")).stem[:60] or NAME
        await self._said(request, "dataset-load", file=path, dataset=name, replace=True)
        self._dataset = name
        return await self._listed(request, "✅ the dataset was loaded")

    async def save(self, request: Request) -> Response:
        """Write the dataset as the original's file."""
        path = read_text((await self._values(request)).get("save_path"))
        if not path:
            raise HTTPException(422, "save_path names a file")
        said = await self._said(request, "dataset-save", dataset=self._current(), file=path)
        return answer({"message": "✅ the dataset was saved", "save_path": said.get("file", path)})

    async def samples(self, request: Request) -> Response:
        """Every sample."""
        return await self._listed(request, "")

    async def _listed(self, request: Request, message: str) -> Response:
        rows = await self._rows(request)
        told = {"message": message} if message else {}
        return answer(
            {**told, "dataset_name": self._dataset, "num_samples": len(rows), "samples": [_shown(row) for row in rows]}
        )

    async def _rows(self, request: Request) -> list[dict[str, Any]]:
        said = await self._said(request, "dataset-list", dataset=self._current(), limit=MOST_SAMPLES)
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
        said = await self._said(request, "dataset-edit", dataset=self._current(), sample=row["id"], changes=changes)
        changed = {**(said.get("sample") or row), "index": row["index"]}
        return answer({"message": "✅ the sample was changed", "sample": _shown(changed)})

    async def label(self, request: Request) -> Response:
        """Find out what the songs are: at once, or as a task of its own."""
        values = await self._values(request)
        only = read_boolean(values.get("only_unlabeled")) is not False
        return await self._job(request, "label", "dataset-label", dataset=self._current(), replace=not only)

    async def prepare(self, request: Request) -> Response:
        """Encode the dataset for training: at once, or as a task of its own."""
        values = await self._values(request)
        self._prepared = read_text(values.get("output_dir")) or ""
        return await self._job(request, "prepare", "dataset-prepare", dataset=self._current())

    async def _job(self, request: Request, kind: str, operation: str, **params: Any) -> Response:
        accepted = await self._door.dispatcher.call(f"op.{operation}", params, HttpCaller.of(request, DOOR))
        self._jobs[kind] = accepted["id"]
        if not request.url.path.endswith("_async"):
            await self._door.tasks.ended(accepted["id"])
        return answer(self._progress(accepted["id"]))

    def progress(self, kind: str) -> Handler:
        """Where the newest job of a kind stands, or the one that is named."""

        async def told(request: Request) -> Response:
            return answer(self._progress(request.path_params.get("task") or self._jobs.get(kind, "")))

        return told

    def _progress(self, job: str) -> dict[str, Any]:
        view = self._door.core.job(job) if job else None
        if view is None:
            return {
                "task_id": None,
                "status": "idle",
                "progress": "",
                "current": 0,
                "total": 0,
                "result": None,
                "error": None,
            }
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

    # Training

    async def start(self, request: Request) -> Response:
        """Train an adapter on the prepared dataset, or on a folder of the original's tensors."""
        values = await self._values(request)
        running = self._training()
        if running is not None and not running.state.terminal:
            raise HTTPException(400, "a training is running; stop it first")
        kind = "lokr" if request.url.path.endswith("lokr") else "lora"
        settings = {
            ours: read(values[theirs]) for theirs, (ours, read) in TRAIN.items() if values.get(theirs) is not None
        }
        folder = read_text(values.get("tensor_dir")) or ""
        what = {"dataset": self._dataset} if self._dataset and folder in ("", self._prepared) else {"tensors": folder}
        name = PurePath(
            (read_text(values.get("lora_output_dir") or values.get("output_dir")) or "").replace("\\", "/")
        ).name
        params = {**what, "kind": kind, **given(**settings), **({"name": name} if name else {})}
        accepted = await self._door.dispatcher.call("op.train", params, HttpCaller.of(request, DOOR))
        self._jobs["train"] = accepted["id"]
        return answer(
            {
                "message": "✅ the training was started",
                "task_id": accepted["id"],
                "tensor_dir": folder,
                "config": settings,
            }
        )

    def _training(self) -> JobView | None:
        try:
            return self._door.core.job(self._jobs["train"])
        except (KeyError, AceError):
            return None

    async def stop(self, request: Request) -> Response:
        """Stop the training; its place is saved, and the same call goes on from there."""
        await self._values(request)
        view = self._training()
        if view is None or view.state.terminal:
            return answer({"message": "No training in progress"})
        await self._door.core.cancel(view.id)
        return answer({"message": "✅ the training stops; its place is saved"})

    async def status(self, request: Request) -> Response:
        """Where the training stands."""
        view = self._training()
        facts = await self._history(request, view) if view is not None else {}
        history = [{"step": step, "loss": loss} for step, loss, *_ in facts.get("losses") or []][-MOST_SAMPLES:]
        running = view is not None and not view.state.terminal
        asked = dict(view.request) if view is not None else {}
        return answer(
            {
                "is_training": running,
                "should_stop": False,
                "current_step": history[-1]["step"] if history else 0,
                "current_loss": history[-1]["loss"] if history else None,
                "current_epoch": int(facts.get("epoch") or 0),
                "status": "Idle" if view is None else view.state.value,
                "config": {
                    name: asked[name] for name in ("kind", "rank", "alpha", "epochs", "learning_rate") if name in asked
                },
                "tensor_dir": asked.get("tensors", ""),
                "loss_history": history,
                "tensorboard_url": None,
                "tensorboard_logdir": None,
                "training_log": "" if view is None else str(view.progress.get("stage") or view.state.value),
                "start_time": None if view is None else view.started,
                "steps_per_second": 0.0,
                "estimated_time_remaining": float((view.progress if view else {}).get("eta") or 0.0),
                "error": None if view is None else error_of(view) or None,
            }
        )

    async def _history(self, request: Request, view: JobView) -> dict[str, Any]:
        """What the training has noted of itself so far; nothing while it has not begun."""
        try:
            return await self._said(request, "trainings", name=view.request.get("name") or view.id)
        except (AceError, HTTPException):
            return {}

    async def export(self, request: Request) -> Response:
        """Write the trained adapter into a folder."""
        values = await self._values(request)
        view = self._training()
        folder = read_text(values.get("export_path"))
        if not folder:
            raise HTTPException(422, "export_path names a folder")
        named = PurePath((read_text(values.get("lora_output_dir")) or "").replace("\\", "/")).name
        name = str(view.request.get("name") or "") if view is not None and view.state is JobState.DONE else named
        if not name:
            raise HTTPException(404, "no trained adapter exists")
        await self._said(request, "lora-export", lora=name, folder=folder)
        return answer({"message": "✅ the adapter was exported", "export_path": folder})


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in SHOWN}


def _softly(handler: Handler) -> Handler:
    """A call whose faults are told inside the envelope, as the original tells those of these calls."""

    async def call(request: Request) -> Response:
        try:
            return await handler(request)
        except AceError as failure:
            return soft(400, f"❌ {failure.message}")

    return call


async def elsewhere(request: Request) -> JSONResponse:
    """A call that is not offered: 501, in the envelope."""
    return not_offered(HINT)
