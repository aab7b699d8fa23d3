"""The examples for other programs, run as a user would: Pure Data without a window, SuperCollider and Sonic Pi without sound, the
shell scripts in a plain shell."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge import Client
from bridge.launch import DaemonProcess

from .conftest import RATE, sound
from .lua_host import SCRIPTS


def shell(daemon: DaemonProcess, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ACESTEP_BRIDGE_HOME": str(daemon.paths.home)}
    command = ["sh", str(SCRIPTS / "shell" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)


@pytest.mark.foreign
def test_pure_data_generates_and_hears_the_end(running: DaemonProcess, foreign: Callable[[str], str]) -> None:
    """The patch as it is: connect, generate, and the daemon's answers come back as Pd messages with a path."""
    port = running.connection["osc"]["udp"]
    patch = SCRIPTS / "puredata" / "acestep.pd"
    sends = ["-send", f"acestep-connect 127.0.0.1 {port}", "-send", "acestep-generate bang"]
    pd = subprocess.Popen(
        [foreign("pd"), "-nogui", "-noaudio", "-nomidi", "-stderr", *sends, "-open", str(patch)],
        stderr=subprocess.PIPE,
        text=True,
    )
    patience = threading.Timer(30, pd.kill)
    patience.start()
    try:
        assert pd.stderr is not None
        heard: list[str] = []
        for line in pd.stderr:
            heard.append(line.strip())
            if line.startswith(("acestep-done", "acestep-failed", "acestep-rejected")):
                break
    finally:
        patience.cancel()
        pd.kill()
        pd.wait()
    assert heard[-1].startswith("acestep-done"), heard
    result = next(line for line in heard if line.startswith("acestep-result"))
    path = re.search(r"(/\S+\.wav)", result)
    assert path is not None and soundfile.info(path.group(1)).frames == 5 * RATE
    assert any(line.startswith("acestep-progress") for line in heard)


SPEAKERS = """
+ Server { boot { "BOOTED".postln } }
+ Buffer {
    *read { |server, path, startFrame = 0, numFrames = -1, action|
        var file = SoundFile.openRead(path), buffer = Buffer.new(server, file.numFrames, file.numChannels, 0);
        buffer.path = path;
        buffer.sampleRate = file.sampleRate;
        file.close;
        action.value(buffer);
        ^buffer
    }
    play { ("PLAYED " ++ numFrames ++ " " ++ path).postln; ~next.value }
}
"""
"""In place of SuperCollider's server, which needs a sound card: a buffer reads what the file says, and says that it is played."""

USER = """
~next = { if(~blocks.isEmpty) { 0.exit } { thisProcess.interpreter.executeFile(~blocks.removeAt(0)) } };
~next.value;
~next.value;
SystemClock.sched(60, { 3.exit });
"""
"""Evaluates the first two blocks at once, and one more whenever something plays."""


