"""Packets that mean harm, for the doors to survive: mutated, random and crafted ones, over UDP and TCP.

python -m bridge.testing.hostile OSC_UDP OSC_TCP RPC COUNT [SEED]
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
from collections.abc import Sequence

from bridge.doors.osc.framing import frame
from bridge.doors.osc.messages import encode
from bridge.doors.rpc import codec

FRAMES_PER_CONNECTION = 25

CRAFTED = [
    b"#bundle\0" + struct.pack(">Qi", 1, -4),
    b"#bundle\0" + struct.pack(">Qi", 1, 0),
    b"#bundle\0" * 4000,
    b"/" + b"*" * 12 + b"x" + b"\0\0,\0\0\0",
    b"/a\0\0," + b"[" * 30_000 + b"\0" * 3,
    b"/a\0\0,b\0\0\x7f\xff\xff\xff",
    b"\xff" * 65_000,
    encode("/ace/op/generate", ["caption", "x" * 60_000]),
    encode("/ace/op/" + "x" * 5_000, []),
    encode("/ace/job/status", ["../../etc/passwd"]),
    encode("/ace/describe", ["x" * 30_000]),
    encode("/ace/notify", [1, 70_000]),
]
"""The known ways to hang, bloat or confuse an OSC server."""

OSC_SEEDS = [encode("/ace/ping", [1]), encode("/ace/sync", [7]), encode("/ace/op/generate", ["no-such-field", 1, "x"])]

RPC_SEEDS = [
    codec.request(1, "status", {}),
    codec.request(2, "job.wait", {"id": "nobody", "timeout": 5.0}),
    b"\x93\x02\xa1m\xdd\xff\xff\xff\xff",
    b"\x91" * 5_000,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x94\x00\x01\xa1m\xdb\xff\xff\xff\xff",
]


def mutate(packet: bytes, chance: random.Random) -> bytes:
    """The packet with a few bytes changed, cut or doubled."""
    data = bytearray(packet)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        dice = chance.random()
        if dice < 0.6:
            data[at] = chance.choice((0, 0x7F, 0x80, 0xC0, 0xFF, chance.randrange(256)))
        elif dice < 0.8:
            data[at:at] = data[: chance.randint(1, 8)]
        else:
            data = data[: at + 1]
    return bytes(data)


def datagram(chance: random.Random) -> bytes:
    """One hostile OSC packet."""
    dice = chance.random()
    if dice < 0.02:
        return chance.choice(CRAFTED)
    if dice < 0.3:
        return chance.randbytes(chance.randint(1, 200))
    return mutate(chance.choice(OSC_SEEDS), chance)


def attack(osc_udp: int, osc_tcp: int, rpc: int, count: int, seed: int = 1) -> None:
    """Send ``count`` hostile packets and frames to a daemon on this machine: eight tenths of them over UDP."""
    chance = random.Random(seed)
    streams = count // 5 // FRAMES_PER_CONNECTION
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(count - streams * FRAMES_PER_CONNECTION):
            with contextlib.suppress(OSError):
                sock.sendto(datagram(chance), ("127.0.0.1", osc_udp))
            if number % 100 == 0 and streams:
                streams -= 1
                _stream(chance, osc_tcp if streams % 2 else rpc, osc=bool(streams % 2))
    while streams:
        streams -= 1
        _stream(chance, osc_tcp if streams % 2 else rpc, osc=bool(streams % 2))


def _stream(chance: random.Random, port: int, *, osc: bool) -> None:
    """One connection that sends hostile frames and leaves, perhaps in the middle of one."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.settimeout(1.0)
        for _ in range(FRAMES_PER_CONNECTION):
            if osc:
                data = frame(datagram(chance), "slip" if chance.random() < 0.5 else "length")
            else:
                data = mutate(chance.choice(RPC_SEEDS), chance)
            sock.sendall(data)


def main(arguments: Sequence[str]) -> int:
    """Attack the ports named on the command line."""
    udp, tcp, rpc, count, *seed = map(int, arguments)
    attack(udp, tcp, rpc, count, *seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
