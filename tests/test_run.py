"""The first command of a checkout: which Pythons it speaks to, what it installs, and when it does not."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bootstrap(tmp_path: Path) -> SimpleNamespace:
    """The launcher's module over an empty folder, with every pip call recorded instead of made."""
    module = SimpleNamespace(**runpy.run_path(str(ROOT / "bridge" / "bootstrap.py"), run_name="bootstrap"))
    space: dict[str, Any] = module.prepare.__globals__
    module.calls = calls = []

    def pip(arguments: list[str]) -> int:
        calls.append(arguments)
        return 1 if any(bad in " ".join(arguments) for bad in module.broken) else 0

    def make_venv() -> None:
        module.venv_python(space["VENV"]).parent.mkdir(parents=True, exist_ok=True)
        module.venv_python(space["VENV"]).touch()

    module.broken = []
    module.space = space
    space.update(
        VENV=tmp_path / ".venv",
        STAMP=tmp_path / ".venv" / "stamp.json",
        _pip=pip,
        _try_pip=lambda line: None if pip(line) == 0 else "no wheel for this Python",
        make_venv=make_venv,
    )
    space.update(_torch_version=lambda: "2.13.0+cpu", _warn_of_space=lambda build: None)
    return module


def installed(bootstrap: SimpleNamespace) -> list[str]:
    """Extras of this checkout that pip was asked for."""
    lines = " ".join(" ".join(call) for call in bootstrap.calls)
    return re.findall(r"\[([a-z,]+)\]", lines)


