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

from acestep.api.errors import AceError, BadRequest, BadTime, Busy, InternalError, NotAllowed, ProtocolError
from acestep.api.schema import convert
from bridge.doors import limits, requests
from bridge.doors.dispatch import Dispatcher, submits
from bridge.doors.osc import grammar, messages, ordinals
from bridge.doors.osc.allow import AllowList, is_of_this_machine
from bridge.doors.osc.answers import ANSWERS
from bridge.doors.osc.codec import Bundle, Message, Packet, decode, weight
from bridge.doors.osc.ordinals import Ordinal
from bridge.doors.osc.peers import Peer, Peers, Send

log = logging.getLogger(__name__)

Place = tuple[str, int, str]
"""Host, port and transport (``udp`` or ``tcp``) of a sender."""


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

    def __init__(self, desk: Dispatcher, allow: AllowList) -> None:
        self.counters = Counters()
        self.peers = Peers()
        self.own_ports: frozenset[int] = frozenset()
        """UDP ports of this door; nothing that comes from them or goes to them can be a client's."""
        self._desk = desk
        self._allow = allow
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled: set[asyncio.TimerHandle] = set()
        self._scheduled_bytes = 0
        self._scheduled_of: Counter[Place] = Counter()
        self._dumps: dict[Place, float] = {}
        self._udp: Callable[[Place], Send] | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._complaints = 0

    def open(self, udp: Callable[[Place], Send]) -> None:
        """Begin to work; ``udp`` makes a way to send to a place that registered itself."""
        self._udp = udp
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

    def take(self, data: bytes, place: Place, send: Send) -> bool:
        """A packet has come from a place. Malformed ones are counted and answered with one short error; False for those."""
        self.counters.packets += 1
        try:
            packet = decode(data)
        except ProtocolError as failure:
            self.counters.malformed += 1
            self._complain(failure, place, send)
            return False
        self._take_packet(packet, place, send)
        return True

    def _complain(self, failure: ProtocolError, place: Place, send: Send) -> None:
        """Tell a sender that its packet is malformed; a flood of them is not answered by another flood."""
        if self._complaints < limits.OSC_COMPLAINTS:
            self._complaints += 1
            self._peer(place, send).say(messages.refused("", failure), droppable=True)

    def _take_packet(self, packet: Packet, place: Place, send: Send) -> None:
        if isinstance(packet, Message):
            self._take_message(packet, place, send)
            return
        wait = packet.due - time.time()
        try:
            if wait > 0:
                self._schedule(packet, wait, place, send)
                return
        except AceError as failure:
            self._peer(place, send).say(messages.refused("#bundle", failure))
            return
        for element in packet.elements:
            self._take_packet(element, place, send)

    def _schedule(self, bundle: Bundle, wait: float, place: Place, send: Send) -> None:
        if wait > limits.OSC_SCHEDULE_SECONDS:
            most = limits.OSC_SCHEDULE_SECONDS
            raise BadTime(
                f"a bundle may be dated {most:g} s ahead, not {wait:.0f} s", limits={"max": most, "unit": "s"}
            )
        size = weight(bundle)
        if self._scheduled_of[place] >= limits.OSC_SENDER_SCHEDULED:
            most = {"bundles": limits.OSC_SENDER_SCHEDULED}
            raise Busy(f"{limits.OSC_SENDER_SCHEDULED} bundles of this sender wait for their time", limits=most)
        if len(self._scheduled) >= limits.OSC_SCHEDULED or self._scheduled_bytes + size > limits.OSC_SCHEDULED_BYTES:
            raise Busy("too many bundles are waiting for their time", limits={"bundles": limits.OSC_SCHEDULED})

        def due() -> None:
            self._scheduled.discard(timer)
            self._scheduled_bytes -= size
            self._scheduled_of[place] -= 1
            self._scheduled_of += Counter()  # forgets whoever has none
            for element in bundle.elements:
                self._take_packet(element, place, send)

        timer = asyncio.get_running_loop().call_later(wait, due)
        self._scheduled.add(timer)
        self._scheduled_of[place] += 1
        self._scheduled_bytes += size

    def _take_message(self, message: Message, place: Place, send: Send) -> None:
        self.counters.messages += 1
        if message.address in ANSWERS:
            self.counters.echoes += 1  # what a daemon says is no question; an answer could go back and forth for ever
            return
        if self._dumps:
            self._show(message, place)
        peer = self._peer(place, send)
        try:
            question = grammar.parse(message, self._desk.operation)
            self._answer(question, peer, place)
        except AceError as failure:
            self._say(_refusal(message, failure), peer, place)
        except Exception:  # a request must always get its answer, and the others their door
            log.exception("%s from %s failed", message.address, peer.name)
            self._say(_refusal(message, InternalError(f"{message.address} failed; the log says why")), peer, place)

    def _peer(self, place: Place, send: Send) -> Peer:
        known = self.peers.get(place)
        if known is not None:
            return known
        host, port, transport = place
        most = limits.OSC_OUT if transport == "udp" else None
        access = self._allow.access(host)
        return Peer(self._desk.core, f"osc:{host}:{port}", send, access=access, most=most)

    def _keep(self, peer: Peer, place: Place) -> None:
        if self.peers.get(place) is None and not self.peers.add(place, peer):
            raise Busy(f"{limits.OSC_PEERS} senders are remembered", limits={"senders": limits.OSC_PEERS})

    def _say(self, outgoing: messages.Outgoing, peer: Peer, place: Place) -> None:
        """Answer a sender; programs of its machine that registered a port of their own hear it too."""
        peer.say(outgoing)
        if not peer.registered:
            for listener in self.peers.listeners(place[0]):
                listener.say(outgoing)

    def _answer(self, question: grammar.Question, peer: Peer, place: Place) -> None:
        if isinstance(question, grammar.DraftValue):
            self._keep(peer, place)
            peer.drafts.set(question.operation, question.name, self._value(question, peer))
        elif isinstance(question, grammar.Release):
            return
        elif isinstance(question, grammar.Job):
            params = peer.drafts.take(question.operation, question.params, question.count)
            self._start(self._submit(question.operation, params, peer, place))
        elif question.verb.call is None:
            peer.access.require(question.verb.right, question.verb.osc)
            _OWN[question.verb.name](self, question, peer, place)
        else:
            self._start(self._call(question, peer, place))

    def _value(self, question: grammar.DraftValue, peer: Peer) -> Any:
        if isinstance(question.value, Ordinal):
            origin = peer.access.origin if peer.access.stranger else ""
            return ordinals.resolve(question.value, question.operation, question.field, self._desk.core, origin)
        return question.value

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= limits.OSC_PENDING:
            work.close()
            raise Busy(f"{limits.OSC_PENDING} requests are being answered", limits={"pending": limits.OSC_PENDING})
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _submit(self, operation: str, params: dict[str, Any], peer: Peer, place: Place) -> None:
        job = str(params.get("id", ""))
        try:
            self._keep(peer, place)
            answer = await self._desk.call(f"op.{operation}", params, peer)
        except AceError as failure:
            self._say(messages.rejected(job, failure), peer, place)
            return
        except Exception:  # as above
            log.exception("a submit of %s from %s failed", operation, peer.name)
            self._say(messages.rejected(job, InternalError("the submit failed; the log says why")), peer, place)
            return
        outgoing = messages.accepted(answer["id"], answer["seq"], answer["position"], answer["notes"])
        peer.say(outgoing)  # listeners hear it as an event
        peer.follow(answer["id"], answer["seq"])

    async def _call(self, question: grammar.Call, peer: Peer, place: Place) -> None:
        try:
            answer = await self._desk.call(question.verb.name, question.params, peer)
        except AceError as failure:
            self._say(messages.refused(question.verb.osc, failure), peer, place)
            return
        except Exception:  # as above
            log.exception("%s from %s failed", question.verb.osc, peer.name)
            failed = InternalError(f"{question.verb.osc} failed; the log says why")
            self._say(messages.refused(question.verb.osc, failed), peer, place)
            return
        if submits(question.verb.name):
            self._keep(peer, place)
            peer.say(messages.accepted(answer["id"], answer["seq"], answer["position"], answer["notes"]))
            peer.follow(answer["id"], answer["seq"])
            return
        for outgoing in _answers(question, answer):
            self._say(outgoing, peer, place)

    def _notify(self, question: grammar.Call, peer: Peer, place: Place) -> None:
        wish = convert(question.params, requests.Notify)
        if not wish.on:
            peer.leave()
            peer.say(("/ace/notify", [0, peer.name, limits.PROTOCOL, 0.0]))
            return
        if wish.port and place[2] != "udp":
            raise BadRequest("only a UDP sender can name another port", field="port")
        target = (place[0], wish.port, "udp") if wish.port else place
        if wish.port in self.own_ports and is_of_this_machine(place[0]):
            raise BadRequest(f"{wish.port} is the daemon's own port", field="port")
        listener = self._listener(target, peer, place)
        if not listener.registered and self.peers.registered() >= limits.OSC_LISTENERS:
            raise Busy(f"{limits.OSC_LISTENERS} listeners are registered", limits={"listeners": limits.OSC_LISTENERS})
        self._keep(listener, target)
        if wish.port:
            self.peers.answer_at(place, target)
        listener.lease(wish.lease)
        listener.say(("/ace/notify", [1, listener.name, limits.PROTOCOL, wish.lease]))

    def _listener(self, target: Place, peer: Peer, place: Place) -> Peer:
        if target == place:
            return peer
        if self._udp is None:
            raise NotAllowed("the door is closed")
        return self._peer(target, self._udp(target))

    def _sync(self, question: grammar.Call, peer: Peer, place: Place) -> None:
        n = convert(question.params, requests.Sync).n
        self._start(self._synced(n, peer, place))

    async def _synced(self, n: int, peer: Peer, place: Place) -> None:
        await self._desk.core.barrier()
        self._say(("/ace/synced", [n]), peer, place)

    def _dump(self, question: grammar.Call, peer: Peer, place: Place) -> None:
        if convert(question.params, requests.Dump).on:
            self._keep(peer, place)
            self._dumps[place] = time.monotonic() + limits.OSC_DUMP_SECONDS
            peer.lease_ends = max(peer.lease_ends, self._dumps[place])
        else:
            self._dumps.pop(place, None)

    def _show(self, message: Message, place: Place) -> None:
        text = " ".join([message.address, *(repr(value)[:200] for value in message.arguments)])
        for watcher, ends in list(self._dumps.items()):
            peer = self.peers.get(watcher)
            if peer is None or time.monotonic() > ends:
                del self._dumps[watcher]
            else:
                peer.say(("/ace/dump", [f"{place[0]}:{place[1]}", text]), droppable=True)

    def gone(self, place: Place) -> None:
        """A connection has ended."""
        self.peers.remove(place)
        self._dumps.pop(place, None)

    def close(self) -> None:
        """Stop everything that is under way."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for timer in self._scheduled:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self.peers.close()


_OWN = {"notify": OscDoor._notify, "sync": OscDoor._sync, "dump": OscDoor._dump}
"""The verbs that only this door has."""


def _answers(question: grammar.Call, answer: Any) -> Iterator[messages.Outgoing]:
    if question.verb.name == "job.result":
        return messages.result(answer)
    return messages.answer(question.verb, answer)


def _refusal(message: Message, failure: AceError) -> messages.Outgoing:
    if message.address.startswith(grammar.OPERATION_ADDRESS) and message.address.count("/") == 3:
        return messages.rejected(_given_id(message), failure)
    return messages.refused(message.address, failure)


def _given_id(message: Message) -> str:
    first = message.arguments[0] if len(message.arguments) % 2 else ""
    return first if isinstance(first, str) else ""
