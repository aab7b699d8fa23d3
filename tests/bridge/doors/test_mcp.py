"""The door for assistants, with the official client of the package: in this process, and over standard input and output."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from pathlib import Path

import anyio
import httpx
import mcp
import psutil
import pytest

from bridge.client import Client
from bridge.doors import limits
from bridge.doors.mcp.link import ClientLink
from bridge.doors.mcp.server import AssistantDoor
from bridge.doors.mcp.tools import DOOR, offered_tools
from bridge.doors.methods import METHODS
from bridge.launch import FREE_PORTS, read_connection, start_daemon

QUICK = {"caption": "fake: steps=2", "duration": 0.5}
LONG = {"caption": "fake: steps=500 delay=0.1", "duration": 0.5}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A daemon with the fake backend; only its own folders and ``allowed`` may be read."""
    home = tmp_path_factory.mktemp("mcp")
    (home / "allowed").mkdir()
    settings = {**FREE_PORTS, "home": home / "home", "backend": "fake", "read_roots": [home / "allowed"]}
    with start_daemon(settings) as daemon:
        yield daemon


@pytest.fixture
def assistant(house):
    """``async with assistant() as client``: the package's client in front of the door, which is a client of the daemon."""
    links = []

    def connect(*only, **options):
        link = ClientLink(str(house.paths.home))
        links.append(link)
        return mcp.Client(AssistantDoor(link, only).server(), **options)

    return connect


def text(result):
    """What an answer says first."""
    return result.content[0].text


async def test_every_operation_and_method_is_a_tool(house, assistant):
    """With the operation's own fields, and nothing that needs a connection or carries bytes."""
    async with assistant() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    with Client(str(house.paths.home)) as owner:
        operations = owner.describe()
        row = owner.describe("generate")[0]
    assert {row["name"] for row in operations} <= set(tools)
    playing = ("slot.", "capture.", "tempo.", "midi.", "performance")
    named = {
        name.replace(".", "_") for name, one in METHODS.items() if DOOR in one.doors and not name.startswith(playing)
    }
    assert named == set(tools) - {row["name"] for row in operations}
    assert not {"upload_chunk", "job_subscribe", "hello"} & set(tools)
    schema = tools["generate"].input_schema
    known = {field["name"] for field in row["fields"]} | {"id", "priority", "wait"}
    assert {"caption", "lyrics", "bpm", "key", "duration", "seed", "format"} <= set(schema["properties"]) <= known
    assert schema["properties"]["bpm"]["minimum"] == 30.0 and schema["properties"]["duration"]["type"] == [
        "number",
        "string",
    ]
    assert tools["status"].annotations.read_only_hint and not tools["queue_clear"].annotations.read_only_hint
    assert tools["queue_clear"].annotations.destructive_hint is not False
    assert tools["generate"].annotations.destructive_hint is False
    assert tools["latent-delete"].annotations.destructive_hint is not False
    assert "Makes audio" in tools["repaint"].description and "Makes audio" not in tools["compose"].description
    assert all(tool.description and len(tool.name) <= 64 for tool in tools.values())


def test_a_device_is_asked_for_where_there_are_several(house):
    """By every tool that hands in a job for a worker, with the names that there are; elsewhere by none."""
    with Client(str(house.paths.home)) as owner:
        described = owner.call("describe")
    usual = offered_tools(described, devices=["cuda:0"])
    assert [name for name, tool in usual.items() if "device" in tool.schema["properties"]] == []
    several = offered_tools(described, devices=["cuda:0", "cuda:1"])
    asking = {name for name, tool in several.items() if "device" in tool.schema["properties"]}
    workers = {row["name"] for row in described["operations"] if row["runs"] == "worker"}
    assert asking == workers | {"job_submit", "job_rerun", "autogen_start"} & set(several)
    assert {tuple(several[name].schema["properties"]["device"]["enum"]) for name in asking} == {
        ("", "cuda:0", "cuda:1")
    }
    assert "example" not in workers and "device" not in several["describe"].schema["properties"]


async def test_a_new_operation_is_a_tool_at_once(assistant):
    """A preset is an operation: kept by a tool, it is a tool; forgotten, it is none."""
    async with assistant() as client:
        made = await client.call_tool("generate", QUICK)
        await client.call_tool("preset_save", {"name": "my-lofi", "job": made.structured_content["id"]})
        names = {tool.name for tool in (await client.list_tools()).tools}
        again = await client.call_tool("my-lofi", {"caption": "fake: steps=1"})
        await client.call_tool("preset_delete", {"name": "my-lofi"})
        after = {tool.name for tool in (await client.list_tools()).tools}
    assert "my-lofi" in names and "my-lofi" not in after
    assert again.structured_content["state"] == "done"


