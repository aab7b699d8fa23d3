"""The REST interface over HTTP: three kinds of body, sounds in and out, cancel, adapters, and bad input."""

from __future__ import annotations

import io
import json
import os
import subprocess
import time

import httpx
import numpy as np
import pytest
import soundfile

from acestep.planner.tiny import build_tiny
from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the daemon may read."""
    return tmp_path_factory.mktemp("rest-door")


@pytest.fixture(scope="module")
def house(folder):
    """A daemon with the fake backend."""
    settings = {**FREE_PORTS, "home": folder / "home", "backend": "fake", "read_roots": [folder / "songs"]}
    (folder / "songs").mkdir()
    build_tiny(folder / "home" / "checkpoints" / "acestep-5Hz-lm-mine")
    with start_daemon(settings, environment={**os.environ, "ACESTEP_FAKE_SCRIPT": "steps=2"}) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def http(house):
    """A front end."""
    base = f"http://127.0.0.1:{house.connection['http']['port']}"
    with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def rpc(house):
    """To look at jobs from another side."""
    with Client(str(house.paths.home)) as client:
        yield client


def song(seconds=2):
    """A WAV file."""
    file = io.BytesIO()
    sound = np.stack([0.2 * np.sin(np.arange(seconds * 48_000) / step) for step in (20, 30)], 1)
    soundfile.write(file, sound, 48_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def release(http, **sent):
    """Hand a task in; its id."""
    answer = http.post("/release_task", **sent)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["task_id"]


def ended(http, task):
    """The task's row and items once it has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        (entry,) = http.post("/query_result", json={"task_id_list": [task]}).json()["data"]
        if entry["status"]:
            return entry, json.loads(entry["result"])
        time.sleep(0.05)
    raise AssertionError("the task does not end")


FIELDS = {"prompt": "warm lofi", "lyrics": "[Verse]\nla", "bpm": 90, "key_scale": "C minor", "audio_duration": 1.5, "batch_size": 1,
          "use_random_seed": False, "seed": "7", "inference_steps": 4, "audio_format": "wav"}  # fmt: skip
CAMEL = {"caption": "warm lofi", "lyrics": "[Verse]\nla", "bpm": "90", "keyScale": "c minor", "targetDuration": "1.5",
         "batch_size": "1", "useRandomSeed": "false", "seed": "7", "inferenceSteps": "4", "audio_format": "wav"}  # fmt: skip


@pytest.mark.parametrize(
    "sent",
    [
        {"json": FIELDS},
        {"json": CAMEL},
        {"json": {"param_obj": json.dumps(FIELDS)}},
        {"json": {"metas": FIELDS}},
        {"data": CAMEL},
        {"data": CAMEL, "files": {"other": ("x.txt", b"x")}},
        {"content": json.dumps(FIELDS), "headers": {"content-type": "application/vnd.x+json; charset=utf-8"}},
        {"content": json.dumps(FIELDS)},
        {"content": json.dumps(FIELDS), "headers": {"content-type": "text/plain"}},
    ],
)
def test_every_kind_of_body_becomes_the_same_job(http, rpc, sent):
    """With names of either spelling and values of either type."""
    task = release(http, **sent)
    _, (item,) = ended(http, task)
    job = rpc.job(task)["request"]
    words, stage = job["conditioning"], job["stages"][0]
    expected = ("warm lofi", "[Verse]\nla", 90.0, "C minor", 1.5)
    assert (words["caption"], words["lyrics"], words["bpm"], words["key"], words["duration"]) == expected
    assert (stage["seeds"], stage["steps"], job["output"]["variants"]) == ([7], 4, 1)
    assert (item["seed_value"], item["metas"]["bpm"], item["metas"]["keyscale"]) == ("7", 90, "C minor")


