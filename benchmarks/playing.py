"""How much of a core the player's audio callback takes, how soon a hit becomes an accepted job, how steady the MIDI clock is.

Run: ``python -m benchmarks.playing``. The player runs on the card without sound (no sound hardware is assumed), in real
time; the hit travels over a real socket into a real daemon with the fake backend, whose worker is kept busy. Beside each delay
stands what the machine itself needs for the unavoidable part of it, measured in the same run: a synced write for the job that
must be on disk, and a bare sleeping thread for the clock.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path

import mido
import numpy as np
import soundfile
from mido.sockets import connect

from bridge import Client
from bridge.launch import FREE_PORTS, start_daemon
from bridge.performance.link import PlayerLink
from bridge.performance.player.messages import Beat, Feedback, Load, Open

SLOTS = 8
SECONDS = 10.0
HITS = 250
MEMORY = Path("/dev/shm")


async def play_slots(link: PlayerLink, folder: Path) -> None:
    """Eight stereo loops with a crossfade, playing."""
    rng = np.random.default_rng(1)
    await asyncio.sleep(1.0)
    for number in range(SLOTS):
        loop = rng.uniform(-0.1, 0.1, (96_000 + 137 * number, 2)).astype(np.float32)
        soundfile.write(folder / f"{number}.wav", loop, 48_000, subtype="FLOAT")
        await link.load(Load(slot=number, path=str(folder / f"{number}.wav"), length=96_000, crossfade=100))
        await link.launch(number, time.monotonic() + 0.2)
    await asyncio.sleep(1.0)


async def callback_load(folder: Path, block: int) -> float:
    """Share of a core that the callback takes with eight stereo loops playing, median over the run."""
    loads: list[float] = []
    link = PlayerLink(lambda levels: loads.append(levels.load))
    await link.start(Open(output="null", block=block))
    await play_slots(link, folder)
    loads.clear()
    await asyncio.sleep(SECONDS)
    assert len(link.levels.playing) == SLOTS
    await link.close()
    return statistics.median(loads)


def trigger_latency(folder: Path) -> str:
    """The time from the arrival of a hit to its job being accepted and stored, over `HITS` hits, the worker being busy."""
    mapping = folder / "map.toml"
    mapping.write_text(
        '[[trigger]]\non = "note"\naction = "submit"\noperation = "generate"\n[trigger.params]\nduration = 2.0\n'
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {
        "home": folder / "home",
        "backend": "fake",
        "performance": True,
        "performance_output": "null",
        "performance_mapping": str(mapping),
        "midi": False,
        "midi_socket": port,
        "jobs_per_client": 1000,
    }
    with start_daemon({**FREE_PORTS, **settings}) as daemon, Client(str(daemon.paths.home)) as client:
        midi = connect("127.0.0.1", port)
        for hit in range(HITS):
            midi.send(mido.Message("note_on", note=hit % 128))
            time.sleep(0.02)
        while (state := client.call("performance"))["hits"] < HITS:
            time.sleep(0.1)
        return "median {:.2f} ms, p99 {:.2f} ms".format(*(state["latency"][key] * 1e3 for key in ("median", "p99")))


def synced_write(folder: Path) -> list[float]:
    """Seconds that this machine needs to append a page to a file and have it on disk: what an accepted job costs at least."""
    times = []
    with open(folder / "page", "wb", buffering=0) as file:
        for _ in range(HITS):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begin)
            time.sleep(0.02)
    return times


async def clock_delays(bpm: float) -> list[float]:
    """Distance (s) of each tick's arrival over a socket, in this process, from the straight line through all of them, while
    eight slots play beside it."""
    heard: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.TemporaryDirectory() as folder:
        server.settimeout(20)
        threading.Thread(target=_listen, args=(server, heard), daemon=True).start()
        link = PlayerLink()
        await link.start(Open(output="null", block=256))
        await play_slots(link, Path(folder))
        await link.feed_back(Feedback(output=f"tcp:127.0.0.1:{server.getsockname()[1]}"))
        now = time.monotonic()
        await link.follow(Beat(bpm=bpm, anchor=now, beat=0.0, running=True, clock=True, join=0.25))
        await asyncio.sleep(SECONDS)
        await link.close()
    return off_the_line(heard[24:])


def _listen(server: socket.socket, heard: list[float]) -> None:
    line, _ = server.accept()
    with line:
        while data := line.recv(64):
            heard.extend(time.monotonic() for byte in data if byte == 0xF8)


def sleeper_delays(step: float) -> list[float]:
    """The same of a bare thread that only sleeps to the next moment: what this machine's scheduler does to any clock."""
    begin = time.monotonic()
    woken = []
    for number in range(int(SECONDS / step)):
        time.sleep(max(0.0, begin + number * step - time.monotonic()))
        woken.append(time.monotonic())
    return off_the_line(woken)


def off_the_line(moments: list[float]) -> list[float]:
    """Distances of equally numbered moments from the least-squares line through them."""
    numbers = np.arange(len(moments))
    slope, offset = np.polyfit(numbers, moments, 1)
    return sorted(np.abs(np.asarray(moments) - slope * numbers - offset).tolist())


def spread(times: list[float]) -> str:
    """Median, 99th percentile and largest, in milliseconds."""
    ordered = sorted(times)
    picks = (ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1])
    return "median {:.2f} ms, p99 {:.2f} ms, largest {:.2f} ms".format(*(pick * 1e3 for pick in picks))


def main() -> None:
    """Print the figures as rows of the table in the README of this folder."""
    with tempfile.TemporaryDirectory() as folder:
        for block in (256, 512, 1024):
            share = asyncio.run(callback_load(Path(folder), block))
            print(f"| audio callback, {SLOTS} slots, blocks of {block} at 48 kHz | {share * 100:.1f} % of a core |")
        print(f"| hit to accepted and stored job, {HITS} hits | {trigger_latency(Path(folder))} |")
        print(f"| of that, at least: a page written and synced | {spread(synced_write(Path(folder)))} |")
    if MEMORY.is_dir():
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            print(f"| the same without a disk: the home in memory | {trigger_latency(Path(folder))} |")
    bpm = 120.0
    print(f"| ticks of the MIDI clock off their line, {bpm:g} bpm | {spread(asyncio.run(clock_delays(bpm)))} |")
    print(f"| a bare sleeping thread off its line | {spread(sleeper_delays(60 / bpm / 24))} |")
    print(f"| load of the machine meanwhile | {os.getloadavg()[0]:.1f} |")


if __name__ == "__main__":
    main()
