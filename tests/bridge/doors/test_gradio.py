"""The Gradio call: what the page's values mean, files by opaque names, sessions that end, and bad input."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx
import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from acestep.api.errors import BadRequest
from bridge.client import Client
from bridge.doors import limits
from bridge.doors.gradio import files
from bridge.doors.gradio.sessions import GradioSessions
from bridge.doors.gradio.wrapper import FEBRUARY, JUNE, named_values, params_of
from bridge.launch import FREE_PORTS, start_daemon
from bridge.testing.hostile_gradio import VALUES, attack

REQUESTS = 2_000


# What the values mean


def test_the_fifty_values_have_their_places():
    """As ace-step-ui sends them; what says nothing is left out."""
    found = named_values(VALUES)
    assert len(VALUES) == len(FEBRUARY) == 50
    assert found["prompt"] == "fake: steps=1" and found["bpm"] == 96 and found["audio_format"] == "wav"
    assert found["task_type"] == "text2music" and found["lm_cfg_scale"] == 2.0 and found["lm_batch_chunk_size"] == 8
    assert not {"lyrics", "src_audio_path", "track_name", "track_classes"} & set(found)


def test_the_list_of_june_is_told_by_its_number():
    """The same fields stand elsewhere in it."""
    values = [None] * len(JUNE)
    values[0], values[20], values[21], values[36], values[55], values[64] = "x", "cover", True, "flac", "drums", 0.3
    found = named_values(values)
    assert len(values) == 78
    assert found == {
        "prompt": "x",
        "task_type": "cover-nofsq",
        "audio_format": "flac",
        "track_name": "drums",
        "repaint_strength": 0.3,
    }


@pytest.mark.parametrize("number", [51, 77, 79, 1000])
def test_another_number_of_values_is_refused(number):
    with pytest.raises(BadRequest, match=r"50 values .* or 78"):
        named_values([None] * number)


def test_values_that_the_rest_interface_has_no_field_for():
    """Own time steps; what the planner fills in; how many it writes at once."""
    assert params_of({"custom_timesteps": "1, 0.5,0.25", "use_cot_metas": False, "lm_batch_chunk_size": 4}) == {
        "timesteps": [1.0, 0.5, 0.25]
    }
    assert params_of({"thinking": True, "use_cot_metas": False, "lm_batch_chunk_size": 4}) == {
        "planner_metas": False,
        "planner_batch_chunk": 4,
    }
    with pytest.raises(BadRequest, match="numbers falling from 1 towards 0"):
        params_of({"custom_timesteps": "fast"})


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"path": "uploads/up-0123456789abcdef/a b.wav"}, "uploads/up-0123456789abcdef/a b.wav"),
        ({"path": "", "url": "http://127.0.0.1:8001/gradio_api/file=sounds/take-1-0.wav"}, "sounds/take-1-0.wav"),
        (
            {"url": "http://x/gradio_api/file=uploads/up-0123456789abcdef/a%20b.wav"},
            "uploads/up-0123456789abcdef/a b.wav",
        ),
        ("/home/me/song.wav", "/home/me/song.wav"),
    ],
)
def test_a_file_is_named_in_the_ways_of_the_clients(value, name):
    assert files.named_file(value, "source") == name


@pytest.mark.parametrize(
    "value", [{"url": "http://evil.example/x.wav"}, {}, 5, "", {"path": None}, ["x"], {"path": "file:///etc/passwd"}]
)
def test_what_is_no_file_is_refused(value):
    """Nothing is fetched from elsewhere."""
    with pytest.raises(BadRequest):
        files.named_file(value, "source")


def test_names_of_uploads_hold_no_path():
    """Whatever the client called them."""
    name = files.upload_name("up-0123456789abcdef", '../../e"t\x00c/pässwd.wav')
    assert files.upload_of(name) == "up-0123456789abcdef" and name.count("/") == 2 and "\x00" not in name
    assert files.upload_of("uploads/up-0123456789abcdef/../x") == "" and files.result_of_name("/etc/passwd") is None


# Sessions


async def test_a_client_that_is_gone_ends_its_calls(monkeypatch):
    """As Gradio does it: nobody could fetch what came of them."""
    monkeypatch.setattr(limits, "GRADIO_SILENCE", 0.05)
    sessions, ended = GradioSessions(), asyncio.Event()

    async def work(report):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise
        return []

    sessions.join("a", work)
    stream = sessions.find("a").messages()
    assert (await anext(stream))["msg"] == "estimation"
    await stream.aclose()
    sessions.leave("a")
    async with asyncio.timeout(10):
        await ended.wait()


async def test_progress_that_nobody_reads_is_merged():
    """A stream that opens late hears the newest, and then the end."""

    async def work(report):
        for step in range(10_000):
            report({"step": step, "steps": 10_000, "fraction": step / 10_000, "stage": "x"})
        return ["done"]

    sessions = GradioSessions()
    sessions.join("a", work)
    for _ in range(5):
        await asyncio.sleep(0)
    said = [message async for message in sessions.find("a").messages()]
    assert [one["msg"] for one in said] == [
        "estimation",
        "process_starts",
        "progress",
        "process_completed",
        "close_stream",
    ]
    assert said[2]["progress_data"][0]["index"] == 9_999 and said[3]["output"]["data"] == ["done"]


async def test_calls_and_sessions_are_bounded():
    """One client cannot take all places, and all together cannot take the memory."""

    async def work(report):
        await asyncio.sleep(60)
        return []

    sessions = GradioSessions()
    assert all(sessions.join("a", work) for _ in range(limits.GRADIO_CALLS))
    assert sessions.join("a", work) is None
    assert all(sessions.join(f"s{n}", work) for n in range(limits.GRADIO_SESSIONS - 1))
    assert sessions.join("one more", work) is None
    for name in ["a", *(f"s{n}" for n in range(limits.GRADIO_SESSIONS - 1))]:
        sessions.find(name).cancel()
    await asyncio.sleep(0)


# The routes


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A daemon with the fake backend, on a further port beside its own."""
    folder = tmp_path_factory.mktemp("gradio-routes")
    settings = {
        **FREE_PORTS,
        "home": folder / "home",
        "backend": "fake",
        "read_roots": [folder / "home"],
        "http_ports": [0],
    }
    with start_daemon(settings) as daemon:
        yield daemon


