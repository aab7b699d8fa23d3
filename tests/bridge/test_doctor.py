"""The doctor finds what is wrong and says what to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bridge import doctor
from bridge.doctor import Finding, Patient, Severity
from bridge.name_conflicts import foreign_acestep
from bridge.paths import Paths
from bridge.settings import Settings


def patient(home: Path, **settings: object) -> Patient:
    """A machine with these settings."""
    given = Settings(home=str(home), **settings)  # type: ignore[arg-type]
    return Patient(given, Paths.of(given))


def worst(findings: list[Finding]) -> Finding:
    """The most serious finding."""
    return max(findings, key=lambda one: list(Severity).index(one.level))


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """Which setting, which port, what to do."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        found = worst(doctor.check_daemon(patient(tmp_path, osc_port=port, rpc_port=0, http_port=0)))
    assert found.level is Severity.PROBLEM and f"port {port} (osc_port)" in found.text and "osc_port" in found.advice


def test_free_ports_are_fine(tmp_path: Path) -> None:
    """No finding above ok."""
    assert worst(doctor.check_daemon(patient(tmp_path, osc_port=0, rpc_port=0, http_port=0))).level is Severity.OK


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root writes everywhere")
def test_a_home_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    """Found before a job is lost on it."""
    tmp_path.chmod(0o500)
    found = worst(doctor.check_folders(patient(tmp_path / "home")))
    assert found.level is Severity.PROBLEM and "cannot be written" in found.text


def test_an_allowed_folder_that_is_gone_is_mentioned(tmp_path: Path) -> None:
    """A typing error in read_roots would otherwise look like a daemon that refuses everything."""
    found = doctor.check_folders(patient(tmp_path, read_roots=[str(tmp_path / "gone")]))
    assert any(one.level is Severity.WARNING and "gone" in one.text for one in found)


def test_a_broken_plug_in_is_a_problem_with_its_reason(tmp_path: Path) -> None:
    """The reason is the exception's own sentence."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text("raise RuntimeError('it needs a moon')\n")
    found = worst(doctor.check_plugins(patient(tmp_path)))
    assert found.level is Severity.PROBLEM and "it needs a moon" in found.text


def test_a_damaged_model_is_mentioned(tmp_path: Path) -> None:
    """A folder that looks like a checkpoint and is none."""
    folder = tmp_path / "checkpoints" / "acestep-v15-turbo"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"num_audio_decoder_hidden_layers": 2}))
    assert worst(doctor.check_models(patient(tmp_path))).level is Severity.WARNING


def test_wrong_settings_are_a_finding(tmp_path: Path) -> None:
    """The one thing that keeps everything else from being looked at."""
    (tmp_path / "config.toml").write_text("no_such_setting = 1\n")
    (found,) = doctor.examine(str(tmp_path))
    assert found.level is Severity.PROBLEM and "no_such_setting" in found.text


def test_a_probe_that_crashes_is_an_answer() -> None:
    """A driver that brings its process down cannot bring the doctor down."""
    answer, complaint = doctor.probe("import os; os.abort()")
    assert answer is None and "ended with code" in complaint
    answer, complaint = doctor.probe("raise RuntimeError('no card')")
    assert answer is None and complaint == "RuntimeError: no card"


def test_a_gpu_that_torch_does_not_see_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an NVIDIA driver and only the CPU there is a command to type."""
    monkeypatch.setattr(doctor, "probe", lambda script: ({"version": "2", "devices": ["cpu"], "threads": 2}, ""))
    monkeypatch.setattr(doctor.shutil, "which", lambda program: "/usr/bin/nvidia-smi")
    (found,) = doctor.check_devices(patient(tmp_path))
    assert found.level is Severity.WARNING and "--gpu setup" in found.advice