@pytest.mark.parametrize(
    ("form", "kind"), [("wav", "audio/wav"), ("flac", "audio/flac"), ("mp3", "audio/mpeg"), ("opus", "audio/ogg")]
)
def test_a_sound_comes_back_in_the_form_that_was_asked_for(http, form, kind):
    """Whole, by Range, and as HEAD tells it; `file` and `url` are the same."""
    task = release(http, json={**FIELDS, "audio_format": form})
    _, (item,) = ended(http, task)
    assert item["file"] == item["url"] and item["file"].startswith("/v1/audio?path=")
    assert "%2F" not in item["file"], "an id, no path"
    whole = http.get(item["file"])
    assert (whole.status_code, whole.headers["content-type"]) == (200, kind)
    assert soundfile.info(io.BytesIO(whole.content)).duration == pytest.approx(1.5, abs=0.1)
    head = http.head(item["file"])
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(whole.content)), b"")
    piece = http.get(item["file"], headers={"range": "bytes=10-19"})
    assert (piece.status_code, piece.content) == (206, whole.content[10:20])
    assert piece.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert http.get(item["file"], headers={"range": f"bytes={len(whole.content)}-"}).status_code == 416


@pytest.mark.parametrize(
    ("path", "status"),
    [("/etc/hostname", 403), ("../../etc/hostname", 403), ("..%5Cx", 403), ("nothing-0.wav", 404), ("", 404), ("x-99999.wav", 404),
     ("x%00-0.wav", 404)],
)  # fmt: skip
def test_no_path_is_opened(http, path, status):
    """Only names that a result gave."""
    assert http.get(f"/v1/audio?path={path}").status_code == status


def test_a_name_gives_the_sound_it_was_given_for_only(http):
    """Not the recipe beside it, nor the same sound under another ending."""
    task = release(http, json=FIELDS)
    _, (item,) = ended(http, task)
    name = item["file"].partition("=")[2]
    assert http.get(f"/v1/audio?path={name.replace('.wav', '.json')}").status_code == 404
    assert http.get(f"/v1/audio?path={name.replace('-0', '-77')}").status_code == 404


def test_uploaded_sounds_are_worked_on(http, rpc):
    """An edit in place keeps everything outside its region, bit for bit; the part beats a path."""
    sent = {"task_type": "repaint", "prompt": "solo", "repainting_start": "0.5", "repainting_end": "1", "batch_size": "1",
            "audio_format": "wav", "src_audio_path": "/nowhere.wav"}  # fmt: skip
    task = release(http, data=sent, files={"ctx_audio": ("song.wav", song()), "ref_audio": ("ref.wav", song(1))})
    _, (item,) = ended(http, task)
    job = rpc.job(task)["request"]
    assert (job["source"]["start"], job["source"]["length"]) == (24_000, 24_000)
    assert job["conditioning"]["reference"]
    new, _ = soundfile.read(io.BytesIO(http.get(item["file"]).content), dtype="int16")
    old, _ = soundfile.read(io.BytesIO(song()), dtype="int16")
    assert (
        len(new) == len(old)
        and np.array_equal(new[:20_000], old[:20_000])
        and np.array_equal(new[52_000:], old[52_000:])
    )
    assert not np.array_equal(new[24_000:48_000], old[24_000:48_000])


def test_a_path_of_this_machine_is_read_inside_the_allowed_folders(http, folder):
    """As plug-ins of the same machine send it; elsewhere it is refused, whether there is a file or not."""
    (folder / "songs" / "song.wav").write_bytes(song())
    (folder / "secret.wav").write_bytes(song())
    cover = {"task_type": "cover", "prompt": "x", "batch_size": 1, "audio_format": "wav"}
    ended(http, release(http, json={**cover, "src_audio_path": str(folder / "songs" / "song.wav")}))
    for path in ("secret.wav", "songs/../secret.wav", "songs/none.wav", "none.wav"):
        refused = http.post("/release_task", json={**cover, "src_audio_path": f"{folder}/{path}"})
        assert refused.status_code == 400, path
        assert "Traceback" not in refused.text


