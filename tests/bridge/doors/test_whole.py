"""Doors, core and worker together: real files from another machine's view, and a restart in the middle."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import soundfile

from bridge.client import AsyncClient, Client
from bridge.client.osc import OscClient

SLOW = {"caption": "fake: steps=15 delay=0.1", "duration": 1.0}


def test_a_laptop_edits_a_file_on_another_machine(daemon, sound_file, tmp_path):
    """Upload, repaint of a region of the upload, download: nothing but the connection is shared."""
    source = sound_file(frames=96_000, rate=48_000)
    house = daemon(token="secret", read_roots=[tmp_path / "nothing-here"])
    with Client(host="127.0.0.1", port=house.connection["rpc"]["port"], token="secret") as client:
        asked = {"upload": client.upload(source), "start": 24_000, "end": 48_000, "returns": ["whole"]}
        job = client.submit("repaint", asked)
        result = client.result(job)
        fetched = client.download(job, tmp_path / "whole.wav", 0)
    assert result["files"][0]["role"] == "whole"
    assert soundfile.info(fetched).frames == 96_000


def wait_for(path: Path, ready) -> dict:
    """The status file when it says what is waited for."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and ready(data := json.loads(path.read_text("utf-8"))):
            return data
        time.sleep(0.02)
    raise AssertionError(f"{path} does not say it")


def test_a_spool_job_survives_a_restart(daemon):
    """The daemon is stopped while the job runs; the next one ends it, and its status file says so."""
    house = daemon()
    spool = Path(house.connection["spool"])
    request = {"format": "acestep-bridge/spool", "version": 1, "method": "op.generate", "params": SLOW}
    draft = spool / "requests" / "live-1.tmp"
    draft.write_text(json.dumps(request))
    draft.rename(draft.with_suffix(".json"))
    status = spool / "status" / "live-1.json"
    wait_for(status, lambda data: data["job"]["state"] == "running")
    house.stop()
    daemon(home=house.paths.home)
    data = wait_for(status, lambda data: data["job"]["state"] not in ("queued", "running"))
    assert data["job"]["state"] == "done"
    assert Path(data["job"]["result"]["files"][0]["path"]).exists()


def test_an_event_stream_survives_a_restart(daemon):
    """The same job's events go on over the new daemon, seq growing, to one end."""
    house = daemon()

    async def listen() -> list[tuple[int, str]]:
        heard = []
        async with AsyncClient(str(house.paths.home)) as client:
            await client.submit("generate", SLOW, id="long")
            async for event in client.events("long"):
                heard.append((event["seq"], event["kind"]))
                if len(heard) == 4:
                    await asyncio.to_thread(house.stop)
                    await asyncio.to_thread(lambda: daemon(home=house.paths.home))
        return heard

    heard = asyncio.run(listen())
    assert [kind for _, kind in heard].count("done") == 1
    assert heard[-1][1] == "done"
    assert [seq for seq, _ in heard] == sorted({seq for seq, _ in heard})


STAGES = ("generate", "refine", "cover", "repaint", "extract", "lego", "complete")
KNOBS = {
    "source": 0.0,
    "track": 1.0,
    "tracks": 1.0,
    "start_seconds": 0.0,
    "end_seconds": 0.25,
    "sampler": 0.0,
    "seed": 3.0,
}


def test_a_device_that_sends_only_floats_runs_every_stage(daemon):
    """Each on the result of the one before: one float a message, the number of knobs as the submit, nothing else."""
    house = daemon()
    newest = ""
    with Client(str(house.paths.home)) as client, OscClient("127.0.0.1", house.connection["osc"]["udp"]) as osc:
        for operation in STAGES:
            fields = {field["name"] for field in client.describe(operation)[0]["fields"]}
            knobs = {name: value for name, value in KNOBS.items() if name in fields}
            for name, value in knobs.items():
                osc.send(f"/ace/op/{operation}/{name}", value)
            osc.send(f"/ace/op/{operation}", float(len(knobs)))
            while (message := osc.receive(10.0)).address not in ("/ace/accepted", "/ace/rejected", "/ace/error"):
                pass
            assert message.address == "/ace/accepted", message
            view = client.wait(message.arguments[0])
            assert view["state"] == "done"
            assert (view["request"].get("source") or {}).get("path", "") == (newest if "source" in knobs else "")
            newest = view["result"]["files"][0]["path"]
            assert newest


def test_one_job_is_seen_alike_through_every_door(daemon):
    """Submitted over OSC, asked for over RPC and the spool: the same state and the same file."""
    house = daemon()
    with OscClient("127.0.0.1", house.connection["osc"]["udp"]) as osc:
        osc.submit("generate", {"caption": "fake: steps=2", "duration": 1.0}, id="seen")
        words = list(osc.events("seen"))
    path = next(message.arguments[4] for message in words if message.address == "/ace/result")
    with Client(str(house.paths.home)) as client:
        view = client.job("seen")
    spool = Path(house.connection["spool"])
    question = {"format": "acestep-bridge/spool", "version": 1, "method": "job.result", "params": {"id": "seen"}}
    (spool / "requests" / "q.tmp").write_text(json.dumps(question))
    (spool / "requests" / "q.tmp").rename(spool / "requests" / "q.json")
    answer = wait_for(spool / "status" / "q.json", lambda data: True)["answer"]
    assert view["state"] == answer["state"] == "done"
    assert view["result"]["files"][0]["path"] == answer["result"]["files"][0]["path"] == path
    assert view["client"].startswith("osc:127.0.0.1:")


def test_every_door_runs_a_job_once_more(daemon):
    """The id of a job is enough, and whoever asks hears of the new one to its end."""
    house = daemon()
    asked = {"caption": "fake: steps=1", "duration": 0.1, "seed": 3}
    with Client(str(house.paths.home)) as client:
        first = client.result(client.submit("generate", asked, id="take-1"))
        accepted = client.call("job.rerun", {"job": "take-1", "id": "take-2"})
        again = client.result(accepted["id"])
    with OscClient("127.0.0.1", house.connection["osc"]["udp"]) as osc:
        accepted = osc.ask("/ace/job/rerun", "take-1", 0, "take-3", answers=("/ace/accepted",), key="take-3")
        assert accepted.arguments[0] == "take-3"
        while (message := osc.receive(30.0)).address != "/ace/done":
            assert message.arguments[0] == "take-3"
    spool = Path(house.connection["spool"])
    request = {"format": "acestep-bridge/spool", "version": 1, "method": "job.rerun", "params": {"job": "take-1"}}
    draft = spool / "requests" / "take-4.tmp"
    draft.write_text(json.dumps(request))
    draft.rename(draft.with_suffix(".json"))
    status = wait_for(spool / "status" / "take-4.json", lambda data: (data.get("job") or {}).get("state") == "done")
    third = status["job"]["result"]
    assert len({result["files"][0]["sha256"] for result in (first, again, third)}) == 1