@pytest.fixture
def web(house):
    with httpx.Client(base_url=f"http://127.0.0.1:{house.connection['http']['port']}", timeout=60) as client:
        yield client


def outcome(web, name, data):
    """What a call by name comes to."""
    event = web.post(f"/gradio_api/call/{name}", json={"data": data}).json()["event_id"]
    lines = web.get(f"/gradio_api/call/{name}/{event}").text.splitlines()
    at = max(number for number, line in enumerate(lines) if line.startswith("event: "))
    return lines[at].removeprefix("event: "), json.loads(lines[at + 1].removeprefix("data: "))


def test_a_further_port_is_as_good(house):
    """As ACE-Step's own is, where front ends look: addresses that come back lead to it."""
    address = f"http://127.0.0.1:{house.connection['http']['ports'][0]}"
    config = httpx.get(f"{address}/config").json()
    assert config["root"] == address and config["protocol"] == "sse_v3"
    assert (
        config["dependencies"][0]["api_name"] == "generation_wrapper" and len(config["dependencies"][0]["inputs"]) == 50
    )


def test_a_call_as_with_curl(web):
    """By name, with the event's id; the result's file comes back, and goes in again."""
    kind, values = outcome(web, "generation_wrapper", VALUES)
    assert kind == "complete" and values[0]["size"] == len(web.get(values[0]["url"]).content)
    assert "BPM: 96" in values[9]
    kind, again = outcome(web, "generation_wrapper", [*VALUES[:13], values[0], *VALUES[14:19], "cover", *VALUES[20:]])
    assert kind == "complete", again
    assert again[0]["path"] != values[0]["path"]


