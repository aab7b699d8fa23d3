"""What the door checks of trainings, merges and adapters, and what the daemon tells of them. No torch.

A training's folder is loras/NAME below the home: its last adapter can be used by that name at once, the one kept after epoch 20 as
NAME@20.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.daemon_context import DaemonContext
from acestep.api.disk import require_space, unwritable
from acestep.api.errors import BadRequest, ModelUnsuited, NotFound, Unavailable, UnknownName
from acestep.api.limits import MAX_CAPTION
from acestep.api.schema import convert
from acestep.api.training import AdapterShape, TrainOptions
from acestep.api.variants import ModelInfo
from acestep.checkpoints.adapters import FOLDER, adapter_folders, parse_adapters
from acestep.dataset.log import add_line
from acestep.dataset.store import Datasets, check_name

STATE, LOG, PLOT, FINAL = "state.pt", "training.log", "loss.png", "final"
"""Files of a training, and the folder of its last adapter in all forms."""

BY_THE_WORKER = ("shape", "device")
"""Settings of a training that a request does not have."""

MAX_PROMPTS = 8
"""Each is a render in every round of samples."""


def check_prepare(request: Any, host: Any) -> Any:
    """See that the dataset and the model are there."""
    Datasets(host.home).require(request.dataset)
    require_trainable(host.model(request.model))
    return request


def require_trainable(model: ModelInfo) -> None:
    """Refuse a model of a family whose adapters are not made here. Raises `ModelUnsuited`."""
    if model.operations and "train" not in model.operations:
        raise ModelUnsuited(
            f"{model.name} ({model.family_title}) cannot be trained here. One family can be: ACE-Step 1.5 (base, sft, turbo, XL, "
            "nano)",
            field="model",
        )


def check_train(request: Any, host: Any) -> Any:
    """See that a training can begin: packages, model, what was prepared, its settings, and its name."""
    if importlib.util.find_spec("peft") is None:
        raise Unavailable("training needs the package peft: pip install 'acestep-bridge[training]'", field="peft")
    if bool(request.dataset) == bool(request.tensors):
        raise BadRequest("name a dataset, or a folder of tensors that the original prepared", field="dataset")
    require_trainable(host.model(request.model))
    if request.dataset:
        _require_prepared(Datasets(host.home), request.dataset)
    _check_devices(train_options(request))
    name = check_name(request.name or request.dataset or Path(request.tensors).name, "name")
    _require_own(training_folder(host.home, name))
    _check_samples(request)
    return msgspec.structs.replace(request, name=name)


def _check_devices(options: TrainOptions) -> None:
    """Raises `Unavailable` without the package that brings devices together, `BadRequest` for more devices than songs in a step."""
    if options.devices == 1:
        return
    if importlib.util.find_spec("accelerate") is None:
        raise Unavailable(
            "training on several devices needs the package accelerate: pip install 'acestep-bridge[training]'",
            field="devices",
        )
    songs = options.batch * options.accumulation
    if options.devices > songs:
        raise BadRequest(
            f"a step has {songs} song{'s' * (songs > 1)} (batch times accumulation): too few for {options.devices} devices",
            field="devices",
            limits={"max": songs},
        )


def _check_samples(request: Any) -> None:
    """Raises `BadRequest`."""
    prompts = request.sample_prompts
    if request.sample_every and not prompts:
        raise BadRequest("samples need a prompt each", field="sample_prompts")
    if len(prompts) > MAX_PROMPTS or any(not 0 < len(prompt) <= MAX_CAPTION for prompt in prompts):
        raise BadRequest(
            f"samples take 1 to {MAX_PROMPTS} prompts of 1 to {MAX_CAPTION} characters",
            field="sample_prompts",
            limits={"max": MAX_PROMPTS, "max_length": MAX_CAPTION},
        )


def train_options(request: Any, **more: Any) -> TrainOptions:
    """The settings of a training that a request has. Raises `BadRequest`."""
    values = {name: value for name, value in msgspec.to_builtins(request).items() if value is not None}
    shape = convert({name: values[name] for name in AdapterShape.__struct_fields__}, AdapterShape)
    names = (name for name in TrainOptions.__struct_fields__ if name in values and name not in BY_THE_WORKER)
    given = convert({name: values[name] for name in names}, TrainOptions)
    return msgspec.structs.replace(given, shape=shape, **more)


def training_folder(home: Path, name: str) -> Path:
    """Where a training of this name is."""
    return home / FOLDER / name


def tell_of_a_break(folder: Path, reason: str) -> None:
    """Let the log of a training that has begun say why it broke off."""
    if (folder / LOG).is_file():
        add_line(folder / LOG, "breaks off", reason=reason)


def _require_prepared(datasets: Datasets, name: str) -> None:
    """Raises `UnknownName`, and `NotFound` for a dataset that was not prepared."""
    datasets.require(name)
    if not datasets.row(name).get("prepared"):
        raise NotFound(f"the dataset {name} is not prepared yet; dataset-prepare does it", field="dataset")


def _require_own(folder: Path) -> None:
    """Refuse a name under which another program's adapter lies. Raises `BadRequest`."""
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in (STATE, LOG)):
        raise BadRequest(
            f"there is an adapter {folder.name!r} that was not trained here; use another name", field="name"
        )


def check_merge(request: Any, host: Any) -> Any:
    """See that the adapters fit the model, and that the new checkpoint's name is free."""
    if not request.lora:
        raise BadRequest("name at least one adapter to merge", field="lora")
    check_name(request.name, "name")
    target = host.home / "checkpoints" / request.name
    if target.exists():
        raise BadRequest(f"there is a checkpoint {request.name!r} already; use another name", field="name")
    require_trainable(host.model(request.model))
    host.require_adapters(request.lora, request.model)
    return request


