"""No process of ours imports from the folder it is started in, and none is handed what is none of its business."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from acestep.api.errors import BadRequest, DaemonUnreachable
from bridge import children
from bridge.client import Client
from bridge.client.daemon_address import find_daemon
from bridge.doctor import POLICY_PROBE, probe
from bridge.launch import read_connection
from bridge.paths import Paths
from bridge.settings import Settings, resolve

ROOT = Path(__file__).resolve().parents[2]

TRAPS = (
    "random msgspec json asyncio logging struct secrets hashlib tempfile socket ssl sqlite3 queue decimal statistics platform "
    "numpy torch mido rtmidi2 sounddevice soundfile safetensors pluggy platformdirs uvicorn starlette h11 pythonosc rich "
    "acestep bridge plugins sitecustomize usercustomize transformers diffusers scipy yaml typing_extensions pip venv"
).split()
"""Names of modules that one or the other of our processes imports."""


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """The current folder, full of modules that leave a trace when they are imported; gives the traces."""
    folder = tmp_path / "trap"
    folder.mkdir()
    traces = tmp_path / "traces"
    traces.mkdir()
    for name in TRAPS:
        (folder / f"{name}.py").write_text(
            f"import os\nopen({str(traces)!r} + '/{name}-' + str(os.getpid()), 'w').close()\nraise RuntimeError('a trap')\n"
        )
    monkeypatch.chdir(folder)
    return lambda: sorted(path.name for path in traces.iterdir())


def test_daemon_worker_and_player_import_nothing_from_it(trap, daemon, monkeypatch):
    """A daemon started there, with its worker and player, does a job; also where PYTHONPATH names the current folder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "."]))
    monkeypatch.setenv("ACESTEP_BRIDGE_TOKEN", "0123456789abcdef")
    house = daemon(backend="fake", performance=True, performance_output="null", midi=False)
    with Client(house.paths.home) as client:
        job = client.submit("generate", {"caption": "fake:", "length": 480})
        assert client.result(job)["files"]
        assert client.call("performance")["sound"]
    family = [child for child in psutil.Process(house.process.pid).children(recursive=True)]
    names = {" ".join(child.cmdline()) for child in family}
    assert any("acestep.worker" in name for name in names)
    assert any("bridge.performance.player" in name for name in names)
    for child in family:
        assert "0123456789abcdef" not in "".join([*child.environ().values(), *child.cmdline()])
    assert not any("0123456789abcdef" in word for word in psutil.Process(house.process.pid).cmdline())
    assert trap() == []


def test_probes_and_the_command_line_import_nothing_from_it(trap, tmp_path):
    """The doctor's questions, `python -m bridge.cli`, and the first steps of run.py."""
    assert probe("import json, random; print(json.dumps(1))") == (1, "")
    facts, complaint = probe(POLICY_PROBE, "{}")
    assert facts or "trap" not in complaint
    environment = {**os.environ, "ACESTEP_BRIDGE_HOME": str(tmp_path / "home")}
    (Path.cwd() / "bridge.py").unlink()  # `python -m bridge` finds the module before anything of ours can say no
    (Path.cwd() / "acestep.py").unlink()
    for name in ("sitecustomize", "usercustomize"):  # imported by Python itself, before `-m` puts the folder there
        (Path.cwd() / f"{name}.py").unlink()
    line = [sys.executable, "-m", "bridge.cli", "config", "path"]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert trap() == []


def test_every_process_of_ours_is_started_the_same_way():
    """One function makes the command lines of Python; whoever names the interpreter otherwise keeps the folder out himself."""
    found = []
    for path in [*(ROOT / "bridge").rglob("*.py"), *(ROOT / "acestep").rglob("*.py")]:
        if path.relative_to(ROOT).parts[:2] == ("acestep", "testing") or path.name == "children.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            words = [ast.unparse(item) for item in node.elts] if isinstance(node, ast.List) else []
            if "sys.executable" in words and "'-P'" not in words:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize(
    ("given", "kept"), [("", None), (":", None), ("/a:", "/a"), (":/a:.:b", "/a"), ("/a:/b", "/a:/b")]
)
@pytest.mark.skipif(os.name != "posix", reason="paths of POSIX")
def test_a_child_searches_absolute_folders_only(given, kept):
    """An empty entry, which a trailing colon leaves, means the current folder."""
    assert children.environment({"PYTHONPATH": given}).get("PYTHONPATH") == kept


# Tokens, connection files


@pytest.mark.parametrize("token", [" ", "\t", "  \n", "two words", "secret ", "\x7f", "\u200b\u2028"])
def test_a_token_that_protects_nothing_is_refused(token):
    """Blank, or with something in it that nobody sees."""
    with pytest.raises(BadRequest) as caught:
        resolve({"token": token}, {})
    assert caught.value.field == "token"
    assert token.strip() not in caught.value.message or not token.strip()


@pytest.mark.parametrize(
    "content",
    ['{"pid": 1, "rpc": 5}', '{"pid": 1, "rpc": "x"}', '{"pid": 1, "rpc": {"host": 5}}', '{"pid": 1, "rpc": {"port": "x"}}',
     '{"pid": 1, "rpc": {"port": 70000}}', '{"pid": 1, "rpc": {"port": 1, "socket": [1]}}',
     '{"pid": 1, "rpc": {"port": 1}, "token": 5}',
     "[]", "5", "{", "", '"x"', "null"],
)  # fmt: skip
def test_a_damaged_connection_file_is_one_sentence(tmp_path, content):
    """For the client and for the command line, whatever stands in it."""
    paths = Paths.of(Settings(home=str(tmp_path)))
    paths.create()
    paths.connection.write_text(content)
    with pytest.raises(DaemonUnreachable) as caught:
        find_daemon(str(tmp_path))
    assert str(paths.connection) in caught.value.message
    if not content.startswith('{"pid'):
        with pytest.raises(DaemonUnreachable):
            read_connection(paths)


@pytest.mark.parametrize("pid", ['"5"', "5.5", "true", "null", "[]", "{}", "-1", "0", "99999999999999999999"])
def test_a_process_id_that_is_none_is_no_daemon(tmp_path, pid):
    """`stop` would otherwise send a signal somewhere."""
    paths = Paths.of(Settings(home=str(tmp_path)))
    paths.create()
    paths.connection.write_text(f'{{"pid": {pid}}}')
    with pytest.raises(DaemonUnreachable):
        read_connection(paths)
