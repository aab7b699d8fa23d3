"""The reference pages of the doors, written from the methods and the registry: ``python -m bridge.doors.reference [FOLDER]``.

Without a folder it writes docs/reference of the checkout. A test compares the pages with what this module makes.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import ERRORS
from acestep.api.hooks import ENTRY_POINT_GROUP
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.rights import Right
from acestep.api.schema import FieldInfo, describe
from bridge.doors import limits
from bridge.doors.http.site import door_pages
from bridge.doors.mcp.tools import offered_tools
from bridge.doors.method import Method, describe_methods
from bridge.doors.methods import METHODS
from bridge.doors.operation_methods import OPERATION_ADDRESS, operation_example
from bridge.doors.osc.answers import ANSWERS
from bridge.doors.reference_parts import as_json, bounds, code, page, parameters, table, unit
from bridge.doors.reference_rpc import json_rpc_page, rpc_page
from bridge.settings import PREFIX, UPSTREAM, Settings

DISTRIBUTION = "acestep-bridge"

OWNER_ONLY = (
    "For the owner only: from this machine, with the token, or from an address that `osc_allow` marks `=owner`."
)


def built_in() -> Registry:
    """A registry with the plug-ins of this distribution alone, so that the pages do not depend on what else is installed."""
    registry = Registry()
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if point.dist is not None and point.dist.name == DISTRIBUTION:
            registry.add_plugin(point.load(), point.name)
    return registry


def pages(registry: Registry) -> dict[str, str]:
    """File name -> text."""
    operations = sorted(registry.visible().values(), key=lambda operation: operation.name)
    return {
        "osc.md": _osc(operations),
        "rpc.md": rpc_page(operations),
        "json-rpc.md": json_rpc_page(operations),
        "http.md": _http(),
        "mcp.md": _mcp(operations),
        "operations.md": _operations(operations),
        "settings.md": _settings(),
        "errors.md": _errors(),
    }


def osc_example(method: Method) -> str:
    """One message that uses the method."""
    words = [method.example[name] for name in method.positional if name in method.example]
    return " ".join([method.osc, *(_word(word) for word in words)])


def operation_message(operation: Operation) -> str:
    """One message that submits the operation."""
    pairs = [f"{name} {_word(value)}" for name, value in operation_example(operation).items()]
    return " ".join([OPERATION_ADDRESS + operation.name, "take-1", *pairs])


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        return '"' + ",".join(map(str, value)) + '"'
    return '"' + (value if isinstance(value, str) else as_json(value)) + '"'


def _osc(operations: list[Operation]) -> str:
    addressed = [method for method in METHODS.values() if method.osc]
    parts = [
        "Default port 9700, UDP and TCP (length prefix or SLIP, told by the first byte). A first read is [OSC](../osc.md).",
        "## Operations",
        f"`{OPERATION_ADDRESS}<operation> [id] key value key value ...` submits a job; with an odd number of arguments the first "
        f"is the id. `{OPERATION_ADDRESS}<operation>/<param> value` fills a draft that `{OPERATION_ADDRESS}<operation> [count]` "
        "submits; the count is the number of parameters set. Besides its own [parameters](operations.md) every operation takes "
        "`id`, `priority` (-10 to 10), `device` and `planner_device`.",
        table(
            ["address", "meaning", "example"],
            [[code(OPERATION_ADDRESS + o.name), o.summary, code(operation_message(o))] for o in operations],
        ),
        "Numbers may come as int or float; switches as 0 and 1 or T and F; lists as arrays, or as text with commas; maps as "
        "JSON text.",
        "## Everything else",
    ]
    for method in addressed:
        parts += [f"### {method.osc}", method.summary, f"Example: `{osc_example(method)}`"]
        if method.positional:
            fields = {info.name: info for info in method.parameters}
            parts.append(parameters(fields[name] for name in method.positional))
        parts.append(f"Answer: {_osc_answer(method)}")
        if method.right > Right.ANYBODY:
            parts.append(OWNER_ONLY)
    parts += [
        "## What the daemon sends",
        "To the sender's address and port, or to the port it registered. Datagrams stay under "
        f"{limits.OSC_OUT} bytes; a text that is too long is shortened, a path never.",
        table(
            ["address", "types", "meaning"],
            [[code(address), code(tags), text] for address, (tags, text) in ANSWERS.items()],
        ),
        "## Limits",
        table(["what", "number"], _OSC_LIMITS),
    ]
    return page("OSC addresses", *parts)


def _osc_answer(method: Method) -> str:
    if method.name.endswith(".list"):
        return f"`{method.reply} index count {' '.join(method.columns)}` for each row. {method.answer}"
    if method.columns:
        return f"`{method.reply} {' '.join(method.columns)}`. {method.answer}"
    return method.answer


_OSC_LIMITS: list[list[Any]] = [
    ["bytes of a datagram in", limits.OSC_UDP_IN],
    ["bytes of a TCP packet in", limits.OSC_TCP_IN],
    ["elements of a packet", limits.OSC_ELEMENTS],
    ["depth of bundles", limits.OSC_DEPTH],
    ["seconds a bundle may be dated ahead", f"{limits.OSC_SCHEDULE_SECONDS:g}"],
    ["seconds of a lease unless another is asked for", f"{limits.OSC_LEASE_SECONDS:g}"],
    ["registered listeners", limits.OSC_LISTENERS],
    ["open drafts of a sender", limits.DRAFT_OPERATIONS],
    ["seconds to finish a TCP frame", f"{limits.FRAME_SECONDS:g}"],
]


_PATHS = [
    [
        "/health",
        "State and version as JSON; status 503 when the worker keeps failing and is not restarted.",
        "curl http://127.0.0.1:9702/health",
    ],
    ["/metrics", "Numbers in the text format of Prometheus.", "curl http://127.0.0.1:9702/metrics"],
    ["/?HOST_INFO", "OSCQuery: name, OSC host and port, what is offered.", "curl 'http://127.0.0.1:9702/?HOST_INFO'"],
    ["/", "OSCQuery: the tree of all addresses.", "curl http://127.0.0.1:9702/"],
    [
        "/ace/...",
        "OSCQuery: one address, or one attribute of it.",
        "curl 'http://127.0.0.1:9702/ace/op/repaint/bpm?RANGE'",
    ],
]


def _http() -> str:
    return page(
        "HTTP",
        "Default port 9702 on loopback; the setting `http_ports` adds others. No GET changes anything. On loopback the Host header "
        "must name it. Pages of other sites are refused by Sec-Fetch-Site and Origin, whatever they send, unless the setting "
        "`http_origins` names their origin. Where a token is set, every request but `/health` needs "
        "`Authorization: Bearer TOKEN`, or, from a browser, any user name with the token as password.",
        "## Pages of the daemon",
        _paths(_PATHS),
        *[part for title, rows in door_pages() for part in (f"## {title}", _paths(rows))],
        "## OSCQuery",
        "Attributes: FULL_PATH, CONTENTS, TYPE, ACCESS, VALUE, RANGE, DESCRIPTION, UNIT, TAGS, EXTENDED_TYPE. An attribute that "
        "does not apply is answered with 204, an unknown one with 400, an unknown address with 404. VALUE of a parameter is its "
        "default.",
    )


def _paths(rows: Iterable[Sequence[str]]) -> str:
    return table(["path", "answer", "example"], [[code(path), text, code(example)] for path, text, example in rows])


def _mcp(operations: list[Operation]) -> str:
    described = {
        "operations": [
            {
                "name": one.name,
                "summary": one.summary,
                "right": one.right.label,
                "runs": one.runs,
                "fields": [msgspec.to_builtins(info) for info in describe(one.schema)],
            }
            for one in operations
        ],
        "methods": describe_methods(METHODS.values()),
    }
    tools = offered_tools(described).values()
    rows = [[code(one.name), one.description, ", ".join(map(code, one.schema["properties"]))] for one in tools]
    parts = [
        "The tools that `acestep-bridge mcp` offers to assistants. A first read is [MCP](../mcp.md). The parameters are explained "
        "with the [operations](operations.md) and the [methods](rpc.md); a tool's schema holds those that everybody needs, and "
        "its operation takes the others too. Tools for playing are only there where the setting `performance` is on.",
        table(["tool", "what it is told to do", "parameters in its schema"], rows),
    ]
    return page("MCP tools", *parts)


def _operations(operations: list[Operation]) -> str:
    parts = [
        "What every door offers as jobs. `id`, `priority`, `device` and `planner_device` may stand beside the parameters."
    ]
    for operation in operations:
        parts += [f"## {operation.name}", operation.summary, f"Example: `{as_json(operation_example(operation))}`"]
        parts.append(parameters(describe(operation.schema)))
    return page("Operations", *parts)


_GROUPS = {"plugins": "Plug-ins", "performance": "Playing"}
"""Headings of groups of settings that differ from their names."""


def _settings() -> str:
    groups: dict[str, list[FieldInfo]] = {}
    for info in describe(Settings):
        groups.setdefault(info.group, []).append(info)
    parts = [
        "A value comes from the option of `acestep-bridge serve` (`--queue-length 20`), else from the environment "
        f"(`{PREFIX}QUEUE_LENGTH=20`), else from the file `config.toml` in the home (`queue_length = 20`), else from the variable "
        "of ACE-Step's own in the last table, else it is the default. `acestep-bridge config show --all` says which it was. A name "
        "that is not on this page is refused.",
    ]
    for group, fields in groups.items():
        rows = [
            [code(info.name), unit(info), code(as_json(info.default)), bounds(info), info.summary] for info in fields
        ]
        parts += [
            f"## {_GROUPS.get(group, group.capitalize())}",
            table(["name", "value", "default", "range", "meaning"], rows),
        ]
    parts += [
        "## Variables of ACE-Step's own",
        table(["variable", "fills"], [[code(variable), code(name)] for name, variable in UPSTREAM.items()]),
    ]
    return page("Settings", *parts)


def _errors() -> str:
    rows = [
        [code(word), "yes" if kind.retryable else "no", (kind.__doc__ or "").strip()]
        for word, kind in sorted(ERRORS.items())
    ]
    return page("Error codes", table(["code", "may succeed unchanged later", "meaning"], rows))


def main(arguments: Sequence[str]) -> int:
    """Write the pages."""
    folder = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2] / "docs" / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages(built_in()).items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