def check_export(request: Any, host: Any) -> Any:
    """See that the adapter is there."""
    parse_adapters([request.lora], adapter_folders(host.home, [host.home / "checkpoints"]))
    return request


async def run_export(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``lora-export``: copies of an adapter's files, never over others."""

    def work() -> dict[str, Any]:
        core = daemon.core
        folders = [core.paths.checkpoints, *(Path(folder).expanduser() for folder in core.settings.checkpoints)]
        (found,) = parse_adapters([request.lora], adapter_folders(core.paths.home, folders))
        source = found.path / FINAL if (found.path / FINAL).is_dir() else found.path
        target = Path(request.folder) / found.name.replace("@", " epoch ")
        return {"lora": found.name, "files": [str(path) for path in copy_adapter(source, target)]}

    return await asyncio.to_thread(work)


def copy_adapter(source: Path, target: Path) -> list[Path]:
    """Copy an adapter's file or folder to a new place. Raises `BadRequest`, `DiskFull`, `OutputUnwritable`."""
    if target.exists():
        raise BadRequest(f"{target} already exists; choose another folder, or move it away", field="folder")
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    need = sum(path.stat().st_size for path in files)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        require_space("the adapter takes", need, target.parent, "folder")
        draft = target.with_name(f".{target.name}.partial")
        shutil.rmtree(draft, ignore_errors=True)
        for path in files:
            place = draft / (path.name if source.is_file() else path.relative_to(source))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        draft.rename(target)
    except OSError as failure:
        raise unwritable(target, failure, "folder") from failure
    return sorted(path for path in target.rglob("*") if path.is_file())


async def run_trainings(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``trainings``: every training, or one with its losses."""
    folder = daemon.core.paths.home / FOLDER

    def work() -> dict[str, Any]:
        places = [path.parent for path in sorted(folder.glob(f"*/{LOG}"))]
        if not request.name:
            return {"trainings": [Story(place).row() for place in places]}
        chosen = next((place for place in places if place.name == request.name), None)
        if chosen is None:
            raise UnknownName(f"there is no training {request.name!r}", field="name",
                              limits={"choices": [place.name for place in places]})  # fmt: skip
        return Story(chosen).whole(request.points)

    return await asyncio.to_thread(work)


class Story:
    """What the log of a training tells: settings, figures, notes. Steps that were repeated after a crash count once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = {}
        self.steps: dict[int, float] = {}
        self.epochs: dict[int, dict[str, float]] = {}
        self.samples: dict[str, dict[str, Any]] = {}
        self.notes: dict[str, None] = {}
        self.finished, self.broke_off = False, ""
        for event in _events(folder / LOG):
            self._take(dict(event))

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.pop("event", "")
        event.pop("time", "")
        if kind == "begins":
            self._begin(event)
        elif kind == "continues":
            self.finished, self.broke_off = False, ""
        elif kind == "step":
            self.steps[int(event["step"])] = event["loss"]
        elif kind == "epoch":
            self.epochs[int(event["epoch"])] = event
        elif kind == "sample":
            self.samples[event["job"]] = event
        elif kind == "note":
            self.notes[event["text"]] = None
        elif kind == "ends":
            self.finished = True
        elif kind == "breaks off":
            self.broke_off = event["reason"]

    def _begin(self, event: dict[str, Any]) -> None:
        self.settings, self.finished, self.broke_off = event, False, ""
        for kept in (self.steps, self.epochs, self.samples, self.notes):
            kept.clear()

    def row(self) -> dict[str, Any]:
        """One line of a list."""
        last = self.epochs[max(self.epochs)] if self.epochs else {}
        settings = self.settings.get("settings", {})
        return {
            "name": self.folder.name,
            "path": str(self.folder),
            "finished": self.finished,
            "broke_off": self.broke_off,
            "model": self.settings.get("model", ""),
            "songs": self.settings.get("songs", 0),
            "epoch": int(last.get("epoch", 0)),
            "epochs": settings.get("epochs", 0),
            "step": max(self.steps, default=0),
            "steps": self.settings.get("steps", 0),
            "loss": last.get("loss"),
            "validation": last.get("validation"),
            "kept": self.kept(),
        }

    def kept(self) -> list[str]:
        """Names under which the adapters on the way can be used."""
        found = (path.name.removeprefix("epoch_") for path in self.folder.glob("checkpoints/epoch_*"))
        numbers = sorted(int(text) for text in found if text.isdigit())
        return [f"{self.folder.name}@{number}" for number in numbers]

    def whole(self, points: int) -> dict[str, Any]:
        """Everything, with at most so many points of the loss curve."""
        steps = sorted(self.steps)
        shown = steps[:: max(1, -(-len(steps) // max(points, 1)))] if points else []
        plot = self.folder / PLOT
        return {
            **self.row(),
            "settings": self.settings.get("settings", {}),
            "flow": self.settings.get("flow", {}),
            "history": [self.epochs[epoch] for epoch in sorted(self.epochs)],
            "losses": [[step, self.steps[step]] for step in shown],
            "samples": list(self.samples.values()),
            "notes": list(self.notes),
            "plot": str(plot) if plot.is_file() else "",
        }


def _events(path: Path) -> Iterable[dict[str, Any]]:
    """The lines of a log; the last one may be half written."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event
