"""What a training leaves behind besides its state: a log, figures and plots, adapters on the way and at the end.

training.log             a line for every sitting, step and epoch
history.json             a row for every epoch
loss.png                 where matplotlib is installed
checkpoints/epoch_N/adapter, checkpoints/best/adapter     PEFT folders
final/                   the adapter in all its forms
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from acestep.dataset.log import add_line
from acestep.training.adapters.export import Export, write_forms, write_peft
from acestep.training.adapters.setup import Setup
from acestep.training.adapters.writing import save_whole
from acestep.training.run import plot_history

log = logging.getLogger(__name__)

LOG, HISTORY, PLOT = "training.log", "history.json", "loss.png"


class Outputs:
    """The files of one training."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        self._setup, self._folder = setup, folder
        self.notes = list(setup.notes)
        self.final = folder / "final"

    def clock(self) -> float:
        return time.monotonic()

    def begin(self, steps: int) -> None:
        """A new training: its settings stand at the beginning of the log."""
        options, setup = self._setup.options, self._setup
        self._log("begins", steps=steps, model=setup.info.name, songs=len(setup.rows), judged=len(setup.judged),
                  need_bytes=setup.need.total, checkpointing=setup.checkpointing,
                  flow=msgspec.to_builtins(setup.basis.flow), settings=msgspec.to_builtins(options))  # fmt: skip
        for note in self.notes:
            self._log("note", text=note)

    def resume(self, step: int) -> None:
        self._log("continues", step=step)

    def note(self, text: str) -> None:
        """Something the user should know."""
        self.notes.append(text)
        self._log("note", text=text)

    def log_step(self, step: int, loss: float) -> None:
        self._log("step", step=step, loss=round(loss, 6))

    def log_sample(self, row: Mapping[str, Any]) -> None:
        """A render of a kept adapter: its job, epoch, prompt."""
        self._log("sample", **row)

    def log_epoch(self, row: dict[str, float]) -> None:
        self._log("epoch", **row)

    def _log(self, event: str, **facts: Any) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            log.warning("%s cannot be made", self._folder)
        else:
            add_line(self._folder / LOG, event, **facts)

    def keep_epoch(self, epoch: int, step: int) -> Path:
        """The adapter of an epoch, to compare with others. Raises `DiskFull`, `OutputUnwritable`."""
        return self._keep(f"epoch_{epoch}", epoch, step)

    def keep_best(self, epoch: int, step: int) -> Path:
        """The adapter with the lowest validation loss so far."""
        return self._keep("best", epoch, step)

    def _keep(self, name: str, epoch: int, step: int) -> Path:
        folder = self._folder / "checkpoints" / name
        write_peft(self._export(epoch, step), folder / "adapter")
        return folder

    def finish(self, step: int, history: list[dict[str, float]]) -> dict[str, str]:
        """Every form of the adapter, the figures and the plot; returns the files by form."""
        files = write_forms(self._export(self._setup.options.epochs, step), self.final, self._name())
        files |= self.draw(history)
        self._log("ends", step=step, files=files)
        return files

    def draw(self, history: list[dict[str, float]]) -> dict[str, str]:
        """The figures of every epoch so far, and their plot; returns the files by form."""
        save_whole(self._folder / HISTORY, lambda path: path.write_text(json.dumps(history, indent=1) + "\n"))
        files = {"history": str(self._folder / HISTORY)}
        try:
            losses = [{name: value for name, value in row.items() if name != "rate"} for row in history]
            plot_history(losses, self._folder / PLOT, f"adapter {self._name()}", against="step")
            files["plot"] = str(self._folder / PLOT)
        except ImportError:
            sentence = "loss.png was not drawn: pip install 'acestep-bridge[pictures]'"
            if sentence not in self.notes:
                self.note(sentence)
        except OSError:
            log.warning("%s cannot be written", self._folder / PLOT)
        return files

    def files(self) -> dict[str, str]:
        """The files of a training that ended before."""
        found = {path.name: str(path) for path in sorted(self.final.iterdir())} if self.final.is_dir() else {}
        return found

    def _name(self) -> str:
        return self._folder.name

    def _export(self, epoch: int, step: int) -> Export:
        manifest, info = self._setup.prepared.manifest, self._setup.info
        facts = {
            "name": self._name(), "model": info.name, "variant": info.variant, "model_digest": self._setup.identity.model,
            "dataset": manifest.name, "dataset_digest": manifest.dataset, "trigger": manifest.trigger,
            "tag_position": manifest.tag_position, "songs": len(self._setup.rows), "epoch": epoch, "step": step,
            "flow": msgspec.to_builtins(self._setup.basis.flow), "settings": msgspec.to_builtins(self._setup.options),
        }  # fmt: skip
        return Export.of(self._setup.network, self._setup.options.shape, facts)


class NoOutputs(Outputs):
    """Those of a process that only computes for another one: nothing is written."""

    def _log(self, event: str, **facts: Any) -> None:
        pass

    def _keep(self, name: str, epoch: int, step: int) -> Path:
        return self._folder / "checkpoints" / name

    def finish(self, step: int, history: list[dict[str, float]]) -> dict[str, str]:
        return {}

    def draw(self, history: list[dict[str, float]]) -> dict[str, str]:
        return {}
