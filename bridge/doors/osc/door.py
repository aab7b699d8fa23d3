"""The OSC door: takes packets from its sockets, answers, and keeps order among the requests of each sender.

Status, cancel and describe are answered on the event loop at once; a submit is answered when the core has stored it. A bundle
dated ahead waits in the loop's own timers; nothing here ever sleeps.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadTime, Busy, InternalError, ProtocolError
from bridge.doors import limits
from bridge.doors.dispatch import Dispatcher
from bridge.doors.operation_methods import OPERATION_ADDRESS
from bridge.doors.osc import grammar, messages, ordinals
from bridge.doors.osc.allow import AllowList
from bridge.doors.osc.answers import ANSWERS
from bridge.doors.osc.codec import Bundle, Message, Packet, decode, weight
from bridge.doors.osc.ordinals import Ordinal
from bridge.doors.osc.peers import Peer, PeerAddress, Peers, Send
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
        self._scheduled: set[asyncio.TimerHandle] = set()
        self._scheduled_bytes = 0
        self._scheduled_of: Counter[PeerAddress] = Counter()
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
        self._take_packet(packet, address, send)
        return True

    def _complain(self, failure: ProtocolError, address: PeerAddress, send: Send) -> None:
        """Tell a sender that its packet is malformed; a flood of them is not answered by another flood."""
        if self._complaints < limits.OSC_COMPLAINTS:
            self._complaints += 1
            self.peer_at(address, send).send(messages.refused("", failure), droppable=True)

    def _take_packet(self, packet: Packet, address: PeerAddress, send: Send) -> None:
        if isinstance(packet, Message):
            self._take_message(packet, address, send)
            return
        wait = packet.due - time.time()
        try:
            if wait > 0:
                self._schedule(packet, wait, address, send)
                return
        except AceError as failure:
            self.peer_at(address, send).send(messages.refused("#bundle", failure))
            return
        for element in packet.elements:
            self._take_packet(element, address, send)

    def _schedule(self, bundle: Bundle, wait: float, address: PeerAddress, send: Send) -> None:
        if wait > limits.OSC_SCHEDULE_SECONDS:
            ahead = limits.OSC_SCHEDULE_SECONDS
            raise BadTime(
                f"a bundle may be dated {ahead:g} s ahead, not {wait:.0f} s", limits={"max": ahead, "unit": "s"}
            )
        size = weight(bundle)
        if self._scheduled_of[address] >= limits.OSC_SENDER_SCHEDULED:
            most = limits.OSC_SENDER_SCHEDULED
            raise Busy(f"{most} bundles of this sender wait for their time", limits={"bundles": most})
        if len(self._scheduled) >= limits.OSC_SCHEDULED or self._scheduled_bytes + size > limits.OSC_SCHEDULED_BYTES:
            raise Busy("too many bundles are waiting for their time", limits={"bundles": limits.OSC_SCHEDULED})

        def due() -> None:
            self._scheduled.discard(timer)
            self._scheduled_bytes -= size
            self._scheduled_of[address] -= 1
            self._scheduled_of += Counter()  # forgets whoever has none
            for element in bundle.elements:
                self._take_packet(element, address, send)

        timer = asyncio.get_running_loop().call_later(wait, due)
        self._scheduled.add(timer)
        self._scheduled_of[address] += 1
        self._scheduled_bytes += size

    def _take_message(self, message: Message, address: PeerAddress, send: Send) -> None:
        self.counters.messages += 1
        if message.address in ANSWERS:
            self.counters.echoes += 1  # what a daemon says is no question; an answer could go back and forth for ever
            return
        if self._dumps:
            self._show(message, address)
        peer = self.peer_at(address, send)
        try:
            question = grammar.parse(message, self._dispatcher.operation)
            self._answer(question, peer, address)
        except AceError as failure:
            self._send(_refusal(message, failure), peer, address)
        except Exception:  # a request must always get its answer, and the others their door
            log.exception("%s from %s failed", message.address, peer.name)
            self._send(_refusal(message, InternalError(f"{message.address} failed; the log says why")), peer, address)

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

    def _send(self, outgoing: messages.Outgoing, peer: Peer, address: PeerAddress) -> None:
        """Answer a sender; programs of its machine that registered a port of their own hear it too."""
        peer.send(outgoing)
        if not peer.registered:
            for listener in self.peers.listeners(address[0]):
                listener.send(outgoing)

    def _answer(self, question: grammar.Question, peer: Peer, address: PeerAddress) -> None:
        if isinstance(question, grammar.DraftValue):
            self.keep(peer, address)
            peer.drafts.set(question.operation, question.name, self._value(question, peer))
        elif isinstance(question, grammar.Release):
            return
        elif isinstance(question, grammar.SubmitMessage):
            params = peer.drafts.take(question.operation, question.params, question.count)
            self._start(self._submit(question.operation, params, peer, address))
        else:
            self._start(self._call(question, peer, address))

    def _value(self, question: grammar.DraftValue, peer: Peer) -> Any:
        if isinstance(question.value, Ordinal):
            origin = peer.access.origin if peer.access.stranger else ""
            return ordinals.resolve(question.value, question.operation, question.field, self._dispatcher.core, origin)
        return question.value

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= limits.OSC_PENDING:
            work.close()
            raise Busy(f"{limits.OSC_PENDING} requests are being answered", limits={"pending": limits.OSC_PENDING})
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _submit(self, operation: str, params: dict[str, Any], peer: Peer, address: PeerAddress) -> None:
        job = str(params.get("id", ""))
        try:
            self.keep(peer, address)
            answer = await self._dispatcher.call(f"op.{operation}", params, peer)
        except AceError as failure:
            self._send(messages.rejected(job, failure), peer, address)
            return
        except Exception:  # as above
            log.exception("a submit of %s from %s failed", operation, peer.name)
            self._send(messages.rejected(job, InternalError("the submit failed; the log says why")), peer, address)
            return
        outgoing = messages.accepted(answer["id"], answer["seq"], answer["position"], answer["notes"])
        peer.send(outgoing)  # listeners hear it as an event
        peer.follow(answer["id"], answer["seq"])

    async def _call(self, question: grammar.CallMessage, peer: Peer, address: PeerAddress) -> None:
        try:
            answer = await self._dispatcher.call(question.method.name, question.params, OscSender(self, peer, address))
        except AceError as failure:
            self._send(messages.refused(question.method.osc, failure), peer, address)
            return
        except Exception:  # as above
            log.exception("%s from %s failed", question.method.osc, peer.name)
            failed = InternalError(f"{question.method.osc} failed; the log says why")
            self._send(messages.refused(question.method.osc, failed), peer, address)
            return
        if question.method.submits:
            self.keep(peer, address)
            peer.send(messages.accepted(answer["id"], answer["seq"], answer["position"], answer["notes"]))
            peer.follow(answer["id"], answer["seq"])
            return
        for outgoing in _answers(question, answer):
            self._send(outgoing, peer, address)

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
        for timer in self._scheduled:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self.peers.close()


def _answers(question: grammar.CallMessage, answer: Any) -> Iterator[messages.Outgoing]:
    if question.method.name == "job.result":
        return messages.result(answer)
    return messages.answer(question.method, answer)


def _refusal(message: Message, failure: AceError) -> messages.Outgoing:
    if message.address.startswith(OPERATION_ADDRESS) and message.address.count("/") == 3:
        return messages.rejected(_given_id(message), failure)
    return messages.refused(message.address, failure)


def _given_id(message: Message) -> str:
    first = message.arguments[0] if len(message.arguments) % 2 else ""
    return first if isinstance(first, str) else ""
