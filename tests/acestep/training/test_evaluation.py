"""The evaluation: every figure with a bound is measured, on a trained whose answers are known; the judge learns and is kept."""

from __future__ import annotations

import pytest
import torch

from acestep.networks.spectra import FRAME
from acestep.training.dit.records import RecordStore
from acestep.training.dit.tasks import CROP
from acestep.training.evaluation import presence, report
from acestep.training.evaluation.trained_model import RenderItem
from acestep.training.evaluation.trials import HeldOut, held_out
from acestep.training.songs import song_seed
from acestep.training.songs.song_tracks import TRACKS


class Echo:
    """A trained whose latents are the samples themselves and who answers every item_ with its source."""

    silence = torch.zeros(2 * FRAME)

    def __init__(self, run, codec=None) -> None:
        self.run, self.codec = run, codec

    def encode(self, sound: torch.Tensor) -> torch.Tensor:
        return sound.unflatten(1, (-1, FRAME)).transpose(0, 1).flatten(1)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents.unflatten(1, (2, FRAME)).transpose(0, 1).flatten(1)

    def render(self, item_: RenderItem) -> torch.Tensor:
        return item_.source


@pytest.fixture(scope="module")
def item(sine_bank) -> HeldOut:
    (song,) = held_out("validation", 1)
    return HeldOut.of(song, sine_bank)


class Deaf:
    """A judge that hears nothing."""

    def heard(self, latents: torch.Tensor) -> set[str]:
        return set()


def test_every_bound_is_measured(tmp_path, sine_bank, monkeypatch):
    """The trials give a figure for every line of the table of bounds; a codec that loses nothing is perfect in both its own."""
    monkeypatch.setattr(report, "open_bank", lambda: sine_bank)
    monkeypatch.setattr(report, "open_judge", lambda trained, bank: Deaf())
    figures = report.Examination(lambda: Echo(tmp_path), "validation", 1).evaluate()
    for trial, bounds in report.LIMITS.items():
        assert set(bounds) <= set(figures[trial]), trial
    assert figures["codec"]["mel error dB"] == 0
    assert figures["codec"]["chroma correlation"] == pytest.approx(1.0, abs=1e-3)
    assert figures["instruments"]["count"] == len(TRACKS)


def test_an_unchanged_song_has_no_seams(tmp_path, item, monkeypatch):
    """A repaint that answers with the song itself changes at its seams exactly what the song changes there."""
    monkeypatch.setattr(HeldOut, "guide", lambda self, chords: self.mix)
    (row,) = report.trials.try_repaint(Echo(tmp_path), item)
    assert row["change at the seams"] == pytest.approx(row["real change at the seams"])
    assert row["in key"] == pytest.approx(row["real in key"])


@pytest.mark.long
def test_the_judge_learns_who_plays(record):
    """After a hundred steps on one song it tells the song's players from everybody else."""
    judge = presence.Presence()
    presence.train_judge(judge, [record], steps=100, batch=8)
    judge.eval()
    tracks = record.song.tracks
    sounds = {"mix": set(tracks)} | {f"stem/{track}": {track} for track in tracks}
    wrong = [judge.heard(record.latents[name][:CROP]) ^ playing for name, playing in sounds.items()]
    assert not wrong[0] and sum(map(len, wrong)) < len(TRACKS) * len(sounds) / 10


def test_the_judge_is_trained_once_and_kept(tmp_path, codec, sine_bank, monkeypatch):
    """The first call trains on the run's own song and one more, and saves; the second reads the same judge."""
    seeds = range(song_seed("train", 0), song_seed("train", 0) + 1)
    RecordStore(tmp_path / "latents", seeds, sine_bank, codec).grow()
    counts = []
    monkeypatch.setattr(presence, "SONGS", 2)
    monkeypatch.setattr(presence, "train_judge", lambda judge, records: counts.append(len(records)))
    first, second = (presence.open_judge(Echo(tmp_path, codec), sine_bank) for _ in range(2))
    assert counts == [2]
    latents = torch.randn(1, 50, 64)
    assert torch.equal(first(latents), second(latents))
