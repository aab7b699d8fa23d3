"""Trainings: interrupted in any way they end with the same weights, and whatever goes wrong keeps what was good."""

from __future__ import annotations

import json
import multiprocessing.process
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from acestep.api.errors import (
    BadCheckpoint,
    BadRequest,
    Cancelled,
    DiskFull,
    ModelUnsuited,
    NumericFailure,
    OutOfMemory,
)
from acestep.api.training import AdapterShape, TrainOptions
from acestep.checkpoints.info import read_info
from acestep.checkpoints.tiny import build_tiny
from acestep.training.adapters import outputs
from acestep.training.adapters import setup as setting_up
from acestep.training.adapters import state as keeping
from acestep.training.adapters import train as training
from acestep.training.adapters.prepare import PrepareOptions, prepare
from acestep.training.adapters.state import load_state
from acestep.training.adapters.train import Hooks, train

EPOCHS, STEPS = 3, 6


def options(**more) -> TrainOptions:
    """Four songs in batches of one, two batches a step: six steps, and the state is saved after each."""
    shape = AdapterShape(**{"rank": 3, "alpha": 7, "dropout": 0.2} | more.pop("shape", {}))
    given = {
        "epochs": EPOCHS,
        "accumulation": 2,
        "learning_rate": 0.01,
        "save_every": 2,
        "save_minutes": 1e-6,
        "device": "cpu",
    }
    return TrainOptions(shape=shape, **given | more)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_state(folder).adapter


def assert_same(first: Path, second: Path) -> None:
    """Weights, optimiser and history of two trainings, to the bit."""
    one, other = load_state(first), load_state(second)
    assert one.adapter.keys() == other.adapter.keys() and one.place == other.place
    assert all(torch.equal(one.adapter[name], other.adapter[name]) for name in one.adapter)
    assert one.history == other.history
    for key, slots in one.optimiser["state"].items():
        for name, value in slots.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other.optimiser["state"][key][name])), name


@pytest.fixture(autouse=True)
def no_pictures(request, monkeypatch):
    """A plot takes longer than a training here; one test draws it."""
    if request.node.name != "test_a_training_learns_and_leaves_its_files":
        monkeypatch.setattr(outputs, "plot_history", lambda *given, **more: None)


