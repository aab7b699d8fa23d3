"""The reference pages of the doors with connections: MessagePack-RPC and JSON-RPC, from the same table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acestep.api.operation import Operation
from bridge.doors import limits
from bridge.doors.jsonrpc import codec as json_codec
from bridge.doors.jsonrpc.websocket import PATH as SOCKET_PATH
from bridge.doors.methods import METHODS
from bridge.doors.operation_methods import operation_example
from bridge.doors.reference_parts import as_json, code, page, parameters, table


def rpc_page(operations: list[Operation]) -> str:
    """MessagePack-RPC."""
    return page(
        "MessagePack-RPC methods",
        "MessagePack-RPC: request `[0, id, method, [params]]`, response `[1, id, error, result]`, notification "
        "`[2, method, [params]]`, params being one map, also bare. Default port 9701 on "
        "loopback, and a Unix socket; the connection file says where.",
        "Events come as notifications `event {job, seq, kind, data, time}`; before the daemon closes a connection it sends "
        "`closing {reason, message}`. An error is a map `{code, message, retryable, field, limits}` with a [code](errors.md).",
        "The spool door takes the same methods, except those that say otherwise.",
        *_calls("rpc", operations, lambda method, params: [0, 1, method, [params]]),
        "## Limits",
        table(["what", "number"], _RPC_LIMITS),
    )


def json_rpc_page(operations: list[Operation]) -> str:
    """JSON-RPC."""
    return page(
        "JSON-RPC methods",
        "[JSON-RPC 2.0](../json-rpc.md): one message or batch on a line, on a Unix socket, on standard input and output "
        "(`acestep-bridge json-rpc`) and, where a token is set, on TCP port 9703; or in a text message of the WebSocket "
        f"`ws://127.0.0.1:9702{SOCKET_PATH}`. The connection file says where.",
        "Events come as notifications `event {job, seq, kind, data, time}`; before the daemon closes a connection it sends "
        "`closing {reason, message}`. An error's `message` is a sentence; its `data` is `{code, retryable, field, limits}` with "
        "a [code](errors.md).",
        table(["number of an error", "meaning"], _JSON_NUMBERS),
        "Where a field is of type bytes it holds base64.",
        *_calls(
            "jsonrpc",
            operations,
            lambda method, params: {"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        ),
        "## Limits",
        table(
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
        return code(as_json(shown(method, params)))

    parts = [
        "## Operations",
        "`op.<operation>` submits a job, the parameters being the map itself, with `id`, `priority`, `device` and "
        "`planner_device` beside them.",
        table(
            ["method", "meaning", "example"],
            [[code("op." + o.name), o.summary, example("op." + o.name, operation_example(o))] for o in operations],
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
