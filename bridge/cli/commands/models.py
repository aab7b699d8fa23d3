"""`models`: what is on this machine and what could be, and what to do with it. Works on the files, so no daemon is needed."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acestep.api.errors import AceError, BadRequest, DiskFull
from bridge.cli.contact import open_contact
from bridge.cli.exits import Exit
from bridge.cli.follow import display_for
from bridge.cli.show import show_error, show_json, show_pairs, show_table, size, tell

if TYPE_CHECKING:
    from acestep.api.family import Families
    from acestep.checkpoints.installed import AnyModel
    from bridge.core.models import Models
    from bridge.paths import Paths

ACTIONS = {
    "list": "list models on this machine and models to download",
    "info": "show everything about one model",
    "download": "download a published model (or `all`) from Hugging Face or ModelScope, or resume an interrupted download",
    "verify": "read every file of a model again and compare it with what was published",
    "check": "show what weights contain and can do, by reading only their headers; send the output with a report",
    "try": "make ten seconds of music with a fixed seed, check and time it; send the output with a report",
    "remove": "delete a downloaded model",
    "unload": "free the memory of a model in the running daemon (no name: all)",
}


def models(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which model."""
    parser.description = "Models:\n" + "\n".join(f"  {name.ljust(10)}{text}" for name, text in ACTIONS.items())
    parser.add_argument("action", nargs="?", choices=tuple(ACTIONS), default="list")
    parser.add_argument("name", nargs="?", default="", metavar="MODEL")
    parser.add_argument(
        "--source", choices=("auto", "huggingface", "modelscope"), default="auto", help="where to download from"
    )
    parser.add_argument(
        "--revision",
        default="",
        metavar="REVISION",
        help="commit, tag or branch to download; 'known': one known to work",
    )
    parser.add_argument(
        "--store", choices=("published", "bfloat16"), default="published",
        help="keep float32 weights (XL) as published, or converted to half the size",
    )  # fmt: skip
    parser.add_argument(
        "--out", default="", metavar="FOLDER", help="folder for the sound that `try` makes [default: try-MODEL]"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before removing, or before downloading all")
    parser.set_defaults(run=_models)


def _models(options: argparse.Namespace) -> int:
    if options.action not in ("list", "unload") and not options.name:
        raise BadRequest(f"models {options.action} needs the name of a model", field="name")
    return int(HANDLERS[options.action](options))


def _here(options: argparse.Namespace) -> tuple[Models, Paths]:
    """The models of the settings' folders, and the folders themselves."""
    from bridge.core.models import Models
    from bridge.paths import Paths
    from bridge.settings import resolve

    settings = resolve({"home": options.home or None}).settings
    paths = Paths.of(settings)
    found = Models.of(settings, paths)
    found.all()
    return found, paths


def _list(options: argparse.Namespace) -> int:
    if options.connect:
        contact = open_contact(options)
        rows: list[dict[str, Any]] = contact.call("models.list")
        contact.close()
    else:
        found = _here(options)[0]
        rows = found.rows()
    if options.json:
        show_json(rows)
        return Exit.OK
    headings = ("model", "state", "size", "tasks", "from")
    show_table([_row(row) for row in rows], headings)
    if any(row.get("default") and not row.get("trained", True) for row in rows):
        tell("The default model has random weights, so it makes only noise.")
    if not options.connect and (problems := found.problems()):
        tell("Not usable:")
        for path, sentence in problems.items():
            tell(f"  {path}: {sentence}")
    return Exit.OK


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    words = ["here" if row["present"] else "not here"]
    words += ["default"] if row.get("default") else []
    words += ["random weights"] if not row.get("trained", True) else []
    tasks = ", ".join(row.get("operations") or row.get("task_types", ()))
    return (
        row["name"],
        ", ".join(words),
        size(row.get("size_bytes")) if row["present"] else f"{size(row.get('fetch_bytes'))} to download",
        tasks,
        ": ".join(filter(None, (row.get("origin"), row.get("path") or row.get("repository", "")))),
    )


def _info(options: argparse.Namespace) -> int:
    from acestep.checkpoints.installed import model_facts

    found, _ = _here(options)
    rows = {row["name"]: row for row in found.rows() if not row["present"]}
    facts = rows.get(options.name) or model_facts(found.find(options.name))
    if options.json:
        show_json(facts)
    else:
        show_pairs((name, _readable(name, value)) for name, value in facts.items())
    return Exit.OK


def _readable(name: str, value: Any) -> Any:
    """A fact for people: bytes as sizes."""
    if isinstance(value, dict) and name.endswith("_bytes"):
        return ", ".join(f"{size(count)} as {form}" for form, count in value.items())
    return size(value) if "_bytes" in name else value


ALL = "all"
"""Downloads every published model."""


def _download(options: argparse.Namespace) -> int:
    from acestep.checkpoints.download import DownloadOptions, download

    if options.name == ALL:
        return _download_all(options)
    here, paths = _here(options)
    folder, families = paths.checkpoints, here.families
    wanted = DownloadOptions(source=options.source, revision=options.revision, store=options.store, families=families)
    if not (options.quiet or options.json):
        for line in _announcement(options.name, folder, options.store, families):
            tell(line)
    with _meter(options) as progress:
        model = download(options.name, folder, progress, wanted)
    if options.json:
        show_json({"model": options.name, "path": model.path, "size_bytes": model.size_bytes})
    else:
        tell(f"{options.name} is installed ({size(model.size_bytes)} in {model.path})")
    return Exit.OK


def _download_all(options: argparse.Namespace) -> int:
    """Every published model, one after the other; parts that several share are fetched once. Raises `DiskFull`, `BadRequest`."""
    from acestep.checkpoints.catalogue import packages, published

    here, paths = _here(options)
    names = published(here.families)
    folder = paths.checkpoints
    parts = {part.target: part for name in names for part in packages(name, here.families)}
    missing = sum(part.size for part in parts.values() if not (folder / part.target).exists())
    nearest = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(nearest).free
    question = f"{len(names)} models ({', '.join(names)}): about {size(missing)} to fetch, {size(free)} free"
    if missing > free:
        raise DiskFull(f"{question}; that does not fit", limits={"need_bytes": missing, "free_bytes": free})
    if not _agreed(options, question, "downloading all models"):
        return Exit.STOPPED
    failed = []
    for name in names:
        options.name = name
        try:
            _download(options)
        except AceError as failure:  # the others may be reached all the same
            failed.append(name)
            show_error(failure, as_json=options.json)
    if failed:
        tell(f"not downloaded: {', '.join(failed)}; the same command tries again")
    return Exit.FAILED if failed else Exit.OK


def _agreed(options: argparse.Namespace, question: str, doing: str) -> bool:
    """Whether somebody agrees, by ``--yes`` or at the terminal. Raises `BadRequest` where there is nobody to ask."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise BadRequest(f"{doing} needs --yes if there is no terminal to ask on", field="yes")
    print(f"{question}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _announcement(name: str, folder: Path, store: str, families: Families) -> list[str]:
    """What a download will cost, and what has to be known of it, before its first byte. Raises `UnknownName`."""
    from acestep.checkpoints.catalogue import cost_of, packages

    cost = cost_of(name, folder, families)
    nearest = next(path for path in (folder, *folder.parents) if path.is_dir())
    disk = cost.disk_bfloat16 if store == "bfloat16" else cost.disk
    text = (
        f"{name}: about {size(cost.fetch)} to fetch, {size(disk)} on disk; {size(shutil.disk_usage(nearest).free)} free"
        f"; in memory {size(cost.memory_bfloat16)} as bfloat16, {size(cost.memory_float32)} as float32"
    )
    if store == "published" and cost.disk_bfloat16 < cost.disk:
        text += f" (--store bfloat16 keeps {size(cost.disk_bfloat16)})"
    remarks = dict.fromkeys(package.remark for package in packages(name, families) if package.remark)
    return [text if cost.fetch else f"{name}: checking what is missing", *remarks]


@contextmanager
def _meter(options: argparse.Namespace) -> Iterator[Callable[[str, int, int], None]]:
    """Shows ``progress(file, done, total)`` in bytes; at Ctrl-C what has arrived stays for the next attempt."""
    display = display_for(options.name, quiet=options.quiet or options.json)

    def progress(file: str, done: int, total: int) -> None:
        display.progress({"stage": f"{file} ({size(done)} of {size(total)})", "fraction": done / max(total, 1)})

    try:
        yield progress
    finally:
        display.close()


def _verify(options: argparse.Namespace) -> int:
    from acestep.checkpoints.installed import fingerprint, remarks, verify

    model = _on_disk(options)[0]
    with _meter(options) as progress:
        problems = verify(model, progress)
    digest, notes = "" if problems else fingerprint(model), remarks(model)
    if options.json:
        show_json({"model": options.name, "problems": problems, "remarks": notes, "digest": digest})
    else:
        for sentence in (*problems, *notes):
            print(sentence)
        if not problems:
            print(f"{options.name} is complete; fingerprint {digest}")
    return Exit.FAILED if problems else Exit.OK


def _try(options: argparse.Namespace) -> int:
    from bridge.cli.commands.models_try import try_model

    return try_model(options)


def _check(options: argparse.Namespace) -> int:
    from acestep.checkpoints.info import checkpoint_folders
    from bridge.cli.commands.models_check import check_models
    from bridge.core.models import Models
    from bridge.paths import Paths
    from bridge.settings import resolve

    settings = resolve({"home": options.home or None}).settings
    extra = [Path(folder).expanduser() for folder in settings.checkpoints]
    families = Models.of(settings, Paths.of(settings)).families
    return check_models(options, checkpoint_folders(Paths.of(settings).checkpoints, *extra), families)


def _find(options: argparse.Namespace) -> tuple[AnyModel, Paths]:
    """The named model, language models included, and the folders. Raises `ModelMissing`."""
    found, paths = _here(options)
    return found.find(options.name), paths


def _on_disk(options: argparse.Namespace) -> tuple[AnyModel, Paths]:
    """A model that has files. Raises `ModelMissing`, or `BadRequest` for the one that is only made when needed."""
    model, paths = _find(options)
    if not model.path:
        raise BadRequest(f"{model.name} has no files: the worker makes it when it is needed", field="name")
    return model, paths


def _remove(options: argparse.Namespace) -> int:
    from acestep.checkpoints.installed import remove

    model, paths = _on_disk(options)
    if not _agreed(options, f"remove {model.path} ({size(model.size_bytes)})", "removing"):
        return Exit.STOPPED
    folders = [str(folder) for folder in remove(model, paths.checkpoints)]
    show_json({"removed": folders}) if options.json else tell(f"removed {', '.join(folders)}")
    return Exit.OK


def _unload(options: argparse.Namespace) -> int:
    contact = open_contact(options)
    answer = contact.call("models.unload", model=options.name)
    contact.close()
    show_json(answer) if options.json else tell(f"unloaded {options.name or 'all models'}")
    return Exit.OK


HANDLERS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "info": _info,
    "download": _download,
    "verify": _verify,
    "check": _check,
    "try": _try,
    "remove": _remove,
    "unload": _unload,
}
"""What each of `ACTIONS` does."""
