"""The OSC door: takes packets from its sockets, answers, and keeps order among the requests of each sender.

Status, cancel and describe are answered on the event loop at once; a submit is answered when the core has stored it. A bundle
dated ahead waits in the loop's own timers; nothing here ever sleeps.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from acestep.api.errors import AceError, Busy, InternalError, ProtocolError
from bridge.doors import limits
from bridge.doors.dispatch import Dispatcher, submits
from bridge.doors.methods import METHODS
from bridge.doors.operation_methods import OPERATION_ADDRESS
from bridge.doors.osc import grammar, messages, ordinals
from bridge.doors.osc.allow import AllowList
from bridge.doors.osc.answers import ANSWERS
from bridge.doors.osc.codec import Bundle, Message, Packet, decode
from bridge.doors.osc.ordinals import Ordinal
from bridge.doors.osc.peers import Peer, PeerAddress, Peers, Send
from bridge.doors.osc.schedule import Schedule
from bridge.doors.osc.sender import OscSender

log = logging.getLogger(__name__)


class Counters(msgspec.Struct):
    """What the door has seen, for status and metrics."""

    packets: int = 0
    malformed: int = 0
    refused: int = 0
    messages: int = 0
    echoes: int = 0
    """Messages that only a daemon sends; they are not answered."""
    dropped: int = 0
    """Progress and previews that were not sent because the receiver did not read."""


class OscDoor:
    """Everything about OSC but the sockets, which call `take` and give a way to send."""

    def __init__(self, dispatcher: Dispatcher, allow: AllowList) -> None:
        self.counters = Counters()
        self.peers = Peers()
        self.own_ports: frozenset[int] = frozenset()
        """UDP ports of this door; nothing that comes from them or goes to them can be a client's."""
        self._dispatcher = dispatcher
        self._allow = allow
        self._tasks: set[asyncio.Task[None]] = set()
        self.schedule = Schedule()
        self._dumps: dict[PeerAddress, float] = {}
        self.udp: Callable[[PeerAddress], Send] | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._complaints = 0

    def open(self, udp: Callable[[PeerAddress], Send]) -> None:
        """Begin to work; ``udp`` makes a way to send to an address that registered itself."""
        self.udp = udp
        self._sweep()

    def _sweep(self) -> None:
        self.peers.sweep()
        self._complaints = 0
        self._sweeper = asyncio.get_running_loop().call_later(1.0, self._sweep)

    def read(self) -> dict[str, float]:
        """What the door has counted, and how many it knows."""
        now = {"peers": len(self.peers), "listeners": self.peers.registered(), "pending": len(self._tasks)}
        return {**msgspec.structs.asdict(self.counters), **now}

    def allowed(self, host: str) -> bool:
        """Whether a host may speak at all."""
        if self._allow.admits(host):
            return True
        self.counters.refused += 1
        return False

    def take(self, data: bytes, address: PeerAddress, send: Send) -> bool:
        """A packet has come from an address. Malformed ones are counted and answered with one short error; False for those."""
        self.counters.packets += 1
        try:
            packet = decode(data)
        except ProtocolError as failure:
            self.counters.malformed += 1
            self._complain(failure, address, send)
            return False
        self._receive(packet, address, send)
        return True

    def _complain(self, failure: ProtocolError, address: PeerAddress, send: Send) -> None:
        """Tell a sender that its packet is malformed; a flood of them is not answered by another flood."""
        if self._complaints < limits.OSC_COMPLAINTS:
            self._complaints += 1
            self.peer_at(address, send).send(messages.refused("", failure), droppable=True)

    def _open_bundle(self, bundle: Bundle, address: PeerAddress, send: Send) -> None:
        """Receive what is in a bundle; what is dated ahead when it is its time."""
        wait = bundle.due - time.time()
        if wait <= 0:
            self._receive_all(bundle.elements, address, send)
            return
        try:
            self.schedule.add(bundle, wait, address, partial(self._receive_all, bundle.elements, address, send))
        except AceError as failure:
            self.peer_at(address, send).send(messages.refused("#bundle", failure))

    def _receive_all(self, packets: Iterable[Packet], address: PeerAddress, send: Send) -> None:
        for packet in packets:
            self._receive(packet, address, send)

    def _receive(self, message: Packet, address: PeerAddress, send: Send) -> None:
        """Do what a message asks for at once; a call becomes a task, for the core may have to wait for a disk."""
        if isinstance(message, Bundle):
            self._open_bundle(message, address, send)
            return
        self.counters.messages += 1
        if message.address in ANSWERS:
            self.counters.echoes += 1  # what a daemon says is no question; an answer could go back and forth forever
            return
        if self._dumps:
            self._show(message, address)
        sender = OscSender(self, self.peer_at(address, send), address)
        with self._refusing(message.address, _given_id(message), sender):
            question = grammar.parse(message, self._dispatcher.operation)
            if isinstance(question, grammar.DraftValue):
                sender.keep()
                sender.peer.drafts.set(question.operation, question.name, self._value(question, sender.peer))
            elif isinstance(question, grammar.CallMessage):
                if question.operation:
                    params = sender.peer.drafts.take(question.operation, question.params, question.count)
                    question = msgspec.structs.replace(question, params=params)
                if len(self._tasks) >= limits.OSC_PENDING:
                    most = limits.OSC_PENDING
                    raise Busy(f"{most} requests are being answered", limits={"pending": most})
                task = asyncio.get_running_loop().create_task(self._call(question, sender))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _call(self, call: grammar.CallMessage, sender: OscSender) -> None:
        """Call what a message asks for, and answer."""
        with self._refusing(call.address, str(call.params.get("id", "")), sender):
            if not submits(call.method):
                answer = await self._dispatcher.call(call.method, call.params, sender)
                for outgoing in messages.answer(METHODS[call.method], answer):
                    sender.send(outgoing)
                return
            sender.keep()
            accepted = await self._dispatcher.call(call.method, call.params, sender)
            words = messages.accepted(accepted["id"], accepted["seq"], accepted["position"], accepted["notes"])
            sender.peer.send(words)  # listeners hear it as an event
            sender.follow(accepted["id"], accepted["seq"])

    @contextmanager
    def _refusing(self, address: str, job: str, sender: OscSender) -> Iterator[None]:
        """Answer with an error where one is raised. A request must always get its answer, and the others their door."""
        operation = address.startswith(OPERATION_ADDRESS) and address.count("/") == OPERATION_ADDRESS.count("/")
        try:
            yield
        except Exception as error:
            if isinstance(error, AceError):
                failure = error
            else:
                log.exception("%s from %s failed", address, sender.name)
                failure = InternalError(f"{address} failed; the log says why")
            sender.send(messages.rejected(job, failure) if operation else messages.refused(address, failure))

    def peer_at(self, address: PeerAddress, send: Send) -> Peer:
        """The peer that answers to an address go to; a new one where none is remembered."""
        known = self.peers.get(address)
        if known is not None:
            return known
        host, port, transport = address
        most = limits.OSC_OUT if transport == "udp" else None
        access = self._allow.access(host)
        return Peer(self._dispatcher.core, f"osc:{host}:{port}", send, access=access, most=most)

    def keep(self, peer: Peer, address: PeerAddress) -> None:
        """Remember a peer. Raises `Busy` when too many are remembered."""
        if self.peers.get(address) is None and not self.peers.add(address, peer):
            raise Busy(f"{limits.OSC_PEERS} senders are remembered", limits={"senders": limits.OSC_PEERS})

    def _value(self, question: grammar.DraftValue, peer: Peer) -> Any:
        if isinstance(question.value, Ordinal):
            origin = peer.access.origin if peer.access.stranger else ""
            return ordinals.resolve(question.value, question.operation, question.field, self._dispatcher.core, origin)
        return question.value

    def watch(self, address: PeerAddress) -> float:
        """Show every message that comes in to a peer; returns until when (monotonic s)."""
        self._dumps[address] = time.monotonic() + limits.OSC_DUMP_SECONDS
        return self._dumps[address]

    def unwatch(self, address: PeerAddress) -> None:
        """Show them no longer."""
        self._dumps.pop(address, None)

    def _show(self, message: Message, address: PeerAddress) -> None:
        text = " ".join([message.address, *(repr(value)[:200] for value in message.arguments)])
        for watcher, ends in list(self._dumps.items()):
            peer = self.peers.get(watcher)
            if peer is None or time.monotonic() > ends:
                del self._dumps[watcher]
            else:
                peer.send(("/ace/dump", [f"{address[0]}:{address[1]}", text]), droppable=True)

    def gone(self, address: PeerAddress) -> None:
        """A connection has ended."""
        self.peers.remove(address)
        self._dumps.pop(address, None)

    def close(self) -> None:
        """Stop everything that is under way."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.schedule.close()
        for task in self._tasks:
            task.cancel()
        self.peers.close()


def _given_id(message: Message) -> str:
    first = message.arguments[0] if len(message.arguments) % 2 else ""
    return first if isinstance(first, str) else ""
