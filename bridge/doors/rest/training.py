"""The original's training calls, as our operations: one training at a time, as there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from acestep.api.errors import AceError
from bridge.core.interface import JobView
from bridge.doors.http.site import HttpCaller
from bridge.doors.rest.datasets import DatasetCalls
from bridge.doors.rest.door import DOOR, Handler, RestDoor
from bridge.doors.rest.envelope import answer, not_offered, soft
from bridge.doors.rest.fields import Told, read_boolean, read_integer, read_number, read_text
from bridge.doors.rest.results import error_of

HINT = "this call is not offered; the dataset and training operations of the daemon can do it"

MOST_LOSSES = 1_000
"""Points of the loss curve in an answer, as in the original."""


def _checkpointing(value: Any) -> str | None:
    wanted = read_boolean(value)
    return None if wanted is None else "on" if wanted else "auto"


Read = Callable[[Any], Any]

TRAIN: dict[str, tuple[str, Read, str]] = {
    "lora_rank": ("rank", read_integer, "a whole number"),
    "lora_alpha": ("alpha", read_integer, "a whole number"),
    "lora_dropout": ("dropout", read_number, "a number"),
    "lokr_linear_dim": ("rank", read_integer, "a whole number"),
    "lokr_linear_alpha": ("alpha", read_integer, "a whole number"),
    "lokr_factor": ("factor", read_integer, "a whole number"),
    "lokr_decompose_both": ("decompose_both", read_boolean, "true or false"),
    "learning_rate": ("learning_rate", read_number, "a number"),
    "train_epochs": ("epochs", read_integer, "a whole number"),
    "train_batch_size": ("batch", read_integer, "a whole number"),
    "gradient_accumulation": ("accumulation", read_integer, "a whole number"),
    "save_every_n_epochs": ("save_every", read_integer, "a whole number"),
    "training_seed": ("seed", read_integer, "a whole number"),
    "gradient_checkpointing": ("checkpointing", _checkpointing, "true or false"),
}
"""The original's settings of a training -> ours, how they are read, and what they are."""

DEFAULTS = {"lora": {"epochs": 10, "save_every": 5}, "lokr": {"epochs": 500, "save_every": 5}}
"""The original's, where ours are others."""

WITHOUT_EFFECT = ("training_shift", "use_fp8", "lokr_use_tucker", "lokr_use_scalar", "lokr_weight_decompose")
"""Settings that change nothing here: the first two do not in the original either, the rest is LyCORIS's alone."""


