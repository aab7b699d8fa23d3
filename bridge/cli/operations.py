"""A command for every operation that a plug-in offers, made from its schema alone: no operation is named here."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Collection
from typing import Any

from acestep.api.errors import AceError, BadRequest, UnknownOperation, error_from_wire
from acestep.api.hints import with_hints
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.schema import FieldInfo, describe
from bridge.cli.contact import Contact, open_contact
from bridge.cli.exits import JOB_EXITS, Exit
from bridge.cli.fields import PREFIX, add_fields, positional_field, read_fields
from bridge.cli.follow import display_for, follow
from bridge.cli.plugins import known_device, load_registry
from bridge.cli.requests import Sent, check_request, path_fields, read_request, unwrap_recipe
from bridge.cli.results import save_files, show_result
from bridge.cli.show import show_error, show_json
from bridge.cli.targets import SaveTarget, check_returns, check_target, inputs_of, read_target, with_format


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
    return lambda parser: configure_operation(parser, operation, registry)


def configure_operation(parser: argparse.ArgumentParser, operation: Operation, registry: Registry) -> None:
    """The options of an operation, made from its schema."""
    if operation.prelude:
        from bridge.cli.prelude import configure_prelude

        return configure_prelude(parser, operation, registry)
    fields = with_hints(describe(operation.schema), device=known_device())
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
    add_job_options(section)
    parser.set_defaults(run=lambda options: _run(options, operation, fields, registry))


def add_job_options(section: Any) -> None:
    """The options of every command that hands in a job."""
    section.add_argument("--id", default="", help="id for the job: you can safely send the same request again")
    section.add_argument(
        "--priority", type=int, default=0, metavar="N", help="-10 to 10; higher runs earlier [default 0]"
    )
    section.add_argument(
        "--device", default="", metavar="NAME", help="device to run on, such as cuda:1 [default: the next free one]"
    )
    section.add_argument(
        "--planner-device",
        default="",
        metavar="NAME",
        help="device that makes the plan (--thinking) [default: the one that renders]",
    )
    section.add_argument("--detach", action="store_true", help="do not wait: print the job's id and return")
    section.add_argument(
        "--out", metavar="PATH", help="copy the files there: a folder, or a file name for a single file"
    )
    section.add_argument("--force", action="store_true", help="replace a file that --out names")


def beside_params(options: argparse.Namespace) -> dict[str, Any]:
    """What a submit says besides operation and parameters, as far as somebody asked for it."""
    given = {"id": options.id, "device": options.device, "planner_device": options.planner_device}
    return {"priority": options.priority, **{name: value for name, value in given.items() if value}}


def target_of(options: argparse.Namespace) -> SaveTarget | None:
    """Where the files are to be copied; none for nowhere. Raises `BadRequest` for a copy that nobody waits for."""
    target = read_target(options.out, force=options.force) if options.out else None
    if target is not None and options.detach:
        raise BadRequest("with --detach there is nothing to copy yet; use `result ID --out` later", field="out")
    return target


def _run(options: argparse.Namespace, operation: Operation, fields: list[FieldInfo], registry: Registry) -> int:
    target = target_of(options)
    operation, params = _request(options, operation, fields, registry)
    if target is not None:
        check_target(target, inputs_of(params))
        params = with_format(params, target, [info.name for info in describe(operation.schema)])
    contact = open_contact(options, starts=True, check=lambda: check_request(registry, operation, params))
    sent = Sent(contact, path_fields(registry, operation))
    try:
        if contact.remote:
            params = sent.request(params)
        accepted = contact.call("job.submit", operation=operation.name, params=params, **beside_params(options))
        if options.detach:
            show_json(accepted) if options.json else print(accepted["id"])
            return Exit.OK
        if target is not None:
            _check_accepted(contact, accepted["id"], target)
        return finish(contact, accepted["id"], options, sent)
    except AceError as error:
        raise sent.named(error) from None
    finally:
        contact.close()


def _check_accepted(contact: Contact, job: str, target: SaveTarget) -> None:
    """Take a job back whose files would not fit the name that they are to get."""
    try:
        check_returns(target, contact.call("job.result", id=job).get("request") or {})
    except BadRequest:
        contact.call("job.cancel", id=job)
        raise


def _request(
    options: argparse.Namespace, operation: Operation, fields: list[FieldInfo], registry: Registry
) -> tuple[Operation, dict[str, Any]]:
    """The operation and its parameters: those of the request file, and above them the options."""
    given = dict(vars(options))
    first = positional_field(fields)
    if first is not None and given.get("first") is not None:
        if PREFIX + first.name in given:
            raise BadRequest(f"{first.name} is given twice", field=first.name)
        given[PREFIX + first.name] = given["first"]
    asked, base = operation, None
    if options.request:
        asked, base = unwrap_recipe(read_request(options.request), operation.name, registry)
    try:
        if asked is operation:
            return asked, read_fields(given, fields, base)
        own = read_fields(given, fields)
    except ValueError as failure:
        raise BadRequest(str(failure)) from None
    if own:
        raise BadRequest(
            f"{options.request} is a complete {asked.name}: `{operation.name}` runs it unchanged and accepts no further options",
            field=next(iter(own)),
        )
    return asked, base or {}


def finish(contact: Contact, job: str, options: argparse.Namespace, sent: Sent | None = None) -> int:
    """Follow a job to its end, show what came of it, copy its files; the exit code."""
    display = display_for(job, quiet=options.quiet or options.json)
    view, stopped = follow(contact, job, display)
    if view["error"] and sent is not None:
        view["error"] = sent.named(error_from_wire(view["error"])).to_wire()
    saved = save_files(contact, view, options) if view["state"] == "done" else []
    if options.json:
        show_json({**view, "saved": [str(path) for path in saved]})
    elif view["error"]:
        show_error(error_from_wire(view["error"]))
    else:
        show_result(view, saved)
    further = (view.get("result") or {}).get("data", {}).get("jobs", ())
    codes = [finish(contact, row["job"], options, sent) for row in further if not options.json]
    if any(codes):
        return max(codes)
    if stopped and view["state"] == "cancelled":
        return Exit.STOPPED
    return JOB_EXITS.get(view["state"], Exit.FAILED)
