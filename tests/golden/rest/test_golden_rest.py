"""Every recorded exchange of ACE-Step's own servers against a daemon: status, form, and what reaches the job.

A difference must have its row in docs/rest.md. Another folder of recordings is taken from ``GOLDEN_REST_DIR``.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import time
from pathlib import Path
from typing import Any

import pytest

from acestep.api.errors import UnknownJob
from tests.golden.rest.conftest import Asked, recorded
from tests.golden.rest.differences import RULES, Difference, explain, form_of, missing, parsed
from tests.golden.rest.reach import PLACES, SOUNDS, UNSEEN, field_of

EXCHANGES = recorded()
CHAT = "/v1/chat/completions"
PAGE = Path(__file__).parents[3] / "docs" / "rest.md"


def chosen(*, key: bool, chat: bool) -> list[Any]:
    """Exchanges of servers with or without a key, of the chat form or not, each with its name."""
    return [
        pytest.param(file, exchange, id=f"{file}-{number}-{exchange['id'][:60]}")
        for number, (file, exchange) in enumerate(EXCHANGES)
        if ("key" in file) == key and (exchange["path"] == CHAT) == chat
    ]


def differences(file: str, exchange: dict[str, Any], answer: Any, job: dict[str, Any] | None) -> list[Difference]:
    """Everything in which an answer, and the job behind it, is not what was recorded."""
    if answer.status_code != exchange["status"]:
        return [Difference(file, exchange, "status", exchange["status"], answer.status_code)]
    found = []
    expected = parsed(exchange.get("response") or "")
    if expected is not None and exchange["status"] == 200:
        found += [
            Difference(file, exchange, "form", None, line)
            for line in missing(form_of(expected), form_of(answer.json()))
        ]
    if job is not None:
        told = answer.json().get("extra") or {}
        found += unreached(file, exchange, told, job)
    return found


def unreached(file: str, exchange: dict[str, Any], told: dict[str, Any], job: dict[str, Any]) -> list[Difference]:
    """Parameters that have not reached the job, and of which the answer does not say so either."""
    found = []
    for parameter, value in (exchange.get("reaches_model") or {}).items():
        field = field_of(parameter)
        if parameter in UNSEEN or field in told.get("ignored", ()) or field in told.get("changed", ()):
            continue
        if parameter in SOUNDS:
            if bool(SOUNDS[parameter](job)) != bool(value):
                found.append(Difference(file, exchange, f"reach:{parameter}", value, None))
            continue
        here = PLACES[parameter](job) if parameter in PLACES else None
        if not same(value, here):
            found.append(Difference(file, exchange, f"reach:{parameter}", value, here))
    return found


def same(expected: Any, found: Any) -> bool:
    """Whether two values mean the same."""
    if isinstance(expected, (int, float)) and isinstance(found, (int, float)):
        return math.isclose(expected, found, abs_tol=1e-4)
    if isinstance(expected, list) and isinstance(found, list):
        return found[: len(expected)] == expected[: len(found)]
    return bool(expected == found)


def unexplained(found: list[Difference]) -> list[str]:
    """Differences that no row of the table explains."""
    return [f"{one.kind}: {one.expected!r} -> {one.found!r}" for one in found if not explain(one)]


def job_of(asked: Asked, answer: Any) -> dict[str, Any] | None:
    """The job that an answer speaks of, cancelled once it was looked at; none where its words are planned first."""
    data = answer.json().get("data") if answer.headers.get("content-type", "").startswith("application/json") else None
    if answer.status_code != 200 or not isinstance(data, dict) or not isinstance(data.get("task_id"), str):
        return None
    try:
        job = asked.client.job(data["task_id"])["request"]
    except UnknownJob:
        job = None
    assert asked.http.post("/cancel_task", json={"task_id": data["task_id"]}).status_code == 200
    return job if job is not None and "stages" in job else None


@pytest.mark.parametrize(("file", "exchange"), chosen(key=False, chat=False))
def test_golden_rest(asked, file, exchange):
    """As the original without a key."""
    answer = asked.send(exchange)
    assert unexplained(differences(file, exchange, answer, job_of(asked, answer))) == [], answer.text[:500]


@pytest.mark.parametrize(("file", "exchange"), chosen(key=True, chat=False))
def test_golden_rest_with_a_key(asked_with_key, file, exchange):
    """As the original that was started with a key: in the header, bare or as bearer, and in the body where it was taken."""
    answer = asked_with_key.send(exchange)
    assert unexplained(differences(file, exchange, answer, None)) == [], answer.text[:500]


@pytest.mark.parametrize(("file", "exchange"), [*chosen(key=False, chat=True)])
def test_golden_rest_chat(working, file, exchange):
    """The chat form: the answer's form, and what reaches the job."""
    before = {job["id"] for job in working.client.jobs(limit=1000)}
    answer = working.send(exchange)
    made = [job["id"] for job in working.client.jobs(limit=1000) if job["id"] not in before]
    job = working.client.job(made[0])["request"] if made else None
    if exchange["content_type"].startswith("text/event-stream") and answer.status_code == 200:
        said, expected = events(answer.text), events(exchange["response"])
        parts = [part for part, _ in itertools.groupby(said)]  # a sign of life has the form of the text that follows it
        assert not expected or parts == expected
        assert said[-1] == "[DONE]"
        found = unreached(file, exchange, {}, job)
    else:
        found = differences(file, exchange, answer, None)
        if job is not None and answer.status_code == 200:
            found += unreached(file, exchange, {}, job)
    assert unexplained(found) == [], answer.text[:500]