async def test_progress_files_and_recipe_of_a_job(assistant):
    """The answer names the file, which is there; the same file comes as a resource, byte for byte."""
    heard = []

    async def progress(done, total, message):
        heard.append((done, total, message))

    async with assistant() as client:
        result = await client.call_tool("generate", {**QUICK, "id": "take-1"}, progress_callback=progress)
        data = result.structured_content
        file = data["files"][0]
        link = next(part for part in result.content if part.type == "resource_link")
        blob = (await client.read_resource(link.uri)).contents[0]
        job = (await client.read_resource("acestep://jobs/take-1")).contents[0]
        again = await client.call_tool("generate", {**QUICK, "id": "take-1"})
        listed = [str(one.uri) for one in (await client.list_resources()).resources]
    assert not result.is_error and data["state"] == "done" and data["id"] == "take-1"
    assert heard and all(0 <= done <= 1 and total == 1 and message for done, total, message in heard)
    assert [done for done, *_ in heard] == sorted(done for done, *_ in heard)
    assert base64.b64decode(blob.blob) == Path(file["path"]).read_bytes() and blob.mime_type == "audio/wav"
    assert file["path"] in text(result) and file["duration"] == 0.5
    assert '"recipe"' in job.text or '"request"' in job.text
    assert again.structured_content["files"] == data["files"]
    assert listed[:4] == ["acestep://status", "acestep://models", "acestep://operations", "acestep://jobs"]
    assert "acestep://jobs/take-1" in listed


async def test_a_cancelled_call_cancels_its_job(house, assistant):
    """The job ends as cancelled; another one is not touched."""
    async with assistant(mode="legacy") as client:
        other = await client.call_tool("generate", {**LONG, "wait": 0})
        with anyio.move_on_after(1.0):
            await client.call_tool("generate", {**LONG, "id": "to-cancel"})
        with Client(str(house.paths.home)) as owner:
            view = await asyncio.to_thread(owner.wait, "to-cancel")
            assert view["state"] == "cancelled"
            ended = await client.call_tool("job_cancel", {"id": other.structured_content["id"]})
            assert not ended.is_error
            await asyncio.to_thread(owner.wait, other.structured_content["id"])


async def test_a_long_job_is_waited_for_again(assistant):
    """Past ``wait`` the answer names the job, which goes on; `job_wait` brings its end."""
    async with assistant() as client:
        first = await client.call_tool("generate", {"caption": "fake: steps=8 delay=0.2", "duration": 0.5, "wait": 0})
        job = first.structured_content["id"]
        assert first.structured_content["state"] in ("queued", "running") and "job_wait" in text(first)
        last = await client.call_tool("job_wait", {"id": job, "wait": 60})
    assert last.structured_content["state"] == "done" and last.structured_content["files"]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("generate", {"bpm": 5}, "bpm is"),
        ("generate", {"stepss": 5}, "did you mean 'steps'"),
        ("generate", {"caption": 5}, "caption"),
        ("generate", {"wait": -1}, "wait is a number from 0 to 3600"),
        ("generate", {"wait": "soon"}, "wait is a number from 0 to 3600"),
        ("generate", {"id": "a b"}, "id"),
        ("job_status", {}, "id"),
        ("job_status", {"id": "nobody"}, "there is no job 'nobody'"),
        ("job_wait", {"id": "nobody", "wait": 0}, "there is no job 'nobody'"),
        ("repaint", {"source": "/etc/hostname", "start": 0, "end": 10}, "outside the allowed folders"),
        ("generate", {"reference": "/etc/hostname"}, "outside the allowed folders"),
        ("describe", {"operation": "generat"}, "there is no operation 'generat'"),
    ],
)
async def test_bad_arguments_are_answered_in_a_sentence(assistant, tool, arguments, said):
    """As the tool's answer, which an assistant reads, with the error as data; no text of a library."""
    async with assistant() as client:
        answer = await client.call_tool(tool, arguments)
    assert answer.is_error and said in text(answer)
    assert answer.structured_content["error"]["code"] in text(answer)
    assert not any(word in text(answer) for word in ("Traceback", "pydantic", "msgspec", "validation"))


async def test_a_failed_job_says_why(assistant):
    """Its error is the answer."""
    async with assistant() as client:
        answer = await client.call_tool(
            "generate", {"caption": "fake: steps=3 fail_at=1 fail=out_of_memory", "duration": 0.5}
        )
    assert answer.is_error and "out_of_memory" in text(answer)
    assert answer.structured_content["error"]["code"] == "out_of_memory"


async def test_what_is_not_there_is_the_protocols_error(assistant):
    """A tool, a resource, a file of a job."""
    async with assistant() as client:
        with pytest.raises(mcp.MCPError, match="there is no tool 'generat'; did you mean generate"):
            await client.call_tool("generat", {})
        for uri in (
            "acestep://nothing",
            "file:///etc/passwd",
            "acestep://jobs/nobody",
            "acestep://jobs/../../etc",
            "acestep://jobs/x/files/-1",
        ):
            with pytest.raises(mcp.MCPError) as caught:
                await client.read_resource(uri)
            assert caught.value.code == -32002 and caught.value.message.startswith("there is no")