@pytest.fixture(scope="module")
def unbroken(prepared, tiny_info, tmp_path_factory) -> Path:
    """A training that nobody interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    outcome = train(prepared, tiny_info, folder, options())
    assert outcome.finished and (outcome.step, outcome.steps, outcome.epoch) == (STEPS, STEPS, EPOCHS)
    return folder


def test_a_training_learns_and_leaves_its_files(prepared, tiny_info, tmp_path):
    """The loss falls, on songs that only validate as well; adapters on the way, figures, a plot and a log are there."""
    kept = []
    outcome = train(prepared, tiny_info, tmp_path / "run", options(epochs=12, save_every=5, accumulation=1, save_minutes=5),
                    Hooks(saved=lambda epoch, folder: kept.append((epoch, folder.name))))  # fmt: skip
    rows = outcome.history
    assert [row["epoch"] for row in rows] == list(range(1, 13)) and rows[-1]["step"] == 48
    assert sum(row["validation"] for row in rows[-3:]) / 3 < 0.95 * rows[0]["validation"]
    assert kept == [(5, "epoch_5"), (10, "epoch_10"), (12, "final")]
    run = tmp_path / "run"
    for place in ("checkpoints/epoch_5/adapter", "checkpoints/best/adapter", "final/adapter"):
        assert (run / place / "adapter_model.safetensors").is_file() and (run / place / "adapter_config.json").is_file()
    assert set(outcome.files) == {"peft", "comfyui", "diffusers", "history", "plot"}
    assert json.loads((run / "history.json").read_text()) == list(rows)
    assert (run / "loss.png").read_bytes()[:4] == b"\x89PNG"
    events = [json.loads(line)["event"] for line in (run / "training.log").read_text().splitlines()]
    assert events[0] == "begins" and events[-1] == "ends" and events.count("step") == 48


def test_no_process_is_started_to_prepare_or_to_train(prepared, dataset, tiny_info, unbroken, tmp_path, monkeypatch):
    """On every system, Windows too: songs are read by the training itself, so no worker of a loader can stall it."""

    def refuse(*given, **more):
        raise AssertionError("a process was started")

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    one = msgspec.structs.replace(dataset, samples=dataset.samples[1:2])
    assert prepare(one, tiny_info, tmp_path / "prepared", PrepareOptions(device="cpu")).manifest.rows
    assert train(prepared, tiny_info, tmp_path / "run", options()).finished
    assert_same(tmp_path / "run", unbroken)


@pytest.mark.parametrize("optimiser", ["adamw", "adafactor", "prodigy"])
def test_stepping_aside_at_every_batch_changes_nothing(prepared, tiny_info, unbroken, tmp_path, optimiser):
    """Each sitting does one batch, in the middle of an accumulated step as well: the same weights to the bit."""
    rate = None if optimiser == "prodigy" else 0.01
    reference = unbroken
    if optimiser != "adamw":
        reference = tmp_path / "whole"
        train(prepared, tiny_info, reference, options(optimiser=optimiser, learning_rate=rate, epochs=1))
    epochs = EPOCHS if optimiser == "adamw" else 1
    sittings, middles = 0, 0
    while True:
        asked = []
        outcome = train(prepared, tiny_info, tmp_path / "parts", options(optimiser=optimiser, learning_rate=rate, epochs=epochs),
                        Hooks(yields=lambda asked=asked: bool(asked.append(1)) or len(asked) > 1))  # fmt: skip
        sittings += 1
        if outcome.finished:
            break
        middles += load_state(tmp_path / "parts").place.micro
    assert sittings == 4 * epochs and middles == 2 * epochs
    assert_same(reference, tmp_path / "parts")


@pytest.mark.parametrize(
    "settings",
    [{"shape": {"kind": "dora"}}, {"shape": {"kind": "lokr"}}, {"dtype": "bfloat16"}, {"dtype": "float16"}],
    ids=["dora", "lokr", "bfloat16", "float16"],
)
def test_other_kinds_and_number_types_resume_as_exactly(prepared, tiny_info, tmp_path, settings):
    """Cancelled from a report, then continued. The adapter is float32 whatever the model is."""
    train(prepared, tiny_info, tmp_path / "whole", options(**settings, epochs=2))
    assert {tensor.dtype for tensor in weights(tmp_path / "whole").values()} == {torch.float32}

    def cancel(progress):
        if progress.done == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        train(prepared, tiny_info, tmp_path / "parts", options(**settings, epochs=2), Hooks(report=cancel))
    assert load_state(tmp_path / "parts").place.step == 3
    train(prepared, tiny_info, tmp_path / "parts", options(**settings, epochs=2))
    assert_same(tmp_path / "whole", tmp_path / "parts")


CHILD = """
import os, sys
from pathlib import Path
import torch
from acestep.checkpoints.info import read_info
from acestep.api.training import AdapterShape, TrainOptions
from acestep.training.adapters.store import PreparedFolder
from acestep.training.adapters.train import Hooks, train
import msgspec, peft
torch.set_num_threads(1)
model, prepared, folder, options = sys.argv[1:]

def sit():
    told = os.fdopen(3, "w", buffering=1)
    train(PreparedFolder(Path(prepared)), read_info(Path(model)), Path(folder), msgspec.json.decode(options, type=TrainOptions),
          Hooks(report=lambda progress: told.write(f"{progress.done}\\n")))

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sit()
        os._exit(0)
    os.write(4, f"{child}\\n".encode())
    os.write(4, f"{os.waitpid(child, 0)[1]}\\n".encode())
