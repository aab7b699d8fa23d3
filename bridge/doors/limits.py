"""The numbers that bound what comes through a door, each with its reason."""

from __future__ import annotations

OSC_UDP_IN = 65_507
"""Bytes of the largest datagram that IPv4 can carry."""

OSC_TCP_IN = 262_144
"""Bytes of an OSC packet over TCP: the longest lyrics in the widest UTF-8 fit with room."""

OSC_OUT = 1_200
"""Bytes of an outgoing datagram: below every usual path MTU, so that one never travels in fragments."""

OSC_DEPTH = 4
"""Bundles within bundles; no known client sends more than two."""

OSC_ELEMENTS = 64
"""Messages and bundles in one packet, so that one datagram cannot ask for unbounded work."""

OSC_SCHEDULE_SECONDS = 60.0
"""How far ahead a bundle may be dated."""

OSC_SCHEDULED = 1_024
"""Bundles that may wait for their time."""

OSC_SENDER_SCHEDULED = 128
"""Bundles of one sender that may wait for their time."""

OSC_SCHEDULED_BYTES = 8 * 1024 * 1024
"""Size of all bundles that wait for their time."""

OSC_RECEIVE_BUFFER = 4 * 1024 * 1024
"""SO_RCVBUF in bytes: the default holds about 250 small datagrams, one busy moment of a live set."""

OSC_SEND_BUFFER = 1024 * 1024
"""Bytes that may wait in a transport before progress and previews to a client that does not read are dropped."""

OSC_LEASE_SECONDS = 30.0
"""A listener that does not renew within this time is forgotten, so one that vanished costs nothing for long."""

OSC_MAX_LEASE_SECONDS = 3_600.0
"""Longest lease a client may ask for."""

OSC_LISTENERS = 32
"""Clients that may be registered at a time."""

OSC_PEERS = 512
"""Senders with drafts or running jobs that are remembered at a time."""

OSC_HOST_PEERS = 128
"""Such senders of one other machine; this machine's are bounded by `OSC_PEERS` alone."""

OSC_PENDING = 4_096
"""Requests whose answer is still being made; beyond it the answer is `busy`."""

OSC_DUMP_SECONDS = 30.0
"""How long ``/ace/dump 1`` shows traffic before it must be asked for again."""

OSC_COMPLAINTS = 50
"""Malformed packets that are answered each second; the rest is only counted."""

DRAFT_SECONDS = 600.0
"""A draft that nobody touched for this long is dropped."""

DRAFT_REPEAT_SECONDS = 5.0
"""A submitted draft answers its own repeat this long; the retries of a client end after 3.75 s."""

DRAFT_OPERATIONS = 64
"""Drafts a sender may fill at a time: a surface that sends all its faders at once reaches every operation and its plug-ins'."""

FRAME_SECONDS = 5.0
"""Time to finish a frame that has begun; a peer that stalls is closed."""

FRAME_BYTES = 16 * 1024
"""A longer message gets `FRAME_SECONDS` for each piece of this size: a slow network is let, a byte a second is not."""

CONNECTIONS = 64
"""Connections of one TCP door; the local socket has as many of its own."""

HEADER_SECONDS = 10.0
"""Time an HTTP client has to send the header of its first request."""

HTTP_BODY = 1024 * 1024
"""Bytes of the body of an HTTP request that carries no audio: as a message of the RPC door."""

CHAT_BODY = 64 * 1024 * 1024
"""Bytes of a chat request: four minutes of sound as base64; more goes up as a file over another call. One is read at a time."""

TURN_SECONDS = 0.002
"""Time (s) that all streams of a door together get in one round of the loop."""

TURN_PIECES = 16
"""Pieces (messages, or parts of one) that are taken in such a round; each may start a request that costs a fraction of a
millisecond."""

TURN_VALUES = 256
"""Values of a MessagePack message that are scanned as one piece."""

TURN_BYTES = 4 * 1024
"""Bytes of an OSC stream that are looked at as one piece."""

RPC_MESSAGE = 1024 * 1024
"""Bytes of one MessagePack message: four upload chunks."""

RPC_DEPTH = 16
"""Containers within containers; a render request has five."""

RPC_LENGTH = 65_536
"""Entries of one array or map."""

RPC_VALUES = 100_000
"""Values of one message, all containers together: an hour's semantic codes five times."""

RPC_METHOD = 128
"""Characters of a method name."""

RPC_IN_FLIGHT = 64
"""Requests of one connection that may wait for their answer; beyond it the answer is `busy`."""

JSON_BATCH = 64
"""Requests in one batch of JSON-RPC: as many as may be under way."""

JSON_ID = 256
"""Characters of a request's id; the answer repeats it."""

RPC_QUEUE_MESSAGES = 256
"""Messages that may wait for a client to read them."""

RPC_QUEUE_BYTES = 4 * 1024 * 1024
"""Bytes that may wait for a client to read them."""

RPC_BAD_TOKENS = 5
"""Wrong tokens after which a connection is closed."""

RPC_HELLO_SECONDS = 10.0
"""Time a connection has to show its token."""

HEARTBEAT_SECONDS = 10.0
"""Pause between two heartbeats of a client that asked for them."""

HEARTBEAT_MISSES = 3
"""Heartbeats in a row that may go unanswered."""

CHUNK = 256 * 1024
"""Bytes of an upload or download chunk."""

WAIT_SECONDS = 60.0
"""Longest time one ``job.wait`` holds its answer back."""

LIST_JOBS = 1_000
"""Jobs one list may return."""

SUBSCRIPTIONS = 256
"""Jobs that one call may subscribe to; whoever wants more follows all."""

SPOOL_REQUEST = 1024 * 1024
"""Bytes of a spool request."""

SPOOL_POLL_SECONDS = 0.05
"""Pause between two looks into the spool folder: far below the 150 ms a host may wait, and next to no load."""

SPOOL_FILES = 1_000
"""Status files that are kept up to date at a time."""

SPOOL_KEEP_SECONDS = 24 * 3_600.0
"""Age at which a status file that nobody fetched is removed."""

MCP_WAIT = 50.0
"""Seconds that a tool waits for its job unless told otherwise: assistants commonly give a call a minute."""

MCP_LONGEST_WAIT = 3_600.0
"""Longest time that a tool may wait for a job."""

MCP_LINE = 4 * 1024 * 1024
"""Bytes of a line that an assistant may send on standard input, as much as the package takes over HTTP."""

MCP_SESSIONS = 64
"""Assistants that may be connected over HTTP at a time."""

MCP_FILE = 16 * 1024 * 1024
"""Bytes of a file that is read as a resource, which is a text of its bytes; a larger one is fetched by its path."""

MCP_JOBS = 50
"""Jobs on a page of resources."""

GRADIO_SESSIONS = 128
"""Clients of Gradio's protocol that are known at a time."""

GRADIO_CALLS = 16
"""Calls of one such client that may be under way."""

GRADIO_SILENCE = 30.0
"""Seconds after which a client that no longer listens counts as gone; its calls are then cancelled, as Gradio does."""

GRADIO_HEARTBEAT = 15.0
"""Pause (s) between signs of life on a stream without news."""

GRADIO_FILES = 16
"""Files of one upload."""
