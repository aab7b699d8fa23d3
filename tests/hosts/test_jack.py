"""Real sound and real MIDI through JACK's dummy driver: launches on the bar line, capture, notes."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from types import SimpleNamespace

import mido
import numpy as np
import pytest
import soundfile

from bridge import Client
from bridge.performance.link import PlayerLink
from bridge.performance.performance import Performance, PerformanceSettings
from bridge.performance.player.messages import Load, Open
from bridge.performance.tempo import ClockInput

SERVER = "acestep-bridge-test"
PERIOD = 1024
LAUNCHES = 20
SETTLED = 2.5
"""Seconds in which even a crowded machine wakes the callback in time now and then: from then on the stream's clock is known."""
BAR = 0.4

pytestmark = [pytest.mark.foreign, pytest.mark.slow]


def start_server(log, name: str = SERVER) -> subprocess.Popen[bytes]:
    """A JACK server without a sound card, of our own name."""
    command = ["jackd", "-n", name, "-r", "-d", "dummy", "-r", "48000", "-p", str(PERIOD)]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    wait_until(lambda: "system:playback_1" in ports())
    return server


@pytest.fixture(scope="module")
def place(foreign):
    """Where every JACK client of these tests looks for its server."""
    foreign("jackd")
    place = {"JACK_DEFAULT_SERVER": SERVER, "JACK_NO_START_SERVER": "1", "JACK_NO_AUDIO_RESERVATION": "1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def jack(place, tmp_path_factory):
    """A JACK server."""
    with (tmp_path_factory.mktemp("jack") / "jackd.log").open("w") as log:
        server = start_server(log)
        yield server
        server.terminate()
        server.wait()


def ports() -> str:
    return subprocess.run(["jack_lsp"], capture_output=True, text=True, check=False).stdout


def wait_until(condition, timeout=30.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


async def launches_heard(tmp_path) -> tuple[np.ndarray, int]:
    """Launch a click on bar lines through the sound server, record it back, and return when each was heard (s after the first
    bar line, on the recorder's own clock), and the xruns meanwhile."""
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
        await asyncio.sleep(SETTLED)
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
    return np.flatnonzero(audio[:, 0] > 0.5) / 48_000 - 0.2, xruns


@pytest.mark.long
async def test_twenty_launches_lie_within_a_millisecond_of_their_bar_lines(jack, tmp_path):
    """The cable is software: it skips the card's own latency (two periods out, one in, less the one it takes itself), which
    is subtracted; a run in which the machine lost audio is measured again."""
    for _ in range(4):
        heard, xruns = await launches_heard(tmp_path)
        if not xruns:
            break
    else:
        pytest.skip(f"the machine lost audio in each of four runs ({xruns} times in the last): too busy to be measured")
    assert len(heard) == LAUNCHES
    offsets = heard - np.arange(LAUNCHES) * BAR
    cable = -2 * PERIOD / 48_000
    assert np.abs(offsets - cable).max() < 0.001, offsets - cable


BACKEND = "bridge.performance.midi_backend/UNIX_JACK"

PADS = """
import mido, sys, time
mido.set_backend("bridge.performance.midi_backend/UNIX_JACK")
port = mido.open_output("pads", virtual=True, client_name="pads")
while True:
    port.send(mido.Message("note_on", note=36))
    time.sleep(0.1)
"""
"""A controller with a port of its own, that hits a pad again and again."""

LISTENER = """
import mido, sys, time
mido.set_backend("bridge.performance.midi_backend/UNIX_JACK")
port = mido.open_input("lamps", virtual=True, client_name="lamps")
print("open", flush=True)
for message in port:
    print(time.monotonic(), message.hex(), flush=True)
"""
"""A controller that listens: the time of arrival and the bytes of each message."""


@contextlib.contextmanager
def client(source: str):
    """A MIDI program of its own; leaving the block pulls its plug."""
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.fixture
async def stage(tmp_path):
    """``await stage(mapping)``: a performance part with MIDI through JACK, and no sound."""
    pytest.importorskip("bridge.performance.midi_backend", reason="install rtmidi2", exc_type=ImportError)
    running = []

    async def start(mapping: str) -> Performance:
        path = tmp_path / "map.toml"
        path.write_text(mapping)
        settings = PerformanceSettings(folder=tmp_path, output="null", mapping=path, midi_backend=BACKEND)
        performance = Performance(SimpleNamespace(operations=dict), settings)
        await performance.start()
        running.append(performance)
        return performance

    yield start
    for performance in running:
        await performance.close()


async def until(condition, timeout: float = 30.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.05)


async def test_notes_through_jack_midi_reach_the_triggers(jack, stage):
    performance = await stage('[[trigger]]\non = "note"\naction = "tap"\n')
    await until(lambda: performance.state()["midi"]["open"])
    sender = (
        "import mido, time; mido.set_backend('bridge.performance.midi_backend/UNIX_JACK');"
        "name = next(n for n in mido.get_output_names() if 'acestep' in n); port = mido.open_output(name); time.sleep(0.5);"
        "[(port.send(mido.Message('note_on', note=n)), time.sleep(0.1)) for n in range(100)]"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", sender)
    await until(lambda: performance.state()["hits"] >= 5)  # of a hundred: JACK drops notes when its graph runs late
    child.kill()
    await child.wait()


async def test_a_controller_that_is_unplugged_and_comes_back_is_heard_again(jack, stage):
    """Found by the beginning of its name, gone from the state when its program is gone, and playing again when it is back."""
    performance = await stage('ports = ["pads"]\n[[trigger]]\non = "note"\naction = "tap"\ndebounce = 0\n')

    def pads() -> bool:
        return any(name.startswith("pads") for name in performance.state()["midi"]["open"])

    for _ in range(2):
        with client(PADS):
            await until(pads)
            hits = performance.state()["hits"]
            await until(lambda hits=hits: performance.state()["hits"] > hits + 3)
        await until(lambda: not pads())


async def heard_clock(performance: Performance) -> tuple[ClockInput, float]:
    """What a receiver in a process of its own hears of the clock in four seconds, read by our own clock input, and the moment
    of its last message."""
    with client(LISTENER) as child:
        assert (await asyncio.to_thread(child.stdout.readline)).strip() == "open"
        await until(lambda: performance.state()["feedback"]["clock"]["state"] == "running")
        await asyncio.sleep(4.0)
        child.kill()
        heard = (await asyncio.to_thread(child.stdout.read)).splitlines()
    await until(lambda: not performance.state()["feedback"]["open"])
    ear, last = ClockInput(), 0.0
    for line in heard:
        moment, _, data = line.partition(" ")
        last = float(moment)
        ear.feed(mido.Message.from_hex(data), last, "out")
    return ear, last


async def test_clock_through_jack_midi_tells_its_receiver_tempo_and_place(jack, stage):
    """The receiver goes away and comes back, and is told anew where the song stands. JACK loses messages when its graph runs
    late: a hearing that such a loss spoilt is repeated, a clock that is wrong stays wrong."""
    performance = await stage('feedback = "lamps"\nclock = true\n')
    performance.set_host(140.0)
    began = time.monotonic()
    good = 0
    for _ in range(8):
        ear, last = await heard_clock(performance)
        timeline = ear.timeline(last)
        off = timeline.beat_at(last) - (last - began) * 140.0 / 60
        good += timeline.running and timeline.bpm == pytest.approx(140.0, rel=0.02) and abs(off) < 0.5
        if good == 2:
            break
    assert good == 2, (timeline, off)


def test_a_sound_card_that_goes_away_is_stated_and_jobs_go_on_until_it_is_back(place, daemon, tmp_path, monkeypatch):
    """A real daemon plays through a JACK server; the server is ended and started again."""
    name = f"{SERVER}-mortal"
    monkeypatch.setenv("JACK_DEFAULT_SERVER", name)
    click = tmp_path / "click.wav"
    soundfile.write(click, np.ones((48_000, 2), np.float32), 48_000)
    with contextlib.ExitStack() as ends:
        log = ends.enter_context((tmp_path / "jackd.log").open("w"))
        server = start_server(log, name)
        ends.callback(lambda: (server.terminate(), server.wait()))
        running = daemon(performance=True, performance_output="system", performance_input="system", midi=False)
        caller = ends.enter_context(Client(str(running.paths.home)))

        def sound() -> dict:
            return caller.call("performance")["sound"]

        wait_until(lambda: sound()["state"] == "running")
        caller.call("slot.load", {"slot": 0, "path": str(click)})
        server.terminate()
        server.wait()
        wait_until(lambda: sound()["state"] == "lost" and sound()["problem"])
        assert caller.run("generate", {"caption": "while the sound is gone", "duration": 1.0})["files"]
        server = start_server(log, name)
        wait_until(lambda: sound()["state"] == "running")
        caller.call("slot.launch", {"slot": 0, "quantise": "now"})
        wait_until(lambda: sound()["playing"] == [0])