"""
"""Forks a process for each sitting, so that the imports are paid once; the test kills these processes."""


@pytest.mark.long
def test_killed_at_random_points_it_resumes_exactly(prepared, tiny_info, unbroken, tmp_path):
    """SIGKILL at three random moments, in the middle of saves among them; what is on disk is whole and leads to the same end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(prepared, tiny_info, tmp_path / "whole", options())
    torch.set_num_threads(threads)
    chance, folder = random.Random(7), tmp_path / "killed"
    steps, states = os.pipe(), os.pipe()
    command = [sys.executable, "-c", CHILD, tiny_info.path, str(prepared.folder), str(folder),
               msgspec.json.encode(options()).decode()]  # fmt: skip

    def wire() -> None:
        os.dup2(steps[1], 3)
        os.dup2(states[1], 4)

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, text=True, bufsize=1, preexec_fn=wire, close_fds=False
    ) as server:
        told, ended = os.fdopen(steps[0]), os.fdopen(states[0])
        reached = []
        for target in (*sorted(chance.sample(range(1, STEPS), 3)), None):
            server.stdin.write("go\n")
            child = int(ended.readline())
            done = -1
            while target is not None and done < target:
                done = int(told.readline())
            if target is not None:
                os.kill(child, signal.SIGKILL)
                reached.append(done)
                assert os.WIFSIGNALED(int(ended.readline()))
                saved = load_state(folder)
                assert saved is None or saved.place.step >= done - 1
            else:
                assert int(ended.readline()) == 0
        server.stdin.close()
    assert len(reached) == 3
    assert_same(tmp_path / "whole", folder)


def test_a_loss_that_is_no_number_keeps_the_last_good_weights(prepared, tiny_info, tmp_path, monkeypatch):
    """A sentence with song, step and what to change; afterwards the training continues as if nothing had been."""
    real, calls = training.squared_error, []

    def failing(*given):  # an epoch is four batches, and five times at which one song is judged
        calls.append(1)
        return real(*given) * (torch.nan if len(calls) == 11 else 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(training, "squared_error", failing)
        with pytest.raises(
            NumericFailure, match=r"the loss of song .\.wav is not a number.*after step 2 are kept"
        ) as raised:
            train(prepared, tiny_info, tmp_path / "run", options())
    assert raised.value.limits == {"step": 2}
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values())
    train(prepared, tiny_info, tmp_path / "run", options())
    train(prepared, tiny_info, tmp_path / "whole", options())
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_weights_that_are_no_numbers_are_never_saved(prepared, tiny_info, tmp_path, monkeypatch):
    """A step that ruins the adapter: the state before it stays on disk."""
    real = training.Training._update
    ruined = []

    def ruin(self):
        real(self)
        if self._state.place.step == 3:
            next(iter(self._parameters.values())).data.fill_(torch.inf)
            ruined.append(1)

    monkeypatch.setattr(training.Training, "_update", ruin)
    with pytest.raises(NumericFailure, match="after step 3 are kept"):
        train(prepared, tiny_info, tmp_path / "run", options())
    assert ruined and load_state(tmp_path / "run").place.step == 3


def test_a_full_disk_keeps_the_last_save(prepared, tiny_info, unbroken, tmp_path, monkeypatch):
    """The training stops with the reason; with room again it ends as if nothing had been."""
    real, saves = keeping.save_whole, []

    def full(path, write):
        saves.append(path)
        if len(saves) > 2:
            raise DiskFull("the disk is full")
        real(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "save_whole", full)
        with pytest.raises(DiskFull):
            train(prepared, tiny_info, tmp_path / "run", options())
    assert load_state(tmp_path / "run").place.step == 2
    train(prepared, tiny_info, tmp_path / "run", options())
    assert_same(unbroken, tmp_path / "run")


def test_too_little_memory_lowers_the_batch_and_says_so(prepared, tiny_info, tmp_path, monkeypatch):
    """Fewer songs at once and the step once more; not even one song is an error with a way out."""
    real = training.squared_error
    big = options(batch=4, accumulation=1, epochs=1, shape={"dropout": 0.0})
    whole = train(prepared, tiny_info, tmp_path / "whole", big)

    def short(limit):
        def failing(network, padding, batch, masked):
            if len(batch.frames) > limit:
                raise RuntimeError("CUDA error: out of memory")
            return real(network, padding, batch, masked)

        return failing

    with monkeypatch.context() as patch:
        patch.setattr(training, "squared_error", short(1))
        outcome = train(prepared, tiny_info, tmp_path / "run", big)
        patch.setattr(training, "squared_error", short(0))
        with pytest.raises(OutOfMemory, match="not even one song"):
            train(prepared, tiny_info, tmp_path / "none", big)
    assert outcome.notes[-2:] == tuple(f"memory was short: {n} of a batch's songs are computed at once" for n in (2, 1))
    assert outcome.history[0]["loss"] == pytest.approx(whole.history[0]["loss"], rel=1e-5)