@pytest.mark.foreign
def test_supercollider_generates_and_repaints(
    running: DaemonProcess, foreign: Callable[[str], str], tmp_path: Path
) -> None:
    """The example block by block, in the real language: a part of eight bars plays, then its bars 3 and 4, painted anew."""
    example = (SCRIPTS / "supercollider" / "acestep.scd").read_text("utf-8")
    example = example.replace("9700", str(running.connection["osc"]["udp"]))
    files = []
    for number, block in enumerate(block for block in example.split("\n\n") if "~ace" in block):
        files.append(tmp_path / f"block-{number}.scd")
        files[-1].write_text(block)
    extensions = tmp_path / "SuperCollider" / "Extensions"
    extensions.mkdir(parents=True)
    (extensions / "speakers.sc").write_text(SPEAKERS)
    user = tmp_path / "user.scd"
    user.write_text(f"~blocks = List{json.dumps([str(file) for file in files])};" + USER)
    folders = {name: str(tmp_path) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")}
    environment = {**os.environ, **folders, "QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1"}
    done = subprocess.run([foreign("sclang"), str(user)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "BOOTED" in done.stdout, done.stdout[-2000:]
    part, patch = re.findall(r"^PLAYED (\d+) (.*)$", done.stdout, flags=re.M)
    bars = 4 * RATE  # of four beats at the clock's own tempo, one a second
    assert int(part[0]) == 8 * bars
    with Client(str(running.paths.home)) as client:
        source = client.result(Path(patch[1]).parent.name)["recipe"]["request"]["source"]
    assert (source["path"], source["start"], source["length"]) == (part[1], 2 * bars, 2 * bars)
    assert "generate: " in done.stdout and "repaint: " in done.stdout, "progress is posted"


class SonicPi:
    """The Sonic Pi example in real Ruby, its words played by a stand-in; OSC goes over real sockets in between."""

    def __init__(self, ruby: str, script: Path, listening: socket.socket, port: int) -> None:
        self.port = port
        self.listening = listening
        self.heard: list[list[Any]] = []
        stand_in = str(Path(__file__).with_name("sonic_pi_stand_in.rb"))
        self.program = subprocess.Popen(
            [ruby, stand_in, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._listen()

    def _listen(self) -> None:
        """What the script does until it waits again; its messages are sent."""
        assert self.program.stdout is not None
        for line in self.program.stdout:
            word, *rest = json.loads(line)
            if word == "waiting":
                return
            self.heard.append([word, *rest])
            if word == "osc":
                self._send(*rest)
        raise AssertionError(f"the script ended: {self.heard}")

    def _send(self, address: str, *values: Any) -> None:
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value, {int: "i", float: "f", str: "s"}[type(value)])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(message.build().dgram, ("127.0.0.1", self.port))

    def hear(self) -> None:
        """Hand it the next message that arrives where it listens, under the address that Sonic Pi gives such a cue."""
        data, (host, port) = self.listening.recvfrom(65536)
        message = OscMessage(data)
        assert self.program.stdin is not None
        self.program.stdin.write(json.dumps([f"/osc:{host}:{port}{message.address}", *message.params]) + "\n")
        self.program.stdin.flush()
        self._listen()

    def said(self, word: str) -> list[list[Any]]:
        return [rest for first, *rest in self.heard if first == word]


@pytest.mark.foreign
def test_sonic_pi_generates_and_plays(running: DaemonProcess, foreign: Callable[[str], str], tmp_path: Path) -> None:
    """The example as it is: the answers come to Sonic Pi's port, progress is written, the part plays when it is there."""
    ruby, script = foreign("ruby"), tmp_path / "example.rb"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(30)
        example = (SCRIPTS / "sonic_pi" / "acestep.rb").read_text("utf-8")
        assert "4560" in example
        script.write_text(example.replace("4560", str(listening.getsockname()[1])))
        program = SonicPi(ruby, script, listening, running.connection["osc"]["udp"])
        with program.program:
            assert program.said("use_osc") == [["localhost", 9700]]
            while not program.said("sample"):
                program.hear()
    ((path,),) = program.said("sample")
    assert soundfile.info(path).frames == 16 * RATE
    assert program.said("log") and all(re.fullmatch(r"generate \d+ %", text) for (text,) in program.said("log"))


def test_the_shell_submits_and_prints_the_path(running: DaemonProcess) -> None:
    """A finished job: the paths of its files, nothing else."""
    done = shell(running, "acestep-spool", "job.submit", '{"operation": "generate", "params": {"duration": 2.0}}')
    assert done.returncode == 0, done.stderr
    (path,) = done.stdout.split()
    assert soundfile.info(path).frames == 2 * RATE


def test_the_shell_asks_and_prints_the_answer(running: DaemonProcess) -> None:
    """A question: its status as JSON."""
    done = shell(running, "acestep-spool", "version")
    assert json.loads(done.stdout)["answer"]["protocol"] == 1


def test_the_shell_says_what_is_wrong(running: DaemonProcess) -> None:
    """A rejected request: the daemon's sentence and exit code 1."""
    done = shell(running, "acestep-spool", "job.submit", '{"operation": "no-such-thing", "params": {}}')
    assert done.returncode == 1 and "no-such-thing" in done.stderr


def test_a_watched_folder_gets_results(running: DaemonProcess, tmp_path: Path) -> None:
    """Each file once, results beside it, names with spaces and umlauts included."""
    folder = tmp_path / "drop föld er"
    folder.mkdir()
    sound(folder / "my löop.wav", seconds=12.0)
    params = '{"start_seconds": 4.0, "end_seconds": 6.0, "returns": ["whole"]}'
    for _ in range(2):
        done = shell(running, "acestep-watch", str(folder), "repaint", params, "once")
        assert done.returncode == 0, done.stderr
    (result,) = (folder / "results").glob("*.wav")
    assert result.name.startswith("my löop-") and (folder / "results" / "my löop.log").read_text() == "done\n"
    assert soundfile.info(result).frames > 0


def test_without_a_daemon_the_shell_says_so(tmp_path: Path) -> None:
    """Nobody takes the request: a sentence, and the request is taken back."""
    (tmp_path / "spool" / "requests").mkdir(parents=True)
    environment = {**os.environ, "ACESTEP_BRIDGE_HOME": str(tmp_path)}
    command = ["sh", str(SCRIPTS / "shell" / "acestep-spool"), "version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 1 and "acestep-bridge serve" in done.stderr
    assert list((tmp_path / "spool" / "requests").iterdir()) == []
