"""The datasets of this machine by name, below the home. No torch.

datasets/NAME/dataset.json   songs and labels, in the original trainer's form
datasets/NAME/prepared/      latents and conditions (`acestep.training.adapters.store`)
datasets/NAME/dataset.log    a line of JSON for every run
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from acestep.api.errors import AceError, BadRequest, OutputUnwritable, UnknownName
from acestep.dataset.file import OpenedDataset, open_dataset, save_dataset
from acestep.dataset.log import add_line, telling_of_a_break
from acestep.dataset.sample import Dataset

FOLDER, FILE, PREPARED, LOG = "datasets", "dataset.json", "prepared", "dataset.log"

MAX_NAME = 80
_NAME = r"[A-Za-z0-9\u00a1-\U0010ffff][\w .+\u00a1-\U0010ffff-]*"
"""Letters and digits of all writings, and what else they are written with: accents of their own, dashes, symbols.

Compiled when it is first used: that takes milliseconds, which no start has to pay."""
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

NAME_RULE = f"a name has 1 to {MAX_NAME} letters, digits, spaces and . + - _, and begins with a letter or digit"


def _fits(name: str) -> bool:
    return re.fullmatch(_NAME, name) is not None and name.isprintable() and not _DEVICE.fullmatch(name)


def check_name(name: str, field: str) -> str:
    """A name that can be a folder's on every system. Raises `BadRequest`."""
    if not _fits(name) or len(name) > MAX_NAME or name[-1] in " .":
        raise BadRequest(f"{name!r} cannot be a name: {NAME_RULE}", field=field, limits={"max_length": MAX_NAME})
    return name


def usual_name(text: str, fallback: str) -> str:
    """A name made of what a folder or file is called."""
    seen = "".join(letter if letter.isprintable() else " " for letter in text)
    plain = re.sub(r"[^\w .+\u00a1-\U0010ffff-]", " ", seen).strip(" ._+-")[:MAX_NAME].rstrip(" .")
    return plain if _fits(plain) else fallback


class Datasets:
    """The datasets below a home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER

    def place(self, name: str) -> Path:
        """The folder of a dataset, whether or not there is one. Raises `BadRequest`."""
        return self.folder / check_name(name, "dataset")

    def names(self) -> list[str]:
        """The datasets there are."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{FILE}"))

    def has(self, name: str) -> bool:
        return (self.place(name) / FILE).is_file()

    def require(self, name: str) -> str:
        """The name of a dataset that is there. Raises `UnknownName`."""
        if not self.has(name):
            raise UnknownName(f"there is no dataset {name!r}; dataset-scan makes one of a folder", field="dataset",
                              limits={"choices": self.names()})  # fmt: skip
        return name

    def open(self, name: str) -> OpenedDataset:
        """A dataset. Raises `UnknownName`, `BadRequest`."""
        return open_dataset(self.place(self.require(name)) / FILE)

    def save(self, name: str, dataset: Dataset) -> Path:
        """Write a dataset's file, whole or not at all. Raises `DiskFull`, `OutputUnwritable`."""
        path = self.place(name) / FILE
        save_dataset(dataset, path)
        return path

    def prepared(self, name: str) -> Path:
        """Where a dataset's latents and conditions are."""
        return self.place(name) / PREPARED

    def delete(self, name: str) -> None:
        """Forget a dataset and what was prepared of it; the songs stay. Raises `UnknownName`, `OutputUnwritable`."""
        place = self.place(self.require(name))
        try:
            (place / FILE).unlink()
            shutil.rmtree(place)
        except OSError as failure:
            raise OutputUnwritable(f"{place} cannot be removed: {failure.strerror}", field="dataset") from None

    @contextmanager
    def changing(self, name: str) -> Iterator[None]:
        """For reading, changing and saving a dataset while nobody else does."""
        place = self.place(name)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise OutputUnwritable(f"{place} cannot be made: {failure.strerror}", field="dataset") from None
        with FileLock(self.folder / f".{name}.lock"):
            try:
                yield
            finally:
                with suppress(OSError):
                    place.rmdir()  # where nothing came of it

    def note(self, name: str, event: str, **facts: Any) -> None:
        """A line of the log."""
        add_line(self.place(name) / LOG, event, **facts)

    def logged(self, name: str, event: str) -> AbstractContextManager[None]:
        """For a run that tells itself how it ended: the log also has one that broke off, and why."""

        def tell(reason: str) -> None:
            if self.has(name):
                self.note(name, event, broke_off=reason)

        return telling_of_a_break(tell)

    def row(self, name: str) -> dict[str, Any]:
        """A dataset in a list of them: its settings and counts, or as ``problem`` why it cannot be opened."""
        try:
            dataset = self.open(name).dataset
        except AceError as failure:
            return {"dataset": name, "problem": failure.message}
        samples = dataset.samples
        return {
            "dataset": name,
            "samples": len(samples),
            "labeled": sum(sample.labeled for sample in samples),
            "seconds": round(sum(sample.seconds for sample in samples), 1),
            "custom_tag": dataset.custom_tag,
            "tag_position": dataset.tag_position,
            "genre_ratio": dataset.genre_ratio,
            "all_instrumental": dataset.all_instrumental,
            "validation": dataset.validation,
            "created_at": dataset.created_at,
            "path": str(self.place(name) / FILE),
            "prepared": self._prepared_row(name),
        }

    def _prepared_row(self, name: str) -> dict[str, Any]:
        """What was prepared: model, songs, and whether labels were changed since; empty for nothing."""
        manifest = self.prepared(name) / "manifest.json"
        try:
            data = json.loads(manifest.read_bytes())
            stale = (self.place(name) / FILE).stat().st_mtime > manifest.stat().st_mtime
            return {"model": data["model"]["name"], "songs": len(data["rows"]), "stale": stale,
                    "left_out": data.get("left_out", [])}  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            return {}
