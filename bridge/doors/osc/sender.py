"""Whoever sent an OSC message, as the methods see it: its peer, and what only a sender without a connection can ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acestep.api.errors import BadRequest, Busy, NotAllowed
from bridge.core.access import Access
from bridge.core.interface import PROTOCOL
from bridge.doors import limits
from bridge.doors.osc.allow import is_of_this_machine
from bridge.doors.osc.messages import Outgoing
from bridge.doors.osc.peers import Peer, PeerAddress

if TYPE_CHECKING:
    from bridge.doors.osc.door import OscDoor


class OscSender:
    """The caller of one message (`bridge.doors.methods.listening.Sender`)."""

    door = "osc"

    def __init__(self, door: OscDoor, peer: Peer, address: PeerAddress) -> None:
        self.name = peer.name
        self.access: Access = peer.access
        self.peer = peer
        self._door = door
        self._address = address

    def keep(self) -> None:
        """Remember who it is: what is drafted and followed. Raises `Busy` when too many are remembered."""
        self._door.keep(self.peer, self._address)

    def send(self, outgoing: Outgoing) -> None:
        """Answer; programs of its machine that registered a port of their own hear it too."""
        self.peer.send(outgoing)
        if not self.peer.registered:
            for listener in self._door.peers.listeners(self._address[0]):
                listener.send(outgoing)

    def follow(self, job: str, after: int) -> None:
        """Send a job's events until it ends."""
        self.peer.follow(job, after)

    def follow_all(self, after: dict[str, int]) -> None:
        """Send the events of all jobs."""
        self.peer.follow_all(after)

    def unfollow(self, jobs: list[str]) -> None:
        """Send them no longer."""
        self.peer.unfollow(jobs)

    def register(self, port: int, seconds: float) -> None:
        """Send the events of all jobs to this sender, or to another UDP port of its machine, for the time of a lease.

        Raises `BadRequest` for a port that cannot be meant, and `Busy` when too many listen.
        """
        if port and self._address[2] != "udp":
            raise BadRequest("only a UDP sender can register another port", field="port")
        target: PeerAddress = (self._address[0], port, "udp") if port else self._address
        if port in self._door.own_ports and is_of_this_machine(self._address[0]):
            raise BadRequest(f"{port} is the daemon's own port", field="port")
        listener = self._listener(target)
        peers = self._door.peers
        if not listener.registered and peers.registered() >= limits.OSC_LISTENERS:
            raise Busy(f"{limits.OSC_LISTENERS} listeners are registered", limits={"listeners": limits.OSC_LISTENERS})
        self._door.keep(listener, target)
        if port:
            peers.answer_at(self._address, target)
        listener.lease(seconds)
        listener.send(("/ace/notify", [1, listener.name, PROTOCOL, seconds]))

    def _listener(self, target: PeerAddress) -> Peer:
        if target == self._address:
            return self.peer
        if self._door.udp is None:
            raise NotAllowed("the door is closed")
        return self._door.peer_at(target, self._door.udp(target))

    def leave(self) -> None:
        """Give the registration up."""
        self.peer.leave()
        self.peer.send(("/ace/notify", [0, self.peer.name, PROTOCOL, 0.0]))

    def watch_traffic(self, on: bool) -> None:
        """Show this sender every message that comes in, as text, for `limits.OSC_DUMP_SECONDS`; or no longer."""
        if on:
            self.keep()
            self.peer.lease_ends = max(self.peer.lease_ends, self._door.watch(self._address))
        else:
            self._door.unwatch(self._address)
