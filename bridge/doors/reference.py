"""The reference pages of the doors, written from the methods and the registry: ``python -m bridge.doors.reference [FOLDER]``.

Without a folder it writes docs/reference of the checkout. A test compares the pages with what this module makes.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import ERRORS
from acestep.api.hooks import ENTRY_POINT_GROUP
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.rights import Right
from acestep.api.schema import FieldInfo, describe
from acestep.api.sentences import number
from bridge.doors import limits
from bridge.doors.http.site import door_pages
from bridge.doors.jsonrpc import codec as json_codec
from bridge.doors.jsonrpc.websocket import PATH as SOCKET_PATH
from bridge.doors.mcp.tools import offered_tools
from bridge.doors.method import Method, describe_methods
from bridge.doors.methods import METHODS
from bridge.doors.operation_methods import OPERATION_ADDRESS, operation_example
from bridge.doors.osc.answers import ANSWERS
from bridge.settings import PREFIX, UPSTREAM, Settings

DISTRIBUTION = "acestep-bridge"

OWNER_ONLY = (
    "For the owner only: from this machine, with the token, or from an address that `osc_allow` marks `=owner`."
)

NOTE = "*This page is made by `python -m bridge.doors.reference`; change the method or the schema, not the page.*"


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
        "rpc.md": _rpc(operations),
        "json-rpc.md": _json_rpc(operations),
        "http.md": _http(),
        "mcp.md": _mcp(operations),
        "operations.md": _operations(operations),
        "settings.md": _settings(),
        "errors.md": _errors(),
    }


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts)]) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _code(value: Any) -> str:
    return f"`{value}`" if value not in ("", None) else ""


def _json(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


def parameters(fields: Iterable[FieldInfo]) -> str:
    """A table of fields: name, type, unit, default, range, example, meaning."""
    rows = [
        [
            _code(info.name),
            info.type,
            unit(info),
            "required" if info.required else _code(_json(info.default)),
            _range(info),
            "" if info.example is None else _code(_json(info.example)),
            info.summary,
        ]
        for info in fields
    ]
    return _table(["name", "type", "unit", "default", "range", "example", "meaning"], rows)


def unit(info: FieldInfo) -> str:
    """What a field is counted in: its unit, else what kind of value it is."""
    if info.unit:
        return info.unit
    if info.type in ("int", "float"):
        return "number"
    return {"str": "text", "bool": "yes or no", "bytes": "bytes"}.get(
        info.type, "list" if info.type[:4] == "list" else "map"
    )


def _range(info: FieldInfo) -> str:
    if info.choices:
        return ", ".join(f"`{choice}`" for choice in info.choices)
    if info.choices_from:
        return f"one of the {info.choices_from}"
    if info.min is not None or info.max is not None:
        low, high = ("" if bound is None else number(bound) for bound in (info.min, info.max))
        return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    counted = "characters" if info.type == "str" else "bytes" if info.type == "bytes" else "entries"
    return f"at most {info.max_length} {counted}" if info.max_length else ""


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
    return '"' + (value if isinstance(value, str) else _json(value)) + '"'


def _osc(operations: list[Operation]) -> str:
    addressed = [method for method in METHODS.values() if method.osc]
    parts = [
        "Default port 9700, UDP and TCP (length prefix or SLIP, told by the first byte). A first read is [OSC](../osc.md).",
        "## Operations",
        f"`{OPERATION_ADDRESS}<operation> [id] key value key value ...` submits a job; with an odd number of arguments the first "
        f"is the id. `{OPERATION_ADDRESS}<operation>/<param> value` fills a draft that `{OPERATION_ADDRESS}<operation> [count]` "
        "submits; the count is the number of parameters set. Besides its own [parameters](operations.md) every operation takes "
        "`id` and `priority` (-10 to 10).",
        _table(
            ["address", "meaning", "example"],
            [[_code(OPERATION_ADDRESS + o.name), o.summary, _code(operation_message(o))] for o in operations],
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
        _table(
            ["address", "types", "meaning"],
            [[_code(address), _code(tags), text] for address, (tags, text) in ANSWERS.items()],
        ),
        "## Limits",
        _table(["what", "number"], _OSC_LIMITS),
    ]
    return _page("OSC addresses", *parts)


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


def _rpc(operations: list[Operation]) -> str:
    return _page(
        "MessagePack-RPC methods",
        "MessagePack-RPC: request `[0, id, method, [params]]`, response `[1, id, error, result]`, notification "
        "`[2, method, [params]]`, params being one map, also bare. Default port 9701 on "
        "loopback, and a Unix socket; the connection file says where.",
        "Events come as notifications `event {job, seq, kind, data, time}`; before the daemon closes a connection it sends "
        "`closing {reason, message}`. An error is a map `{code, message, retryable, field, limits}` with a [code](errors.md).",
        "The spool door takes the same methods, except those that say otherwise.",
        *_calls("rpc", operations, lambda method, params: [0, 1, method, [params]]),
        "## Limits",
        _table(["what", "number"], _RPC_LIMITS),
    )


def _json_rpc(operations: list[Operation]) -> str:
    return _page(
        "JSON-RPC methods",
        "[JSON-RPC 2.0](../json-rpc.md): one message or batch on a line, on a Unix socket, on standard input and output "
        "(`acestep-bridge json-rpc`) and, where a token is set, on TCP port 9703; or in a text message of the WebSocket "
        f"`ws://127.0.0.1:9702{SOCKET_PATH}`. The connection file says where.",
        "Events come as notifications `event {job, seq, kind, data, time}`; before the daemon closes a connection it sends "
        "`closing {reason, message}`. An error's `message` is a sentence; its `data` is `{code, retryable, field, limits}` with "
        "a [code](errors.md).",
        _table(["number of an error", "meaning"], _JSON_NUMBERS),
        "Where a field is of type bytes it holds base64.",
        *_calls(
            "jsonrpc",
            operations,
            lambda method, params: {"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        ),
        "## Limits",
        _table(
            ["what", "number"],
            [["requests in a batch", limits.JSON_BATCH], ["characters of an id", limits.JSON_ID], *_RPC_LIMITS],
        ),
    )


_JSON_LIMITS: list[list[Any]] = [
    ["requests in a batch", limits.JSON_BATCH],
    ["characters of a request's id", limits.JSON_ID],
]

_JSON_NUMBERS = [
    [json_codec.PARSE_ERROR, "no JSON"],
    [json_codec.INVALID_REQUEST, "JSON, and no request; too large, too deep"],
    [json_codec.METHOD_NOT_FOUND, "no such method or operation"],
    [json_codec.INVALID_PARAMS, "a parameter is missing, unknown or wrong: `bad_request`, `unknown_name`"],
    [json_codec.INTERNAL_ERROR, "a fault of the daemon; its log says more"],
    [json_codec.SERVER_ERROR, "everything else; `data.code` says what"],
]


def _calls(door: str, operations: list[Operation], shown: Callable[[str, Any], Any]) -> list[str]:
    """The operations and methods of a door with connections; ``shown`` makes a message of a method and its parameters."""

    def example(method: str, params: Any) -> str:
        return _code(_json(shown(method, params)))

    parts = [
        "## Operations",
        "`op.<operation>` submits a job, the parameters being the map itself, with `id` and `priority` beside them.",
        _table(
            ["method", "meaning", "example"],
            [[_code("op." + o.name), o.summary, example("op." + o.name, operation_example(o))] for o in operations],
        ),
        "## Methods",
    ]
    for method in METHODS.values():
        if door not in method.doors:
            continue
        only = "" if "spool" in method.doors else " Not at the spool door."
        parts += [f"### {method.name}", method.summary + only, f"Example: {example(method.name, method.example)}"]
        if method.parameters:
            parts.append(parameters(method.parameters))
        parts.append(f"Answer: {method.answer}")
        if method.command_line:
            parts.append(f"Command line: `acestep-bridge {method.command_line}`")
    return parts


_RPC_LIMITS: list[list[Any]] = [
    ["bytes of a message", limits.RPC_MESSAGE],
    ["depth of containers", limits.RPC_DEPTH],
    ["entries of an array or map", limits.RPC_LENGTH],
    ["bytes of a chunk", limits.CHUNK],
    ["requests under way on a connection", limits.RPC_IN_FLIGHT],
    ["messages that may wait for a client", limits.RPC_QUEUE_MESSAGES],
    ["bytes that may wait for a client", limits.RPC_QUEUE_BYTES],
    ["seconds between heartbeats", f"{limits.HEARTBEAT_SECONDS:g}"],
    ["wrong tokens that close a connection", limits.RPC_BAD_TOKENS],
    ["connections", limits.CONNECTIONS],
]

_PATHS = [
    [
        "/health",
        "State and version as JSON; status 503 when the worker was given up.",
        "curl http://127.0.0.1:9702/health",
    ],
    ["/metrics", "Numbers in the text format of Prometheus.", "curl http://127.0.0.1:9702/metrics"],
    ["/audition", "A page for browsers: hear, save and drag out the newest results.", "acestep-bridge audition"],
    [
        "/audition/results",
        "What that page shows, as JSON: jobs, newest first, each with its sounds and their addresses.",
        "curl http://127.0.0.1:9702/audition/results",
    ],
    [
        "/audition/sounds/JOB/INDEX/NAME",
        "One sound of a result, whole or by Range; NAME is free.",
        "curl -O http://127.0.0.1:9702/audition/sounds/take-1/0/part.wav",
    ],
    ["/?HOST_INFO", "OSCQuery: name, OSC host and port, what is offered.", "curl 'http://127.0.0.1:9702/?HOST_INFO'"],
    ["/", "OSCQuery: the tree of all addresses.", "curl http://127.0.0.1:9702/"],
    [
        "/ace/...",
        "OSCQuery: one address, or one attribute of it.",
        "curl 'http://127.0.0.1:9702/ace/op/repaint/bpm?RANGE'",
    ],
]


def _http() -> str:
    return _page(
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
    return _table(["path", "answer", "example"], [[_code(path), text, _code(example)] for path, text, example in rows])


def _mcp(operations: list[Operation]) -> str:
    described = {
        "operations": [
            {
                "name": one.name,
                "summary": one.summary,
                "group": one.group,
                "fields": [msgspec.to_builtins(info) for info in describe(one.schema)],
            }
            for one in operations
        ],
        "methods": describe_methods(METHODS.values()),
    }
    tools = offered_tools(described).values()
    rows = [[_code(one.name), one.description, ", ".join(map(_code, one.schema["properties"]))] for one in tools]
    parts = [
        "The tools that `acestep-bridge mcp` offers to assistants. A first read is [MCP](../mcp.md). The parameters are explained "
        "with the [operations](operations.md) and the [methods](rpc.md); a tool's schema holds those that everybody needs, and "
        "its operation takes the others too. Tools for playing are only there where the setting `performance` is on.",
        _table(["tool", "what it is told to do", "parameters in its schema"], rows),
    ]
    return _page("MCP tools", *parts)


def _operations(operations: list[Operation]) -> str:
    parts = ["What every door offers as jobs. `id` and `priority` may stand beside the parameters."]
    for operation in operations:
        parts += [f"## {operation.name}", operation.summary, f"Example: `{_json(operation_example(operation))}`"]
        parts.append(parameters(describe(operation.schema)))
    return _page("Operations", *parts)


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
            [_code(info.name), unit(info), _code(_json(info.default)), _range(info), info.summary] for info in fields
        ]
        parts += [
            f"## {_GROUPS.get(group, group.capitalize())}",
            _table(["name", "value", "default", "range", "meaning"], rows),
        ]
    parts += [
        "## Variables of ACE-Step's own",
        _table(["variable", "fills"], [[_code(variable), _code(name)] for name, variable in UPSTREAM.items()]),
    ]
    return _page("Settings", *parts)


def _errors() -> str:
    rows = [
        [_code(code), "yes" if kind.retryable else "no", (kind.__doc__ or "").strip()]
        for code, kind in sorted(ERRORS.items())
    ]
    return _page("Error codes", _table(["code", "may succeed unchanged later", "meaning"], rows))


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