async def test_short_answers_where_everything_would_be_too_much(assistant):
    """`describe` without a name lists; with one it tells every field, also those that the tool's schema leaves out."""
    async with assistant() as client:
        brief = (await client.call_tool("describe", {})).structured_content
        whole = (await client.call_tool("describe", {"operation": "generate"})).structured_content
        rows = (await client.call_tool("job_list", {})).structured_content["rows"]
    assert set(brief["operations"][0]) == {"name", "summary", "group"}
    assert "velocity_limit" in {field["name"] for field in whole["operations"][0]["fields"]}
    assert len(rows) <= 20


async def test_a_few_tools_only(assistant):
    """What is not offered cannot be called."""
    async with assistant("generate", "job_wait") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["generate", "job_wait"]
        with pytest.raises(mcp.MCPError, match="there is no tool"):
            await client.call_tool("queue_clear", {})


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_over_http(house, mode):
    """The daemon itself answers at /mcp: the same tools, progress, files, and a cancelled call's job."""
    heard = []

    async def progress(done, total, message):
        heard.append(message)

    async with mcp.Client(f"{page(house)}/mcp", mode=mode) as client:
        made = await client.call_tool("generate", {**QUICK, "id": f"over-http-{mode}"}, progress_callback=progress)
        file = made.structured_content["files"][0]
        blob = (await client.read_resource(file["uri"])).contents[0]
        refused = await client.call_tool("repaint", {"source": "/etc/hostname", "start": 0, "end": 10})
        with anyio.move_on_after(1.0):
            await client.call_tool("generate", {**LONG, "id": f"http-cancel-{mode}"})
    assert base64.b64decode(blob.blob) == Path(file["path"]).read_bytes() and heard
    assert refused.is_error and "outside the allowed folders" in text(refused)
    with Client(str(house.paths.home)) as owner:
        assert (await asyncio.to_thread(owner.wait, f"http-cancel-{mode}"))["state"] == "cancelled"
        assert owner.job(f"over-http-{mode}")["client"].startswith("mcp:")


async def test_over_http_behind_the_guard(house):
    """No page of another site, no rebound name, no body beyond its bound, and nothing that is not a message."""
    hello = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    kinds = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=page(house), headers=kinds, timeout=60) as web:
        for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
            assert (await web.post("/mcp", json=hello, headers=headers)).status_code == 403
        assert (await web.post("/mcp", json=hello, headers={"host": "evil.example"})).status_code == 421
        assert (await web.post("/mcp", content=b"x" * (limits.MCP_LINE + 1))).status_code == 413
        for body in (b"", b"{", b"[]", b"null", b'{"jsonrpc": "2.0"}', b"[" * 50_000):
            answer = await web.post("/mcp", content=body)
            assert 400 <= answer.status_code < 500 and "Traceback" not in answer.text, body[:20]
    assert "Traceback" not in house.output.read_text()


async def test_a_session_that_ends_under_its_notifications_breaks_no_connection(house):
    """What arrives while the session is deleted gets one answer, and nothing is told as an error."""
    kinds = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    who = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "hasty", "version": "1"}}
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}}
    async with httpx.AsyncClient(base_url=page(house), headers=kinds, timeout=60) as web:
        for _ in range(20):
            opened = await web.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": who})
            session = {"mcp-session-id": opened.headers["mcp-session-id"]}
            notes = [web.post("/mcp", json=note, headers=session) for _ in range(8)]
            answers = await asyncio.gather(*notes[:4], web.delete("/mcp", headers=session), *notes[4:])
            assert {one.status_code for one in answers} <= {200, 202, 404}
    assert "Traceback" not in house.output.read_text()


def page(house):
    """The address of the HTTP port."""
    return f"http://127.0.0.1:{house.connection['http']['port']}"


@pytest.mark.slow
async def test_the_command_serves_and_starts_a_daemon(tmp_path):
    """Over its standard input and output: a daemon is started where none runs, torch is not loaded, and ends leave no mess."""
    home = tmp_path / "home"
    home.mkdir()
    lines = ['backend = "fake"', "osc_port = 0", "rpc_port = 0", "http_port = 0", f'read_roots = ["{tmp_path}"]']
    (home / "config.toml").write_text("\n".join(lines))
    arguments = ["-m", "bridge.cli", "mcp", "--home", str(home)]
    command = mcp.StdioServerParameters(command=sys.executable, args=arguments, env={"OMP_NUM_THREADS": "1"})
    try:
        with (tmp_path / "errors.txt").open("w+") as errors:
            async with mcp.Client(mcp.client.stdio.stdio_client(command, errlog=errors)) as client:
                server = next(one for one in psutil.Process().children() if "mcp" in one.cmdline())
                made = await client.call_tool("generate", QUICK)
                assert made.structured_content["state"] == "done"
                assert not any("torch" in part.path for part in server.memory_maps())
            errors.seek(0)
            said = errors.read()
        assert "started a daemon" in said and "Traceback" not in said
        assert not server.is_running()
        with Client(str(home)) as owner:
            assert owner.status()["state"] == "ok"
    finally:
        pid = read_connection(home_paths(home))["pid"]
        os.kill(pid, signal.SIGTERM)
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)


def home_paths(home):
    """The places of a home."""
    from bridge.paths import Paths
    from bridge.settings import Settings

    return Paths.of(Settings(home=str(home)))
