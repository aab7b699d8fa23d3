"""Real sound and real MIDI through JACK's dummy driver: launches on the bar line, capture, notes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from bridge.performance.link import PlayerLink
from bridge.performance.performance import Performance, PerformanceSettings
from bridge.performance.player.messages import Load, Open

SERVER = "acestep-bridge-test"
PERIOD = 1024
LAUNCHES = 20
BAR = 0.4

pytestmark = [pytest.mark.foreign, pytest.mark.slow]


@pytest.fixture(scope="module")
def jack(foreign, tmp_path_factory):
    """A JACK server without a sound card, of our own name."""
    foreign("jackd")
    command = ["jackd", "-n", SERVER, "-r", "-d", "dummy", "-r", "48000", "-p", str(PERIOD)]
    place = {"JACK_DEFAULT_SERVER": SERVER, "JACK_NO_START_SERVER": "1", "JACK_NO_AUDIO_RESERVATION": "1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.items():
            patch.setenv(name, value)
        log = (tmp_path_factory.mktemp("jack") / "jackd.log").open("w")
        with log, subprocess.Popen(command, stdout=log, stderr=log) as server:
            wait_until(lambda: "system:playback_1" in ports())
            yield server
            server.terminate()


def ports() -> str:
    return subprocess.run(["jack_lsp"], capture_output=True, text=True, check=False).stdout


def wait_until(condition, timeout=30.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


async def launch_offsets(tmp_path) -> tuple[np.ndarray, int]:
    """Launch a click on bar lines through the sound server, record it back, and return each click's distance (s) from its
    bar line on the recorder's own clock, and the xruns meanwhile."""
    click = np.zeros((9_600, 2), np.float32)
    click[0] = 1.0
    soundfile.write(tmp_path / "click.wav", click, 48_000, subtype="FLOAT")
    link = PlayerLink()
    await link.start(Open(output="system", input="system", capture_seconds=30.0))
    try:
        async with asyncio.timeout(40):
            while link.levels.state != "running" or "PortAudio:in_0" not in ports():
                await asyncio.sleep(0.1)
        for channel in "01":
            subprocess.run(["jack_connect", f"PortAudio:out_{channel}", f"PortAudio:in_{channel}"], check=True)
        await link.load(Load(slot=0, path=str(tmp_path / "click.wav"), loop=False))
        await asyncio.sleep(1.0)
        before = link.levels.xruns
        first = time.monotonic() + 0.5
        for bar in range(LAUNCHES):
            await asyncio.sleep(max(0.0, first + bar * BAR - 0.2 - time.monotonic()))
            await link.launch(0, first + bar * BAR)
        await asyncio.sleep(0.5)
        frames = int((LAUNCHES * BAR + 0.4) * 48_000)
        await link.take(first - 0.2, frames, str(tmp_path / "take.wav"))
        await asyncio.sleep(0.5)
        xruns = link.levels.xruns - before
    finally:
        await link.close()
    audio, _ = soundfile.read(tmp_path / "take.wav")
    heard = np.flatnonzero(audio[:, 0] > 0.5) / 48_000 - 0.2
    assert len(heard) == LAUNCHES
    return heard - np.arange(LAUNCHES) * BAR, xruns


async def test_twenty_launches_lie_within_a_millisecond_of_their_bar_lines(jack, tmp_path):
    """The cable is software: it skips the card's own latency (two periods out, one in, less the one it takes itself), which
    is subtracted; a run in which the machine lost audio is measured again."""
    for _ in range(4):
        offsets, xruns = await launch_offsets(tmp_path)
        if not xruns:
            break
    cable = -2 * PERIOD / 48_000
    assert np.abs(offsets - cable).max() < 0.001


async def test_notes_through_jack_midi_reach_the_triggers(jack, tmp_path):
    pytest.importorskip("rtmidi", reason="install python-rtmidi")
    mapping = tmp_path / "map.toml"
    mapping.write_text('[[trigger]]\non = "note"\naction = "tap"\n')
    settings = PerformanceSettings(
        folder=tmp_path, output="null", mapping=mapping, midi_backend="mido.backends.rtmidi/UNIX_JACK"
    )
    performance = Performance(None, settings)
    await performance.start()
    try:
        async with asyncio.timeout(30):
            while not performance.state()["midi"]["open"]:
                await asyncio.sleep(0.1)
            sender = (
                "import mido, time; mido.set_backend('mido.backends.rtmidi/UNIX_JACK');"
                "name = next(n for n in mido.get_output_names() if 'acestep' in n); port = mido.open_output(name); time.sleep(0.5);"
                "[(port.send(mido.Message('note_on', note=60 + n)), time.sleep(0.1)) for n in range(5)]; time.sleep(0.5)"
            )
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", sender, env=dict(os.environ))
            assert await child.wait() == 0
            while performance.state()["hits"] < 5:
                await asyncio.sleep(0.05)
    finally:
        await performance.close()
