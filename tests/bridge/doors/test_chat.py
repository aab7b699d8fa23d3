"""The chat form: OpenAI's own client against a daemon, and how a message is read."""

from __future__ import annotations

import base64
import io
import os

import httpx
import numpy as np
import openai
import pytest
import soundfile
from starlette.exceptions import HTTPException

from bridge.client import Client
from bridge.doors.chat.messages import read_request, split_text
from bridge.launch import FREE_PORTS, start_daemon


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A daemon with the fake backend."""
    home = tmp_path_factory.mktemp("chat")
    settings = {**FREE_PORTS, "home": home / "home", "backend": "fake", "read_roots": [home], "token": "K"}
    with start_daemon(settings, environment={**os.environ, "ACESTEP_FAKE_SCRIPT": "steps=2"}) as daemon:
        yield daemon


@pytest.fixture
def base(house):
    """The address that clients are given."""
    return f"http://127.0.0.1:{house.connection['http']['port']}"


@pytest.fixture
def chat(base):
    """OpenAI's client, with the token as its key."""
    with openai.OpenAI(
        base_url=f"{base}/v1", api_key="K", max_retries=0, http_client=httpx.Client(trust_env=False)
    ) as client:
        yield client


def tone(seconds=2):
    """A WAV file as base64."""
    file = io.BytesIO()
    soundfile.write(file, 0.2 * np.sin(np.arange(seconds * 48_000) / 20), 48_000, format="WAV")
    return base64.b64encode(file.getvalue()).decode()


def ask(chat, text="warm lofi", **more):
    """A plain call."""
    extra = {
        "audio_config": {"duration": 1, "format": "wav", "bpm": 90, "key_scale": "C major"},
        **more.pop("extra_body", {}),
    }
    messages = [{"role": "user", "content": text}]
    return chat.chat.completions.create(model=MODEL, messages=messages, extra_body=extra, **more)


MODEL = "acestep/nano"


def test_the_openai_client_lists_models(chat):
    """Ids that a request may name."""
    assert MODEL in [model.id for model in chat.models.list().data]


def test_the_openai_client_gets_music(chat):
    """The original's list of audio, and a text about it; the file has the length and form that were asked for."""
    answer = ask(chat)
    choice = answer.choices[0]
    assert answer.id.startswith("chatcmpl-") and choice.finish_reason == "stop"
    assert "**Caption:** warm lofi" in choice.message.content and "**BPM:** 90" in choice.message.content
    (sound,) = choice.message.audio
    kind, _, data = sound.audio_url["url"].partition(",")
    assert (sound.type, kind) == ("audio_url", "data:audio/wav;base64")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert (len(samples), rate) == (48_000, 48_000)


@pytest.mark.parametrize("form", ["mp3", "flac", "opus"])
def test_every_form_comes_back_when_asked_for(chat, form):
    """By the encoders of libsndfile."""
    answer = ask(chat, extra_body={"audio_config": {"duration": 1, "format": form}})
    kind, _, data = answer.choices[0].message.audio[0].audio_url["url"].partition(",")
    assert (
        kind
        == {"mp3": "data:audio/mpeg;base64", "flac": "data:audio/flac;base64", "opus": "data:audio/ogg;base64"}[form]
    )
    assert soundfile.info(io.BytesIO(base64.b64decode(data))).frames >= 48_000


