"""`models`: what is on this machine and what could be, and what to do with it. Works on the files, so no daemon is needed."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acestep.api.errors import BadRequest, NotAllowed
from bridge.cli.contact import open_contact
from bridge.cli.exits import Exit
from bridge.cli.show import show_json, show_pairs, show_table, size, tell

if TYPE_CHECKING:
    from acestep.api.variants import ModelInfo
    from bridge.core.models import Models
    from bridge.paths import Paths

ACTIONS = {
    "list": "models on this machine, and those that can be downloaded",
    "info": "facts of one model",
    "verify": "check that every weight file is whole, and print the fingerprint of the weights",
    "remove": "delete a downloaded model",
    "unload": "free the memory a model takes in the running daemon (no name: all)",
}


def models(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which model."""
    parser.description = "Models:\n" + "\n".join(f"  {name.ljust(10)}{text}" for name, text in ACTIONS.items())
    parser.add_argument("action", nargs="?", choices=tuple(ACTIONS), default="list")
    parser.add_argument("name", nargs="?", default="", metavar="MODEL")
    parser.add_argument("--yes", action="store_true", help="remove without asking")
    parser.set_defaults(run=_models)


def _models(options: argparse.Namespace) -> int:
    if options.action in ("info", "verify", "remove") and not options.name:
        raise BadRequest(f"models {options.action} needs the name of a model", field="name")
    handler = {"list": _list, "info": _info, "verify": _verify, "remove": _remove, "unload": _unload}[options.action]
    return int(handler(options))


def _here(options: argparse.Namespace) -> tuple[Models, Paths]:
    """The models of the settings' folders, and the folders themselves."""
    from bridge.core.models import Models
    from bridge.paths import Paths
    from bridge.settings import resolve

    settings = resolve({"home": options.home or None}).settings
    paths = Paths.of(settings)
    found = Models([paths.checkpoints, *(Path(folder).expanduser() for folder in settings.checkpoints)], settings.model)
    found.all()
    return found, paths


def _list(options: argparse.Namespace) -> int:
    if options.connect:
        contact = open_contact(options)
        rows: list[dict[str, Any]] = contact.call("models.list")
        contact.close()
    else:
        rows = _here(options)[0].rows()
    if options.json:
        show_json(rows)
        return Exit.OK
    headings = ("model", "state", "size", "tasks", "from")
    show_table([_row(row) for row in rows], headings)
    if any(row.get("default") and not row.get("trained", True) for row in rows):
        tell("The default model has random weights: it shows the way, and sounds like noise.")
    return Exit.OK


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    words = ["here" if row["present"] else "not here"]
    words += ["default"] if row.get("default") else []
    words += ["random weights"] if not row.get("trained", True) else []
    tasks = ", ".join(row.get("task_types", ()))
    return (
        row["name"],
        ", ".join(words),
        size(row.get("size_bytes")),
        tasks,
        row.get("path") or row.get("repository", ""),
    )


def _info(options: argparse.Namespace) -> int:
    import msgspec

    model = _here(options)[0].get(options.name)
    facts = {**msgspec.to_builtins(model), "defaults": msgspec.to_builtins(model.defaults)}
    if options.json:
        show_json(facts)
    else:
        show_pairs((name, size(value) if name == "size_bytes" else value) for name, value in facts.items())
    return Exit.OK


def _verify(options: argparse.Namespace) -> int:
    from acestep.checkpoints.digest import weights_digest
    from acestep.checkpoints.info import part_paths
    from acestep.checkpoints.layout import weight_files

    model = _on_disk(options)[0]
    files = [file for folder in part_paths(model).folders() for file in weight_files(folder)]
    digest = weights_digest(files)
    if options.json:
        show_json({"model": model.name, "files": [str(file) for file in files], "digest": digest})
    else:
        print(f"{model.name}: {len(files)} weight files are whole; fingerprint {digest}")
    return Exit.OK


def _on_disk(options: argparse.Namespace) -> tuple[ModelInfo, Paths]:
    """A model that has files. Raises `ModelMissing`, or `BadRequest` for the one that is only made when needed."""
    found, paths = _here(options)
    model = found.get(options.name)
    if not model.path:
        raise BadRequest(f"{model.name} has no files: the worker makes it when it is needed", field="name")
    return model, paths


def _remove(options: argparse.Namespace) -> int:
    model, paths = _on_disk(options)
    folder = Path(model.path)
    if not folder.is_relative_to(paths.checkpoints.resolve()):
        raise NotAllowed(f"{folder} was not downloaded by acestep-bridge; remove it yourself", field="name")
    if not options.yes:
        if not sys.stdin.isatty():
            raise BadRequest("removing without a terminal to ask on needs --yes", field="yes")
        print(f"remove {folder} ({size(model.size_bytes)})? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return Exit.STOPPED
    shutil.rmtree(folder)
    show_json({"removed": str(folder)}) if options.json else tell(f"removed {folder}")
    return Exit.OK


def _unload(options: argparse.Namespace) -> int:
    contact = open_contact(options)
    answer = contact.call("models.unload", model=options.name)
    contact.close()
    show_json(answer) if options.json else tell(f"unloaded {options.name or 'all models'}")
    return Exit.OK
