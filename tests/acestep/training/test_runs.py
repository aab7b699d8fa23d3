"""Training runs: interrupted anywhere they go on, a full disk costs nothing, losses have the right gradient."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import psutil
import pytest
import torch

from acestep.networks.nano_codec import NanoCodec
from acestep.training import parallel
from acestep.training.codec.codec_targets import oscillator_amplitudes
from acestep.training.codec.loss import Resolution, harmonic_distance, spectral_distance
from acestep.training.codec.train_codec import CodecSettings, compare_sounds, train_codec
from acestep.training.errors import CheckpointUnreadable, CheckpointUnwritable, ProcessEnded
from acestep.training.parallel import ProcessGroup, side_by_side
from acestep.training.run import TrainingRun, decay, save_atomically
from acestep.training.weights import open_codec, save_codec

TINY = {"encoder_width": 16, "encoder_blocks": 1, "decoder_width": 16, "decoder_blocks": 1, "subframe_width": 16,
        "subframe_blocks": 1}  # fmt: skip


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("processes", [1, 2])
def test_work_side_by_side_comes_out_in_order(processes):
    """As from `map`, however many processes share it; what fails in one of them fails here, and nothing of it is left here."""
    environment = dict(os.environ)
    with side_by_side(partial(partial, pow, 2), processes, threads=1) as powers:
        assert list(powers(range(9))) == [2**exponent for exponent in range(9)]
        with pytest.raises(TypeError):
            list(powers(["two"]))
    assert os.environ == environment


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    """Clock, step count and state are those of the last step before the interruption."""
    run = TrainingRun(tmp_path, seconds=10.0)
    with pytest.raises(Interrupted):
        for step in run.steps(lambda: {"value": torch.tensor(run.step)}):
            run.elapsed += 1.0
            if step == 3:
                raise Interrupted
    again = TrainingRun(tmp_path, seconds=10.0)
    state = again.resume()
    assert (again.step, again.elapsed, state["value"].item()) == (3, 4.0, 3)
    steps = []
    for step in again.steps(dict):
        again.elapsed += 1.0
        steps.append(step)
    assert steps[0] == 3 and again.elapsed >= 10.0


TRAINING = """
import sys, time
from pathlib import Path
from acestep.training.parallel import launch
from acestep.training.run import TrainingRun

def work(group, folder):
    run = TrainingRun(Path(folder), seconds=1e9, leads=group.leads)
    for step in run.steps(dict):
        Path(folder, f"steps.{group.rank}").write_text(str(step))
        time.sleep(0.01)

if __name__ == "__main__":
    launch(work, 2, 1, sys.argv[1])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_trains_on_when_the_command_has_ended(tmp_path, number):
    """However it ended: the leader saves, and nobody is left to write over what the next run makes."""
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)]) as command:
        until(lambda: all((tmp_path / f"steps.{rank}").is_file() for rank in (0, 1)))
        children = [process.pid for process in psutil.Process(command.pid).children(recursive=True)]
        os.kill(command.pid, number)
    until(lambda: not any(alive(child) for child in children))
    again = TrainingRun(tmp_path, seconds=1.0)
    assert again.resume() is not None


FAILING = """
import time
from acestep.training.errors import RunMissing, TrainingError
from acestep.training.parallel import launch

def work(group):
    if group.rank == 1:
        raise RunMissing("elsewhere")
    {other}

if __name__ == "__main__":
    try:
        launch(work, 2, 1)
    except TrainingError as failure:
        print(failure.code, failure)
"""


@pytest.mark.parametrize("other", ["time.sleep(600)", "group.wait()"])
def test_what_one_process_finds_wrong_ends_all_with_its_sentence(tmp_path, other):
    """A known error is no traceback from somewhere below, whatever the others are at: nobody waits for a process that is gone."""
    script = tmp_path / "training.py"
    script.write_text(FAILING.replace("{other}", other))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith("run_missing there is no elsewhere:") and "Traceback" not in done.stderr


