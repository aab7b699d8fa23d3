"""Operations that can begin with a folder: what comes before them is run first, so that one command does it all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acestep.api.errors import BadRequest, error_from_wire
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.schema import FieldInfo, convert, describe
from bridge.cli.contact import Contact, open_contact
from bridge.cli.exits import JOB_EXITS, Exit
from bridge.cli.fields import PREFIX, add_fields, read_fields
from bridge.cli.follow import display_for, follow
from bridge.cli.operations import add_job_options, beside_params, finish
from bridge.cli.show import show_error, show_json, tell

LINK = "dataset"
"""The field by which the operations hand on what the folder has become."""

FOLDERS = "folders"
"""The field of the first operation that takes the folder."""

SHOWN_NOTES = 8


def configure_prelude(parser: argparse.ArgumentParser, operation: Operation, registry: Registry) -> None:
    """The options of an operation and of those before it."""
    steps = [registry.operation(name) for name in operation.prelude]
    own = describe(operation.schema)
    fields = {info.name: info for step in steps for info in describe(step.schema) if info.name != FOLDERS}
    fields |= {info.name: info for info in own}
    parser.description = operation.summary
    parser.add_argument(
        "folder", nargs="?", default="", metavar="FOLDER",
        help=f"folder to begin with: {', '.join(operation.prelude)}, then {operation.name}; with --{LINK} in its place, from there",
    )  # fmt: skip
    add_fields(parser, list(fields.values()), registry.choices)
    add_job_options(parser.add_argument_group("the job"))
    parser.set_defaults(run=lambda options: _run(options, operation, steps))


def _run(options: argparse.Namespace, operation: Operation, steps: Sequence[Operation]) -> int:
    own = describe(operation.schema)
    try:
        params = read_fields(_among(options, own), own)
        before = [read_fields(_among(options, describe(step.schema)), describe(step.schema)) for step in steps]
    except ValueError as failure:
        raise BadRequest(str(failure)) from None
    if options.connect and options.folder:
        raise BadRequest("the folder must be on the daemon's machine; scan it there", field="folder")
    for step, given in zip((*steps, operation), (*before, params), strict=True):
        _check(step, given)
    contact = open_contact(options, starts=True)
    try:
        if options.folder or params.get(LINK):
            made = _prepare(contact, options, steps, before)
            if isinstance(made, int):
                return made
            params[LINK] = made
        job = contact.call("job.submit", operation=operation.name, params=params, **beside_params(options))
        if options.detach:
            show_json(job) if options.json else print(job["id"])
            return Exit.OK
        return finish(contact, job["id"], options)
    finally:
        contact.close()


def _check(operation: Operation, params: dict[str, Any]) -> None:
    """Refuse values out of range before the first step runs, not hours later. Raises `BadRequest`."""
    linked = {LINK: params.get(LINK) or "name"} if LINK in operation.schema.__struct_fields__ else {}
    convert({**params, **linked}, operation.schema)


def _among(options: argparse.Namespace, fields: Sequence[FieldInfo]) -> dict[str, Any]:
    """The parsed arguments that belong to these fields."""
    names = {PREFIX + info.name for info in fields}
    return {name: value for name, value in vars(options).items() if name in names}


def _prepare(
    contact: Contact, options: argparse.Namespace, steps: Sequence[Operation], before: Sequence[dict[str, Any]]
) -> str | int:
    """Run what comes before; the name that the folder's songs have got, or the exit code of what failed.

    Where a name is given in place of a folder, there is nothing to scan.
    """
    name = "" if options.folder else str(before[0][LINK])
    if name:
        steps, before = steps[1:], before[1:]
    for step, params in zip(steps, before, strict=True):
        given = {**params, **({LINK: name} if name else {FOLDERS: [str(Path(options.folder).expanduser().absolute())]})}
        job = contact.call("job.submit", operation=step.name, params=given, priority=options.priority)["id"]
        view, stopped = follow(contact, job, display_for(step.name, quiet=options.quiet or options.json))
        if view["error"]:
            show_error(error_from_wire(view["error"]), as_json=options.json)
        if view["state"] != "done":
            return Exit.STOPPED if stopped else JOB_EXITS.get(view["state"], Exit.FAILED)
        result = view["result"] or {}
        name = name or str(result["data"][LINK])
        _tell(step.name, result)
    return name


def _tell(operation: str, result: dict[str, Any]) -> None:
    data, notes = result.get("data", {}), result.get("notes", [])
    count = data.get("songs", data.get("samples"))
    tell(f"{operation}: {data.get(LINK)}" + (f", {count} songs" if isinstance(count, int) else ""))
    for note in notes[:SHOWN_NOTES]:
        tell(f"  note: {note}")
    if len(notes) > SHOWN_NOTES:
        tell(f"  and {len(notes) - SHOWN_NOTES} more notes")