def test_progress_is_the_tasks_own(http):
    """Two tasks at once: the one that waits says so, the one that runs says where it is."""
    slow = release(http, json={**FIELDS, "prompt": "fake: steps=100 delay=0.1"})
    waits = release(http, json=FIELDS)
    seen = {}
    deadline = time.monotonic() + 60
    while not (seen.get(slow, {}).get("progress") and "waiting" in seen[waits]["progress_text"]):
        assert time.monotonic() < deadline
        for entry in http.post("/query_result", json={"task_id_list": json.dumps([slow, waits])}).json()["data"]:
            seen[entry["task_id"]] = {"progress_text": entry["progress_text"], **json.loads(entry["result"])[0]}
    assert 0 < seen[slow]["progress"] < 1 and seen[waits]["progress"] == 0
    for task in (waits, slow):
        assert http.post("/cancel_task", json={"task_id": task}).status_code == 200
    entry, (item,) = ended(http, slow)
    assert (entry["status"], item["stage"], item["error"]) == (2, "failed", "the task was cancelled")


def test_cancel_says_what_it_does(http):
    """A task that has ended stays; one nobody knows is 404, one that is not named 400."""
    task = release(http, data=FIELDS)
    ended(http, task)
    assert http.post("/cancel_task", data={"task_id": task}).json()["data"] == {"task_id": task, "status": "done"}
    assert http.post("/cancel_task", json={"task_id": "nobody"}).status_code == 404
    assert http.post("/cancel_task", json={}).status_code == 400


def test_an_unknown_task_waits_for_ever_but_says_that_nobody_knows_it(http):
    """As clients expect, and a little better."""
    (entry,) = http.post("/query_result", json={"task_id_list": ["nope"]}).json()["data"]
    assert entry == {"task_id": "nope", "status": 0, "result": "[]", "progress_text": "there is no such task"}


def test_facts_and_models(http):
    """Numbers of the queue, the inventory, and the model that tasks take from now on."""
    stats = http.get("/v1/stats").json()["data"]
    assert stats["queue_maxsize"] == 1000 and stats["jobs"]["total"] >= stats["jobs"]["succeeded"]
    inventory = http.get("/v1/model_inventory").json()["data"]
    (nano,) = [model for model in inventory["models"] if model["name"] == "nano"]
    assert nano["is_default"] and {"text2music", "repaint", "cover"} <= set(nano["supported_task_types"])
    assert http.post("/v1/init", json={"model": "none such"}).json()["code"] == 400
    assert http.post("/v1/init", json={"model": "nano", "slot": 9}).status_code == 422
    chosen = http.post("/v1/init", json={"model": "nano", "slot": 2}).json()
    assert (chosen["code"], chosen["data"]["loaded_model"], chosen["data"]["slot"]) == (200, "nano", 2)
    assert http.post("/v1/reinitialize").json()["code"] == 200
    health = http.get("/health").json()
    assert (health["status"], health["data"]["status"], health["code"]) == ("ok", "ok", 200)


def test_adapters_are_chosen_for_what_follows(http):
    """Only those of this machine; errors are told in both of the original's ways."""
    assert http.get("/v1/lora/status").json()["data"]["lora_loaded"] is False
    assert http.post("/v1/lora/load", json={}).status_code == 422
    assert http.post("/v1/lora/load", json={"lora_path": "/nope"}).status_code == 400
    assert http.post("/v1/lora/scale", json={"scale": 5}).status_code == 422
    assert http.post("/v1/lora/scale", json={"scale": 0.5}).json()["code"] == 400
    assert http.post("/v1/lora/toggle", json={"use_lora": True}).json()["code"] == 400
    assert http.post("/v1/lora/unload").json()["code"] == 200


