"""The command `preset`: keep what a job did, look at it, hand it to somebody else."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bridge.cli.exits import Exit
from bridge.cli.show import show_json, show_table, tell
from bridge.cli.subcommands import ask, subcommands

FILE_HELP = "file of the preset (-: standard input)"


def preset(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each thing to do with presets."""
    parser.description = "Each preset is a command: after `preset save mine JOB`, run it with `acestep-bridge mine`."
    add = subcommands(parser)
    add("list", "list presets: built in and your own", _list)
    add("show", "show the contents of a preset", _show, "name")
    save = add("save", "save a job as a preset", _save, "name", "job")
    save.add_argument("--title", default="", help="name for people")
    save.add_argument("--summary", default="", help="what it does, in one sentence")
    add("delete", "delete one of your presets", _delete, "name")
    take = add("import", "import a preset from a file", _import)
    take.add_argument("file", metavar="FILE", help=FILE_HELP)
    take.add_argument("--name", default="", help="new name, instead of its own")
    for command in (save, take):
        command.add_argument("--replace", action="store_true", help="replace your preset of that name")
    out = add("export", "write a preset to a file, or to standard output", _export, "name")
    out.add_argument("file", nargs="?", default="-", metavar="FILE")
    out.add_argument("--force", action="store_true", help="replace an existing file")


def _list(options: argparse.Namespace) -> int:
    found = ask(options, "preset.list")
    if options.json:
        show_json(found)
    else:
        rows = [(one["name"], "yours" if one["own"] else "", ", ".join(one["stages"]), one["summary"]) for one in found]
        show_table(rows, ("preset", "", "stages", "summary"))
    return Exit.OK


def _show(options: argparse.Namespace) -> int:
    show_json(ask(options, "preset.show", name=options.name))
    return Exit.OK


def _save(options: argparse.Namespace) -> int:
    words = {name: getattr(options, name) for name in ("name", "job", "title", "summary", "replace")}
    return _saved(options, ask(options, "preset.save", **words))


def _saved(options: argparse.Namespace, row: dict[str, Any]) -> int:
    if options.json:
        show_json(row)
    else:
        tell(f"saved {row['name']} ({', '.join(row['stages'])}); run it with: acestep-bridge {row['name']}")
    return Exit.OK


def _delete(options: argparse.Namespace) -> int:
    ask(options, "preset.delete", name=options.name)
    tell(f"{options.name} is deleted")
    return Exit.OK


def _import(options: argparse.Namespace) -> int:
    text = _read(options.file)
    return _saved(options, ask(options, "preset.import", text=text, name=options.name, replace=options.replace))


def _read(name: str) -> str:
    import sys

    from acestep.api.errors import BadRequest, NotFound

    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).expanduser().read_bytes()
        return data.decode("utf-8-sig")
    except OSError as failure:
        raise NotFound(f"{name} cannot be read: {failure.strerror}", field="file") from None
    except UnicodeDecodeError:
        raise BadRequest(f"{name} is not a preset: it is not valid JSON", field="file") from None


def _export(options: argparse.Namespace) -> int:
    import json

    from acestep.api.errors import BadRequest, OutputUnwritable

    text = json.dumps(
        json.loads(ask(options, "preset.export", name=options.name)["text"]), indent=2, ensure_ascii=False
    )
    if options.file == "-":
        print(text)
        return Exit.OK
    try:
        with Path(options.file).expanduser().open("w" if options.force else "x", encoding="utf-8") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise BadRequest(f"{options.file} exists; --force replaces it", field="file") from None
    except OSError as failure:
        raise OutputUnwritable(f"{options.file} cannot be written: {failure.strerror}", field="file") from None
    tell(f"{options.name} is written to {options.file}")
    return Exit.OK