@pytest.mark.parametrize(("file", "exchange"), chosen(key=True, chat=True))
def test_golden_rest_chat_with_a_key(asked_with_key, file, exchange):
    """Without the key nothing is made; the original left this call open."""
    if exchange.get("request_headers", {}).get("authorization") in ("Bearer K", "K"):
        return  # with the key it is the same as without one
    answer = asked_with_key.send(exchange)
    assert unexplained(differences(file, exchange, answer, None)) == [], answer.text[:500]


def events(text: str) -> list[Any]:
    """The forms of a stream's parts, in order."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else form_of(json.loads(line)) for line in lines]


FINALS = [(file, exchange) for file, exchange in EXCHANGES if "final" in exchange and "key" not in file]


def test_golden_rest_results(working):
    """The results of a finished task and of one that failed: names, types and numbers of the original."""
    _, baseline = next(pair for pair in FINALS if pair[1]["id"] == "baseline")
    final = baseline["final"]
    task = working.http.post("/release_task", json={"prompt": "base", "lyrics": "la", "audio_duration": 1}).json()[
        "data"
    ]["task_id"]
    entry = ended(working, task)
    assert entry["status"] == final["status"] == 1
    items, expected = json.loads(entry["result"]), json.loads(final["result"])
    assert expected[0]["metas"].pop("duration") and items[0]["metas"].pop("duration") == 1.0
    assert missing(form_of(expected[0]), form_of(items[0])) == []
    assert len(items) == 2
    assert [(item["prompt"], item["lyrics"]) for item in items] == [("base", "la")] * 2
    assert [item["metas"]["bpm"] for item in items] == ["N/A", "N/A"]
    failed = released(working, prompt="fake: fail_at=1")
    entry = ended(working, failed)
    (item,) = json.loads(entry["result"])
    assert (entry["status"], item["status"], item["stage"], item["file"]) == (2, 2, "failed", "")
    assert item["error"] and item["error"] == entry["progress_text"]
    recorded_failures = [json.loads(one["final"]["result"])[0] for _, one in FINALS if one["final"]["status"] == 2]
    assert all(missing(form_of(one), form_of(item)) == [] for one in recorded_failures)


def released(asked: Asked, **fields: Any) -> str:
    """Hand a task in; its id."""
    return str(asked.http.post("/release_task", json=fields).json()["data"]["task_id"])


def ended(asked: Asked, task: str) -> dict[str, Any]:
    """The row of a task once it has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        (entry,) = asked.http.post("/query_result", json={"task_id_list": [task]}).json()["data"]
        if entry["status"]:
            return dict(entry)
        time.sleep(0.05)
    raise AssertionError("the task does not end")


def test_golden_rest_every_difference_is_told():
    """The table of the page and the rules of the test are the same list."""
    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(RULES)