def test_the_plain_audio_object_comes_on_request(chat):
    """As OpenAI's interface has it."""
    answer = ask(chat, modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    audio = answer.choices[0].message.audio
    assert audio.id.startswith("audio_") and audio.expires_at > answer.created
    assert "warm lofi" in audio.transcript
    assert base64.b64decode(audio.data)[:4] == b"RIFF"


def test_the_openai_client_streams(chat):
    """Signs of life while it is made, then text, then audio, then the end."""
    chunks = list(ask(chat, "fake: steps=3 delay=1.5", stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert any(delta.content == "." for delta in deltas)
    assert any((delta.content or "").startswith("\n\n## Metadata") for delta in deltas)
    (audio,) = [delta.audio for delta in deltas if getattr(delta, "audio", None)]
    assert base64.b64decode(audio[0].audio_url["url"].partition(",")[2])[:4] == b"RIFF"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_failure_is_told_streamed_or_not(chat):
    """With the reason of the job."""
    with pytest.raises(openai.InternalServerError, match="after step 1"):
        ask(chat, "fake: fail_at=1")
    chunks = list(ask(chat, "fake: fail_at=1", stream=True))
    assert chunks[-1].choices[0].finish_reason == "error"
    assert "after step 1" in chunks[-1].choices[0].delta.content


def test_a_client_that_leaves_takes_its_task_with_it(house, base):
    """The job is cancelled."""
    body = {
        "messages": [{"role": "user", "content": "fake: steps=200 delay=0.2"}],
        "stream": True,
        "audio_config": {"duration": 1},
    }
    with Client(str(house.paths.home)) as client:
        with httpx.stream(
            "POST", f"{base}/v1/chat/completions", json=body, headers={"authorization": "K"}, trust_env=False
        ) as said:
            next(said.iter_lines())
            job = client.jobs(limit=1)[0]["id"]
        assert client.wait(job, timeout=60)["state"] == "cancelled"


def test_sounds_go_in(house, chat):
    """As source of a cover, with the settings that the ComfyUI node sends; the seed is a text."""
    content = [
        {"type": "text", "text": "ambient"},
        {"type": "input_audio", "input_audio": {"data": tone(), "format": "wav"}},
    ]
    extra = {"task_type": "cover", "audio_cover_strength": 0.6, "cover_noise_strength": 0.2, "seed": "42",
             "audio_config": {"format": "wav", "duration": 10}}  # fmt: skip
    answer = chat.chat.completions.create(
        model="acemusic/acestep-v15-turbo", messages=[{"role": "user", "content": content}], extra_body=extra
    )
    data = answer.choices[0].message.audio[0].audio_url["url"].partition(",")[2]
    assert len(soundfile.read(io.BytesIO(base64.b64decode(data)))[0]) == 96_000
    with Client(str(house.paths.home)) as client:
        stage = client.job(client.jobs(limit=1)[0]["id"])["request"]["stages"][0]
    assert (stage["type"], stage["strength"], stage["noise_strength"], stage["seeds"]) == ("cover", 0.6, 0.2, [42])


def test_without_the_token_nothing_is_told_or_made(base):
    """The original leaves these calls open."""
    assert httpx.get(f"{base}/v1/models", trust_env=False).status_code == 401
    assert httpx.post(f"{base}/v1/chat/completions", json={}, trust_env=False).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"messages": "x"}, 422),
        ({"messages": []}, 400),
        ({"messages": [{"role": "user", "content": ""}]}, 400),
        ({"messages": [1, None, {"role": "system", "content": "x"}]}, 400),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "no base64!"}}]}
                ]
            },
            400,
        ),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, 400),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "eA=="}}] * 5}]},
            400,
        ),
    ],
)
def test_what_asks_for_nothing_is_refused(body, status):
    """With a sentence."""
    with pytest.raises(HTTPException) as refused:
        read_request(body)
    assert refused.value.status_code == status and refused.value.detail


@pytest.mark.parametrize(
    ("text", "lyrics", "described", "found"),
    [
        ("lofi beat", "", False, ("lofi beat", "", "")),
        ("<prompt>p</prompt><lyrics>[verse]\nla</lyrics>", "", False, ("p", "[verse]\nla", "")),
        ("<lyrics>la</lyrics>", "", False, ("", "la", "")),
        ("[verse]\nla la\n[chorus]\nho", "", False, ("", "[verse]\nla la\n[chorus]\nho", "")),
        ("one\ntwo\nthree\nfour", "", False, ("", "one\ntwo\nthree\nfour", "")),
        ("one\ntwo\nthree", "", False, ("one\ntwo\nthree", "", "")),
        ("\n".join(["x" * 70] * 5), "", False, ("\n".join(["x" * 70] * 5), "", "")),
        ("lofi", "la la", False, ("lofi", "la la", "")),
        ("a song about rain", "", True, ("", "", "a song about rain")),
        ("<prompt>unclosed", "", False, ("<prompt>unclosed", "", "")),
    ],
)
def test_a_text_is_prompt_lyrics_or_description(text, lyrics, described, found):
    """By its tags, its lines, and what stands beside it."""
    assert split_text(text, lyrics, described) == found


def test_only_the_last_message_of_the_user_counts():
    """And its settings become fields of the REST interface."""
    said = [("user", "one"), ("assistant", "x"), ("user", "two"), ("assistant", "y")]
    settings = {"duration": 10, "instrumental": True, "vocal_language": "de"}
    body = {"messages": [{"role": role, "content": text} for role, text in said], "temperature": 0.5, "seed": "1,2",
            "audio_config": settings}  # fmt: skip
    values, sounds = read_request(body)
    expected = {"prompt": "two", "lyrics": "", "lm_temperature": 0.5, "seed": "1,2", "use_random_seed": False,
                "batch_size": 1, "audio_duration": 10, "vocal_language": "de", "lm_cfg_scale": 2.0}  # fmt: skip
    assert values == expected and sounds == []
