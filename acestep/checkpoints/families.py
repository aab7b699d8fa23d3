"""The models of all families below some folders: found, named, and what lies there that is none. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from acestep.api.errors import AceError
from acestep.api.family import Families, ModelFamily
from acestep.api.variants import ModelInfo
from acestep.checkpoints.info import one_named, problems_beside
from acestep.checkpoints.places import loose_files, places


def find_models(folders: Iterable[Path], families: Families) -> list[ModelInfo]:
    """Every complete model of every family, each name once: the first family and place win."""
    near = list(folders)
    found: dict[str, ModelInfo] = {}
    for family, path in _candidates(near, families):
        try:
            info = family.read_info(path, near)
        except AceError:
            continue  # incomplete or damaged: `model_problems` says why when somebody asks for it
        found.setdefault(info.name, info)
    return list(found.values())


def find_named(name: str, folders: Iterable[Path], families: Families) -> ModelInfo:
    """The model of that short name, folder name or path. Raises `ModelMissing` with the names there are."""
    return one_named(name, find_models(folders, families))


def model_problems(folders: Iterable[Path], families: Families) -> dict[str, str]:
    """Path -> sentence for everything that lies below the folders like a model and cannot be used."""
    near = list(folders)
    problems: dict[str, str] = {}
    used: set[str] = set()
    for family, path in _candidates(near, families):
        used.add(str(path))
        try:
            files = family.files(family.read_info(path, near))
        except AceError as failure:
            problems[str(path)] = failure.message
        else:
            used.update(str(place) for file in files for place in (file, file.parent))
    return problems_beside(near, problems, used)


def _candidates(folders: list[Path], families: Families) -> Iterator[tuple[ModelFamily, Path]]:
    looked = places(folders)
    looked += loose_files(looked)
    for spec in families.values():
        family = spec.described()
        for path in family.candidates(folders, looked):
            yield family, path