def test_an_adapter_is_loaded_weakened_left_out_and_unloaded(house, web):
    """As the page does it: what is chosen holds for the generations that follow, over the REST interface too."""
    folder = house.paths.home / "loras" / "velvet"
    folder.mkdir(parents=True)
    name = "layers.0.self_attn.o_proj"
    tensors = {
        f"{name}.lora_A.weight": np.zeros((8, 256), "float32"),
        f"{name}.lora_B.weight": np.zeros((256, 8), "float32"),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8, "lora_alpha": 16}))

    def used():
        kind, values = outcome(web, "generation_wrapper", VALUES)
        assert kind == "complete", values
        job = values[0]["path"].removeprefix("sounds/").rpartition("-")[0]
        with Client(str(house.paths.home)) as owner:
            return owner.job(job)["request"]["stages"][0]["lora"]

    assert outcome(web, "load_lora", [str(folder)]) == ("complete", ["✅ velvet is used from now on"])
    assert outcome(web, "set_lora_scale", [0.5]) == ("complete", ["✅ velvet acts with 0.5"])
    assert used() == ["velvet=0.5"]
    assert web.get("/v1/lora/status").json()["data"]["lora_scale"] == 0.5
    assert outcome(web, "set_use_lora", [False]) == ("complete", ["✅ adapters are left out"]) and used() == []
    assert outcome(web, "set_use_lora", [True])[1] == ["✅ adapters are used"]
    assert outcome(web, "unload_lora", []) == ("complete", ["✅ no adapter is in use now"]) and used() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({13: {"url": "http://evil.example/x.wav"}, 19: "cover"}, "does not fetch files from other servers"),
        ({13: "/etc/hostname", 19: "cover"}, "outside the allowed folders"),
        ({13: {"path": "sounds/nobody-0.wav"}, 19: "cover"}, "there is no job 'nobody'"),
        ({13: {"path": "uploads/up-0123456789abcdef/a.wav"}, 19: "cover"}, "there is no upload"),
        ({26: "xyz"}, "there is no format 'xyz'"),
        ({25: "fast"}, "numbers falling from 1 towards 0"),
    ],
)
def test_bad_values_end_in_a_sentence(web, change, said):
    values = [change.get(at, value) for at, value in enumerate(VALUES)]
    kind, error = outcome(web, "generation_wrapper", values)
    assert kind == "error" and said in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("name", "status"),
    [("/etc/passwd", 403), ("sounds/%2e%2e/%2e%2e/x", 403), ("..%2f..%2fetc%2fpasswd", 403), ("nothing", 404),
     ("sounds/nobody-0.wav", 404), ("uploads/up-0123456789abcdef/x.wav", 404), ("sounds/x", 404)],
)  # fmt: skip
def test_no_file_is_read_by_its_path(web, name, status):
    answer = web.send(httpx.Request("GET", f"{str(web.base_url).rstrip('/')}/gradio_api/file={name}"))
    assert answer.status_code == status and "root:" not in answer.text


def test_foreign_pages_start_nothing(web):
    """A form, text or JSON of another origin, and a name that was rebound."""
    body = json.dumps({"data": VALUES, "fn_index": 0, "session_hash": "evil"})
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded"):
            answer = web.post("/gradio_api/queue/join", content=body, headers={**headers, "content-type": kind})
            assert answer.status_code == 403
        assert web.post("/gradio_api/upload", files={"files": b"x"}, headers=headers).status_code == 403
    assert web.get("/config", headers={"host": "evil.example"}).status_code == 421


def test_unknown_sessions_endpoints_and_bodies(web):
    """Statuses with a sentence."""
    join = "/gradio_api/queue/join"
    for path, sent, status in (
        (join, {"data": [], "fn_index": 99, "session_hash": "a"}, 404),
        (join, {"data": {}, "fn_index": 0, "session_hash": "a"}, 422),
        (join, {"data": [], "fn_index": 0}, 422),
        (join, [], 400),
        ("/gradio_api/call/nothing", {"data": []}, 404),
    ):
        answer = web.post(path, json=sent)
        assert answer.status_code == status and answer.json()["detail"], path
    assert web.get("/gradio_api/queue/data", params={"session_hash": "nobody"}).status_code == 404
    assert web.post("/gradio_api/upload", files={"other": b"x"}).status_code == 422
    assert web.post("/gradio_api/cancel", json={"session_hash": "nobody"}).json() == {"success": False}


@pytest.mark.slow
@pytest.mark.long
def test_hostile_requests_disturb_nobody(house):
    """A thousand mutated ones; the status is answered meanwhile, memory stays bounded, the log has no traceback."""
    statuses = []
    address = f"http://127.0.0.1:{house.connection['http']['port']}"
    enemy = threading.Thread(target=lambda: statuses.append(attack(address, REQUESTS, seed=4)))
    with Client(str(house.paths.home)) as client:
        enemy.start()
        while enemy.is_alive():
            assert client.status()["state"] == "ok"
            enemy.join(0.2)
        assert client.wait(client.submit("generate", {"caption": "fake: steps=1", "duration": 0.1}))["state"] == "done"
    assert sum(statuses[0].values()) == REQUESTS and statuses[0][500] == 0 and statuses[0][200] > 50
    assert "Traceback" not in house.output.read_text()
    assert psutil.Process(house.connection["pid"]).memory_info().rss < 250 * 2**20
