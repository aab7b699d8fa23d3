"""How much of a core the player's audio callback takes, and how soon a hit becomes an accepted job.

Run: ``python -m benchmarks.playing``. The player runs on the card without sound (no sound hardware is assumed), in real
time; the hit travels over a real socket into a real daemon with the fake backend, whose worker is kept busy.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import tempfile
import time
from pathlib import Path

import mido
import numpy as np
import soundfile
from mido.sockets import connect

from bridge import Client
from bridge.launch import FREE_PORTS, start_daemon
from bridge.performance.link import PlayerLink
from bridge.performance.player.messages import Load, Open

SLOTS = 8
SECONDS = 10.0
HITS = 250


async def callback_load(folder: Path, block: int) -> float:
    """Share of a core that the callback takes with eight stereo loops playing, median over the run."""
    rng = np.random.default_rng(1)
    for number in range(SLOTS):
        loop = rng.uniform(-0.1, 0.1, (96_000 + 137 * number, 2)).astype(np.float32)
        soundfile.write(folder / f"{number}.wav", loop, 48_000, subtype="FLOAT")
    loads: list[float] = []
    link = PlayerLink(lambda levels: loads.append(levels.load))
    await link.start(Open(output="null", block=block))
    await asyncio.sleep(1.0)
    for number in range(SLOTS):
        await link.load(Load(slot=number, path=str(folder / f"{number}.wav"), length=96_000, crossfade=100))
        await link.launch(number, time.monotonic() + 0.2)
    await asyncio.sleep(1.0)
    loads.clear()
    await asyncio.sleep(SECONDS)
    assert len(link.levels.playing) == SLOTS
    await link.close()
    return statistics.median(loads)


def trigger_latency(folder: Path) -> dict[str, float]:
    """Seconds from the arrival of a hit to its job being accepted and stored, over `HITS` hits, the worker being busy."""
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
        return state["latency"]


def main() -> None:
    """Print the figures as rows of the table in the README of this folder."""
    with tempfile.TemporaryDirectory() as folder:
        for block in (256, 512, 1024):
            share = asyncio.run(callback_load(Path(folder), block))
            print(f"| audio callback, {SLOTS} slots, blocks of {block} at 48 kHz | {share * 100:.1f} % of a core |")
        latency = trigger_latency(Path(folder))
        print(
            f"| hit to accepted job, {HITS} hits | median {latency['median'] * 1e3:.1f} ms, p99 {latency['p99'] * 1e3:.1f} ms |"
        )


if __name__ == "__main__":
    main()