class TrainingCalls:
    """The training of the moment, beside the dataset of the moment."""

    def __init__(self, door: RestDoor) -> None:
        self._door = door
        self._datasets = DatasetCalls(door)
        self._job = ""
        self._asked: dict[str, Any] = {}
        """What the client said of its newest training: ``tensor_dir`` and ``config``."""

    def routes(self) -> list[tuple[str, Handler, str]]:
        """Path, call and method of each."""
        posts = {
            **self._datasets.posts(),
            "training/start": self.start,
            "training/start_lokr": self.start,
            "training/stop": self.stop,
            "training/load_tensor_info": self.tensor_info,
            "training/export": self.export,
        }
        gets = {**self._datasets.gets(), "training/status": self.status}
        found = [(f"/v1/{path}", _softly(call), "POST") for path, call in posts.items()]
        found += [(f"/v1/{path}", _softly(call), "GET") for path, call in gets.items()]
        found.append(("/v1/dataset/sample/{index}", _softly(self._datasets.change), "PUT"))
        return found

    async def _said(self, request: Request, operation: str, **params: Any) -> dict[str, Any]:
        return await self._door.said(operation, params, HttpCaller.of(request, DOOR))

    async def _values(self, request: Request) -> Mapping[str, Any]:
        return (await self._door.body(request, optional=True)).values

    async def start(self, request: Request) -> Response:
        """Train an adapter on the prepared dataset, or on a folder of the original's tensors."""
        values, told = await self._values(request), Told()
        running = self._training()
        if running is not None and not running.state.terminal:
            raise HTTPException(400, "a training is running; stop it first")
        kind = "lokr" if request.url.path.endswith("lokr") else "lora"
        settings = _settings(values)
        for name in WITHOUT_EFFECT:
            if read_boolean(values.get(name)):
                told.ignore(name)
        folder = read_text(values.get("tensor_dir")) or ""
        place = PurePath(_place(read_text(values.get("lora_output_dir") or values.get("output_dir")))).name
        params = {
            **self._what(folder),
            "kind": kind,
            **DEFAULTS[kind],
            **{TRAIN[theirs][0]: value for theirs, value in settings.items()},
            **({"name": place} if place else {}),
            **({"model": self._door.choices.model} if self._door.choices.model else {}),
        }
        accepted = await self._door.dispatcher.call("op.train", params, HttpCaller.of(request, DOOR))
        self._job = accepted["id"]
        told.notes += accepted.get("notes") or []
        self._asked = {"tensor_dir": folder, "config": {"adapter_type": kind, **settings}}
        return answer({"message": "✅ the training was started", "task_id": self._job, **self._asked}, told.to_extra())

    def _what(self, folder: str) -> dict[str, str]:
        """What is trained on: the dataset that was prepared for a folder, the one of the moment, or the original's tensors."""
        places, current = self._datasets.places, self._datasets.name
        if folder in places:
            return {"dataset": places[folder]}
        return {"tensors": folder} if folder or not current else {"dataset": current}

    def _training(self) -> JobView | None:
        try:
            return self._door.core.job(self._job) if self._job else None
        except AceError:
            return None

    async def stop(self, request: Request) -> Response:
        """Stop the training; its place is saved, and the same call continues from there."""
        await self._values(request)
        view = self._training()
        if view is None or view.state.terminal:
            return answer({"message": "No training in progress"})
        self._asked["should_stop"] = True
        await self._door.core.cancel(view.id)
        return answer({"message": "✅ the training stops; its place is saved"})

    async def status(self, request: Request) -> Response:
        """Where the training stands."""
        view = self._training()
        facts = await self._figures(request, _name(view)) if view is not None else {}
        history = [{"step": step, "loss": loss} for step, loss in facts.get("losses") or []]
        progress = {} if view is None else view.progress
        eta = float(progress.get("eta") or 0.0)
        left = int(progress.get("steps") or 0) - int(progress.get("step") or 0)
        running = view is not None and not view.state.terminal
        return answer(
            {
                "is_training": running,
                "should_stop": running and bool(self._asked.get("should_stop")),
                "current_step": int(facts.get("step") or 0),
                "current_loss": history[-1]["loss"] if history else None,
                "current_epoch": int(facts.get("epoch") or 0),
                "status": "Idle" if view is None else view.state.value,
                "config": self._asked.get("config", {}),
                "tensor_dir": self._asked.get("tensor_dir", ""),
                "loss_history": history,
                "tensorboard_url": None,
                "tensorboard_logdir": None,
                "training_log": "\n".join(_log_lines(facts)),
                "start_time": None if view is None else view.started,
                "steps_per_second": round(left / eta, 3) if running and eta > 0 else 0.0,
                "estimated_time_remaining": eta if running else 0.0,
                "error": None if view is None else error_of(view) or None,
            }
        )

    async def _figures(self, request: Request, name: str) -> dict[str, Any]:
        """What a training has noted of itself so far; nothing while it has not begun."""
        try:
            return await self._said(request, "trainings", name=name, points=MOST_LOSSES)
        except (AceError, HTTPException):
            return {}

    async def tensor_info(self, request: Request) -> Response:
        """What was prepared: by this daemon for the folder that is named, or by the original in it."""
        folder = read_text((await self._values(request)).get("tensor_dir"))
        if not folder:
            raise HTTPException(422, "tensor_dir names a folder")
        name = self._datasets.places.get(folder)
        if name is not None:
            row = await self._said(request, "dataset-list", dataset=name, limit=1)
            songs = int((row.get("prepared") or {}).get("songs") or 0)
            facts = {"dataset_name": name, "num_samples": songs, "custom_tag": row.get("custom_tag", "")}
        else:
            facts = await asyncio.to_thread(self._original_tensors, folder, HttpCaller.of(request, DOOR))
        if not facts["num_samples"]:
            raise HTTPException(400, f"{folder[:200]} holds no prepared tensors")
        return answer({"message": f"✅ {facts['num_samples']} songs are prepared", "tensor_dir": folder, **facts})

    def _original_tensors(self, folder: str, caller: HttpCaller) -> dict[str, Any]:
        """The facts of a folder of ``.pt`` files, from the manifest beside them. Raises `HTTPException`."""
        try:
            manifest = self._door.core.readable(str(Path(folder) / "manifest.json"), caller.access, "tensor_dir")
            found = json.loads(manifest.read_bytes())
        except AceError as failure:
            raise HTTPException(400, failure.message) from None
        except (OSError, ValueError):
            raise HTTPException(400, f"{folder[:200]} has no manifest.json that can be read") from None
        facts = found.get("metadata") if isinstance(found, dict) else None
        facts = facts if isinstance(facts, dict) else {}
        return {
            "dataset_name": str(facts.get("name") or manifest.parent.name),
            "num_samples": sum(1 for _ in manifest.parent.glob("*.pt")),
            "custom_tag": str(facts.get("custom_tag") or ""),
        }

    async def export(self, request: Request) -> Response:
        """Write the trained adapter into a folder: the finished one, else the last one that was kept on the way."""
        values = await self._values(request)
        folder = read_text(values.get("export_path"))
        if not folder:
            raise HTTPException(422, "export_path names a folder")
        view = self._training()
        name = PurePath(_place(read_text(values.get("lora_output_dir")))).name or (_name(view) if view else "")
        facts = await self._figures(request, name) if name else {}
        kept = facts.get("kept") or []
        adapter = name if facts.get("finished") else kept[-1] if kept else ""
        if not adapter:
            raise HTTPException(
                404, f"there is no trained adapter {name[:100]!r}" if name else "no trained adapter exists"
            )
        said = await self._said(request, "lora-export", lora=adapter, folder=folder)
        files = said.get("files") or []
        place = str(PurePath(folder) / adapter.replace("@", " epoch "))
        return answer({"message": "✅ the adapter was exported", "export_path": place, "files": files})


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training that were sent, by the original's names. Raises `HTTPException` for what cannot be read."""
    found = {}
    for name, (_, read, what) in TRAIN.items():
        if values.get(name) is not None:
            found[name] = read(values[name])
            if found[name] is None:
                raise HTTPException(422, f"{name} must be {what}")
    return found


def _place(text: str | None) -> str:
    return (text or "").replace("\\", "/")


def _name(view: JobView) -> str:
    return str(view.request.get("name") or view.id)


def _log_lines(facts: Mapping[str, Any]) -> list[str]:
    """A training's epochs and notes as text."""
    lines = [f"epoch {row['epoch']}: loss {row['loss']:.4f}" for row in facts.get("history") or []]
    return [*lines, *(facts.get("notes") or []), *([facts["broke_off"]] if facts.get("broke_off") else [])]


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