def test_a_process_that_is_killed_is_told_whoever_notices_it_first(monkeypatch):
    """The one that was talking to it raises as well, and may be heard before: the sentence is the same. A fake group is killed."""
    gloo = torch.multiprocessing.ProcessRaisedException("connection closed by peer", 0, 1)
    killed = torch.multiprocessing.ProcessExitedException("killed", 1, 2, -9, "SIGKILL")
    for heard, codes in ((gloo, (1, -9)), (killed, (-15, -9))):

        def join(heard=heard):
            raise heard

        team = SimpleNamespace(join=join, processes=[SimpleNamespace(exitcode=code) for code in codes])
        monkeypatch.setattr(torch.multiprocessing, "spawn", lambda *given, team=team, **more: team)
        with pytest.raises(ProcessEnded, match=r"ended unexpectedly \(exit code -9\)"):
            parallel.launch(print, 2, 1)
    team.processes = [SimpleNamespace(exitcode=code) for code in (1, -15)]
    with pytest.raises(torch.multiprocessing.ProcessExitedException):
        parallel.launch(print, 2, 1)

    def broken():
        yield 1
        raise BrokenProcessPool("a process in the process pool was terminated abruptly")

    answers = parallel._told_if_broken(broken())
    assert next(answers) == 1
    with pytest.raises(ProcessEnded, match="run the same command again"):
        next(answers)


