"""The dataset as a JSON file, in the original trainer's form."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, DiskFull, NotFound, OutputUnwritable, TooLarge
from acestep.dataset.labels import LABELS, lenient_label
from acestep.dataset.sample import OWN, SPLITS, TAG_POSITIONS, Dataset, Own, TrainingSample

MAX_BYTES = 256 * 2**20
"""Of a dataset file: ten thousand songs with long lyrics are far below."""

METADATA = ("name", "custom_tag", "tag_position", "created_at", "all_instrumental", "genre_ratio")
COUNT = "num_samples"
PLAIN = ("id", "audio_path", "filename", "duration")


class OpenedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset out of a file, and a sentence for each thing in it that was not taken as it stood."""

    dataset: Dataset
    notes: tuple[str, ...] = ()


def open_dataset(path: Path) -> OpenedDataset:
    """Read a dataset that this or the original program saved.

    Relative paths are looked for beside the file; a sound file that has moved is looked for there by its name, too. Raises
    `NotFound`, `TooLarge`, `BadRequest`.
    """
    data = _read(path)
    rows, metadata = data.get("samples"), data.get("metadata", {})
    if not isinstance(rows, list) or not isinstance(metadata, dict) or not all(isinstance(row, dict) for row in rows):
        raise BadRequest(f"{path} is not a dataset: it needs 'metadata' and a list 'samples'", field="dataset")
    notes: list[str] = []
    samples = [_sample(row, index, path.parent, notes) for index, row in enumerate(rows)]
    twice = [id_ for id_, times in Counter(sample.id for sample in samples).items() if times > 1]
    if twice:
        raise BadRequest(f"{path} names the samples {', '.join(sorted(twice))} twice", field="dataset")
    around = {key: value for key, value in data.items() if key not in ("metadata", "samples")}
    return OpenedDataset(dataset=_dataset(metadata, tuple(samples), around, notes), notes=tuple(notes))


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TooLarge(f"{path} is larger than a dataset file of {MAX_BYTES >> 20} MB", field="dataset")
        data = json.loads(path.read_text("utf-8-sig"))
    except OSError as failure:
        raise NotFound(f"{path} cannot be read: {failure.strerror}", field="dataset") from None
    except (ValueError, RecursionError):
        raise BadRequest(f"{path} is not a JSON file", field="dataset") from None
    if not isinstance(data, dict):
        raise BadRequest(f"{path} is not a dataset: it holds no JSON object", field="dataset")
    return data


def _dataset(
    metadata: dict[str, Any], samples: tuple[TrainingSample, ...], around: dict[str, Any], notes: list[str]
) -> Dataset:
    known = {key: metadata[key] for key in METADATA if metadata.get(key) is not None}
    own = metadata.get(OWN) if isinstance(metadata.get(OWN), dict) else {}
    found = Dataset(
        samples=samples,
        around=around,
        extra={key: value for key, value in metadata.items() if key not in (*METADATA, COUNT, OWN)},
    )
    if own and isinstance(own.get("validation"), (int, float)) and 0 <= own["validation"] <= 0.5:
        found = msgspec.structs.replace(found, validation=float(own["validation"]))
    for key, value in known.items():
        fits = {
            "tag_position": value in TAG_POSITIONS,
            "genre_ratio": isinstance(value, (int, float)) and 0 <= value <= 100,
            "all_instrumental": isinstance(value, bool),
        }.get(key, isinstance(value, str))
        if fits:
            found = msgspec.structs.replace(found, **{key: int(value) if key == "genre_ratio" else value})
        else:
            notes.append(f"the dataset's {key} {value!r} is not valid; {getattr(found, key)!r} is used")
    return found


def _sample(row: dict[str, Any], index: int, folder: Path, notes: list[str]) -> TrainingSample:
    path = row.get("audio_path")
    if not isinstance(path, str) or not path.strip():
        raise BadRequest(f"sample {index + 1} has no audio_path", field="samples")
    place = _locate(path, folder, notes)
    name = row.get("filename") if isinstance(row.get("filename"), str) else ""
    values: dict[str, Any] = {}
    for key in LABELS:
        if key in row:
            value, note = lenient_label(key, row[key], name or place.name)
            if note:
                notes.append(note)
            else:
                values[key] = value
    length = row.get("duration")
    return TrainingSample(
        id=str(row.get("id") or f"{index:08x}"),
        audio_path=str(place),
        filename=name or place.name,
        duration=int(length) if isinstance(length, (int, float)) and 0 <= length < 1e6 else 0,
        own=_own(row.get(OWN), name or place.name, notes),
        extra={key: value for key, value in row.items() if key not in (*LABELS, *PLAIN, OWN)},
        **values,
    )


def _own(data: Any, name: str, notes: list[str]) -> Own:
    if data is None:
        return Own()
    try:
        found = msgspec.convert(data, Own)
    except msgspec.ValidationError:
        found = None
    if found is None or found.split not in SPLITS or min(found.window.start, found.window.length) < 0:
        notes.append(f"{name}: what stands under {OWN!r} cannot be read and was left out")
        return Own()
    return found


def _locate(text: str, folder: Path, notes: list[str]) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        return folder / path
    beside = folder / path.name
    if not path.exists() and beside.is_file():
        notes.append(f"{path} is not there any more; {beside} is used")
        return beside
    return path


def save_dataset(dataset: Dataset, path: Path) -> None:
    """Write the file whole or not at all. Raises `DiskFull`, `OutputUnwritable`."""
    text = json.dumps(to_data(dataset), ensure_ascii=False, indent=2) + "\n"
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as failure:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        if failure.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"the disk is full; {path} is unchanged", field="dataset") from None
        raise OutputUnwritable(f"{path} cannot be written: {failure.strerror}", field="dataset") from None


def to_data(dataset: Dataset) -> dict[str, Any]:
    """The file's content as plain values."""
    metadata = {**dataset.extra, **{key: getattr(dataset, key) for key in METADATA}, COUNT: len(dataset.samples)}
    if dataset.validation:
        metadata[OWN] = {"validation": dataset.validation}
    return {**dataset.around, "metadata": metadata, "samples": [_row(sample) for sample in dataset.samples]}


def _row(sample: TrainingSample) -> dict[str, Any]:
    row = {**sample.extra, **{key: getattr(sample, key) for key in (*PLAIN, *LABELS)}}
    own = msgspec.to_builtins(sample.own)
    return {**row, OWN: own} if own else row
