"""MusicGen through the real daemon: its operations over OSC, and lofi.nvim's backend of that name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile

from acestep.api.errors import ModelUnsuited
from bridge.client import AsyncClient, Client
from bridge.client.osc import OscClient
from bridge.doors.lofi import contract, studio
from bridge.launch import FREE_PORTS, start_daemon


@pytest.fixture(scope="module")
def house(tmp_path_factory, musicgen_folder):
    """One daemon with a real engine."""
    home = tmp_path_factory.mktemp("house")
    settings = {
        "home": home,
        "checkpoints": [musicgen_folder],
        "device": "cpu",
        "threads": 1,
        "read_roots": [home],
    }
    with start_daemon({**FREE_PORTS, **settings}) as one:
        yield one


@pytest.fixture(scope="module")
def song(house) -> Path:
    """A second and a half of stereo noise, 16 bits."""
    path = house.paths.home / "song.wav"
    noise = np.random.default_rng(3).uniform(-0.3, 0.3, (72_000, 2))
    soundfile.write(path, noise, 48_000, subtype="PCM_16")
    return path


def made_over_osc(house, operation: str, request: dict, id: str) -> tuple[Path, list[str]]:
    """A job's file, and the addresses of its events."""
    with OscClient("127.0.0.1", house.connection["osc"]["udp"]) as osc:
        events = list(osc.events(osc.submit(operation, request, id=id), silence=120.0))
    words = [event.address for event in events]
    assert words[-1] == "/ace/done", events[-1]
    return Path(next(event for event in events if event.address == "/ace/result").arguments[4]), words


def test_every_operation_runs_over_osc(house, song):
    """Generate, extend past the end (stereo), cover (melody): exact lengths, progress on the way, the rest bit for bit."""
    rain = {"model": "musicgen-tiny", "caption": "rain", "duration": 1.0, "seed": 3}
    file, words = made_over_osc(house, "generate", rain, "rain")
    assert soundfile.info(file).frames == 48_000 and "/ace/progress" in words
    before, whole = soundfile.read(song, dtype="int16")[0], {"source": str(song), "returns": ["whole"], "seed": 1}
    longer = {**whole, "model": "musicgen-stereo-tiny", "start": 72_000, "end": 110_000, "crossfade": 5.0}
    after = soundfile.read(made_over_osc(house, "extend", longer, "longer")[0], dtype="int16")[0]
    assert len(after) == 110_000 and np.array_equal(after[:71_000], before[:71_000])
    assert after[74_000:].any() and not np.array_equal(after[74_000:, 0], after[74_000:, 1]), "stereo"
    covered = {**whole, "model": "musicgen-melody-tiny", "start": 24_000, "end": 48_000, "crossfade": 5.0}
    after = soundfile.read(made_over_osc(house, "cover", covered, "covered")[0], dtype="int16")[0]
    assert len(after) == 72_000 and np.array_equal(after[:23_700], before[:23_700])
    assert np.array_equal(after[48_300:], before[48_300:]) and not np.array_equal(after, before)


def test_what_a_model_cannot_do_is_refused_over_osc_with_those_that_can(house, song):
    with OscClient("127.0.0.1", house.connection["osc"]["udp"]) as osc:
        with pytest.raises(ModelUnsuited, match=r"musicgen-tiny .* cannot do cover; .* can \(musicgen-melody"):
            osc.submit("cover", {"source": str(song), "model": "musicgen-tiny"}, id="no")
        with pytest.raises(ModelUnsuited, match=r"musicgen-melody-tiny .* cannot do repaint; .* v1 can \(v1\)"):
            osc.submit("repaint", {"source": str(song), "model": "musicgen-melody-tiny"}, id="never")


def test_models_and_their_own_operations_are_told(house):
    with Client(str(house.paths.home)) as client:
        rows = {row["name"]: row for row in client.call("models.list")}
        own = {row["name"] for row in client.call("describe", {"model": "musicgen-melody-tiny"})["operations"]}
        (row,) = client.call("describe", {"operation": "cover", "model": "musicgen-melody-tiny"})["operations"]
    assert rows["musicgen-tiny"]["family"] == "musicgen"
    assert rows["musicgen-large"]["present"] is False and rows["musicgen-large"]["license"] == "CC-BY-NC-4.0"
    assert {"generate", "extend", "cover"} <= own and not {"repaint", "refine", "lego"} & own
    names = {field["name"] for field in row["fields"]}
    assert "caption" in names and not {"strength", "noise_strength", "bottleneck", "lora"} & names


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
