"""Status of one client while strangers attack the doors: times, memory and descriptors under each attack.

    python -m benchmarks.strangers [--seconds 3] [ATTACK ...]

Every attack is bounded, comes from a process of its own and reaches nothing but a daemon on loopback that this program started.
After each, a job must be done and the queue not paused. docs/reliability.md keeps the table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bridge.client import Client
from bridge.doors import limits
from bridge.doors.osc.codec import NTP_EPOCH
from bridge.doors.osc.framing import frame
from bridge.doors.osc.messages import encode
from bridge.doors.rpc import codec
from bridge.launch import FREE_PORTS, start_daemon

HOST = "127.0.0.1"
PAUSE = encode("/ace/queue/pause", [])


class Target:
    """Where the daemon's doors are, and until when to attack them."""

    def __init__(self, doors: dict[str, int], seconds: float) -> None:
        self.udp, self.tcp, self.rpc, self.http = (doors[name] for name in ("udp", "tcp", "rpc", "http"))
        self.ends = time.monotonic() + seconds

    @property
    def on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self.ends

    def stream(self, port: int, data: bytes = b"") -> socket.socket:
        """A connection that has sent something."""
        sock = socket.create_connection((HOST, port), 5)
        sock.settimeout(2)
        with contextlib.suppress(OSError):
            sock.sendall(data)
        return sock


def page(target: Target) -> None:
    """What a web page can make a browser send: requests with OSC and RPC packets in their bodies."""
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4096\r\n\r\n"
    bodies = [frame(PAUSE, "slip") * 20, frame(PAUSE, "length") * 20, codec.request(1, "queue.pause", {}) * 20]
    while target.on:
        for port in (target.tcp, target.rpc):
            for body in bodies:
                with contextlib.suppress(OSError), target.stream(port, head + body) as sock:
                    sock.recv(100)


def silent(target: Target) -> None:
    """More connections than a door has places, on each TCP door, that say nothing."""
    held = [
        target.stream(port) for port in (target.tcp, target.rpc, target.http) for _ in range(limits.CONNECTIONS + 30)
    ]
    while target.on:
        time.sleep(0.1)
    for sock in held:
        sock.close()


def drip(target: Target) -> None:
    """The same with a message that has begun, and a byte of it now and then."""
    begun = {target.tcp: b"\0\0\1\0", target.rpc: b"\x94\0\1\xda\xff\xff", target.http: b"GET /"}
    held = [target.stream(port, data) for port, data in begun.items() for _ in range(limits.CONNECTIONS)]
    while target.on:
        for sock in held:
            with contextlib.suppress(OSError):
                sock.send(b"a")
        time.sleep(0.5)
    for sock in held:
        sock.close()


def _flood(target: Target, request: bytes, streams: int = 4, port: int = 0) -> None:
    """Requests without a pause on several connections whose answers are read when it suits."""
    held = [target.stream(port or target.rpc) for _ in range(streams)]
    for sock in held:
        sock.setblocking(False)
    while target.on:
        for at, sock in enumerate(held):
            try:
                sock.send(request * 64)
            except BlockingIOError:
                pass
            except OSError:
                held[at] = target.stream(port or target.rpc)
                held[at].setblocking(False)
            with contextlib.suppress(OSError):
                while sock.recv(1 << 20):
                    pass
        time.sleep(0.001)
    for sock in held:
        sock.close()


def subscriptions(target: Target) -> None:
    """Subscriptions to as many jobs as may be, pipelined."""
    _flood(target, codec.request(1, "job.subscribe", {"ids": [f"job-{n}" for n in range(limits.SUBSCRIPTIONS)]}))


def long_lists(target: Target) -> None:
    """Subscriptions to 65,000 jobs, and maps as long."""
    many = [f"j{number}" for number in range(65_000)]
    _flood(
        target, codec.request(1, "job.subscribe", {"ids": many, "after": dict.fromkeys(many[:30_000], 0)}), streams=2
    )


def descriptions(target: Target) -> None:
    """`describe` of everything, pipelined."""
    _flood(target, codec.request(1, "describe", {}))


def small_requests(target: Target) -> None:
    """The smallest request there is, as many as fit."""
    _flood(target, codec.request(1, "ping", {}), streams=16)


def wide_requests(target: Target) -> None:
    """Chains of 65,000 stages."""
    _flood(target, codec.request(1, "op.render", {"stages": [{}] * 40_000}), streams=2)


def trees(target: Target) -> None:
    """The whole OSCQuery tree, again and again."""
    _flood(target, b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % target.http, port=target.http)


