"""The demo, as a person runs it: a process that starts a daemon, a second one that speaks only OSC, files, checks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bridge.demo import run_demo
from bridge.demo.report import SKETCH, UNTRAINED, table_of_times, what_to_expect
from bridge.demo.verify import verify
from bridge.package_data import data_folder

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One run of the whole demo on the embedded model."""
    out = tmp_path_factory.mktemp("demo")
    line = [sys.executable, "-m", "bridge.cli"]
    done = subprocess.run(
        [*line, "demo", "--out", str(out)], capture_output=True, text=True, cwd=ROOT, check=False, encoding="utf-8"
    )
    return out, done


def test_every_check_holds(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Exit code 0, and the report says of each check that it held."""
    out, done = demo
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert [check for check in report["checks"] if not check["held"]] == []
    assert len(report["checks"]) >= 12
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_leaves_audio_a_picture_and_a_table(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Everything that a person looks at or listens to is there and can be read."""
    out, done = demo
    for name in ("repaint-whole.flac", "repaint-patch.wav", "drums-stem.wav", "drums-residual.wav", "part-part.wav"):
        assert soundfile.info(out / name).samplerate == 48_000
    assert (out / "demo.png").read_bytes().startswith(b"\x89PNG")
    for name in ("before", "after", "drums", "part"):
        assert (out / "listen" / f"{name}.mp3").stat().st_size < 400_000
    table = (out / "times.md").read_text("utf-8")
    assert table.startswith("| job |") and table.splitlines()[2] in done.stdout


def test_it_says_what_to_expect_of_the_sound(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """What the model that rendered says of itself stands in the output: untrained is noise, nano is a sketch."""
    out, done = demo
    report = json.loads((out / "report.json").read_text("utf-8"))
    (default,) = [model for model in report["models"] if model["default"]]
    assert what_to_expect(report) == {"tiny": UNTRAINED, "nano": SKETCH}[default["variant"]]
    assert what_to_expect(report) in done.stdout


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"variant": "tiny", "trained": 0, "default": 1}, UNTRAINED),
        ({"variant": "turbo", "trained": 0, "default": 1}, UNTRAINED),
        ({"variant": "nano", "trained": 1, "default": 1}, SKETCH),
        ({"variant": "turbo", "trained": 1, "default": 1}, ""),
    ],
)
def test_noise_is_called_noise(model: dict[str, object], sentence: str) -> None:
    """Whatever the size: random weights are announced as such."""
    assert what_to_expect({"models": [{"variant": "base", "default": 0, "trained": 1}, model]}) == sentence


def broken(report: dict[str, Any]) -> set[str]:
    """The rules that do not hold."""
    return {check.rule for check in verify(report, data_folder("loop")) if not check.held}


def test_one_wrong_bit_is_found(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """The checks are real: a single sample outside the region that is off by one, or a stem that is one sample short."""
    out, _ = demo
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert broken(report) == set()
    whole, stem = out / "repaint-whole.flac", out / "drums-stem.wav"
    kept = whole.read_bytes(), stem.read_bytes()
    try:
        audio, rate = soundfile.read(whole, dtype="int16", always_2d=True)
        audio[-1, 0] ^= 1
        soundfile.write(whole, audio, rate, subtype="PCM_16")
        assert broken(report) == {"outside region and crossfade every sample is unchanged"}
        audio, rate = soundfile.read(stem, dtype="int32", always_2d=True)
        soundfile.write(stem, audio[:-1], rate, subtype="PCM_24")
        assert f"the stem has exactly {len(audio)} samples" in broken(report)
    finally:
        whole.write_bytes(kept[0])
        stem.write_bytes(kept[1])


def test_a_job_that_ended_otherwise_is_found(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Each job must end as it should: the fourth as cancelled, the others as done."""
    report = json.loads((demo[0] / "report.json").read_text("utf-8"))
    for job in report["jobs"]:
        changed = {**report, "jobs": [{**one, "state": "failed"} if one is job else one for one in report["jobs"]]}
        wanted = "cancelled" if job["title"] == "cancelled" else "done"
        assert broken(changed) == {f"{job['title']} ended as {wanted}"}


def test_the_demo_runs_on_any_backend(tmp_path: Path) -> None:
    """A report is written whatever the checks say, and the exit code follows them."""
    code = run_demo(tmp_path, settings={"backend": "fake"})
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert code == (0 if all(check["held"] for check in report["checks"]) else 1)


def test_the_table_survives_a_refused_job() -> None:
    """A job that never began has empty cells, not an error."""
    job = {"title": "x", "operation": "y", "state": "rejected", "files": [], "seconds": 0.01, "notes": [], "events": 0}
    assert "| x | y | rejected |  |  | 0.01 s |  |  |" in table_of_times({"jobs": [job], "models": []})
