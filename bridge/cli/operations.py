"""A command for every operation that a plug-in offers, made from its schema alone: no operation is named here."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from acestep.api.errors import BadRequest, UnknownOperation
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.schema import FieldInfo, describe
from bridge.cli.contact import Contact, open_contact
from bridge.cli.exits import JOB_EXITS, Exit
from bridge.cli.fields import PREFIX, add_fields, positional_field, read_fields
from bridge.cli.follow import display_for, follow
from bridge.cli.results import save_files, show_result
from bridge.cli.show import show_error, show_json, tell


def load_registry() -> Registry:
    """The plug-ins as the daemon of these settings would load them."""
    from bridge.paths import Paths
    from bridge.settings import features, resolve

    settings = resolve().settings
    return Registry.load(
        folder=Paths.of(settings).plugins, disabled=settings.plugins_disabled, features=features(settings)
    )


def operation_command(name: str, others: Collection[str]) -> Callable[[argparse.ArgumentParser], None]:
    """What makes the parser of an operation. Raises `UnknownOperation` with the nearest command there is."""
    registry = load_registry()
    try:
        operation = registry.operation(name)
    except UnknownOperation:
        known = [*registry.visible(), *others]
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownOperation(f"there is no command or operation {name!r}{hint}", limits={"choices": known}) from None
    return lambda parser: _configure(parser, operation, registry)


def _configure(parser: argparse.ArgumentParser, operation: Operation, registry: Registry) -> None:
    fields = describe(operation.schema)
    parser.description = operation.summary
    first = positional_field(fields)
    if first is not None:
        metavar = first.name.upper()
        parser.add_argument("first", nargs="?", default=None, metavar=metavar, help=f"the same as --{first.name}")
    parser.usage = f"%(prog)s {f'[{first.name.upper()}] ' if first else ''}[options]"
    add_fields(parser, fields, registry.choices)
    section = parser.add_argument_group("the job")
    section.add_argument(
        "--request", metavar="FILE", help="take the fields from a JSON file (-: standard input); options win over it"
    )
    section.add_argument("--id", default="", help="id of the job, chosen by you: sending it again does no harm")
    section.add_argument(
        "--priority", type=int, default=0, metavar="N", help="-10 to 10; higher runs earlier [default 0]"
    )
    section.add_argument("--detach", action="store_true", help="do not wait: print the job's id and end")
    section.add_argument(
        "--out", metavar="PATH", help="copy the files there: a folder, or a file name for a single file"
    )
    parser.set_defaults(run=lambda options: _run(options, operation, fields))


def _run(options: argparse.Namespace, operation: Operation, fields: list[FieldInfo]) -> int:
    params = _request(options, fields)
    contact = open_contact(options, starts=True)
    try:
        if contact.remote:
            params = upload_sources(contact, params)
        extra = {"id": options.id} if options.id else {}
        accepted = contact.call(
            "job.submit", operation=operation.name, params=params, priority=options.priority, **extra
        )
        if options.detach:
            show_json(accepted) if options.json else print(accepted["id"])
            return Exit.OK
        return finish(contact, accepted["id"], options)
    finally:
        contact.close()


def _request(options: argparse.Namespace, fields: list[FieldInfo]) -> dict[str, Any]:
    given = dict(vars(options))
    first = positional_field(fields)
    if first is not None and given.get("first") is not None:
        if PREFIX + first.name in given:
            raise BadRequest(f"{first.name} is given twice", field=first.name)
        given[PREFIX + first.name] = given["first"]
    base = read_request(options.request) if options.request else {}
    try:
        return read_fields(given, fields, base)
    except ValueError as failure:
        raise BadRequest(str(failure)) from None


def read_request(place: str) -> dict[str, Any]:
    """A request from a JSON file or standard input. Raises `BadRequest`."""
    try:
        text = sys.stdin.read() if place == "-" else Path(place).read_text("utf-8")
        data = json.loads(text)
    except (OSError, ValueError) as failure:
        raise BadRequest(f"{place} holds no request: {failure}", field="request") from None
    if not isinstance(data, dict):
        raise BadRequest(f"{place} holds no JSON object", field="request")
    return data


def upload_sources(contact: Contact, params: dict[str, Any]) -> dict[str, Any]:
    """The request for a daemon on another machine: its source is uploaded and named by the upload's id."""
    source = params.get("source")
    if not isinstance(source, str) or not source:
        return params
    tell(f"uploading {source} ...")
    sent = contact.client.upload(source)
    return {**{name: value for name, value in params.items() if name != "source"}, "upload": sent}


def finish(contact: Contact, job: str, options: argparse.Namespace) -> int:
    """Follow a job to its end, show what came of it, copy its files; the exit code."""
    display = display_for(job, quiet=options.quiet or options.json)
    view, stopped = follow(contact, job, display)
    saved = save_files(contact, view, options.out) if options.out and view["state"] == "done" else []
    if options.json:
        show_json({**view, "saved": [str(path) for path in saved]})
    elif view["error"]:
        from acestep.api.errors import error_from_wire

        show_error(error_from_wire(view["error"]))
    else:
        show_result(view, saved)
    if stopped and view["state"] == "cancelled":
        return Exit.STOPPED
    return JOB_EXITS.get(view["state"], Exit.FAILED)
