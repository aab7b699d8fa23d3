"""The training of an adapter: a job that saves its place, steps aside within a batch, and continues to the bit.

Everything that chance decides follows from seed, epoch and sample (`acestep.training.adapters.draw`), so the state on disk is
weights, optimiser and place. On a CPU, with the same number of threads, a training that was interrupted anywhere has the same
weights as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from acestep.api.errors import AceError, NumericFailure, OutOfMemory
from acestep.api.shortage import is_out_of_memory
from acestep.api.training import TrainOptions
from acestep.api.variants import ModelInfo
from acestep.runtime.devices import free_cache
from acestep.training.adapters.adapter import restore, trained_parameters
from acestep.training.adapters.batches import plan_epoch
from acestep.training.adapters.draw import draw, fixed_draw, seed_for
from acestep.training.adapters.objective import collate, squared_error
from acestep.training.adapters.optimisers import make_optimiser, rate_factor
from acestep.training.adapters.outputs import NoOutputs, Outputs
from acestep.training.adapters.pace import Pace, Report
from acestep.training.adapters.setup import Setup, set_up
from acestep.training.adapters.state import Place, RunState, load_state, require_same, save_state
from acestep.training.adapters.store import Prepared, Row
from acestep.training.parallel import ProcessGroup
from acestep.training.times import turbo_times

JUDGED_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""At which a continuous model is judged; a distilled one is at the times it runs."""

STAGE = "training"

ALONE = ProcessGroup()
"""A training on one device."""


