"""Labelling as a job: a few songs at a time, saved; it steps aside, continues, and leaves other people's changes alone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from acestep.api.errors import BadRequest, Cancelled, Suspended
from acestep.api.registry import Registry
from acestep.dataset.edit import edit_sample
from acestep.dataset.labelling import BATCH, run_label
from acestep.dataset.scan import scan
from acestep.dataset.store import Datasets
from acestep.worker.backend import JobContext, Ties


class House:
    """A home with one dataset of six short songs, and contexts of one job."""

    def __init__(self, folder: Path) -> None:
        (folder / "songs").mkdir()
        for index in range(BATCH + 2):
            soundfile.write(folder / "songs" / f"tune {index} 96bpm.wav", np.full(12_000, 0.1), 8_000)
        self.datasets, self.saves = Datasets(folder), 0
        self.datasets.save("songs", scan([folder / "songs"]).dataset)
        self.folder, self.registry = folder, Registry.load()

    def context(self, report=lambda *tick: None) -> JobContext:
        ties = Ties(saved=self._count)
        backend = SimpleNamespace(settings={"home": self.folder})
        return JobContext("job", self.folder, self.registry, report, backend=backend, ties=ties)

    def _count(self) -> None:
        self.saves += 1

    def samples(self):
        return self.datasets.open("songs").dataset.samples


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_names_are_read_and_every_few_songs_saved(house: House) -> None:
    result = run_label({"dataset": "songs", "skip": True}, house.context())
    assert (result.data["samples"], result.data["labeled"], house.saves) == (BATCH + 2, BATCH + 2, 2)
    assert {(sample.caption, sample.bpm) for sample in house.samples()} == {(f"tune {n}", 96) for n in range(BATCH + 2)}
    assert list(house.datasets.place("songs").glob(".labelled*")) == []


def test_it_steps_aside_between_two_batches_and_continues(house: House) -> None:
    """What somebody edits meanwhile stays as it was edited, also where everything is labelled again."""
    context = house.context()
    context.step_aside()
    with pytest.raises(Suspended):
        run_label({"dataset": "songs", "skip": True, "replace": True}, context)
    assert [sample.labeled for sample in house.samples()] == [True] * BATCH + [False] * 2
    first = house.samples()[0]
    house.datasets.save("songs", edit_sample(house.datasets.open("songs").dataset, first.id, {"caption": "mine"}))
    result = run_label({"dataset": "songs", "skip": True, "replace": True}, house.context())
    assert result.data["labeled"] == BATCH + 2 and house.samples()[0].caption == "mine"


def test_a_cancelled_one_leaves_no_trace_but_a_line_of_the_log(house: House) -> None:
    """Of how far it was; the log of the dataset says that it broke off, and why."""
    context = house.context(lambda *tick: context.cancel())
    with pytest.raises(Cancelled):
        run_label({"dataset": "songs", "skip": True}, context)
    assert list(house.datasets.place("songs").glob(".labelled*")) == []
    last = json.loads((house.datasets.place("songs") / "dataset.log").read_text().splitlines()[-1])
    assert (last["event"], last["broke_off"]) == ("label", "the job was cancelled")


def test_an_unexpected_fault_is_in_the_log_too(house: House) -> None:
    """Without a traceback. One that only makes room for another job is not told as broken off."""

    def crash(*tick):
        raise RuntimeError("deep inside")

    with pytest.raises(RuntimeError):
        run_label({"dataset": "songs", "skip": True}, house.context(crash))
    aside = house.context()
    aside.step_aside()
    with pytest.raises(Suspended):
        run_label({"dataset": "songs", "skip": True}, aside)
    lines = (house.datasets.place("songs") / "dataset.log").read_text().splitlines()
    assert [json.loads(line)["broke_off"] for line in lines] == ["an internal error (RuntimeError)"]


def test_some_samples_only(house: House) -> None:
    chosen = house.samples()[2].id
    run_label({"dataset": "songs", "skip": True, "only": [chosen]}, house.context())
    assert [sample.labeled for sample in house.samples()].count(True) == 1
    with pytest.raises(BadRequest, match="no samples other"):
        run_label({"dataset": "songs", "only": ["other"]}, house.context())