def alive(child: int) -> bool:
    try:
        return psutil.Process(child).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path):
    """The write that fails is reported with its own code and removes its half-written file."""
    target = tmp_path / "state.pt"
    save_atomically(target, lambda path: path.write_bytes(b"whole"))

    def fail(path):
        path.write_bytes(b"ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckpointUnwritable):
        save_atomically(target, fail)
    assert target.read_bytes() == b"whole" and list(tmp_path.iterdir()) == [target]


def test_a_damaged_checkpoint_is_named(tmp_path):
    """Half a file is no reason for a traceback: the error names the file and what to do."""
    (tmp_path / "state.pt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(CheckpointUnreadable, match=r"state\.pt"):
        TrainingRun(tmp_path, seconds=1.0).resume()


def test_learning_rate_rises_holds_and_decays():
    """From almost nothing over the warm-up to one, down to a hundredth at the end of the time."""
    assert decay(0.0, 0) < 0.02 and decay(0.2, 1000) == 1.0
    assert decay(1.0, 1000) == pytest.approx(0.01)
    falling = [decay(fraction / 20, 1000) for fraction in range(21)]
    assert falling == sorted(falling, reverse=True)


def test_the_written_gradient_is_the_true_one():
    """Finite differences of the spectral distance agree with its backward pass."""
    torch.manual_seed(0)
    resolutions = (Resolution(64, 32, 1.0, 12), Resolution(32, 16, 0.7, 8))
    made, wanted = torch.randn(2, 160, dtype=torch.float64), torch.randn(2, 160, dtype=torch.float64)
    made.requires_grad_()
    spectral_distance(made, wanted, resolutions).backward()
    for item, place in ((0, 20), (1, 77), (0, 140)):
        step = torch.zeros_like(made)
        step[item, place] = 1e-6
        with torch.no_grad():
            slope = (spectral_distance(made + step, wanted, resolutions)
                     - spectral_distance(made - step, wanted, resolutions)) / 2e-6  # fmt: skip
        assert made.grad[item, place].item() == pytest.approx(slope.item(), rel=1e-3, abs=1e-7)


def test_equal_sounds_have_no_distance():
    """Zero for the same sound, more for a louder one."""
    sound = torch.randn(1, 9000)
    assert spectral_distance(sound, sound).item() < 1e-5
    assert spectral_distance(1.5 * sound, sound).item() > 0.1


def test_harmonic_distance_hears_chords_and_neither_level_nor_silence():
    """The same notes louder are the same harmony; others are not; a rest has none. Its gradient leads to the notes."""
    time = torch.arange(48000) / 48000

    def chord(*hertz: float) -> torch.Tensor:
        return sum(torch.sin(2 * torch.pi * tone * time) for tone in hertz)[None] * 0.1

    minor, other = chord(440.0, 523.25, 659.26), chord(392.0, 493.88, 587.33)
    assert harmonic_distance(0.3 * minor, minor).item() < 1e-3 < 0.5 < harmonic_distance(other, minor).item()
    assert harmonic_distance(minor, torch.zeros_like(minor)).item() == 0.0
    mixed = (minor + other).requires_grad_(True)
    before = harmonic_distance(mixed, minor)
    before.backward()
    assert harmonic_distance(mixed.detach() - 0.05 * mixed.grad / mixed.grad.norm() * mixed.norm(), minor) < before


def test_a_batch_of_single_stems_has_no_harmony_to_compare():
    sound = torch.randn(2, 2, 24 * 1920)
    alone, mixed = (compare_sounds(0.5 * sound, sound, torch.tensor([flag, False])) for flag in (False, True))
    assert alone["harmony"].item() == 0.0 and alone["sound"].item() > 0.1
    assert compare_sounds(sound.flip(-1), sound, torch.tensor([True, False]))["harmony"].item() > 0.1
    assert mixed["harmony"].item() < 1e-3, "level is not harmony"


def test_oscillator_target_finds_a_sine():
    """The oscillator at the sine's pitch gets its amplitude, up to 3 dB of loss between two bins."""
    bank = NanoCodec(**TINY).oscillators
    for hertz in (110.0, 440.0, 1760.0):
        time = torch.arange(20 * 1920) / 48000
        sound = (0.3 * torch.sin(2 * torch.pi * hertz * time)).expand(1, 2, -1)
        found = oscillator_amplitudes(sound, bank.frequencies)[0, 10:30].mean(0)
        loudest = int(found.argmax())
        assert bank.frequencies[loudest].item() == pytest.approx(hertz, rel=1e-3)
        assert 0.2 < found[loudest].item() < 0.32


@pytest.mark.long
def test_codec_training_resumes_and_leaves_a_codec(tmp_path, sine_bank, monkeypatch):
    """Two sittings of the real loop: both phases run, the second continues the first, latents have about unit variance."""
    monkeypatch.setattr("acestep.training.codec.train_codec.open_bank", lambda: sine_bank)
    monkeypatch.setattr("acestep.training.codec.train_codec.NanoCodec", lambda: NanoCodec(**TINY))
    settings = CodecSettings(seconds=1.5, batch=1, frames=12, pool=2)
    train_codec(ProcessGroup(), tmp_path, settings)
    first = torch.load(tmp_path / "state.pt", weights_only=True)
    longer = first["elapsed"] + 1.0  # a step on a busy machine may take any time
    train_codec(ProcessGroup(), tmp_path, replace(settings, seconds=longer))
    second = torch.load(tmp_path / "state.pt", weights_only=True)
    assert 0 < first["step"] < second["step"] and second["elapsed"] >= longer
    assert second["next_song"] > first["next_song"]
    codec = open_codec(tmp_path / "vae")
    assert codec.latent_scale.min() >= 0.05 and (tmp_path / "loss.png").stat().st_size > 1000


@pytest.mark.parametrize("decoder_only", [True, False])
def test_latents_stay_when_a_finished_codec_goes_on(tmp_path, sine_bank, monkeypatch, decoder_only):
    """From a checkpoint, the decoder alone: it encodes as before, to the bit. With the encoder: almost. It decodes otherwise."""
    monkeypatch.setattr("acestep.training.codec.train_codec.open_bank", lambda: sine_bank)
    monkeypatch.setattr("acestep.training.codec.train_codec.NanoCodec", lambda: NanoCodec(**TINY))
    monkeypatch.setattr("acestep.training.codec.train_codec.LEASH_WEIGHT", 100.0)
    start = NanoCodec(**TINY)
    start.latent_scale.fill_(0.5)
    save_codec(start.half(), tmp_path / "start" / "vae")
    before = open_codec(tmp_path / "start" / "vae")
    settings = CodecSettings(
        seconds=1.5, batch=2, frames=12, pool=2, start=tmp_path / "start", decoder_only=decoder_only
    )
    train_codec(ProcessGroup(), tmp_path / "run", settings)
    after = open_codec(tmp_path / "run" / "vae")
    assert torch.equal(after.latent_scale, before.latent_scale)
    sound = torch.rand(1, 2, 12 * 1920) - 0.5
    with torch.inference_mode():
        latents = before.encode(sound)
        drift = (after.encode(sound) - latents).square().mean().item()
        assert drift == 0.0 if decoder_only else 0.0 < drift < 0.05
        assert not torch.allclose(after.decode(latents), before.decode(latents))
