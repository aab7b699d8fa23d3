"""The command `sound`: keep how a job sounds, or some fields, under a name that every operation takes as ``--sound``."""

from __future__ import annotations

import argparse

from acestep.api.schema import describe
from acestep.api.sound import SoundValues
from bridge.cli.exits import Exit
from bridge.cli.fields import add_fields, read_fields
from bridge.cli.show import show_json, show_table, tell
from bridge.cli.subcommands import ask, subcommands


def sound(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each thing to do with sounds."""
    parser.description = (
        "A sound is a reference, adapter, seed and caption saved under a name. After `sound save velvet JOB`, "
        "every operation accepts `--sound velvet`. Other options override its values."
    )
    add = subcommands(parser)
    add("list", "list your sounds", _list)
    add("show", "show the values of a sound", _show, "name")
    save = add(
        "save", "save the caption, reference, model, adapters and seed of a job, or the fields you give", _save, "name"
    )
    save.add_argument(
        "job", nargs="?", default="", metavar="JOB", help="a finished job; fields you give override its values"
    )
    save.add_argument("--title", default="", help="name for people")
    save.add_argument("--replace", action="store_true", help="replace your sound of that name")
    add_fields(save, describe(SoundValues), lambda table: [])
    add("delete", "delete a sound", _delete, "name")


def _list(options: argparse.Namespace) -> int:
    found = ask(options, "sound.list")
    if options.json:
        show_json(found)
    else:
        show_table(
            [(one["name"], one["title"], ", ".join(one["values"])) for one in found], ("sound", "title", "gives")
        )
    return Exit.OK


def _show(options: argparse.Namespace) -> int:
    show_json(ask(options, "sound.show", name=options.name))
    return Exit.OK


def _save(options: argparse.Namespace) -> int:
    words = {name: getattr(options, name) for name in ("name", "job", "title", "replace")}
    row = ask(options, "sound.save", values=read_fields(vars(options), describe(SoundValues)), **words)
    if options.json:
        show_json(row)
    else:
        tell(f"saved {row['name']} ({', '.join(row['values'])}); use it with: --sound {row['name']}")
    return Exit.OK


def _delete(options: argparse.Namespace) -> int:
    ask(options, "sound.delete", name=options.name)
    tell(f"{options.name} is deleted")
    return Exit.OK
