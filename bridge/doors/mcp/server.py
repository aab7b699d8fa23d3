"""The MCP server over a daemon: tools, resources, progress and cancel. The protocol itself is the package `mcp`'s."""

from __future__ import annotations

import contextlib
import logging
import time
from base64 import b64encode
from collections.abc import Awaitable, Collection
from typing import Any, TypeVar
from urllib.parse import unquote

import anyio
import mcp.types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from acestep import __version__
from acestep.api.errors import AceError, BadRequest, InternalError
from bridge.core.interface import TERMINAL, EventKind
from bridge.doors import limits
from bridge.doors.mcp import words
from bridge.doors.mcp.link import DaemonLink, require_sendable
from bridge.doors.mcp.tools import DESCRIBES, WAIT_FIELD, WAITS, OfferedTool, nearest, offered_tools
from bridge.doors.operation_methods import ENVELOPE, OPERATION_PREFIX

log = logging.getLogger(__name__)

T = TypeVar("T")

NO_RESOURCE = -32002
"""The protocol's code for a resource that is not there."""

LIST_SECONDS = 1.0
"""How long a list of the tools is believed when an unknown one is asked for: making it costs the daemon milliseconds."""

Call = ServerRequestContext[Any, Any]


class AssistantDoor:
    """Answers the requests of assistants with a daemon's operations, methods and results."""

    def __init__(self, link: DaemonLink, only: Collection[str] = ()) -> None:
        self._link = link
        self._only = frozenset(only)
        """Names of the tools that are offered; empty: all."""
        self._known: dict[str, OfferedTool] = {}
        """The tools as they were last listed: a call of one of them needs no new list, and what is gone the daemon refuses."""
        self._listed_at = float("-inf")

    def server(self) -> Server[Any]:
        """The protocol's server with this door behind it."""
        return Server(
            "acestep-bridge",
            version=__version__,
            title="ACE-Step bridge",
            description="Makes and edits music with ACE-Step models.",
            instructions=words.INSTRUCTIONS,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_templates,
            on_read_resource=self.read_resource,
        )

    # Tools

    async def _tools(self) -> dict[str, OfferedTool]:
        described = await self._link.call(DESCRIBES, {})
        status = await self._link.call("status", {})
        devices = [str(row["device"]) for row in status.get("devices") or ()]
        offered = offered_tools(described, plays=status.get("performance") is not None, devices=devices)
        self._known = {name: one for name, one in offered.items() if not self._only or name in self._only}
        self._listed_at = time.monotonic()
        return self._known

    async def _tool(self, name: str) -> OfferedTool:
        """A tool by its name. One that is not known is looked for anew, yet not over and over. Raises `MCPError`."""
        if name not in self._known and time.monotonic() - self._listed_at > LIST_SECONDS:
            await _told(self._tools())
        if name not in self._known:
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {name[:64]!r}{nearest(name[:64], self._known)}")
        return self._known[name]

    async def check(self) -> None:
        """Raises `BadRequest` about names of tools that there are not, so that a typing error shows at the start."""
        if unknown := self._only - (known := offered_tools(await self._link.call(DESCRIBES, {}))).keys():
            name = min(unknown)
            raise BadRequest(
                f"there is no tool {name!r}{nearest(name, known)}", field="tools", limits={"choices": sorted(known)}
            )

    async def list_tools(self, call: Call, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """Every operation and method, as they are now."""
        offered = await _told(self._tools())
        return types.ListToolsResult(tools=[_as_listed(one) for one in offered.values()])

    async def call_tool(self, call: Call, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Call one. What the daemon refuses is the tool's answer, so that the assistant reads it."""
        tool = await self._tool(params.name)
        if not tool.reads:
            self._listed_at = float("-inf")  # it may make tools or take some away
        try:
            require_sendable(tool.calls, params.arguments or {})
            return await self._called(call, tool, {**tool.presets, **(params.arguments or {})})
        except AceError as error:
            return _refusal(error)
        except Exception:  # whatever happens, the assistant gets an answer
            log.exception("the tool %s failed", tool.name)
            return _refusal(InternalError(f"{tool.name} failed; the log says why"))

    async def _called(self, call: Call, tool: OfferedTool, given: dict[str, Any]) -> types.CallToolResult:
        if tool.submits:
            patience = _patience(given)
            job = await self._submitted(tool, given)
            return await self._awaited(call, job, patience, cancels=True)
        if tool.calls == WAITS:
            patience = _patience(given)
            view = await self._link.call("job.status", given)
            return await self._awaited(call, view["id"], patience, cancels=False)
        answer = await self._link.call(tool.calls, given)
        return _answer(_brief(answer) if tool.calls == DESCRIBES and not given.get("operation") else answer)

    async def _submitted(self, tool: OfferedTool, given: dict[str, Any]) -> str:
        method, params = tool.calls, given
        if method.startswith(OPERATION_PREFIX):
            beside = {name: given.pop(name) for name in ENVELOPE if name in given}
            method = "job.submit"
            params = {"operation": tool.calls.removeprefix(OPERATION_PREFIX), "params": given, **beside}
        accepted: dict[str, Any] = await self._link.call(method, params)
        return str(accepted["id"])

    async def _awaited(self, call: Call, job: str, patience: float, *, cancels: bool) -> types.CallToolResult:
        """The job when it has ended or the time (s) is up. A cancelled call cancels the job that it has handed in."""
        try:
            with anyio.move_on_after(patience):
                async with contextlib.aclosing(self._link.events(job)) as events:  # type: ignore[type-var]
                    async for event in events:
                        if event["kind"] == EventKind.PROGRESS:
                            data = event["data"]
                            await call.session.report_progress(data["fraction"], 1.0, words.progress_text(data))
        except anyio.get_cancelled_exc_class():
            if cancels:
                with anyio.CancelScope(shield=True), anyio.move_on_after(5.0), contextlib.suppress(AceError):
                    await self._link.call("job.cancel", {"id": job})
            raise
        return _job(await self._link.call("job.result", {"id": job}))

    # Resources

    async def list_resources(
        self, call: Call, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """The daemon's state, and its newest jobs, a page at a time."""
        cursor = (params.cursor if params else None) or ""
        asked = {"limit": limits.MCP_JOBS, "before": cursor}
        rows = await _told(self._link.call("job.list", asked))
        fixed = [] if cursor else [_resource(uri, name, about) for uri, (name, about) in FIXED.items()]
        jobs = [_resource(words.job_uri(row["id"]), row["id"], _job_title(row)) for row in rows]
        more = rows[-1]["id"] if len(rows) == limits.MCP_JOBS else None
        return types.ListResourcesResult(resources=[*fixed, *jobs], next_cursor=more)

    async def list_templates(
        self, call: Call, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """How jobs, their files and operations are addressed."""
        rows = [
            types.ResourceTemplate(name=name, uri_template=uri, description=about, mime_type=kind)
            for name, uri, about, kind in TEMPLATES
        ]
        return types.ListResourceTemplatesResult(resource_templates=rows)

    async def read_resource(self, call: Call, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        """A state as JSON, or a file as its bytes."""
        try:
            return types.ReadResourceResult(contents=[await self._read(str(params.uri))])
        except AceError as error:
            raise MCPError(NO_RESOURCE, error.message, error.to_wire()) from None

    async def _read(self, uri: str) -> types.TextResourceContents | types.BlobResourceContents:
        scheme, _, place = uri.partition("://")
        parts = [unquote(part) for part in place.split("/")]
        match [scheme, *parts]:
            case [words.SCHEME, "status"]:
                return _text(uri, await self._link.call("status", {}))
            case [words.SCHEME, "models"]:
                return _text(uri, await self._link.call("models.list", {}))
            case [words.SCHEME, "operations"]:
                return _text(uri, _brief(await self._link.call(DESCRIBES, {})))
            case [words.SCHEME, "operations", name]:
                return _text(uri, (await self._link.call(DESCRIBES, {"operation": name}))["operations"])
            case [words.SCHEME, "jobs"]:
                return _text(uri, await self._link.call("job.list", {"limit": limits.MCP_JOBS}))
            case [words.SCHEME, "jobs", job]:
                return _text(uri, await self._link.call("job.result", {"id": job}))
            case [words.SCHEME, "jobs", job, "files", index] if index.isdecimal() and len(index) < 5:
                return await self._file(uri, job, int(index))
        raise BadRequest(f"there is no resource {uri[:200]!r}", field="uri")

    async def _file(self, uri: str, job: str, index: int) -> types.BlobResourceContents:
        view = await self._link.call("job.result", {"id": job})
        data = await self._link.file(job, index)
        name = view["result"]["files"][index]["path"]
        return types.BlobResourceContents(uri=uri, mime_type=words.file_type(name), blob=b64encode(data).decode())


FIXED = {
    words.STATUS: ("status", "Queue, worker, default model, warnings."),
    words.MODELS: ("models", "Models on this machine, and models to download."),
    words.OPERATIONS: ("operations", "The operations, one sentence each."),
    words.JOBS: ("jobs", "The newest jobs."),
}
"""Resources that are always there."""

JSON = "application/json"

TEMPLATES = [
    ("job", f"{words.JOBS}/{{id}}", "A job with its request, files and notes.", JSON),
    ("file", f"{words.JOBS}/{{id}}/files/{{index}}", "A file of a job's result, as bytes; the first is 0.", None),
    ("operation", f"{words.OPERATIONS}/{{name}}", "Every field of an operation.", JSON),
]


async def _told(answer: Awaitable[T]) -> T:
    """An answer of the daemon, or its refusal as the protocol's error."""
    try:
        return await answer
    except AceError as error:
        raise MCPError(types.INTERNAL_ERROR, words.error_text(error), error.to_wire()) from None


def _patience(given: dict[str, Any]) -> float:
    """The seconds to wait, taken out of the parameters. Raises `BadRequest`."""
    wait = given.pop(WAIT_FIELD, limits.MCP_WAIT)
    top = limits.MCP_LONGEST_WAIT
    if isinstance(wait, bool) or not isinstance(wait, (int, float)) or not 0 <= wait <= top:
        raise BadRequest(f"{WAIT_FIELD} is a number from 0 to {top:g}", field=WAIT_FIELD, limits={"min": 0, "max": top})
    return float(wait)


def _brief(described: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "summary", "group")
    return {"operations": [{name: row[name] for name in names} for row in described["operations"]]}


def _as_listed(one: OfferedTool) -> types.Tool:
    hints = types.ToolAnnotations(
        title=one.title,
        read_only_hint=one.reads,
        destructive_hint=False if one.reads or one.adds else None,
        idempotent_hint=True if one.reads else None,
        open_world_hint=False,
    )
    return types.Tool(
        name=one.name, title=one.title, description=one.description, input_schema=one.schema, annotations=hints
    )


def _job(view: dict[str, Any]) -> types.CallToolResult:
    data = words.job_data(view)
    links = [
        types.ResourceLink(
            uri=file["uri"],
            name=file["path"].replace("\\", "/").rpartition("/")[2],
            description=file["role"],
            mime_type=words.file_type(file["path"]),
        )
        for file in data.get("files", [])
    ]
    ended_badly = view["state"] in TERMINAL and view["state"] != "done"
    content: list[types.ContentBlock] = [types.TextContent(text=words.job_text(data)), *links]
    return types.CallToolResult(content=content, structured_content=data, is_error=ended_badly)


def _answer(value: Any) -> types.CallToolResult:
    data = value if isinstance(value, dict) else {"rows": value} if isinstance(value, list) else {"answer": value}
    return types.CallToolResult(content=[types.TextContent(text=words.json_text(value))], structured_content=data)


def _refusal(error: AceError) -> types.CallToolResult:
    text = types.TextContent(text=words.error_text(error))
    return types.CallToolResult(content=[text], structured_content={"error": error.to_wire()}, is_error=True)


def _resource(uri: str, name: str, about: str) -> types.Resource:
    return types.Resource(uri=uri, name=name, description=about, mime_type=JSON)


def _job_title(row: dict[str, Any]) -> str:
    caption = f": {row['caption']}" if row.get("caption") else ""
    return f"{row['operation']}, {row['state']}{caption}"


def _text(uri: str, value: Any) -> types.TextResourceContents:
    return types.TextResourceContents(uri=uri, mime_type=JSON, text=words.json_text(value))