@dataclass(frozen=True)
class Hooks:
    """How a training speaks with whoever runs it.

    ``yields`` is asked before every batch: True means that something else waits, and the training saves its place and returns.
    ``report`` hears of every step and may raise to stop; so may ``check``, which is asked while there are no steps yet. ``stored``
    hears whenever a place beyond that of the beginning is on the disk. ``saved`` hears of every kept adapter, epoch and folder, and
    returns a line for the log of each sample it asked for; ``wanted`` says whether an epoch's adapter is kept besides the usual
    ones.
    """

    report: Report = lambda progress: None
    yields: Callable[[], bool] = lambda: False
    check: Callable[[], None] = lambda: None
    stored: Callable[[], None] = lambda: None
    saved: Callable[[int, Path], Sequence[Mapping[str, Any]] | None] = lambda epoch, folder: None
    wanted: Callable[[int], bool] = lambda epoch: False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a training ended: ``finished``, or it stepped aside and continues when it is called again.

    ``files``: what was written at the end, by form. ``history``: a row an epoch with step, loss, rate and validation loss.
    """

    finished: bool
    step: int
    steps: int
    epoch: int
    history: tuple[dict[str, float], ...] = ()
    files: dict[str, str] = {}
    notes: tuple[str, ...] = ()


def train(
    prepared: Prepared, info: ModelInfo, folder: Path, options: TrainOptions, hooks: Hooks | None = None
) -> Outcome:
    """Train an adapter, or continue the training in ``folder``.

    Raises `BadRequest` for a training that cannot continue like this, `ModelUnsuited`, `OutOfMemory` before it begins or when not
    even one song fits, `NumericFailure` (the last good weights are kept), `DiskFull` (so is the last save), `Unavailable`, and what
    ``hooks.report`` raises; whatever it raises, the place is saved.
    """
    setup = set_up(prepared, info, options)
    return Training(setup, folder, hooks or Hooks()).run()


class _SteppedAside(Exception):
    """Something else waits; the place is saved."""


class Training:
    """One sitting of a training; of several processes on several devices each has one, and computes its share of every step."""

    def __init__(self, setup: Setup, folder: Path, hooks: Hooks, group: ProcessGroup = ALONE) -> None:
        self._setup, self._folder, self._hooks = setup, folder, hooks
        self._options, self._network = setup.options, setup.network
        self._parameters = trained_parameters(setup.network)
        self._optimiser = make_optimiser(setup.options, self._parameters.values(), setup.device)
        self._scaler = torch.amp.GradScaler(setup.device.type, enabled=setup.dtype == torch.float16)
        self._group = group
        self._outputs = Outputs(setup, folder) if group.leads else NoOutputs(setup, folder)
        self._state = RunState(setup.identity, setup.options, chunk=setup.options.batch)
        self._steps_an_epoch = len(plan_epoch(setup.rows, setup.options, 0))
        self._saved_at = self._outputs.clock()
        self._whole = True
        """Whether weights and optimiser are those of one step, so that they may be saved."""
        self._began_at = 0
        """The step that this sitting began with."""

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self._options.epochs * self._steps_an_epoch

    def run(self) -> Outcome:
        """Train to the end, or until something else waits."""
        self._resume()
        pace = Pace(STAGE, self.steps, self._hooks.report)
        pace.skip(self._state.place.step)
        try:
            while self._state.place.epoch < self._options.epochs:
                self._epoch(pace)
            files = {} if self._state.finished else self._finish()
        except _SteppedAside:
            return self._outcome(finished=False)
        except NumericFailure as failure:
            raise self._stopped(failure) from failure
        except BaseException:
            if self._whole:
                self._drop_batch()
                self._save()
            raise
        return self._outcome(finished=True, files=files or self._outputs.files())

    def _epoch(self, pace: Pace) -> None:
        epoch, groups = self._state.place.epoch, plan_epoch(self._setup.rows, self._options, self._state.place.epoch)
        for group in groups[self._state.place.group :]:
            loss = self._step(group, epoch)
            pace.advance(loss=loss, epoch=epoch, rate=self._rate())
        self._end_epoch()

    def _step(self, group: Sequence[Sequence[int]], epoch: int) -> float:
        """One step of the optimiser over its batches; returns their mean loss."""
        self._gradients(group, epoch)
        self._update()
        loss, self._state.step_loss = self._state.step_loss, 0.0
        total, count = self._state.sums
        self._state.sums = total + loss, count + 1
        place = self._state.place
        self._state.place = Place(step=place.step + 1, epoch=epoch, group=place.group + 1)
        self._outputs.log_step(self._state.place.step, loss)
        if self._outputs.clock() - self._saved_at > 60 * self._options.save_minutes:
            self._save()
        return loss

    def _gradients(self, group: Sequence[Sequence[int]], epoch: int) -> None:
        """Gradients and loss of a step, from every device. What goes wrong on one of them is raised on all."""
        while True:
            failure = self._own_share(group, epoch)
            wrong = isinstance(failure, AceError)
            own = [float(wrong), float(failure is not None), self._state.step_loss]
            wrongs, failures, loss = self._group.add(own, self._setup.device)
            if wrongs:
                raise self._group.first(failure if wrong else None)
            if not failures:
                break
            self._shrink(failure)
        self._group.add_gradients(self._parameters.values())
        self._state.step_loss = loss

    def _own_share(self, group: Sequence[Sequence[int]], epoch: int) -> BaseException | None:
        """Gradients and loss of this device's part of a step; returns what went wrong."""
        while (micro := self._state.place.micro) < len(group):
            self._ask()
            try:
                loss = self._batch([self._setup.rows[index] for index in group[micro]], epoch, len(group))
            except (AceError, RuntimeError, MemoryError) as failure:
                if not isinstance(failure, AceError) and not is_out_of_memory(failure):
                    raise
                return failure
            self._state.step_loss += loss
            self._state.place = msgspec.structs.replace(self._state.place, micro=micro + 1)
        return None

    def _batch(self, rows: Sequence[Row], epoch: int, share: int) -> float:
        """Gradients of one batch, added to those of the step; returns its part of the step's loss."""
        setup, place = self._setup, self._state.place
        parts = self._own_parts(len(rows))
        if not parts:
            return 0.0
        draws = [draw(setup.read(row), row.id, epoch, setup.basis) for row in rows]
        masked = self._options.loss == "masked"
        whole = collate(draws, setup.device)
        count, total = whole.elements(masked) * share, 0.0
        self._network.train()
        with torch.random.fork_rng(devices=_devices(setup.device)):
            for index, (first, last) in parts.items():
                torch.manual_seed(
                    seed_for(self._options.seed, "dropout", place.step, place.micro, *([index] if index else []))
                )
                error = squared_error(self._network, setup.padding, whole.part(first, last), masked) / count
                self._require_number(error, rows)
                self._scaler.scale(error).backward()
                total += error.item()
        return total

    def _own_parts(self, songs: int) -> dict[int, tuple[int, int]]:
        """This device's pieces of a batch: index -> first and last song. Pieces, batch after batch, go to the devices in turn."""
        size = min(self._state.chunk, self._options.at_once())
        before = self._state.place.micro * -(-self._options.batch // size)
        pieces = enumerate((first, min(first + size, songs)) for first in range(0, songs, size))
        return {index: piece for index, piece in pieces if (before + index) % self._group.size == self._group.rank}

    def _update(self) -> None:
        """Let the optimiser take its step."""
        factor = rate_factor(self._options, self._state.place.step, self.steps)
        for parameters in self._optimiser.param_groups:
            parameters["lr"] = self._options.rate() * factor
        self._scaler.unscale_(self._optimiser)
        norm = nn.utils.clip_grad_norm_(self._parameters.values(), self._options.clip)
        if not self._scaler.is_enabled() and not torch.isfinite(norm):
            raise NumericFailure("the gradients are not numbers")
        self._whole = False
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        self._whole = True

    def _require_number(self, loss: Tensor, rows: Sequence[Row]) -> None:
        if not torch.isfinite(loss):
            raise NumericFailure(f"the loss of {', '.join(row.name for row in rows)} is not a number")

    def _stopped(self, failure: NumericFailure) -> NumericFailure:
        """Keep the last weights that are numbers, and say so."""
        self._drop_batch()
        try:
            self._save()
        except NumericFailure:
            kept = load_state(self._folder)
            self._state = kept or self._state
        step = self._state.place.step
        return NumericFailure(
            f"{failure.message}, so the training stopped; the weights after step {step} are kept. Use a smaller learning_rate"
            + (" or dtype float32" if self._setup.dtype != torch.float32 else ""),
            field="learning_rate",
            limits={"step": step},
        )

    def _shrink(self, failure: BaseException | None) -> None:
        """Fewer songs at once from now on; the step begins again, so that its gradients are whole. Raises `OutOfMemory`."""
        size = min(self._state.chunk, self._options.at_once())
        if size == 1:
            raise OutOfMemory(
                "not even one song fits into memory; use crop_seconds 60 or less, or checkpointing on",
                field="crop_seconds",
            ) from failure
        self._state.chunk = size // 2
        self._drop_batch()
        free_cache(self._setup.device)
        self._outputs.note(f"memory was short: {self._state.chunk} of a batch's songs are computed at once")

    def _drop_batch(self) -> None:
        """Back to the beginning of the step."""
        self._optimiser.zero_grad(set_to_none=True)
        self._state.place = msgspec.structs.replace(self._state.place, micro=0)
        self._state.step_loss = 0.0

    def _ask(self) -> None:
        if self._group.size > 1 and self._state.place.micro:
            return  # others have gradients of this step that nobody here could save
        if self._hooks.yields():
            self._save()
            raise _SteppedAside

    def _end_epoch(self) -> None:
        """Figures of the epoch, the judge, and the adapter where one is due."""
        state, epoch = self._state, self._state.place.epoch + 1
        row = {"epoch": epoch, "step": state.place.step, "loss": state.sums[0] / state.sums[1], "rate": self._rate()}
        if self._setup.judged and epoch % self._options.validate_every == 0:
            row["validation"] = self.validate()
        state.history.append(row)
        state.sums = 0.0, 0
        state.place = Place(step=state.place.step, epoch=epoch)
        self._outputs.log_epoch(row)
        better = "validation" in row and (state.best is None or row["validation"] < state.best)
        if better:
            state.best = row["validation"]
            self._outputs.keep_best(epoch, state.place.step)
        if epoch % self._options.save_every == 0 or epoch == self._options.epochs or better:
            self._save()
        due = epoch % self._options.save_every == 0 or self._hooks.wanted(epoch)
        if due and epoch < self._options.epochs:
            self._tell_kept(epoch, self._outputs.keep_epoch(epoch, state.place.step))
            self._outputs.draw(state.history)

    def _tell_kept(self, epoch: int, folder: Path) -> None:
        """Let the adapter be heard, if anybody wants to."""
        for row in self._hooks.saved(epoch, folder) or ():
            self._outputs.log_sample(row)

    def validate(self) -> float:
        """The mean loss over the songs that are only listened to, at fixed times with fixed noise and without any dropout."""
        own, failure = (0.0, 0.0), None
        try:
            own = self._judge(self._setup.judged[self._group.rank :: self._group.size])
        except AceError as caught:  # the others are told, who would wait for this share
            failure = caught
        wrong, total, count = self._group.add([float(failure is not None), *own], self._setup.device)
        if wrong:
            raise self._group.first(failure)
        if not math.isfinite(total):
            raise NumericFailure("the loss of the songs that validate is not a number")
        return total / count

    def _judge(self, rows: Sequence[Row]) -> tuple[float, float]:
        """The loss of some songs, summed, and the number of values it is a sum of."""
        setup, total, count = self._setup, 0.0, 0.0
        times = turbo_times().tolist() if setup.basis.flow.timesteps == "discrete" else JUDGED_TIMES
        self._network.eval()
        with torch.no_grad():
            for row in rows:
                item = setup.read(row)
                for time in times:
                    batch = collate([fixed_draw(item, row.id, time, setup.basis)], setup.device)
                    total += squared_error(self._network, setup.padding, batch, True).item()
                    count += batch.elements(True)
        return total, count

    def _rate(self) -> float:
        return self._options.rate() * rate_factor(self._options, max(0, self._state.place.step - 1), self.steps)

    def _resume(self) -> None:
        """Take up the training that is in the folder, if there is one. Raises `BadRequest`, `BadCheckpoint`."""
        found = load_state(self._folder)
        if found is None:
            self._outputs.begin(self.steps)
            return
        require_same(found, self._setup.identity, self._options)
        restore(self._network, found.adapter)
        for name, gradient in found.gradients.items():
            self._parameters[name].grad = gradient.to(self._setup.device)
        self._optimiser.load_state_dict(found.optimiser)
        self._scaler.load_state_dict(found.scaler)
        if found.finished and found.place.epoch < self._options.epochs:
            found.finished = False
        found.options = self._options
        self._state = found
        self._began_at = found.place.step
        self._outputs.resume(found.place.step)

    def _save(self) -> None:
        if not self._group.leads:
            return
        state = self._state
        state.adapter = {name: parameter.detach().cpu().clone() for name, parameter in self._parameters.items()}
        state.gradients = {
            name: parameter.grad.detach().cpu().clone()
            for name, parameter in self._parameters.items()
            if parameter.grad is not None and state.place.micro
        }
        state.optimiser, state.scaler = self._optimiser.state_dict(), self._scaler.state_dict()
        save_state(self._folder, state)
        self._saved_at = self._outputs.clock()
        if state.place.step > self._began_at:
            self._hooks.stored()

    def _finish(self) -> dict[str, str]:
        files = self._outputs.finish(self._state.place.step, self._state.history)
        self._state.finished = True
        self._save()
        self._tell_kept(self._state.place.epoch, self._outputs.final)
        return files

    def _outcome(self, *, finished: bool, files: dict[str, str] | None = None) -> Outcome:
        place = self._state.place
        return Outcome(
            finished=finished, step=place.step, steps=self.steps, epoch=place.epoch, history=tuple(self._state.history),
            files=files or {}, notes=tuple(self._outputs.notes),
        )  # fmt: skip


def _devices(device: torch.device) -> list[int]:
    return [] if device.type != "cuda" else [device.index or 0]
