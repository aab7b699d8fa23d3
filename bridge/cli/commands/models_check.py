"""`models check`: what weight files hold and what they will do, from their headers alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from acestep.api.errors import ModelMissing
from bridge.cli.exits import Exit
from bridge.cli.show import show_json, show_table, size, tell

if TYPE_CHECKING:
    from acestep.api.family import Families
    from acestep.checkpoints.checking import ModelCheck, PartCheck


def check_models(options: argparse.Namespace, near: list[Path], families: Families) -> int:
    """Check a folder or file (or a model by its name) and show every part; 1 when something there cannot be used."""
    from acestep.checkpoints.checking import check_place

    found = check_place(find_place(options.name, near, families), near, families)
    if options.json:
        show_json([{**msgspec.to_builtins(model), "usable": model.usable} for model in found])
    else:
        for model in found:
            show_model(model)
        if not found:
            tell(f"there is no model in {options.name}")
    return Exit.OK if found and all(model.usable for model in found) else Exit.FAILED


def find_place(name: str, near: list[Path], families: Families) -> Path:
    """The folder or file of that path, or where the model of that name lies. Raises `ModelMissing`."""
    from acestep.checkpoints.info import EMBEDDED
    from acestep.checkpoints.installed import find_model

    place = Path(name).expanduser()
    if place.exists():
        return place.absolute()
    if any(mark in name for mark in ("/", "\\")):
        raise ModelMissing(f"there is no folder or file {name}", field="name")
    return Path(find_model(name, [EMBEDDED, *near], families).path)


def show_model(model: ModelCheck) -> None:
    """One model: a heading, its parts as a table, what it will do, what is wrong."""
    print(f"{model.name} ({', '.join(filter(None, (model.kind, model.origin)))})  {model.path}")
    if model.parts:
        show_table([_row(part) for part in model.parts], ("  part", "tensors", "types", "size", "remarks"))
    if model.tasks:
        print(f"  does: {', '.join(model.tasks)}")
    if model.lacks:
        print(f"  lacks: {', '.join(model.lacks)}; a model of the same size in its original form lends them")
    if model.assumed:
        print(f"  note: {model.assumed}")
    print(
        f"  {'can be opened' if model.usable else 'cannot be opened'}{': ' if model.problem else ''}{model.problem}\n"
    )


def _row(part: PartCheck) -> tuple[str, str, str, str, str]:
    tensors = f"{part.matched} of {part.total}" if part.total else "not compared"
    faults = [f"{kind}: {', '.join(names)}" for kind, names in
              (("missing", part.missing), ("extra", part.extra), ("wrong shape", part.misshapen)) if names]  # fmt: skip
    remarks = [*([part.problem] if part.problem else []), *faults]
    remarks += [f"borrowed from {part.place}"] if part.borrowed else []
    types = ", ".join(f"{kind} {count}" for kind, count in sorted(part.types.items()))
    return (
        f"  {part.part.replace('_', ' ')}",
        "" if part.problem else tensors,
        types,
        size(part.size_bytes),
        "; ".join(remarks),
    )
