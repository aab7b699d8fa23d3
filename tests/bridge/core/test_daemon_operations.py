"""Operations that run in the daemon itself, and the flags that hide some."""

import asyncio
import json

import pytest

from acestep.api import hookimpl
from acestep.api.errors import FeatureDisabled, UnknownName
from acestep.api.operation import Operation
from acestep.api.schema import Request
from bridge.core.interface import EventKind, JobState


class Echo(Request):
    """Request of the operations that the tests add."""

    text: str = ""


async def echo(request, daemon):
    """An operation that runs in the daemon."""
    daemon.report("echo", 1, 2, 0.5)
    return {"said": request.text, "version": daemon.core.version()["program"]}


async def sleep(request, daemon):
    """One that takes its time."""
    await asyncio.sleep(60)
    return {}


async def fail(request, daemon):
    """One with a bug."""
    raise ZeroDivisionError


class EchoPlugin:
    @hookimpl
    def register_operations(self, register):
        for function in (echo, sleep, fail):
            name = function.__name__
            register(Operation(name=name, summary=name, schema=Echo, runs="daemon", target=f"{__name__}:{name}"))
        register(Operation(name="secret", summary="x", schema=Echo, runs="daemon", target="", feature="new-thing"))


@pytest.fixture
async def daemon_desk(desk, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    one = await desk(worker_start="lazy")
    one.service.registry.add_plugin(EchoPlugin(), "echo")
    return one


async def test_an_operation_of_the_daemon_needs_no_worker(daemon_desk):
    """It is a job like any other: stored, with progress, result and end."""
    view = await daemon_desk.run(operation="echo", text="hello")
    assert view.result["data"] == {"said": "hello", "version": "acestep-bridge"}
    assert daemon_desk.service.status()["worker"]["state"] == "stopped"


async def test_an_operation_of_the_daemon_can_be_cancelled(daemon_desk):
    """While it runs."""
    accepted = await daemon_desk.submit(operation="sleep")
    while daemon_desk.service.job(accepted.id).state is not JobState.RUNNING:
        await asyncio.sleep(0.005)
    await daemon_desk.service.cancel(accepted.id)
    assert (await daemon_desk.until(accepted.id))[-1].kind is EventKind.CANCELLED


async def test_a_bug_in_a_plugin_ends_its_job_only(daemon_desk):
    """`internal`, never a traceback; the next one runs."""
    view = await daemon_desk.run(operation="fail")
    assert view.state is JobState.FAILED and view.error["code"] == "internal"
    assert "Traceback" not in json.dumps(view.error)
    assert (await daemon_desk.run(operation="echo")).state is JobState.DONE


async def test_a_feature_is_hidden_until_it_is_switched_on(daemon_desk):
    """A sentence instead of a mystery; at run time, both ways."""
    service = daemon_desk.service
    assert "secret" not in service.operations()
    with pytest.raises(FeatureDisabled, match="new-thing"):
        await daemon_desk.submit(operation="secret")
    service.set_feature("new_thing", True)
    assert "secret" in {entry["name"] for entry in service.describe()}
    service.set_feature("new-thing", False)
    assert "secret" not in service.operations()
    rows = {row["name"]: row for row in service.features()}
    assert (rows["new-thing"]["on"], rows["new-thing"]["default"]) == (False, False) and rows["autogen"]["reason"]


async def test_a_feature_that_does_not_exist_is_refused(desk):
    """At run time and in the settings, with the nearest name."""
    service = (await desk()).service
    with pytest.raises(UnknownName, match="no feature flag 'auto-gen'; did you mean 'autogen'") as caught:
        service.set_feature("auto-gen", True)
    assert caught.value.limits == {"choices": ["autogen", "nano_planner"]}
    with pytest.raises(UnknownName, match="no feature flag") as caught:
        await desk(features=["telepathy"])
    assert caught.value.field == "features"
