"""Planning over the REST interface on a machine without a language model: rules answer, and the answer says so."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from acestep.planner.rules.rules_planner import MADE_BY_RULES
from bridge.client import Client
from bridge.doors.rest.planned import BY_RULES
from bridge.launch import FREE_PORTS, start_daemon


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A daemon that plans and renders for real, with the smallest model."""
    settings = {**FREE_PORTS, "home": tmp_path_factory.mktemp("ruled") / "home", "backend": "torch", "model": "tiny"}
    with start_daemon({**settings, "warm": "off", "threads": 1}) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def http(house):
    """A front end."""
    base = f"http://127.0.0.1:{house.connection['http']['port']}"
    with httpx.Client(base_url=base, trust_env=False, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def rpc(house):
    """To look at jobs from another side."""
    with Client(str(house.paths.home)) as client:
        yield client


def ended(http, task):
    """The task's row and items once it has ended."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        (entry,) = http.post("/query_result", json={"task_id_list": [task]}).json()["data"]
        if entry["status"]:
            return entry, json.loads(entry["result"])
        time.sleep(0.05)
    raise AssertionError("the task does not end")


@pytest.mark.parametrize(
    ("sent", "writer"),
    [
        ({"sample_query": "dark techno at 130 in F minor"}, "compose"),
        ({"prompt": "dark techno, 130 bpm, F minor", "use_format": True}, "format"),
        ({"prompt": "dark techno, 130 bpm, F minor", "thinking": True}, None),
    ],
)
def test_rules_plan_a_task_where_no_language_model_can(http, rpc, sent, writer):
    """Tempo and key are those of the sentence, in the job and in the answer, which names who planned and says so."""
    answer = http.post(
        "/release_task",
        json={**sent, "batch_size": 1, "audio_duration": 1, "inference_steps": 1, "audio_format": "wav"},
    ).json()
    assert answer["extra"]["notes"] == [BY_RULES]
    task = answer["data"]["task_id"]
    entry, (item,) = ended(http, task)
    assert entry["status"] == 1 and item["file"], entry
    written = [job["operation"] for job in rpc.jobs(limit=10) if job["id"] == f"{task}.words"]
    assert written == ([writer] if writer else [])
    words = rpc.job(task)["result"]["recipe"]["request"]["conditioning"]
    assert (words["bpm"], words["key"], words["duration"]) == (130, "F minor", 1)
    assert "techno" in words["caption"] and item["prompt"] == words["caption"]
    assert (item["metas"]["bpm"], item["metas"]["keyscale"]) == (130, "F minor")
    assert (item["lm_model"], MADE_BY_RULES in item["generation_info"]) == ("rules", True)


@pytest.mark.parametrize(
    ("path", "sent", "key", "metre"),
    [
        ("/format_input", {"prompt": "slow waltz in D minor"}, "key_scale", "time_signature"),
        ("/v1/create_sample", {"query": "slow waltz in D minor"}, "keyscale", "timesignature"),
    ],
)
def test_rules_answer_the_calls_that_only_write_words(http, path, sent, key, metre):
    """In the original's shape, and ``extra`` says who it was."""
    answer = http.post(path, json=sent).json()
    data = answer["data"]
    assert set(data) == {"caption", "lyrics", "bpm", "duration", "vocal_language", key, metre}
    assert (data[key], data[metre], "waltz" in data["caption"]) == ("D minor", "3", True)
    assert 40 <= data["bpm"] <= 110 and data["duration"] >= 10
    assert MADE_BY_RULES in answer["extra"]["notes"]


@pytest.mark.parametrize(
    "sent", [{"sample_mode": True}, {"thinking": True, "use_cot_caption": True}], ids=["words", "thinking"]
)
def test_the_chat_form_says_who_planned(http, sent):
    """Whether the words were a job of their own or part of the music's."""
    body = {
        "model": "acestep/nano",
        "messages": [{"role": "user", "content": "dark techno at 130 in F minor"}],
        "audio_config": {"duration": 1, "format": "wav"},
        **sent,
    }
    answer = http.post("/v1/chat/completions", json=body, timeout=120).json()
    told = answer["choices"][0]["message"]["content"]
    assert "**BPM:** 130" in told and f"- {MADE_BY_RULES}" in told
