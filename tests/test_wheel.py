"""The wheel in an environment of its own: without the engine it uses another machine's models, with it it makes sound itself."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

ROOT = Path(__file__).resolve().parent.parent
OWN_PORTS = {f"ACESTEP_BRIDGE_{name.upper()}": str(port) for name, port in FREE_PORTS.items()}
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(\[[^]]*\])?[^;]*(?:; *(.*))?$")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it would be published, built offline."""
    folder = tmp_path_factory.mktemp("wheel")
    line = [
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--disable-pip-version-check",
        "-q",
    ]
    subprocess.run([sys.executable, *line, "-w", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


def needed(name: str, extras: frozenset[str], found: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """The distributions of this environment that a distribution asks for, with all that those ask for."""
    if found.get(name) is not None and extras <= found[name]:
        return found
    found[name] = found.get(name, frozenset()) | extras
    for line in importlib.metadata.requires(name) or []:
        match = REQUIREMENT.match(line)
        assert match is not None, line
        other, own_extras, marker = match.groups()
        wanted = re.findall(r"extra *== *['\"]([\w-]+)['\"]", marker or "")
        if (wanted and not set(wanted) & extras) or "win32" in (marker or "") or "python_version <" in (marker or ""):
            continue
        try:
            importlib.metadata.distribution(other)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        needed(other.lower(), frozenset(re.findall(r"[\w-]+", own_extras or "")), found)
    return found


class Installed:
    """The wheel in a virtual environment, beside links to nothing but what it requires."""

    def __init__(self, folder: Path, wheel: Path, *extras: str) -> None:
        self.home = folder / "home"
        venv.create(folder / "venv", with_pip=False)
        self.program = folder / "venv" / "bin" / "acestep-bridge"
        site = next((folder / "venv" / "lib").glob("python*")) / "site-packages"
        self.distributions = set(needed("acestep-bridge", frozenset(extras), {})) - {"acestep-bridge"}
        for name in self.distributions:
            for file in importlib.metadata.distribution(name).files or []:
                top = site / file.parts[0]
                if file.parts[0] not in ("..", "__pycache__") and not top.exists():
                    top.symlink_to(Path(str(importlib.metadata.distribution(name).locate_file(file.parts[0]))))
        line = [sys.executable, "-m", "pip", "--python", str(folder / "venv" / "bin" / "python"), "install", "-q"]
        subprocess.run([*line, "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)], check=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command line of the installed program, from a folder that is not a checkout."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | OWN_PORTS
        line = [str(self.program), *arguments, "--home", str(self.home)]
        return subprocess.run(
            line, capture_output=True, text=True, check=False, cwd=self.home.parent, env=environment, timeout=600
        )


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Without the engine."""
    found = Installed(tmp_path_factory.mktemp("light"), wheel)
    yield found
    found.run("stop")


@pytest.fixture(scope="module")
def other_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with models, as another machine of the house would run it."""
    with start_daemon({**FREE_PORTS, "home": tmp_path_factory.mktemp("other"), "backend": "fake"}) as daemon:
        yield daemon


def test_the_light_weight_has_none_of_the_heavy_packages(light: Installed) -> None:
    """What a plain `pip install acestep-bridge` brings: no torch, no model library."""
    assert not light.distributions & {"torch", "diffusers", "transformers", "llguidance", "peft", "gguf", "tokenizers"}
    assert light.distributions >= {"msgspec", "starlette", "python-osc", "numpy"}


def test_an_operation_without_the_engine_says_how_to_get_it(light: Installed) -> None:
    """Refused at the door with one sentence; status says the same, and no worker is started again and again."""
    done = light.run("generate", "warm", "--duration", "4s", "--json")
    error = json.loads(done.stdout)["error"]
    assert done.returncode != 0 and error["code"] == "unavailable"
    assert "acestep-bridge[engine]" in error["message"] and "--connect" in error["message"]
    status = json.loads(light.run("status", "--json").stdout)
    assert any("without the engine" in text for text in status["warnings"]) and status["worker"].get("deaths", 0) == 0


@pytest.mark.parametrize(
    "line", [["models"], ["loras"], ["describe", "repaint"], ["config", "show", "--all"], ["doctor"]]
)
def test_what_needs_no_engine_works_without_it(light: Installed, line: list[str]) -> None:
    """Lists, descriptions and checks answer, without a traceback."""
    done = light.run(*line)
    assert "Traceback" not in done.stderr and len(done.stdout) > 20


def test_another_machines_models_serve_it(light: Installed, other_machine: DaemonProcess, sound_file: Any) -> None:
    """A file of this machine is sent, the result fetched."""
    rpc = other_machine.connection["rpc"]
    line = ["repaint", str(sound_file(frames=96_000)), "--start", "0.5s", "--end", "1s", "--returns", "whole"]
    target = light.home.parent / "whole.wav"
    done = light.run(*line, "--out", str(target), "--connect", f"{rpc['host']}:{rpc['port']}")
    assert done.returncode == 0, done.stderr
    assert soundfile.info(target).frames > 0


def test_with_the_engine_the_wheel_makes_sound_itself(wheel: Path, tmp_path: Path) -> None:
    """nano's weights are in the wheel: a part of four seconds, without a checkout."""
    full = Installed(tmp_path, wheel, "engine")
    try:
        done = full.run("generate", "warm lofi, rhodes", "--duration", "4s", "--out", str(tmp_path / "part.wav"))
        assert done.returncode == 0, done.stderr
        assert soundfile.info(tmp_path / "part.wav").frames == 4 * 48_000
    finally:
        full.run("stop")
