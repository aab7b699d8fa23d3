"""Gradio's own clients, JavaScript and Python, against a real daemon: what ace-step-ui does, with uploads and downloads."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client as GradioClient
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon

HERE = Path(__file__).parent / "gradio"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A daemon with the fake backend and a token, a song outside everything that it may read, and the daemon's own client."""
    folder = tmp_path_factory.mktemp("gradio")
    song = folder / "my song é.wav"
    soundfile.write(song, np.random.default_rng(3).uniform(-0.4, 0.4, (96_000, 2)), 48_000, subtype="PCM_16")
    settings = {
        **FREE_PORTS,
        "home": folder / "home",
        "backend": "fake",
        "token": "sesame",
        "read_roots": [folder / "home"],
    }
    with start_daemon(settings) as daemon, Client(str(daemon.paths.home)) as owner:
        port = daemon.connection["http"]["port"]
        yield f"http://127.0.0.1:{port}", song, owner


@pytest.fixture
def page(house, tmp_path):
    """The Python client."""
    address, *_ = house
    headers = {"Authorization": "Bearer sesame"}
    client = GradioClient(address, headers=headers, verbose=False, download_files=tmp_path / "down")
    yield client
    client.close()


def job_of(owner, path):
    """The job that a file's name tells, in full."""
    return owner.job(Path(path).stem.rpartition("-")[0])


@pytest.mark.foreign
def test_the_javascript_client_does_what_ace_step_ui_does(house, foreign, npm_modules):
    """The 50 values reach the job; takes come back by address, whole and by range; a file goes up; a call is cancelled."""
    address, song, owner = house
    command = [foreign("node"), str(HERE / "client.mjs"), str(npm_modules(HERE)), address, str(song), "sesame"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {"/generation_wrapper", "/load_lora", "/unload_lora", "/set_lora_scale", "/set_use_lora"} <= set(
        said["endpoints"]
    )

    takes, (files, details, status, seeds) = said["made"][:8], said["made"][8:]
    assert [take is not None for take in takes] == [True, True, *[False] * 6]
    assert files == takes[:2] and seeds == "5,6" and status.startswith("✅ 2 takes made")
    assert {"BPM: 96", "Duration: 2", "Key: A minor", "Time Signature: 4"} <= set(details.splitlines())
    made = job_of(owner, takes[0]["path"])
    conditioning, stage = made["request"]["conditioning"], made["request"]["stages"][0]
    assert (made["operation"], stage["type"], made["state"]) == ("generate", "generate", "done")
    assert (conditioning["bpm"], conditioning["key"], conditioning["duration"]) == (96.0, "A minor", 2.0)
    assert (stage["steps"], stage["shift"], stage["seeds"], conditioning["language"]) == (8, 3.0, [5, 6], "en")
    assert said["download"] == {"status": 200, "type": "audio/wav", "bytes": takes[0]["size"]}
    assert said["range"] == {"status": 206, "text": "RIFF"}

    cover = job_of(owner, said["cover"][0]["path"])
    assert cover["operation"] == "cover"
    sent = Path(owner.status()["home"]) / "uploads" / f"{cover['request']['source']['upload']}.audio"
    assert sent.read_bytes() == song.read_bytes()
    again = job_of(owner, said["again"][0]["path"])
    assert again["request"]["source"]["path"] == made["result"]["files"][0]["path"]

    assert said["unit"]["desc"] == "generate" and 0 < said["unit"]["progress"] < 1 and said["unit"]["length"] == 600
    stopped = next(job for job in owner.jobs(search="steps=600"))
    assert owner.wait(stopped["id"])["state"] == "cancelled"
    assert "there is no task type 'stem_separation'" in said["refused"]

    description, instrumental, language = said["/load_random_simple_description"]
    assert description and isinstance(instrumental, bool) and language
    assert "there is no adapter" in said["/load_lora"][0] and said["/unload_lora"] == ["⚠️ no adapter was loaded"]
    assert said["/init_service_wrapper"] == ["✅ nano is used from now on"]


def test_the_python_client_calls_by_name_uploads_and_downloads(house, page):
    """Keywords with the page's defaults; a file that only the client can read; the answer's files are the job's, byte for byte."""
    _, song, owner = house
    answer = page.predict(
        captions="fake: steps=2", src_audio=handle_file(str(song)), task_type="repaint", repainting_start=0.5, repainting_end=1.5,
        audio_format="flac", batch_size=1, random_seed=False, seed="7", api_name="/generation_wrapper",
    )  # fmt: skip
    made = job_of(owner, answer[0])
    assert made["operation"] == "repaint" and made["request"]["stages"][0]["seeds"] == [7]
    source = made["request"]["source"]
    assert (source["start"], source["length"]) == (24_000, 48_000) and source["upload"].startswith("up-")
    index = int(Path(answer[0]).stem.rpartition("-")[2])
    assert Path(answer[0]).read_bytes() == Path(made["result"]["files"][index]["path"]).read_bytes()
    assert answer[8] == [answer[0]] and answer[11] == "7"


def test_progress_and_cancel(house, page):
    """A job that is under way tells its steps, and ends when the client says so."""
    *_, owner = house
    job = page.submit(
        captions="fake: steps=900 delay=0.05",
        audio_duration=1.0,
        batch_size=1,
        audio_format="wav",
        api_name="/generation_wrapper",
    )
    deadline = time.monotonic() + 60
    while not job.status().progress_data and time.monotonic() < deadline:
        time.sleep(0.1)
    assert job.status().progress_data[0].unit == "steps"
    job.cancel()
    row = next(one for one in owner.jobs(search="steps=900"))
    assert owner.wait(row["id"])["state"] == "cancelled"


def test_what_is_refused_comes_as_the_clients_error(page):
    """With the daemon's sentence."""
    with pytest.raises(AppError, match="there is no task type 'stems'"):
        page.predict(captions="x", task_type="stems", api_name="/generation_wrapper")
    with pytest.raises(AppError, match="needs a sound"):
        page.predict(captions="x", task_type="cover", audio_format="wav", api_name="/generation_wrapper")
    assert page.predict(2.0, api_name="/set_lora_scale") == "❌ the scale of an adapter must be 0 to 1"
    assert "there is no model 'other'" in page.predict("", "other", api_name="/init_service_wrapper")


def test_without_the_token_nobody_calls(house):
    """Neither the page's description nor a call."""
    address, *_ = house
    with pytest.raises(Exception, match="credentials were not provided"):
        GradioClient(address, verbose=False)
