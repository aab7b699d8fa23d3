"""Every run is in a log: one that is cancelled or fails says there why it broke off."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acestep.api.errors import BadRequest, Cancelled, DiskFull, NotFound, NumericFailure, Suspended
from acestep.api.registry import Registry
from acestep.dataset import operations as daemon_side
from acestep.dataset.store import Datasets
from acestep.engine import Engine
from acestep.training.adapters import operations as worker_side
from acestep.training.adapters import outputs, train
from acestep.training.adapters.door import LOG, Story
from acestep.worker.backend import JobContext

from .conftest import labelled, write_songs

SMALL = {"dataset": "songs", "name": "night", "model": "tiny", "rank": 2, "alpha": 2, "epochs": 4, "accumulation": 1}


class House:
    """A home with a dataset of two songs, and jobs of the real engine on it."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.registry, self.datasets = folder, Registry.load(), Datasets(folder)
        self.datasets.save("songs", labelled(write_songs(folder / "sounds", (1.2, 1.4))))
        settings = {
            "home": folder,
            "library": folder,
            "uploads": folder,
            "device": "cpu",
            "threads": 1,
            "model": "tiny",
        }
        self.engine = Engine({**settings, "checkpoints": [model.parent]})

    def run(self, work: Callable[..., Any], request: dict[str, Any], report: Any = lambda *tick: None) -> Any:
        context = JobContext("job", self.folder, self.registry, report, backend=self.engine)
        context.staging.mkdir(exist_ok=True)
        return work(request, context)

    def prepare(self, report: Any = lambda *tick: None) -> Any:
        return self.run(worker_side.run_prepare, {"dataset": "songs"}, report)

    def train(self, report: Any = lambda *tick: None) -> Any:
        return self.run(worker_side.run_train, SMALL, report)

    @property
    def log(self) -> list[dict[str, Any]]:
        path = self.datasets.place("songs") / "dataset.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


@pytest.fixture
def house(tmp_path: Path, tiny_info: Any, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(outputs, "plot_history", lambda *given, **more: None)
    return House(tmp_path, Path(tiny_info.path))


def stop(failure: Exception, stage: str) -> Callable[..., None]:
    """A report that ends the job in a stage."""

    def report(name: str, step: int, steps: int, fraction: float) -> None:
        if name == stage and step:
            raise failure

    return report


def test_preparing_that_breaks_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled, and failed on a full disk; then the run that ends. Making room for another job is neither."""
    with pytest.raises(Cancelled):
        house.prepare(stop(Cancelled("the job was cancelled"), "sounds"))
    with pytest.raises(Suspended):
        house.prepare(stop(Suspended("room"), "sounds"))
    with monkeypatch.context() as patch:
        patch.setattr(
            worker_side, "prepare", lambda *given: stop(DiskFull("the disk is full"), "sounds")("sounds", 1, 2, 0)
        )
        with pytest.raises(DiskFull):
            house.prepare()
    house.prepare()
    assert [(line["event"], line.get("broke_off", "")) for line in house.log] == [
        ("prepare", "the job was cancelled"), ("prepare", "the disk is full"), ("prepare", ""),
    ]  # fmt: skip
    assert house.log[-1]["songs"] == 2


def test_a_training_that_breaks_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before it began, it leaves nothing; cancelled or failed, its log and `trainings` say so until it continues."""
    folder = house.folder / "loras" / "night"
    with pytest.raises(NotFound):
        house.run(worker_side.run_train, {**SMALL, "tensors": str(house.folder), "dataset": ""})
    assert not folder.exists()
    house.prepare()
    with pytest.raises(Cancelled):
        house.train(stop(Cancelled("the job was cancelled"), "training"))
    assert Story(folder).row()["broke_off"] == "the job was cancelled"
    with monkeypatch.context() as patch:
        patch.setattr(train, "squared_error", lambda *given: given[0].parameters().__next__().sum() * float("nan"))
        with pytest.raises(NumericFailure):
            house.train()
    broken = Story(folder).row()
    assert "not a number, so the training stopped" in broken["broke_off"] and not broken["finished"]
    house.train()
    assert Story(folder).row()["broke_off"] == "" and Story(folder).finished
    events = [json.loads(line)["event"] for line in (folder / LOG).read_text().splitlines()]
    assert [one for one in events if one not in ("step", "epoch")] == [
        "begins", "breaks off", "continues", "breaks off", "continues", "ends",
    ]  # fmt: skip


async def test_a_scan_that_breaks_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a dataset that is there, in its log; of a new one nothing is left. A scan that never ends stands in for a long one."""
    core = SimpleNamespace(paths=SimpleNamespace(home=house.folder))
    reports: list[str] = []
    daemon: Any = SimpleNamespace(core=core, job="job", report=lambda stage, *more: reports.append(stage))

    def asked(name: str, folder: str) -> Any:
        fields = {
            "dataset": name,
            "folders": [folder],
            "regions": [],
            "replace": False,
            "custom_tag": None,
            "validation": None,
        }
        return SimpleNamespace(**fields)

    for name in ("songs", "new"):
        with pytest.raises(BadRequest, match="no songs"):
            (house.folder / "empty").mkdir(exist_ok=True)
            await daemon_side.run_scan(asked(name, str(house.folder / "empty")), daemon)
    assert house.log[-1]["event"] == "scan" and "no songs" in house.log[-1]["broke_off"]
    assert not (house.datasets.folder / "new").exists()

    def endless(folders: Any, *, name: str, known: Any, advance: Callable[[int, int], None]) -> None:
        while True:
            advance(1, 2)
            time.sleep(0.01)

    monkeypatch.setattr(daemon_side, "scan", endless)
    job = asyncio.ensure_future(daemon_side.run_scan(asked("songs", "x"), daemon))
    while not reports:
        await asyncio.sleep(0.01)
    job.cancel()
    deadline = time.monotonic() + 60
    while house.log[-1].get("broke_off") != "the job was cancelled" and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert (house.log[-1]["event"], house.log[-1]["broke_off"]) == ("scan", "the job was cancelled")
