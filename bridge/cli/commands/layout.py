"""`layout`: a control surface for another program, made from the operations that are installed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from acestep.api.errors import BadRequest, OutputUnwritable
from bridge.cli.exits import Exit
from bridge.cli.show import tell

PROGRAMS = ("open-stage-control",)


def layout(parser: argparse.ArgumentParser) -> None:
    """For which program, which operations, and where it goes."""
    parser.description = (
        "Write a control surface with a tab for each installed operation, the jobs and the slots. No daemon is needed."
    )
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--out", metavar="FILE", default="", help="where it goes [default: standard output]")
    parser.add_argument("--force", action="store_true", help="replace a file that --out names")
    parser.add_argument(
        "--operation",
        action="append",
        default=[],
        metavar="NAME",
        help="only this operation (may be repeated) [default: all that make or change sound in one stage]",
    )
    parser.set_defaults(run=_layout)


def _layout(options: argparse.Namespace) -> int:
    from bridge.hosts.open_stage_control import session

    text = json.dumps(session(described(options.operation)), indent=2, ensure_ascii=False) + "\n"
    if not options.out:
        print(text, end="")
        return Exit.OK
    path = Path(options.out).expanduser()
    try:
        with path.open("w" if options.force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise BadRequest(f"{path} exists; --force replaces it", field="out") from None
    except OSError as failure:
        raise OutputUnwritable(f"{path}: {failure.strerror}", field="out") from None
    print(path)
    tell(f"next: open-stage-control --load {path} --send 127.0.0.1:9700 --osc-port 9000")
    return Exit.OK


def described(names: list[str]) -> list[dict[str, Any]]:
    """Operations with their fields as maps, choices filled in. Raises `UnknownOperation`."""
    import msgspec

    from acestep.api import schema
    from bridge.cli.plugins import load_registry

    registry = load_registry()
    wanted = names or [name for name, operation in sorted(registry.visible().items()) if operation.stage]
    found = []
    for name in wanted:
        operation = registry.operation(name)
        fields = [msgspec.to_builtins(info) for info in schema.describe(operation.schema)]
        for field in fields:
            if table := field.get("choices_from"):
                field["choices"] = list(registry.choices(table))
        found.append({"name": name, "summary": operation.summary, "fields": fields})
    return found
