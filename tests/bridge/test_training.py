"""A folder of songs becomes an adapter through a real daemon: every operation, steps aside, power cuts, bad input."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import soundfile
from safetensors import safe_open

from acestep.api.errors import AceError
from bridge import Client
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

pytestmark = pytest.mark.timeout(600)  # its first test starts a worker and prepares songs, on whatever machine

RATE = 24_000
SMALL = {"kind": "lora", "rank": 2, "alpha": 6, "accumulation": 1, "learning_rate": 0.01, "save_minutes": 0.0001}
WAIT = 500.0


class Studio:
    """A daemon with the tiny model and a folder of three songs; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.songs = folder / "my songs"
        self.songs.mkdir()
        for index, seconds in enumerate((1.2, 2.0, 1.6)):
            time = np.arange(int(seconds * RATE)) / RATE
            noise = np.random.default_rng(index).standard_normal(len(time))
            soundfile.write(
                self.songs / f"tone {index}.wav", 0.3 * np.sin(660 * (index + 1) * time) + 0.02 * noise, RATE
            )
        (self.songs / "tone 1.caption.txt").write_text("a bright tone")
        (folder / "out").mkdir()
        self.start()

    def start(self) -> None:
        settings = {
            "home": self.folder / "home",
            "device": "cpu",
            "threads": 1,
            "model": "tiny",
            "osc": False,
        }
        roots = {"read_roots": [self.folder], "write_roots": [self.folder / "out"]}
        self.daemon: DaemonProcess = start_daemon({**FREE_PORTS, **settings, **roots})
        self.client = Client(home=str(self.daemon.paths.home))

    def kill(self) -> None:
        """What a power cut does: daemon and worker are gone at the same moment."""
        family = [psutil.Process(self.daemon.process.pid)]
        family += family[0].children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # a worker ends by itself when its daemon is gone
                process.kill()
        psutil.wait_procs(family, timeout=10)
        self.daemon.process.wait()
        self.client.close()

    def run(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.client.run(operation, params, timeout=WAIT)

    def refusal(self, operation: str, **params: Any) -> AceError:
        with pytest.raises(AceError) as raised:
            self.run(operation, **params)
        return raised.value

    def step(self, job: str, least: int) -> None:
        """Wait until a training has done this many steps."""
        for event in self.client.events(job):
            if event["kind"] == "progress" and event["data"]["step"] >= least and event["data"]["stage"] == "training":
                return
            assert event["kind"] in ("accepted", "progress", "suspended"), event


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    one = Studio(tmp_path_factory.mktemp("studio"))
    one.run("dataset-scan", folders=[str(one.songs)], custom_tag="zap", validation=0.3)
    one.run("dataset-label", dataset="my songs", skip=True)
    one.run("dataset-prepare", dataset="my songs")
    yield one
    one.client.close()
    one.daemon.stop()


def weights(studio: Studio, name: str) -> dict[str, np.ndarray]:
    path = studio.daemon.paths.home / "loras" / name / "final" / "adapter" / "adapter_model.safetensors"
    with safe_open(path, "np") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def trained(studio: Studio) -> dict[str, Any]:
    """A training that another job interrupts and that asks for samples; its events beside its result."""
    job = studio.client.submit(
        "train",
        {**SMALL, "dataset": "my songs", "epochs": 8, "save_every": 3, "sample_every": 4, "sample_prompts": ["zap"],
         "sample_seconds": 10.0, "folder": str(studio.folder / "out")},
        id="night",
    )  # fmt: skip
    studio.step(job, 2)
    render = studio.client.submit("generate", {"caption": "now", "duration": 10.0, "steps": 1}, id="now")
    assert studio.client.wait(render, timeout=WAIT)["state"] == "done"
    meanwhile = studio.client.job(job)["state"]
    result = studio.client.result(job, timeout=WAIT)
    studio.run("dataset-scan", dataset="bare", folders=[str(studio.songs)])
    return {"result": result, "meanwhile": meanwhile, "events": list(studio.client.events(job))}


def test_the_dataset_says_what_it_holds(studio: Studio) -> None:
    """Sidecars, names, split and what was prepared; labels can be changed, and the original's form can be written."""
    (row,) = studio.run("dataset-list")["data"]["datasets"]
    assert (row["dataset"], row["samples"], row["labeled"], row["custom_tag"]) == ("my songs", 3, 3, "zap")
    assert row["prepared"] == {"model": "tiny", "songs": 3, "stale": False, "left_out": []}
    listed = studio.run("dataset-list", dataset="my songs", offset=1, limit=1)["data"]
    assert listed["total"] == 3 and [one["index"] for one in listed["samples"]] == [1]
    assert listed["samples"][0]["caption"] == "a bright tone"
    studio.run("dataset-load", file=studio_copy(studio), dataset="copy")
    changed = studio.run("dataset-edit", dataset="copy", sample="tone 1.wav", changes={"bpm": "96", "genre": "drone"})
    assert (changed["data"]["sample"]["bpm"], changed["data"]["sample"]["genre"]) == (96, "drone")
    assert studio.run("dataset-edit", dataset="copy", remove=["tone 2.wav"])["data"]["samples"] == 2
    assert studio.run("dataset-edit", dataset="copy", delete=True)["data"]["deleted"]
    assert len(studio.run("dataset-list")["data"]["datasets"]) == 1
    log = (studio.daemon.paths.home / "datasets" / "my songs" / "dataset.log").read_text()
    assert [json.loads(line)["event"] for line in log.splitlines()][:3] == ["scan", "label", "prepare"]


def test_a_sweep_is_one_command(studio: Studio, trained: dict[str, Any]) -> None:
    """Each strength is a job with the same caption and seed; the results differ."""
    asked = studio.run("lora-sweep", lora="my songs", caption="zap", duration=10.0, seed=7, params={"steps": 1})["data"]
    assert [row["scale"] for row in asked["jobs"]] == [0.0, 0.5, 1.0]
    sums = set()
    for row in asked["jobs"]:
        view = studio.client.wait(row["job"], timeout=WAIT)
        stage = view["request"]["stages"][0]
        assert (view["state"], stage["seed"], stage["lora"]) == ("done", 7, [f"my songs={row['scale']:g}"])
        sums.add(view["result"]["files"][0]["sha256"])
    assert len(sums) == 3


def studio_copy(studio: Studio) -> str:
    path = studio.folder / "out" / "songs.json"
    studio.run("dataset-save", dataset="my songs", file=str(path))
    assert json.loads(path.read_text())["metadata"]["num_samples"] == 3
    return str(path)


def test_regions_of_a_project_are_one_song(studio: Studio) -> None:
    """Windows of files in samples, added to a dataset in one action; a file outside is refused by its field."""
    path = str(studio.songs / "tone 1.wav")
    regions = [
        {"path": path, "start": 0, "length": RATE, "title": "verse", "song": "mine"},
        {"path": path, "start": RATE - 2400, "length": RATE, "title": "chorus", "song": "mine"},
    ]
    found = studio.run("dataset-scan", dataset="project", regions=regions)["data"]
    assert (found["samples"], found["seconds"]) == (2, 2.0)
    samples = studio.run("dataset-list", dataset="project")["data"]["samples"]
    assert [one["filename"] for one in samples] == ["verse", "chorus"] and len({one["id"] for one in samples}) == 2
    failure = studio.refusal("dataset-scan", dataset="project", regions=[{"path": "/nowhere/x.wav"}])
    assert failure.code in ("not_found", "not_allowed") and failure.field == "regions[0].path"


def test_training_steps_aside_and_ends(studio: Studio, trained: dict[str, Any]) -> None:
    """The render came first; the training kept its progress, then went on to its last step."""
    assert trained["meanwhile"] == "suspended" or trained["result"]["data"]["step"] == 16
    kinds = [event["kind"] for event in trained["events"]]
    assert kinds[-1] == "done" and "suspended" in kinds
    data = trained["result"]["data"]
    assert (data["name"], data["step"], data["steps"], data["epoch"]) == ("my songs", 16, 16, 8)
    assert [row["epoch"] for row in data["history"]] == list(range(1, 9))
    assert all("validation" in row for row in data["history"])
    assert {file["name"] for file in trained["result"]["files"]} >= {"history.json", "training.log"}
    copies = {Path(path).name for path in data["copies"]}
    assert {"my songs.comfyui.safetensors", "my songs.diffusers.safetensors", "adapter_model.safetensors"} <= copies


def test_samples_are_jobs_of_their_own(studio: Studio, trained: dict[str, Any]) -> None:
    """With the adapter of their epoch, one prompt and one seed; the last with the finished one."""
    samples = trained["result"]["data"]["samples"]
    assert [(one["job"], one["lora"]) for one in samples] == [("night.e4.1", "my songs@4"), ("night.e8.1", "my songs")]
    for one in samples:
        view = studio.client.wait(one["job"], timeout=WAIT)
        assert view["state"] == "done" and view["request"]["stages"][0]["lora"] == [one["lora"]]
        assert view["request"]["stages"][0]["seed"] == 1


def test_the_figures_of_a_training(studio: Studio, trained: dict[str, Any]) -> None:
    """Over the doors, as numbers; repeated steps count once."""
    (row,) = [row for row in studio.run("trainings")["data"]["trainings"] if row["name"] == "my songs"]
    assert (row["finished"], row["step"], row["steps"], row["epoch"]) == (True, 16, 16, 8)
    assert row["kept"] == ["my songs@3", "my songs@4", "my songs@6"]
    whole = studio.run("trainings", name="my songs", points=4)["data"]
    assert len(whole["history"]) == 8 and 1 < len(whole["losses"]) <= 4
    assert whole["settings"]["shape"]["rank"] == 2
    failure = studio.refusal("trainings", name="nothing")
    assert failure.code == "unknown_name" and "my songs" in failure.limits["choices"]


def test_the_adapter_can_be_used_at_once(studio: Studio, trained: dict[str, Any]) -> None:
    """By name, as it was after an epoch, merged into a checkpoint, and copied out."""
    (row,) = [row for row in studio.run("loras")["data"]["loras"] if row["name"] == "my songs"]
    assert row["problem"] == "" and (row["rank"], row["scaling"]) == (2, 3.0)
    rendered = studio.run("generate", caption="zap", duration=10.0, steps=1, lora=["my songs@3=0.5"])
    assert any(note.startswith("my songs@3: LoRA of rank 2 at scale 0.5") for note in rendered["notes"])
    merged = studio.run("lora-merge", lora=["my songs=0.5"], name="mine")
    assert Path(merged["data"]["path"]).is_dir()
    assert studio.refusal("lora-merge", lora=["my songs"], name="mine").field == "name"
    target = str(studio.folder / "out" / "copies")
    assert len(studio.run("lora-export", lora="my songs", folder=target)["data"]["files"]) == 4
    assert "already" in studio.refusal("lora-export", lora="my songs", folder=target).message


def test_the_originals_training_calls(studio: Studio, trained: dict[str, Any]) -> None:
    """Its front ends scan, prepare, train, watch, stop, continue and export with the calls they know."""
    base = f"http://127.0.0.1:{studio.daemon.connection['http']['port']}/v1"
    with httpx.Client(base_url=base, trust_env=False, timeout=WAIT) as http:

        def post(call: str, **sent: Any) -> dict[str, Any]:
            answer = http.post(call, json=sent)
            assert answer.status_code == 200 and answer.json()["code"] == 200, answer.text
            return answer.json()

        post("/dataset/scan", audio_dir=str(studio.songs), dataset_name="front end", custom_tag="zap")
        post("/dataset/preprocess", output_dir="./tensors")
        assert post("/training/load_tensor_info", tensor_dir="./tensors")["data"]["num_samples"] == 3
        asked = {"tensor_dir": "./tensors", "lora_output_dir": "./out/over there", "lora_rank": 2, "lora_alpha": 4,
                 "gradient_accumulation": "1", "save_every_n_epochs": 1, "training_seed": 7, "learning_rate": 0.01}  # fmt: skip
        started = post("/training/start", **asked, train_epochs=300, use_fp8=True)
        assert started["extra"]["ignored"] == ["use_fp8"]
        assert http.post("/training/start", json=asked).status_code == 400, "one training at a time"
        studio.step(started["data"]["task_id"], 4)
        post("/training/stop")
        assert studio.client.wait(started["data"]["task_id"], timeout=WAIT)["state"] == "cancelled"
        stopped = http.get("/training/status").json()["data"]
        assert not stopped["is_training"] and stopped["status"] == "cancelled" and 3 < stopped["current_step"] < 900
        assert stopped["config"]["lora_rank"] == 2 and stopped["tensor_dir"] == "./tensors"
        assert len(stopped["loss_history"]) == stopped["current_step"]
        assert "cancelled" in stopped["training_log"].splitlines()[-1]
        target = str(studio.folder / "out" / "from front end")
        kept = post("/training/export", export_path=target)["data"]["export_path"]
        assert re.search(r"over there epoch \d+$", kept) and list(Path(kept).rglob("adapter_config.json"))
        epochs = stopped["current_epoch"] + 2
        again = post("/training/start", **asked, train_epochs=epochs)["data"]["task_id"]
        studio.client.wait(again, timeout=WAIT)
        done = http.get("/training/status").json()["data"]
        assert (done["status"], done["current_step"], done["current_epoch"], done["error"]) == (
            "done", 3 * epochs, epochs, None,
        )  # fmt: skip
        whole = post("/training/export", export_path=target)["data"]["export_path"]
        assert Path(whole).name == "over there" and (Path(whole) / "adapter" / "adapter_config.json").is_file()
        view = studio.client.job(again)["request"]
        assert (view["rank"], view["alpha"], view["seed"], view["kind"]) == (2, 4, 7, "lora")
        loaded = post("/lora/load", lora_path="over there")["data"]
        assert (loaded["adapter_type"], loaded["active_adapter"], loaded["lora_scale"]) == ("lora", "over there", 1.0)
        assert post("/lora/scale", scale=0.5)["data"]["scale"] == 0.5
        assert http.get("/lora/status").json()["data"]["scales"] == {"over there": 0.5}
        post("/lora/unload")
        lokr = post("/training/start_lokr", tensor_dir="./tensors", output_dir="small", lokr_linear_dim=2, lokr_linear_alpha=2,
                    train_epochs=1, lokr_weight_decompose=True)  # fmt: skip
        assert lokr["extra"]["ignored"] == ["lokr_weight_decompose"]
        assert studio.client.wait(lokr["data"]["task_id"], timeout=WAIT)["state"] == "done"
        assert post("/lora/load", lora_path="small")["data"]["adapter_type"] == "lokr"
        post("/lora/unload")


def test_one_command_does_it_all(studio: Studio, trained: dict[str, Any]) -> None:
    """`train FOLDER` scans, labels, prepares and trains; what is there already stays, and nothing is asked."""
    words = ["train", str(studio.songs), "--home", str(studio.daemon.paths.home), "--name", "by command", "--skip"]
    words += ["--epochs", "1", "--rank", "2", "--alpha", "2", "--accumulation", "1"]
    done = subprocess.run([sys.executable, "-m", "bridge.cli", *words], capture_output=True, text=True, timeout=WAIT,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert "dataset-scan: my songs, 3 songs" in told and "dataset-prepare: my songs, 3 songs" in told
    assert any((line.startswith("train ") and line.endswith("done")) or ": done in" in line for line in told)
    assert (studio.daemon.paths.home / "loras" / "by command" / "final" / "adapter").is_dir()
    refused = subprocess.run([sys.executable, "-m", "bridge.cli", "train", str(studio.folder / "none"), *words[2:4]],
                             capture_output=True, text=True, timeout=WAIT)  # fmt: skip
    assert refused.returncode == 2 and "there is no folder" in refused.stderr


@pytest.mark.long
def test_three_power_cuts_change_no_bit(studio: Studio, trained: dict[str, Any]) -> None:
    """Killed at three moments, the training continues each time and ends with the weights of the unbroken one."""
    studio.client.submit("train", {**SMALL, "dataset": "my songs", "name": "broken", "epochs": 8}, id="broken")
    for step in (1, 6, 11):
        studio.step("broken", step)
        studio.kill()
        studio.start()
    view = studio.client.wait("broken", timeout=WAIT)
    assert view["state"] == "done" and view["attempt"] <= 2
    whole, broken = weights(studio, "my songs"), weights(studio, "broken")
    assert whole.keys() == broken.keys() and any(tensor.any() for tensor in whole.values())
    assert all(np.array_equal(whole[key], broken[key]) for key in whole)


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_train_what_one_trains(studio: Studio, trained: dict[str, Any]) -> None:
    """Real processes that accelerate brings together, over gloo. The job steps aside once; each sitting starts them again."""
    given = {**SMALL, "dataset": "my songs", "epochs": 6, "accumulation": 2}
    studio.run("train", **given, name="alone")
    job = studio.client.submit("train", {**given, "name": "together", "devices": 2}, id="together")
    studio.step(job, 2)
    render = studio.client.submit("generate", {"caption": "now", "duration": 10.0, "steps": 1}, id="between")
    assert studio.client.wait(render, timeout=WAIT)["state"] == "done"
    assert studio.client.wait(job, timeout=WAIT)["state"] == "done"
    assert "suspended" in [event["kind"] for event in studio.client.events(job)]
    alone, together = weights(studio, "alone"), weights(studio, "together")
    assert alone.keys() == together.keys() and any(tensor.any() for tensor in alone.values())
    for key, tensor in alone.items():
        np.testing.assert_allclose(together[key], tensor, rtol=1e-3, atol=1e-5)
    refused = studio.refusal("train", **given, name="more", devices=3)
    assert (refused.field, refused.limits) == ("devices", {"max": 2})


def test_a_dataset_names_no_files_outside_the_allowed_folders(studio: Studio) -> None:
    """Neither to read nor to write, for a caller that is not the user itself."""
    strange = studio.folder / "strange.json"
    strange.write_text(json.dumps({"metadata": {}, "samples": [{"audio_path": "/etc/passwd"}]}))
    rpc = studio.daemon.connection["rpc"]
    with Client(host=rpc["host"], port=rpc["port"]) as neighbour:
        for operation, params, field in (
            ("dataset-load", {"file": str(strange)}, "file"),
            ("dataset-scan", {"folders": ["/etc"]}, "folders"),
            ("dataset-scan", {"regions": [{"path": "/etc/passwd"}]}, "regions[0].path"),
            ("dataset-save", {"dataset": "my songs", "file": "/nowhere/x.json"}, "file"),
            ("train", {"dataset": "my songs", "folder": "/nowhere"}, "folder"),
        ):
            with pytest.raises(AceError) as raised:
                neighbour.run(operation, params)
            assert (raised.value.code, raised.value.field) == ("not_allowed", field)


def test_a_dataset_replaces_nothing_but_a_dataset(studio: Studio) -> None:
    """Saved twice, the second one counts; a file of another kind stays as it is, whoever may write there."""
    studio.run("dataset-scan", folders=[str(studio.songs)], dataset="to save")
    diary, saved = studio.folder / "diary.json", studio.folder / "saved.json"
    diary.write_text("dear diary")
    for _ in range(2):
        studio.run("dataset-save", dataset="to save", file=str(saved))
    refused = studio.refusal("dataset-save", dataset="to save", file=str(diary))
    assert (refused.code, refused.field) == ("output_unwritable", "file") and diary.read_text() == "dear diary"
    studio.run("dataset-edit", dataset="to save", delete=True)


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("dataset-scan", {}, "folders", "name at least one folder"),
    ("dataset-scan", {"folders": ["/nowhere"]}, "folders", "there is no folder"),
    ("dataset-scan", {"folders": ["relative"]}, "folders", "absolute"),
    ("dataset-scan", {"folders": ["{empty}"]}, "folder", "there are no songs"),
    ("dataset-scan", {"folders": ["{empty}"], "dataset": "../x"}, "dataset", "cannot be a name"),
    ("dataset-scan", {"folders": ["{empty}"], "validation": 0.9}, "validation", "0.5"),
    ("dataset-load", {"file": "{songs}/tone 1.wav"}, "dataset", "not a JSON file"),
    ("dataset-list", {"dataset": "none"}, "dataset", "there is no dataset"),
    ("dataset-edit", {"dataset": "my songs"}, "changes", "name changes"),
    ("dataset-edit", {"dataset": "my songs", "sample": "tone 1.wav", "changes": {"bpm": 3000}}, "bpm", "30 to 300"),
    ("dataset-edit", {"dataset": "my songs", "sample": "tone 9.wav", "changes": {"bpm": 90}}, "id", "no sample"),
    ("dataset-edit", {"dataset": "my songs", "changes": {"genre_ratio": 101}}, "genre_ratio", "0 to 100"),
    ("dataset-label", {"dataset": "my songs", "only": ["none"]}, "only", "no samples none"),
    ("dataset-prepare", {"dataset": "my songs", "model": "none"}, "model", "no model"),
    ("train", {}, "dataset", "name a dataset"),
    ("train", {"dataset": "bare"}, "dataset", "not prepared"),
    ("train", {"dataset": "my songs", "rank": 0}, "rank", "1"),
    ("train", {"dataset": "my songs", "targets": ["conv"]}, "targets", "no layers conv"),
    ("train", {"dataset": "my songs", "name": "a/b"}, "name", "cannot be a name"),
    ("train", {"dataset": "my songs", "name": "foreign"}, "name", "not trained here"),
    ("train", {"dataset": "my songs", "sample_every": 1}, "sample_prompts", "prompt"),
    ("train", {"dataset": "my songs", "sample_prompts": ["x"] * 9, "sample_every": 1}, "sample_prompts", "1 to 8"),
    ("train", {"tensors": "{empty}"}, "prepared", "no prepared"),
    ("train", {**SMALL, "dataset": "my songs", "rank": 3, "epochs": 9}, "rank", "has rank 2, not 3"),
    ("lora-merge", {"lora": ["none"], "name": "x"}, "lora", "no LoRA"),
    ("lora-merge", {"lora": [], "name": "x"}, "lora", "at least one"),
    ("lora-sweep", {"lora": "none"}, "lora", "no LoRA"),
    ("lora-sweep", {"lora": "my songs", "scales": []}, "scales", "1 to 16"),
    ("lora-sweep", {"lora": "my songs", "scales": [9.0]}, "scales", "-4 to 4"),
    ("lora-export", {"lora": "none", "folder": "{out}"}, "lora", "no LoRA"),
]


@pytest.mark.parametrize(("operation", "params", "field", "words"), REFUSED)
def test_refused_in_a_sentence(studio: Studio, trained: dict[str, Any], operation, params, field, words) -> None:
    """With the field at fault; nothing is changed by it."""
    (empty := studio.folder / "empty").mkdir(exist_ok=True)
    foreign = studio.daemon.paths.home / "loras" / "foreign"
    foreign.mkdir(parents=True, exist_ok=True)
    (foreign / "adapter_model.safetensors").touch()
    places = {"empty": empty, "songs": studio.songs, "out": studio.folder / "out"}

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        return value.format(**places) if isinstance(value, str) else value

    before = studio.run("dataset-list")["data"]
    failure = studio.refusal(operation, **{name: filled(value) for name, value in params.items()})
    assert failure.field == field and re.search(words, failure.message), (failure.field, failure.message)
    assert "\n" not in failure.message and "Traceback" not in failure.message
    assert studio.run("dataset-list")["data"] == before
