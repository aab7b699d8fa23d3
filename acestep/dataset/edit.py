"""Changes to a dataset: checked, and made to a copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, NotFound, UnknownName
from acestep.conditioning.prompts import INSTRUMENTAL, INSTRUMENTAL_FORMS
from acestep.dataset.labels import LABELS, read_label
from acestep.dataset.sample import SPLITS, TAG_POSITIONS, Dataset, TrainingSample

OWN_FIELDS = ("song", "split")
MAX_VALIDATION = 0.5


def find_sample(dataset: Dataset, id_: str) -> TrainingSample:
    """The sample of that id. Raises `NotFound`."""
    for sample in dataset.samples:
        if sample.id == id_:
            return sample
    raise NotFound(f"the dataset {dataset.name} has no sample {id_!r}", field="id")


def edit_sample(dataset: Dataset, id_: str, changes: Mapping[str, Any]) -> Dataset:
    """A copy with other labels for one sample. What was measured and is edited is sure from then on.

    Raises `NotFound`, `UnknownName` for a label there is none of, `BadRequest` for a value that is none.
    """
    old = find_sample(dataset, id_)
    return _with(dataset, {id_: edited(old, changes)})


def edited(sample: TrainingSample, changes: Mapping[str, Any]) -> TrainingSample:
    """A sample with other labels. Raises `UnknownName`, `BadRequest`."""
    values: dict[str, Any] = {}
    own = sample.own
    for name, value in changes.items():
        if name in OWN_FIELDS:
            own = _edited_own(own, name, value)
        elif name in LABELS:
            values[name] = read_label(name, value)
        else:
            raise UnknownName(f"a sample has no label {name!r}", field=name, limits={"choices": [*LABELS, *OWN_FIELDS]})
    if "lyrics" in values:
        sung = values["lyrics"].strip().lower() not in INSTRUMENTAL_FORMS
        values["lyrics"] = values["lyrics"] if sung else INSTRUMENTAL
        values.setdefault("is_instrumental", not sung)
        values.setdefault("raw_lyrics", values["lyrics"] if sung else "")
    if values.get("caption"):
        values.setdefault("labeled", True)
    unsure = {name: why for name, why in own.unsure.items() if name not in changes}
    return msgspec.structs.replace(sample, own=msgspec.structs.replace(own, unsure=unsure), **values)


def _edited_own(own: Any, name: str, value: Any) -> Any:
    if not isinstance(value, str) or (name == "split" and value not in SPLITS):
        raise BadRequest(f"{name} cannot be {value!r}", field=name,
                         limits={"choices": list(SPLITS)} if name == "split" else {})  # fmt: skip
    return msgspec.structs.replace(own, **{name: value.strip()})


def edit_dataset(dataset: Dataset, changes: Mapping[str, Any]) -> Dataset:
    """A copy with another name, tag, position of the tag, genre share, validation share; ``all_instrumental`` marks every sample.

    Raises `UnknownName`, `BadRequest`.
    """
    for name, value in changes.items():
        if name not in _CHECKS:
            raise UnknownName(f"a dataset has no setting {name!r}", field=name, limits={"choices": list(_CHECKS)})
        fits, sentence, limits = _CHECKS[name]
        if not fits(value):
            raise BadRequest(f"{name} {sentence}, not {value!r}", field=name, limits=limits)
        dataset = msgspec.structs.replace(dataset, **{name: int(value) if name == "genre_ratio" else value})
    if changes.get("all_instrumental"):
        silent = {"lyrics": INSTRUMENTAL, "language": "unknown", "is_instrumental": True}
        samples = (msgspec.structs.replace(sample, **silent) for sample in dataset.samples)
        dataset = msgspec.structs.replace(dataset, samples=tuple(samples))
    return dataset


def _number(low: float, high: float) -> Any:
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


_CHECKS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "name": (
        lambda value: isinstance(value, str) and 0 < len(value.strip()) <= 200,
        "is a text of 1 to 200 characters",
        {},
    ),
    "custom_tag": (
        lambda value: isinstance(value, str) and len(value) <= 200,
        "is a text of at most 200 characters",
        {},
    ),
    "tag_position": (
        lambda value: value in TAG_POSITIONS,
        "is prepend, append or replace",
        {"choices": list(TAG_POSITIONS)},
    ),
    "genre_ratio": (_number(0, 100), "is 0 to 100 per cent", {"min": 0, "max": 100}),
    "all_instrumental": (lambda value: isinstance(value, bool), "is true or false", {}),
    "validation": (
        _number(0, MAX_VALIDATION),
        f"is a share of 0 to {MAX_VALIDATION:g}",
        {"min": 0, "max": MAX_VALIDATION},
    ),
}


def remove_samples(dataset: Dataset, ids: Iterable[str]) -> Dataset:
    """A copy without some samples. Raises `NotFound`."""
    gone = {find_sample(dataset, id_).id for id_ in ids}
    kept = tuple(sample for sample in dataset.samples if sample.id not in gone)
    return msgspec.structs.replace(dataset, samples=kept)


def _with(dataset: Dataset, changed: Mapping[str, TrainingSample]) -> Dataset:
    samples = tuple(changed.get(sample.id, sample) for sample in dataset.samples)
    return msgspec.structs.replace(dataset, samples=samples)