def test_pieces_of_a_batch_have_its_gradients(prepared, tiny_info, tmp_path):
    """However many songs are computed at once."""
    found = []
    for chunk in (4, 3, 1):
        setup = setting_up.set_up(prepared, tiny_info, options(batch=4, shape={"dropout": 0.0}))
        one = training.Training(setup, tmp_path, Hooks())
        one._state.chunk = chunk
        loss = one._batch(setup.rows, 0, 1)
        found.append([torch.tensor(loss), *(parameter.grad for parameter in one._parameters.values())])
    for other in found[1:]:
        for first, second in zip(found[0], other, strict=True):
            torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": {"rank": 5}}, "has rank 3, not 5"),
        ({"shape": {"targets": ("q_proj",)}}, "has targets q_proj, k_proj"),
        ({"shape": {"kind": "dora"}}, "has kind lora, not dora"),
        ({"seed": 1}, "has seed 42, not 1"),
        ({"batch": 2}, "has batch 1, not 2"),
    ],
)
def test_another_training_cannot_be_continued(prepared, tiny_info, unbroken, changes, words):
    """Another size, another kind, another order: named with both values, and nothing is written."""
    before = (unbroken / "state.pt").read_bytes()
    with pytest.raises(BadRequest, match=words):
        train(prepared, tiny_info, unbroken, options(**changes))
    assert (unbroken / "state.pt").read_bytes() == before


def test_more_epochs_continue_a_finished_training(prepared, tiny_info, unbroken, tmp_path):
    """What does not decide about the order of things may be changed."""
    import shutil

    shutil.copytree(unbroken, tmp_path / "run")
    again = train(prepared, tiny_info, tmp_path / "run", options())
    assert again.finished and again.step == STEPS
    more = train(prepared, tiny_info, tmp_path / "run", options(epochs=EPOCHS + 1, learning_rate=0.001))
    assert more.step == STEPS + 2 and len(more.history) == EPOCHS + 1


def test_another_dataset_or_model_cannot_continue(prepared, tiny_info, unbroken, tmp_path):
    from acestep.training.adapters.store import PreparedFolder

    other = PreparedFolder(prepared.folder)
    other.manifest = msgspec.structs.replace(other.manifest, dataset="another")
    with pytest.raises(BadRequest, match="another dataset"):
        train(other, tiny_info, unbroken, options())
    with pytest.raises(ModelUnsuited, match="prepared with another"):
        train(prepared, read_info(build_tiny(tmp_path, salt="x/")), tmp_path / "run", options())


def test_a_state_that_is_none_is_named(prepared, tiny_info, tmp_path):
    for content in (b"", b"not a state", (b"PK\x03\x04" + bytes(100))):
        (tmp_path / "state.pt").write_bytes(content)
        with pytest.raises(BadCheckpoint, match="not a training of this version"):
            train(prepared, tiny_info, tmp_path, options())


def test_a_training_that_cannot_fit_is_refused_with_figures(prepared, tiny_info, tmp_path, monkeypatch):
    """Before its first step, and without a file."""
    monkeypatch.setattr(setting_up, "free_bytes", lambda device: 10_000_000)
    with pytest.raises(OutOfMemory, match=r"needs about 0\.3 GB on cpu .* 0\.0 GB are free") as raised:
        train(prepared, tiny_info, tmp_path / "run", options())
    assert raised.value.limits["free_bytes"] == 10_000_000 and not (tmp_path / "run").exists()


def test_songs_that_all_validate_leave_nothing_to_learn(prepared, tiny_info, tmp_path):
    from acestep.training.adapters.store import PreparedFolder

    other = PreparedFolder(prepared.folder)
    rows = tuple(msgspec.structs.replace(row, validation=True) for row in other.manifest.rows)
    other.manifest = msgspec.structs.replace(other.manifest, rows=rows)
    with pytest.raises(BadRequest, match="none is left for training"):
        train(other, tiny_info, tmp_path, options())
