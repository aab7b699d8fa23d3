"""What weight files hold, part by part, from their headers: seconds, no memory, nothing loaded. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError
from acestep.api.family import NO_FAMILIES, Families, ModelFamily
from acestep.checkpoints.expected import expected_tensors
from acestep.checkpoints.families import model_problems
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.inferred import read_config
from acestep.checkpoints.info import candidates, checkpoint_problems, part_paths, read_info, short_name
from acestep.checkpoints.layout import INDEX, encoder_config, own_networks, settled
from acestep.checkpoints.places import loose_files, places
from acestep.checkpoints.weights import (  # fmt: skip
    CODEC,
    LANGUAGE,
    NETWORKS,
    TEXT,
    StoredTensor,
    extra_names,
    is_published,
    read_contents,
    tensor_index,
)
from acestep.planner.planner_models import find_planners, planner_problems

SHOWN = 6
"""Names that are listed of each kind of fault; the rest is counted."""


class PartCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One part: how many of the tensors that its config asks for are there in their shapes, and what is wrong with the others."""

    part: str
    place: str
    matched: int = 0
    total: int = 0
    """0: there is no table for its class, so nothing was compared."""
    missing: list[str] = []
    extra: list[str] = []
    misshapen: list[str] = []
    types: dict[str, int] = {}
    """Type on the disk -> number of tensors."""
    size_bytes: int = 0
    borrowed: bool = False
    problem: str = ""

    @property
    def whole(self) -> bool:
        """Whether every tensor is there, and no other."""
        return not self.problem and self.matched == self.total and not self.extra


class ModelCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One model: its parts, what it will do, and why it cannot be opened, if so."""

    name: str
    path: str
    kind: str
    origin: str = ""
    parts: list[PartCheck] = []
    tasks: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    assumed: str = ""
    problem: str = ""

    @property
    def usable(self) -> bool:
        """Whether it can be opened as it lies."""
        return not self.problem and all(part.whole for part in self.parts)


def check_place(place: Path, near: Iterable[Path] = (), families: Families = NO_FAMILIES) -> list[ModelCheck]:
    """Every model at or below ``place`` (a folder or a weight file), and what lies there that is none, each with its reason.

    ``near``: folders to borrow missing parts from. Raises nothing about damaged files: that is what is told.
    """
    place, near = settled(place), list(near)
    others = [_check_of_family(family, path, [place, *near]) for family, path in _of_families(place, families)]
    if place.is_file():
        return others or [_check_file(place, near)]
    models = [_check_model(path, [place, *near]) for path in candidates([place])] + others
    planners = [_check_planner(Path(info.path)) for info in find_planners([place])]
    planners += [ModelCheck(name=Path(path).name, path=path, kind="language model", problem=sentence)
                 for path, sentence in planner_problems([place]).items()]  # fmt: skip
    told = {check.path for check in (*models, *planners)} | {part.place for check in models for part in check.parts}
    problems = model_problems([place], families) if families else checkpoint_problems([place])
    strange = [ModelCheck(name=Path(path).name, path=path, kind="not opened", problem=sentence)
               for path, sentence in problems.items() if path not in told]  # fmt: skip
    return [*models, *planners, *strange]


def _of_families(place: Path, families: Families) -> Iterator[tuple[ModelFamily, Path]]:
    """Models in a place that are of another family than that of this package."""
    own = set(candidates([place.parent if place.is_file() else place]))
    looked = [place] if place.is_file() else [*places([place]), *loose_files(places([place]))]
    for spec in families.values():
        family = spec.described()
        yield from ((family, path) for path in family.candidates([place], looked) if path.resolve() not in own)


def _check_of_family(family: ModelFamily, path: Path, near: list[Path]) -> ModelCheck:
    facts: dict[str, Any] = {"name": short_name(path), "path": str(path), "kind": f"model, {family.title}"}
    try:
        info = family.read_info(path, near)
        parts = [
            PartCheck(
                part=one.part,
                place=str(one.place),
                **_compared(one.found, one.wanted, ()),
                types=_types(one.found),
                size_bytes=_bytes(one.found),
            )
            for one in family.tensors(info)
        ]
    except AceError as failure:
        return ModelCheck(**facts, problem=failure.message)
    return ModelCheck(**{**facts, "name": info.name}, origin=info.origin, parts=parts, tasks=info.operations)


def _check_file(file: Path, near: list[Path]) -> ModelCheck:
    try:
        found = read_contents(file)
    except AceError as failure:
        return ModelCheck(name=short_name(file), path=str(file), kind="not opened", problem=failure.message)
    if "transformer" in found.parts:
        return _check_model(file, near)
    parts = [_check_part(part, file, file) for part in found.parts if part in (CODEC, TEXT, LANGUAGE)]
    kind = "part of a model" if parts else "not opened"
    problem = "" if parts else f"{file.name} is {found.family or 'of no part that is known'}"
    return ModelCheck(name=short_name(file), path=str(file), kind=kind, parts=parts, problem=problem)


def _check_model(root: Path, near: list[Path]) -> ModelCheck:
    """A checkpoint with what it borrows; where it cannot be opened, the parts it holds itself."""
    try:
        info = read_info(root, near)
        found = part_paths(info)
    except AceError as failure:
        parts = [_check_part(name, place, root) for name, place in own_networks(root).items()]
        return ModelCheck(name=short_name(root), path=str(root), kind="model", parts=parts, problem=failure.message)
    places = {name: getattr(found, name) for name in NETWORKS} | {CODEC: found.vae, TEXT: found.text_encoder}
    parts = [_check_part(name, place, root) for name, place in places.items() if place is not None]
    return ModelCheck(
        name=info.name,
        path=info.path,
        kind=f"model, {info.variant}",
        origin=info.origin,
        parts=parts,
        tasks=info.task_types,
        lacks=info.lacks,
        assumed=info.assumed,
    )


def _check_planner(folder: Path) -> ModelCheck:
    part = _check_part(LANGUAGE, folder, folder)
    return ModelCheck(name=folder.name, path=str(folder), kind="language model", parts=[part], tasks=("planning",))


def _check_part(part: str, place: Path, root: Path) -> PartCheck:
    home = root if (root / INDEX).is_file() else root.parent
    facts: dict[str, Any] = {"part": part, "place": str(place), "borrowed": not place.is_relative_to(home)}
    try:
        weight_files(place)
        index = {name: row for name, row in tensor_index(place, part).items() if name != "silence_latent"}
        wanted = expected_tensors(part, _config(part, place, root))
        strange = extra_names(place, part) if part == "transformer" else ()
    except AceError as failure:
        return PartCheck(**facts, problem=failure.message)
    except (LookupError, TypeError, ValueError):
        return PartCheck(**facts, problem=f"the config of {place.name} does not say its sizes")
    return PartCheck(**facts, **_compared(index, wanted, strange), types=_types(index), size_bytes=_bytes(index))


def _config(part: str, place: Path, root: Path) -> dict[str, Any]:
    """The config with the sizes of the part itself: in the published layout one config serves four networks."""
    config = read_config(place, part)
    if part in NETWORKS and part != "transformer" and is_published(place):
        return encoder_config(config)
    if part == "transformer" and (root / INDEX).is_file() and "encoder_hidden_size" not in config:
        return {**config, "encoder_hidden_size": read_config(root / "condition_encoder", part)["hidden_size"]}
    return config


def _compared(
    index: Mapping[str, StoredTensor], wanted: Mapping[str, tuple[int, ...]] | None, strange: Iterable[str]
) -> dict[str, Any]:
    if wanted is None:
        return {"matched": 0, "total": 0}
    there = {name for name in wanted if name in index}
    wrong = [name for name in there if _squeezed(index[name].shape) != _squeezed(wanted[name])]
    return {
        "matched": len(there) - len(wrong),
        "total": len(wanted),
        "missing": _some([name for name in wanted if name not in index]),
        "extra": _some([*(name for name in index if name not in wanted), *strange]),
        "misshapen": _some([f"{name} {list(index[name].shape)}, not {list(wanted[name])}" for name in sorted(wrong)]),
    }


def _squeezed(shape: Iterable[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _some(names: list[str]) -> list[str]:
    return names if len(names) <= SHOWN else [*names[:SHOWN], f"and {len(names) - SHOWN} more"]


def _types(index: Mapping[str, StoredTensor]) -> dict[str, int]:
    found: dict[str, int] = {}
    for stored in index.values():
        found[stored.dtype] = found.get(stored.dtype, 0) + 1
    return found


BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8}


def _bytes(index: Mapping[str, StoredTensor]) -> int:
    """Bytes of the tensors on the disk."""
    total = 0
    for stored in index.values():
        count = math.prod(stored.shape)
        total += count * BITS[stored.dtype] // 8 if stored.dtype in BITS else _block_bytes(stored.dtype, count)
    return total


def _block_bytes(dtype: str, count: int) -> int:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    if dtype not in GGMLQuantizationType.__members__:
        return count
    block, width = GGML_QUANT_SIZES[GGMLQuantizationType[dtype]]
    return count // block * width