def test_a_foreign_acestep_is_named_before_anything_is_imported_from_it(tmp_path: Path) -> None:
    """Whatever the command, the sentence says which package is in the way and where."""
    (tmp_path / "acestep").mkdir()
    (tmp_path / "acestep" / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    line = [sys.executable, "-P", "-m", "bridge.cli", "doctor"]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1 and str(tmp_path / "acestep") in done.stderr and "Traceback" not in done.stderr


def test_our_own_acestep_is_not_in_the_way() -> None:
    """No sentence for the normal case."""
    assert foreign_acestep() == ""


def test_how_the_worker_will_compute_is_shown(tmp_path: Path) -> None:
    """Device, number format, offloading, kernel and compiler as the settings come to, in one line."""
    asked = patient(tmp_path, device="cpu", dtype="bfloat16", attention="math", int8="on")
    (found,) = [one for one in doctor.check_worker(asked) if one.level is Severity.OK]
    for words in ("cpu", "bfloat16", "8-bit weights on", "attention math", "compile off"):
        assert words in found.text


def test_the_limits_of_a_small_card_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a part may be and how many variants run at once, and where the codec is. (The facts are those of a 7 GB card.)"""
    (facts,), _ = doctor.probe(doctor.POLICY_PROBE, '[{"device": "cpu"}]')
    card = {"device": "cuda", "device_name": "Card", "memory_gb": 7.0, "tier": "3", "minutes": 10.0, "items": 2}
    monkeypatch.setattr(doctor, "probe", lambda script, *wishes: ([{**facts, **card, "codec_on_cpu": True}], ""))
    (found,) = doctor.check_worker(patient(tmp_path))
    assert "tier 3: at most 10 minutes, variants at once 2" in found.text and "codec on the CPU" in found.text


def test_the_codec_on_the_cpu_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the original's variable says; a CPU has no limits of a tier."""
    monkeypatch.setenv("ACESTEP_VAE_ON_CPU", "1")
    found = worst(doctor.check_worker(patient(tmp_path, device="cpu")))
    assert "codec on the CPU" in found.text and "tier" not in found.text
    monkeypatch.delenv("ACESTEP_VAE_ON_CPU")
    assert "codec on the CPU" not in worst(doctor.check_worker(patient(tmp_path, device="cpu"))).text


def test_a_device_that_is_none_is_a_problem(tmp_path: Path) -> None:
    """The sentence of the refusal, before a worker dies of it."""
    found = worst(doctor.check_worker(patient(tmp_path, device="abacus")))
    assert found.level is Severity.PROBLEM and "abacus" in found.text


def test_every_device_is_looked_at(tmp_path: Path) -> None:
    """Each of the setting has a line of its own, by its name; one that is not here is the problem and spoils no other."""
    found = doctor.check_worker(patient(tmp_path, devices=["cpu", "cpu", "cuda:90"]))
    lines = {one.text.split(": ")[0]: one.level for one in found}
    assert lines == {"cpu:0": Severity.OK, "cpu:1": Severity.OK, "cuda:90": Severity.PROBLEM}


def test_the_planner_is_told_the_truth_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its package it cannot run at all; without a language model a command fetches one; else the models are named."""
    from acestep.planner.tiny import build_tiny
    from bridge.core import packages

    (none,) = doctor.check_planner(patient(tmp_path))
    assert none.level is Severity.NOTE and "lm-0.6B" in none.advice
    build_tiny(tmp_path / "checkpoints" / "acestep-5Hz-lm-mine")
    (there,) = doctor.check_planner(patient(tmp_path))
    assert there.level is Severity.OK and "mine" in there.text
    found = packages.importlib.util.find_spec
    monkeypatch.setattr(
        packages.importlib.util, "find_spec", lambda name: None if name == "llguidance" else found(name)
    )
    (broken,) = doctor.check_planner(patient(tmp_path))
    assert broken.level is Severity.WARNING and "cannot run" in broken.text and "llguidance" in broken.text


def test_nothing_is_called_missing_that_nothing_needs(tmp_path: Path) -> None:
    """Adapters are merged by our own code: peft is no part of what a user installs."""
    assert not any("peft" in found.text for found in doctor.check_program(patient(tmp_path)))