def test_old_pythons_can_read_the_file_that_refuses_them() -> None:
    """run.py uses nothing that Python 2.7 could not parse: no annotations, no f-strings, no keyword-only arguments."""
    tree = ast.parse((ROOT / "run.py").read_text("utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr))]
    assert (ROOT / "run.py").read_bytes().isascii()


def test_an_old_python_is_refused_in_a_sentence() -> None:
    """The sentence names both versions and what to type instead."""
    script = "import sys; sys.version_info = (3, 8, 18); exec(open('run.py').read())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "needs Python 3.11 or newer, and this is Python 3.8" in done.stderr and "Traceback" not in done.stderr


def test_without_a_command_it_says_what_it_can_do() -> None:
    """Nothing is installed by asking."""
    done = subprocess.run([sys.executable, "run.py"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "demo [--out FOLDER]" in done.stdout and "--gpu" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "build", "command"),
    [
        (["demo", "--out", "x"], None, ["demo", "--out", "x"]),
        (["--gpu", "serve"], "gpu", ["serve"]),
        (["serve", "--cpu"], "cpu", ["serve"]),
        (["--light", "setup"], "light", ["setup"]),
        (["test", "--", "--gpu"], None, ["test", "--", "--gpu"]),
    ],
)
def test_the_build_is_taken_out_of_the_arguments(
    bootstrap: SimpleNamespace, arguments: list[str], build: str | None, command: list[str]
) -> None:
    """Our flags may stand anywhere before ``--``; everything else belongs to the command."""
    assert bootstrap.parse(arguments) == (build, command)


def test_the_second_run_installs_nothing(bootstrap: SimpleNamespace) -> None:
    """The stamp remembers what is there."""
    bootstrap.prepare(None, "demo")
    assert installed(bootstrap) == ["engine,pictures", "midi"]
    bootstrap.calls.clear()
    bootstrap.prepare(None, "demo")
    bootstrap.prepare(None, "serve")
    assert bootstrap.calls == []


def test_another_command_adds_its_extras_and_keeps_the_rest(bootstrap: SimpleNamespace) -> None:
    """Tests need more than the demo; afterwards both start at once."""
    bootstrap.prepare(None, "demo")
    bootstrap.calls.clear()
    bootstrap.prepare(None, "test")
    assert installed(bootstrap)[0] == "engine,pictures,test"
    bootstrap.calls.clear()
    bootstrap.prepare(None, "demo")
    bootstrap.prepare(None, "test")
    assert bootstrap.calls == []


def test_changed_requirements_install_again(bootstrap: SimpleNamespace) -> None:
    """A new digest of the declaring files makes the stamp worthless."""
    bootstrap.prepare(None, "demo")
    bootstrap.calls.clear()
    bootstrap.space["inputs_digest"] = lambda: "another"
    bootstrap.prepare(None, "demo")
    assert bootstrap.calls


def test_the_gpu_build_replaces_the_other_and_is_remembered(bootstrap: SimpleNamespace) -> None:
    """pip would take the CPU build of the same version for good enough, so it goes first; later runs keep the choice."""
    bootstrap.prepare(None, "demo")
    bootstrap.calls.clear()
    bootstrap.prepare("gpu", "demo")
    assert bootstrap.calls[0][0] == "uninstall"
    bootstrap.calls.clear()
    bootstrap.prepare(None, "demo")
    assert bootstrap.calls == []


def test_a_light_environment_has_no_engine_and_stays_light(bootstrap: SimpleNamespace) -> None:
    """No torch, no extra `engine`; later commands keep it so, and what needs the engine says how to add it."""
    bootstrap.prepare("light", "setup")
    assert installed(bootstrap) == ["midi"] and not any("--index-url" in call for call in bootstrap.calls)
    bootstrap.calls.clear()
    bootstrap.prepare(None, "serve")
    assert bootstrap.calls == []
    with pytest.raises(bootstrap.SetupFailed, match=r"run\.py --cpu demo"):
        bootstrap.prepare(None, "demo")
    bootstrap.prepare("cpu", "demo")
    assert installed(bootstrap)[0] == "engine,pictures"


@pytest.mark.parametrize(
    ("build", "system", "index"),
    [
        ("cpu", "Linux", "https://download.pytorch.org/whl/cpu"),
        ("cpu", "Darwin", None),
        ("cpu", "Windows", None),
        ("gpu", "Linux", None),
        ("gpu", "Darwin", None),
        ("gpu", "Windows", "https://download.pytorch.org/whl/cu130"),
    ],
)
def test_each_build_comes_from_where_it_is(
    bootstrap: SimpleNamespace, build: str, system: str, index: str | None
) -> None:
    """The registry's wheel is the GPU build on Linux and the CPU build elsewhere."""
    assert bootstrap.torch_index(build, system) == index


def test_an_index_out_of_reach_is_no_end(bootstrap: SimpleNamespace) -> None:
    """Without PyTorch's own index the registry's build is taken."""
    bootstrap.broken.append("--index-url")
    bootstrap.prepare("cpu", "demo")
    assert installed(bootstrap) == ["engine,pictures", "midi"]


def test_an_optional_extra_that_does_not_install_is_left_out(
    bootstrap: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    """No MIDI library for this platform: said once, the rest works."""
    bootstrap.broken.append("[midi]")
    bootstrap.prepare(None, "demo")
    assert "'midi' does not install here" in capsys.readouterr().err


def test_a_failed_install_leaves_no_stamp(bootstrap: SimpleNamespace) -> None:
    """The next run tries again."""
    bootstrap.broken.append("--editable")
    with pytest.raises(bootstrap.SetupFailed):
        bootstrap.prepare(None, "demo")
    assert bootstrap.read_stamp() is None


def test_the_pinned_torch_is_the_one_of_the_constraints(bootstrap: SimpleNamespace) -> None:
    """One version in two places."""
    assert bootstrap.TORCH in (ROOT / "constraints.txt").read_text("utf-8").splitlines()


def test_what_cannot_be_installed_is_told_in_one_line(bootstrap: SimpleNamespace) -> None:
    """Neither a compiler's output nor pip's own advice reaches the user."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import runpy, sys; space = runpy.run_path('bridge/bootstrap.py', run_name='bootstrap'); "
            "run = space['_try_pip']; run.__globals__['venv_python'] = lambda folder: sys.executable; "
            "print(run(['install', '--no-index', 'no-such-distribution-of-ours']))",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1 and "no-such-distribution-of-ours" in done.stdout


def test_a_double_click_starts_daemon_and_page(tmp_path: Path) -> None:
    """The file for macOS, by a shell; that for Windows says the same (there is no Windows here to run it)."""
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\necho "$PWD: $*"\n')
    python.chmod(0o755)
    place = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    for name in ("python3.11", "python3.12", "python3.13"):
        (tmp_path / name).symlink_to(python)
    said = subprocess.run(
        ["/bin/sh", str(ROOT / "start.command")], env=place, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == f"{ROOT}: run.py studio --start-daemon"
    assert "run.py studio --start-daemon" in (ROOT / "start.bat").read_text("utf-8")