def test_examples_and_what_is_not_offered(http):
    """Ours; a call of the dataset or training kind that nobody knows says that it is not offered."""
    simple = http.post("/create_random_sample", json={"sample_type": "simple_mode"}).json()["data"]
    assert set(simple) == {"description", "instrumental", "vocal_language"}
    custom = http.post("/create_random_sample", json={"sample_type": "custom_mode"}).json()["data"]
    assert custom["caption"] and custom["lyrics"]
    answer = http.post("/v1/training/unheard_of", json={})
    assert (answer.status_code, answer.json()["code"]) == (501, 501) and answer.json()["error"]


def test_a_dataset_is_made_and_trained_on(http, folder):
    """Scan, look, change, label, prepare, train, stop: the original's calls, our operations."""
    songs = folder / "songs" / "album"
    songs.mkdir()
    for number in range(2):
        (songs / f"song-{number}.wav").write_bytes(song())
    assert http.get("/v1/dataset/samples").status_code == 400
    assert http.post("/v1/dataset/scan", json={"audio_dir": str(folder / "nowhere")}).json()["code"] == 400
    scanned = http.post(
        "/v1/dataset/scan", json={"audio_dir": str(songs), "dataset_name": "album", "custom_tag": "mine"}
    )
    assert scanned.json()["data"]["num_samples"] == 2, scanned.text
    changed = http.put("/v1/dataset/sample/1", json={"caption": "dub", "bpm": 74, "nonsense": 1}).json()["data"][
        "sample"
    ]
    assert (changed["caption"], changed["bpm"], changed["index"]) == ("dub", 74, 1)
    assert http.get("/v1/dataset/sample/1").json()["data"]["caption"] == "dub"
    assert http.get("/v1/dataset/sample/9").status_code == 404
    assert http.get("/v1/dataset/preprocess_status").json()["data"]["status"] == "idle"
    labelled = http.post("/v1/dataset/auto_label", json={})
    assert labelled.json()["data"]["status"] == "completed", labelled.text
    prepared = http.post("/v1/dataset/preprocess_async", json={"output_dir": "./tensors"}).json()["data"]
    deadline = time.monotonic() + 60
    while http.get(f"/v1/dataset/preprocess_status/{prepared['task_id']}").json()["data"]["status"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert http.get("/v1/training/status").json()["data"]["is_training"] is False
    assert http.post("/v1/training/stop").json()["data"]["message"] == "No training in progress"
    refused = http.post(
        "/v1/training/start", json={"tensor_dir": "./tensors", "lora_rank": 8, "train_epochs": 2}
    ).json()
    assert (refused["code"], "not prepared" in refused["error"]) == (400, True), "the fake backend prepares nothing"
    assert http.post("/v1/training/export", json={"export_path": str(folder)}).status_code == 404


def test_what_a_dataset_call_says_is_done(http, rpc, folder):
    """Settings reach the dataset, what has no effect is told, the file is written, tasks of another kind are unknown."""
    songs, out = folder / "songs" / "single", folder / "home" / "library" / "single.json"
    songs.mkdir()
    (songs / "one.wav").write_bytes(song())
    (songs / "one.lyrics.txt").write_text("la la")
    (songs / "one.json").write_text(json.dumps({"caption": "a tune", "bpm": 90, "language": "de"}))
    (songs / "all.csv").write_text("file;bpm;key\none.wav;97;C minor\n")
    sent = {"audio_dir": str(songs), "dataset_name": "single", "custom_tag": "mine", "tag_position": "append"}
    (sample,) = http.post("/v1/dataset/scan", json=sent).json()["data"]["samples"]
    told = {"caption": "a tune", "bpm": 97, "keyscale": "C minor", "language": "de", "lyrics": "la la", "labeled": True}
    assert {name: sample[name] for name in told} == told, "sidecars count, the table most"
    scanned = http.post("/v1/dataset/scan", json={**sent, "all_instrumental": "true"}).json()
    (sample,) = scanned["data"]["samples"]
    assert (sample["is_instrumental"], scanned["data"]["labeled_count"], scanned["extra"]) == (True, 1, None)
    bad = http.post("/v1/dataset/scan", json={**sent, "tag_position": "middle"})
    assert (bad.status_code, bad.json()["detail"]) == (422, "tag_position must be prepend, append or replace")
    labelled = http.post(
        "/v1/dataset/auto_label", json={"skip_metas": True, "lm_model_path": "none", "save_path": str(out)}
    ).json()
    assert (
        labelled["extra"]["ignored"] == ["skip_metas"] and labelled["extra"]["changed"]["lm_model_path"]["used"] is None
    )
    assert json.loads(out.read_text())["metadata"]["num_samples"] == 1
    saved = http.post(
        "/v1/dataset/save", json={"save_path": str(out), "dataset_name": "Album", "genre_ratio": 30}
    ).json()
    assert saved["code"] == 200, saved
    told = json.loads(out.read_text())["metadata"]
    assert (told["name"], told["custom_tag"], told["tag_position"], told["genre_ratio"]) == (
        "Album",
        "mine",
        "append",
        30,
    )
    refused = http.post("/v1/dataset/auto_label", json={"save_path": "/nowhere/x.json"}).json()
    assert (refused["code"], "outside" in refused["error"]) == (400, True)
    assert http.get(f"/v1/dataset/preprocess_status/{labelled['data']['task_id']}").json()["code"] == 400
    prepared = http.post("/v1/dataset/preprocess", json={"output_dir": "./t", "skip_existing": False}).json()
    assert prepared["data"]["status"] == "completed" and "skip_existing" in prepared["extra"]["changed"]
    changed = http.put("/v1/dataset/sample/0", json={"bpm": 3000}).json()
    assert (changed["code"], "30 to 300" in changed["error"]) == (400, True)
    assert http.put("/v1/dataset/sample/0", json={"lyrics": "x", "mood": "y"}).json()["extra"] == {"ignored": ["mood"]}
    assert rpc.run("dataset-list", {"dataset": "single"}, timeout=60)["data"]["samples"][0]["lyrics"] == "x"


def test_a_dataset_that_was_made_elsewhere_stays(http, rpc, folder):
    """Scanning and loading under its name take another one, and say so; what these calls have made they replace."""
    songs = folder / "songs" / "twice"
    songs.mkdir()
    (songs / "one.wav").write_bytes(song())
    rpc.run("dataset-scan", {"folders": [str(songs)], "dataset": "kept"}, timeout=60)
    for _ in range(2):
        answer = http.post("/v1/dataset/scan", json={"audio_dir": str(songs), "dataset_name": "kept"}).json()
        assert (
            answer["data"]["dataset_name"] == "kept 2" and answer["extra"]["changed"]["dataset_name"]["sent"] == "kept"
        )
    file = folder / "home" / "library" / "kept.json"
    assert http.post("/v1/dataset/save", json={"save_path": str(file)}).json()["code"] == 200
    loaded = http.post("/v1/dataset/load", json={"dataset_path": str(file)}).json()
    assert (loaded["data"]["dataset_name"], loaded["data"]["num_samples"]) == ("kept 2", 1)
    assert http.post("/v1/dataset/load", json={}).status_code == 422


def test_what_is_prepared_in_a_folder(http, folder):
    """Of the original's tensors their number and name; a folder without any, or outside, is refused."""
    tensors = folder / "songs" / "tensors"
    tensors.mkdir()
    ask = "/v1/training/load_tensor_info"
    assert http.post(ask, json={}).status_code == 422
    assert http.post(ask, json={"tensor_dir": str(tensors)}).status_code == 400
    assert http.post(ask, json={"tensor_dir": "/etc"}).status_code == 400
    for name in ("a", "b"):
        (tensors / f"{name}.pt").write_bytes(b"")
    (tensors / "manifest.json").write_text(json.dumps({"metadata": {"name": "theirs", "custom_tag": "zap"}}))
    told = http.post(ask, json={"tensor_dir": str(tensors)}).json()["data"]
    assert (told["num_samples"], told["dataset_name"], told["custom_tag"]) == (2, "theirs", "zap")
    for wrong in ({"lora_rank": "many"}, {"learning_rate": "fast"}):
        assert http.post("/v1/training/start", json={"tensor_dir": str(tensors), **wrong}).status_code == 422


def test_the_language_model_writes_the_words_and_then_the_music_is_made(http, rpc):
    """One task for the client, two jobs here; the music has the id of the task."""
    sent = {"sample_query": "a song about rain", "lm_model_path": "acestep-5Hz-lm-mine", "audio_format": "wav"}
    task = release(http, json={**sent, "audio_duration": 0.5, "batch_size": 1})
    entry, (item,) = ended(http, task)
    assert entry["status"] == 1 and item["file"], entry
    assert rpc.job(f"{task}.words")["operation"] == "compose"
    assert rpc.job(task)["operation"] == "generate"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"{bad", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"[1]", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, 400),
        ({"content": b'{"a":' * 60 + b"1" + b"}" * 60, "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"\xff\xfe{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"hello", "headers": {"content-type": "text/plain"}}, 415),
        ({"content": b""}, 415),
        ({"content": b"x" * 2_000_000, "headers": {"content-type": "application/json"}}, 413),
        ({"data": {f"a{number}": "1" for number in range(300)}}, 400),
        ({"content": b"no parts", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"--y\r\n\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"data": {"task_type": "cover"}, "files": {"src_audio": ("x.wav", b"no sound at all")}}, 400),
        ({"data": {"prompt": "x" * 2_000_000}, "files": {"other": ("x", b"x")}}, 400),
        ({"json": {"prompt": "x" * 5_000}}, 400),
    ],
)  # fmt: skip
def test_bad_bodies_are_one_sentence(http, sent, status):
    """And no traceback."""
    answer = http.post("/release_task", **sent)
    assert answer.status_code == status, answer.text[:300]
    assert isinstance(answer.json()["detail"], str) and "Traceback" not in answer.text


def test_a_full_queue_is_429_and_nothing_is_left_behind(daemon):
    """The original keeps a record of what it refused."""
    house = daemon(queue_length=1, jobs_per_client=1, worker_start="lazy")
    base = f"http://127.0.0.1:{house.connection['http']['port']}"
    with httpx.Client(base_url=base, trust_env=False) as http, Client(str(house.paths.home)) as rpc:
        rpc.call("queue.pause")
        assert http.post("/release_task", json=FIELDS).status_code == 200
        refused = http.post("/release_task", json=FIELDS)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert http.get("/v1/stats").json()["data"]["jobs"]["total"] == 1


CURL = """
set -eu
task=$(curl -sf --noproxy '*' "$BASE/release_task" -H 'Content-Type: application/json' \\
  -d '{"prompt": "x", "audio_duration": 1, "batch_size": 1, "audio_format": "wav"}' | jq -r .data.task_id)
for _ in $(seq 600); do
  answer=$(curl -sf --noproxy '*' "$BASE/query_result" -d "task_id_list=[\\"$task\\"]")
  [ "$(echo "$answer" | jq .data[0].status)" = 0 ] || break
  sleep 0.1
done
curl -sf --noproxy '*' "$BASE$(echo "$answer" | jq -r '.data[0].result | fromjson | .[0].file')" | head -c 4
"""


@pytest.mark.foreign
def test_a_shell_script_with_curl_and_jq(http, foreign):
    """As ACE-Step's own skill for assistants works."""
    foreign("curl"), foreign("jq")
    environment = {**os.environ, "BASE": str(http.base_url).rstrip("/")}
    said = subprocess.run(["sh", "-c", CURL], capture_output=True, env=environment, timeout=120, check=True)
    assert said.stdout == b"RIFF"
