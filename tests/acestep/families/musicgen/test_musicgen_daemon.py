"""MusicGen through the real daemon: a job over OSC, and lofi.nvim's backend of that name."""

from __future__ import annotations

import asyncio

import pytest
import soundfile

from bridge.client import AsyncClient, Client
from bridge.client.osc import OscClient
from bridge.doors.lofi import contract, studio
from bridge.launch import FREE_PORTS, start_daemon


@pytest.fixture(scope="module")
def house(tmp_path_factory, musicgen_folder):
    """One daemon with a real engine."""
    settings = {
        "home": tmp_path_factory.mktemp("house"),
        "checkpoints": [musicgen_folder],
        "device": "cpu",
        "threads": 1,
    }
    with start_daemon({**FREE_PORTS, **settings}) as one:
        yield one


def test_a_job_over_osc(house):
    with OscClient("127.0.0.1", house.connection["osc"]["udp"]) as osc:
        osc.submit("generate", {"model": "musicgen-tiny", "caption": "rain", "duration": 1.0, "seed": 3}, id="rain")
        words = [message.address for message in osc.events("rain")]
    assert words[-1] == "/ace/done" and "/ace/progress" in words
    with Client(str(house.paths.home)) as client:
        (file,) = [one for one in client.result("rain")["files"] if one["role"] == "part"]
        rows = {row["name"]: row for row in client.call("models.list")}
    assert soundfile.info(file["path"]).frames == 48_000
    assert rows["musicgen-tiny"]["family"] == "musicgen"
    assert rows["musicgen-large"]["present"] is False and rows["musicgen-large"]["license"] == "CC-BY-NC-4.0"


def test_lofis_backend_answers(house):
    """It is ready under the model's name, and a wish in its terms is a part of 5 s at 32 kHz, in stereo."""

    async def ask() -> tuple[dict, dict]:
        async with AsyncClient(str(house.paths.home)) as client:
            terms = await studio.look(client)
            asked = {"prompt": "rain", "backend": "musicgen", "duration_sec": 5, "seed": 2**40 + 1}
            wish, _ = contract.parse_generate(asked, terms, 0)
            job = await client.submit("generate", wish.job())
            return terms.backends["musicgen"].to_wire(), await client.result(job)

    backend, result = asyncio.run(ask())
    assert (backend["status"], backend["sample_rate"]) == ("ready", 32_000)
    assert backend["model_version"] in ("musicgen-tiny", "musicgen-stereo-tiny", "musicgen-melody-tiny")
    info = soundfile.info(next(one["path"] for one in result["files"] if one["role"] == "part"))
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (160_000, 32_000, 2, "FLOAT")
