"""Labelling a dataset: by measurement, by a planner's ear where there is one, by the files' names. What people wrote stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadRequest
from acestep.conditioning.prompts import INSTRUMENTAL, INSTRUMENTAL_FORMS
from acestep.dataset.edit import edited
from acestep.dataset.labels import is_absent, lenient_label
from acestep.dataset.measure import measure_sample
from acestep.dataset.names import name_labels
from acestep.dataset.sample import Dataset, TrainingSample

MEASURED = ("bpm", "keyscale", "timesignature")
WORDS = ("caption", "genre", "lyrics", "language")

Understand = Callable[[TrainingSample], Mapping[str, Any]]
"""Listens to a sample and says caption, genre, lyrics, language: a planner's `understand`. May raise `AceError`."""

Advance = Callable[[int, int, str], None]
"""``advance(done, total, file name)`` before each sample; may raise to stop."""


class LabelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to label. ``skip``: labels that are not known are left so (N/A) and nothing is listened to. ``replace``: also those
    that have a value. ``only``: ids of samples; empty for all."""

    skip: bool = False
    replace: bool = False
    instrumental: bool = False
    only: tuple[str, ...] = ()


AS_NEEDED = LabelOptions()
"""Everything that is missing, by measurement and by name."""


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """The dataset with its labels, and what the user should know: unsure values, samples that could not be listened to."""

    dataset: Dataset
    notes: tuple[str, ...]


def label(
    dataset: Dataset,
    options: LabelOptions = AS_NEEDED,
    understand: Understand | None = None,
    advance: Advance = lambda done, total, name: None,
) -> Labelled:
    """Fill in what is missing. A sample that cannot be listened to keeps its labels, and a note says why.

    Raises `BadRequest` for ids that are not in the dataset, and what ``advance`` raises.
    """
    strange = set(options.only) - {sample.id for sample in dataset.samples}
    if strange:
        raise BadRequest(f"the dataset has no samples {', '.join(sorted(strange))}", field="only")
    notes: list[str] = []
    done: list[TrainingSample] = []
    for index, sample in enumerate(dataset.samples):
        advance(index, len(dataset.samples), sample.filename)
        if options.only and sample.id not in options.only:
            done.append(sample)
            continue
        done.append(_labelled(sample, options, understand, notes))
    advance(len(done), len(done), "")
    return Labelled(dataset=msgspec.structs.replace(dataset, samples=tuple(done)), notes=tuple(notes))


def _labelled(
    sample: TrainingSample, options: LabelOptions, understand: Understand | None, notes: list[str]
) -> TrainingSample:
    if options.instrumental:
        sample = edited(sample, {"lyrics": INSTRUMENTAL, "language": "unknown"})
    wanted = [name for name in (*WORDS, *MEASURED) if options.replace or _missing(sample, name)]
    if options.instrumental:
        wanted = [name for name in wanted if name not in ("lyrics", "language")]
    if not wanted:
        return sample
    found, unsure = name_labels(sample.path.stem), {}
    if not options.skip:
        try:
            measured = measure_sample(sample)
            found.update(measured.labels)
            unsure = measured.unsure
            found.update(_understood(sample, understand, notes) if understand else {})
        except AceError as failure:
            notes.append(f"{sample.filename} was not listened to: {failure.message}")
    taken = {name: found[name] for name in wanted if name in found}
    labelled = edited(sample, taken)
    doubts = {name: why for name, why in unsure.items() if name in wanted}
    notes += [f"{sample.filename}: {why}" for why in doubts.values()]
    own = msgspec.structs.replace(labelled.own, unsure={**labelled.own.unsure, **doubts})
    return msgspec.structs.replace(labelled, own=own, labeled=bool(labelled.caption or labelled.genre))


def _missing(sample: TrainingSample, name: str) -> bool:
    value = getattr(sample, name)
    if name == "lyrics":
        return sample.is_instrumental and value.strip().lower() in INSTRUMENTAL_FORMS
    return is_absent(value) or (name == "language" and value == "unknown")


def _understood(sample: TrainingSample, understand: Understand, notes: list[str]) -> dict[str, Any]:
    """What a planner hears, in words; its tempo and key are not taken, since it makes them up."""
    found = {}
    for name, value in understand(sample).items():
        if name in WORDS and not is_absent(value):
            read, note = lenient_label(name, value, sample.filename)
            if note:
                notes.append(note)
            else:
                found[name] = read
    return found
