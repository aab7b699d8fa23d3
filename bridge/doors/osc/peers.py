"""Who is at the other end of the OSC door: where answers go, what is being drafted, what is followed, for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from bridge.core.access import Access
from bridge.core.interface import SPARE, Core, Event
from bridge.doors import limits
from bridge.doors.following import Follower
from bridge.doors.osc import messages
from bridge.doors.osc.drafts import Drafts

Send = Callable[[bytes, bool], None]
"""Sends a packet; the flag says that it may be dropped when the other side does not read."""


PeerAddress = tuple[str, int, str]
"""Host, port and transport (``udp`` or ``tcp``)."""


class Peer:
    """An address that answers go to; `bridge.doors.osc.sender.OscSender` is the caller of each message from there.

    ``most`` bounds a packet in bytes (None on a stream).
    """

    def __init__(self, core: Core, name: str, send: Send, *, access: Access, most: int | None) -> None:
        self.name = name
        self.access = access
        self.drafts = Drafts()
        self.lease_ends = 0.0
        self._transmit = send
        self._most = most
        self._follower = Follower(core, name, self._on_event, access)
        self._own: dict[str, int] = {}  # jobs it asked for, with the last seq it heard

    def send(self, outgoing: messages.Outgoing, *, droppable: bool = False) -> None:
        """Send a message. A file's path is the one text that is never shortened: where it does not fit it is left out."""
        address, arguments = outgoing
        if address in messages.FILES and not self._fits(outgoing):
            sentence = f"the path of file {arguments[2]} of {arguments[0]} is too long for a datagram; ask over TCP"
            outgoing = (address, [*arguments[:4], "", *arguments[5:]])
            self.send(("/ace/error", [address, "too_large", "path", sentence]))
        self._transmit(messages.encode(*outgoing, self._most), droppable)

    def _fits(self, outgoing: messages.Outgoing) -> bool:
        return self._most is None or len(messages.encode(*outgoing)) <= self._most

    def _on_event(self, happened: Event) -> None:
        if happened.kind.terminal:
            self._own.pop(happened.job, None)
        elif happened.job in self._own:
            self._own[happened.job] = happened.seq
        self.send(messages.event(happened), droppable=happened.kind in SPARE)

    def follow(self, job: str, after: int) -> None:
        """Send a job's events until it ends."""
        self._own.setdefault(job, after)
        self._follower.follow(job, after)

    def follow_all(self, after: dict[str, int]) -> None:
        """Send the events of all jobs."""
        self._follower.follow_all(after)

    def unfollow(self, jobs: list[str]) -> None:
        """Send them no longer."""
        self._follower.unfollow(jobs)

    def lease(self, seconds: float) -> None:
        """Register, or renew, for the events of all jobs."""
        self.lease_ends = time.monotonic() + seconds
        self.follow_all({})

    def leave(self) -> None:
        """Give the registration up; the jobs it asked for are followed on to their end."""
        self.lease_ends = 0.0
        self.unfollow([])
        for job, seq in self._own.items():
            self._follower.follow(job, seq)

    def expire(self) -> bool:
        """End a lease that ran out. Returns whether nothing holds the peer here any more."""
        if self.lease_ends and time.monotonic() > self.lease_ends:
            self.leave()
        self.drafts.expire()
        return not (self.lease_ends or self._follower.busy or len(self.drafts))

    @property
    def busy(self) -> bool:
        """Whether it is owed events: of its jobs, or for a lease."""
        return bool(self.lease_ends) or self._follower.busy

    @property
    def registered(self) -> bool:
        """Whether it holds a lease."""
        return bool(self.lease_ends)

    def close(self) -> None:
        """Follow nothing any more."""
        self._follower.close()


class Peers:
    """The peers of the door by address (host, port, transport)."""

    def __init__(self) -> None:
        self._peers: dict[PeerAddress, Peer] = {}
        self._ports: dict[PeerAddress, PeerAddress] = {}
        self.refused = 0

    def get(self, address: PeerAddress) -> Peer | None:
        """The peer that a sender's answers go to: the address it registered, else its own; None when it is not known."""
        return self._peers.get(self._ports.get(address, address))

    def add(self, address: PeerAddress, peer: Peer) -> bool:
        """Remember a peer. False when there are too many."""
        if address not in self._peers and not self._room(peer):
            self.refused += 1
            return False
        self._peers[address] = peer
        return True

    def _room(self, newcomer: Peer) -> bool:
        """Whether there is room for one more; the sender whose draft lay untouched longest makes some."""
        for most, known in self._bounds(newcomer):
            if len(known) < most:
                continue
            self.sweep()
            idle = [(self._peers[address].drafts.touched, address) for address in known if self._idle(address)]
            if len([address for address in known if address in self._peers]) < most:
                continue
            if not idle:
                return False
            self.remove(min(idle, key=lambda row: row[0])[1])
        return True

    def _bounds(self, newcomer: Peer) -> Iterator[tuple[int, list[PeerAddress]]]:
        yield limits.OSC_PEERS, list(self._peers)
        if newcomer.access.stranger:
            origin = newcomer.access.origin
            yield limits.OSC_HOST_PEERS, [at for at, peer in self._peers.items() if peer.access.origin == origin]

    def _idle(self, address: PeerAddress) -> bool:
        """Whether nothing but drafts holds a peer here."""
        peer = self._peers.get(address)
        return peer is not None and not peer.busy

    def answer_at(self, sender: PeerAddress, address: PeerAddress) -> None:
        """Answers to ``sender`` go to ``address`` as long as that is registered; the oldest of too many senders is forgotten."""
        self._ports.pop(sender, None)
        self._ports[sender] = address
        if len(self._ports) > limits.OSC_PEERS:
            del self._ports[next(iter(self._ports))]

    def listeners(self, host: str) -> list[Peer]:
        """The registered peers of a host that listen on a port of their own choice."""
        chosen = set(self._ports.values())
        return [
            peer
            for address, peer in self._peers.items()
            if address in chosen and address[0] == host and peer.registered
        ]

    def registered(self) -> int:
        """How many leases are held."""
        return sum(peer.registered for peer in self._peers.values())

    def sweep(self) -> None:
        """Drop what has expired."""
        for address, peer in list(self._peers.items()):
            if peer.expire():
                self.remove(address)
        self._ports = {sender: address for sender, address in self._ports.items() if address in self._peers}

    def remove(self, address: PeerAddress) -> None:
        """Forget a peer."""
        peer = self._peers.pop(address, None)
        if peer is not None:
            peer.close()

    def __len__(self) -> int:
        return len(self._peers)

    def close(self) -> None:
        """Forget everybody."""
        for address in list(self._peers):
            self.remove(address)
        self._ports.clear()