def _datagrams(target: Target, packets: Callable[[int], bytes], senders: int = 1) -> None:
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(senders)]
    number = 0
    while target.on:
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.sendto(packets(number), (HOST, target.udp))
            number += 1
            if number % 200 == 0:
                time.sleep(0.01)
    for sock in socks:
        sock.close()


def refused_submits(target: Target) -> None:
    """The same refused submit, 20,000 a second."""
    bad = encode("/ace/op/generate", ["one-id", "steps", 5000])
    _datagrams(target, lambda number: bad)


def drafts(target: Target) -> None:
    """More senders than are remembered, a draft each."""
    _datagrams(
        target, lambda number: encode("/ace/op/generate/steps", [number % 8 + 1]), senders=limits.OSC_PEERS + 100
    )


def bundles(target: Target) -> None:
    """Bundles dated half a minute ahead."""
    tag = int((time.time() + 30 + NTP_EPOCH) * 2**32)
    ping = encode("/ace/ping", [1])
    dated = b"#bundle\0" + struct.pack(">Qi", tag, len(ping)) + ping
    _datagrams(target, lambda number: dated)


def echoes(target: Target) -> None:
    """Registrations of the daemon's own port, and the words that only a daemon says."""
    words = [
        encode("/ace/notify", [1, target.udp]),
        encode("/ace/error", ["/ace/x", "a", "b", "c"]),
        encode("/ace/synced", [1]),
    ]
    _datagrams(target, lambda number: words[number % len(words)])


ATTACKS: dict[str, Callable[[Target], None]] = {
    work.__name__.replace("_", "-"): work
    for work in (
        page, silent, drip, subscriptions, long_lists, descriptions, small_requests, wide_requests, trees, refused_submits,
        drafts, bundles, echoes,
    )
}  # fmt: skip


def measure(home: Path, doors: dict[str, int], attack: str, seconds: float, process: psutil.Process) -> str:
    """One row: status meanwhile, what the attack left behind in memory and descriptors."""
    memory, descriptors = process.memory_info().rss, process.num_fds()
    line = [
        sys.executable,
        "-m",
        "benchmarks.strangers",
        "--enemy",
        json.dumps(doors),
        "--seconds",
        str(seconds),
        attack,
    ]
    enemy = subprocess.Popen(line) if attack else None
    times: list[float] = []
    ends = time.monotonic() + seconds
    with Client(str(home), timeout=120.0) as client:
        while (enemy.poll() is None) if enemy else (time.monotonic() < ends):
            begun = time.perf_counter()
            client.status()
            times.append(time.perf_counter() - begun)
            time.sleep(0.005)
        assert client.result(client.submit("generate", {"caption": "fake: steps=1", "length": 480}))["files"]
        assert not client.status()["queue"]["paused"]
    time.sleep(1.0)
    ordered = [1000 * one for one in sorted(times)]
    p50, p99 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
    grown = (process.memory_info().rss - memory) / 2**20
    more = process.num_fds() - descriptors
    return f"| {attack or 'nothing'} | {p50:.1f} / {p99:.1f} / {ordered[-1]:.1f} ms | {grown:+.1f} MiB | {more:+d} |"


def run(attacks: list[str], seconds: float) -> None:
    """The table of some attacks (none: of all), against one daemon."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        settings = {**FREE_PORTS, "home": home, "backend": "fake"}
        with start_daemon(settings, timeout=60.0) as daemon:
            doors = daemon.connection
            ports = {"udp": doors["osc"]["udp"], "tcp": doors["osc"]["tcp"], "rpc": doors["rpc"]["port"]}
            ports["http"] = doors["http"]["port"]
            with Client(str(home)) as client:
                for number in range(limits.SUBSCRIPTIONS // 8):
                    client.submit("generate", {"caption": "fake: steps=1", "length": 480}, id=f"job-{number}")
                client.wait(f"job-{number}")
            process = psutil.Process(doors["pid"])
            print(f"load average {load:.1f}, {os.cpu_count()} cores, {seconds:g} s each\n")
            print("| attack | status (median / p99 / worst) | memory | descriptors |\n| --- | --- | --- | --- |")
            for attack in ["", *(attacks or ATTACKS)]:
                print(measure(home, ports, attack, seconds, process), flush=True)
            log = (daemon.paths.logs / "daemon.log").read_text("utf-8")
            assert "Traceback" not in log, "an attack came to a traceback in the log"


def main() -> None:
    """Print the table, or be the enemy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=3.0, help="time of each attack")
    parser.add_argument("--enemy", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.attacks) - set(ATTACKS):
        parser.error(f"there is no attack {', '.join(sorted(unknown))}")
    if options.enemy:
        ATTACKS[options.attacks[0]](Target(json.loads(options.enemy), options.seconds))
    else:
        run(options.attacks, options.seconds)


if __name__ == "__main__":
    main()
