"""Every verb of the bridge, once: what all doors dispatch by, `describe` lists and the reference pages are made from.

The operations of the registry stand beside it: each is a method ``op.<operation>`` and an address
``/ace/op/<operation>`` without an entry here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from acestep.api.operation import Operation
from acestep.api.schema import FieldInfo, describe
from bridge.doors import calls, playing, requests, transfer

ALL, WIRED, RPC, OSC = (
    frozenset({"rpc", "osc", "spool"}),
    frozenset({"rpc", "spool"}),
    frozenset({"rpc"}),
    frozenset({"osc"}),
)


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a client can ask for. ``name`` is the RPC method (and the spool's); ``osc`` the address, if it has one."""

    name: str
    summary: str
    request: type[msgspec.Struct]
    call: Callable[..., Awaitable[Any]] | None = None
    """None for what only one door can do (leases, barriers); that door has the code."""
    doors: frozenset[str] = WIRED
    osc: str = ""
    positional: tuple[str, ...] = ()
    """Parameters that OSC arguments fill in order."""
    columns: tuple[str, ...] = ()
    """Keys of the answer (or of each of its rows) that an OSC answer carries, in order; none: key and value pairs."""
    answer: str
    """What comes back, in a sentence."""
    speed: Literal["fast", "job"] = "fast"
    """Fast verbs are answered by the daemon at once, whatever the worker does."""
    local: bool = False
    """Refused from another machine over OSC."""
    group: str = "daemon"
    since: int = 1

    @property
    def parameters(self) -> list[FieldInfo]:
        """The parameters with types, units, ranges and examples."""
        return describe(self.request)

    @property
    def example(self) -> dict[str, Any]:
        """Parameters of a call that shows the verb at work."""
        return {info.name: info.example for info in self.parameters if info.required or info.example not in (None, "")}


JOB_COLUMNS = ("id", "operation", "state", "seq", "position", "fraction")

_VERBS = [
    Verb(
        name="hello",
        summary="Say who you are; first of all where a token is set.",
        request=requests.Hello,
        call=calls.hello,
        doors=RPC,
        answer="Program, version, protocol, the name you go by, limits.",
    ),
    Verb(
        name="ping",
        summary="See whether the daemon is there.",
        request=requests.Ping,
        call=calls.ping,
        doors=ALL,
        osc="/ace/ping",
        positional=("n",),
        columns=("n",),
        answer="The same number.",
    ),
    Verb(
        name="version",
        summary="Program, version and protocol level.",
        request=requests.Nothing,
        call=calls.version,
        doors=ALL,
        osc="/ace/version",
        answer="Program, version, protocol level.",
    ),
    Verb(
        name="status",
        summary="How the daemon, its queue and its worker are.",
        request=requests.Nothing,
        call=calls.status,
        doors=ALL,
        osc="/ace/status",
        answer="Version, uptime, queue, worker, doors, limits, warnings.",
    ),
    Verb(
        name="describe",
        summary="Operations with every field: type, unit, range, choices, default.",
        request=requests.Describe,
        call=calls.describe,
        doors=ALL,
        osc="/ace/describe",
        positional=("operation",),
        answer="Operations with their fields; without a name also every method and address.",
    ),
    Verb(
        name="plugins.list",
        summary="Plug-ins with their state and, if one did not load, the reason.",
        request=requests.Nothing,
        call=calls.plugins,
        doors=ALL,
        osc="/ace/plugins",
        columns=("name", "version", "state", "reason"),
        answer="A row for each plug-in.",
    ),
    Verb(
        name="models.list",
        summary="Checkpoints that are here or can be downloaded.",
        request=requests.Nothing,
        call=calls.models,
        doors=ALL,
        osc="/ace/models",
        columns=("name", "variant", "present", "default", "trained"),
        answer="A row for each checkpoint.",
    ),
    Verb(
        name="models.unload",
        summary="Free the memory of a model, or of all.",
        request=requests.Model,
        call=calls.unload,
        doors=ALL,
        osc="/ace/models/unload",
        positional=("model",),
        local=True,
        answer="Nothing.",
    ),
    Verb(
        name="features.set",
        summary="Show or hide experimental operations until the daemon ends; the settings decide for longer.",
        request=requests.Feature,
        call=calls.set_feature,
        doors=ALL,
        osc="/ace/features/set",
        positional=("name", "on"),
        columns=("features",),
        local=True,
        answer="The flags that are on.",
    ),
    Verb(
        name="job.submit",
        summary="Hand in a job.",
        request=requests.Submit,
        call=calls.submit,
        speed="job",
        group="jobs",
        answer="Id, seq and place in the queue; then events until the job ends.",
    ),
    Verb(
        name="job.status",
        summary="Where a job stands.",
        request=requests.JobId,
        call=calls.job_status,
        doors=ALL,
        osc="/ace/job/status",
        positional=("id",),
        columns=JOB_COLUMNS,
        group="jobs",
        answer="State, seq, place in the queue, progress, error.",
    ),
    Verb(
        name="job.wait",
        summary="Wait for the next events of a job.",
        request=requests.Wait,
        call=calls.job_wait,
        doors=RPC,
        group="jobs",
        answer="State, whether it is final, and the events since.",
    ),
    Verb(
        name="job.cancel",
        summary="Cancel a queued or running job.",
        request=requests.JobId,
        call=calls.job_cancel,
        doors=ALL,
        osc="/ace/job/cancel",
        positional=("id",),
        columns=JOB_COLUMNS,
        group="jobs",
        answer="Where the job stands; it ends as cancelled, or as it had ended before.",
    ),
    Verb(
        name="job.list",
        summary="Jobs, newest first.",
        request=requests.ListJobs,
        call=calls.job_list,
        doors=ALL,
        osc="/ace/job/list",
        positional=("limit", "search"),
        columns=JOB_COLUMNS,
        group="jobs",
        answer="A row for each job.",
    ),
    Verb(
        name="job.result",
        summary="A job with its recipe and its files.",
        request=requests.JobId,
        call=calls.job_result,
        doors=ALL,
        osc="/ace/job/result",
        positional=("id",),
        columns=JOB_COLUMNS,
        group="jobs",
        answer="Over OSC a /ace/result for each file and the job's last word; else the whole job, files with their paths.",
    ),
    Verb(
        name="job.subscribe",
        summary="Send the events of some jobs, or of all, from a seq on.",
        request=requests.Subscribe,
        call=calls.subscribe,
        doors=RPC,
        group="jobs",
        answer="The ids; then notifications named event.",
    ),
    Verb(
        name="job.unsubscribe",
        summary="Send them no longer.",
        request=requests.Unsubscribe,
        call=calls.unsubscribe,
        doors=RPC,
        group="jobs",
        answer="Nothing.",
    ),
    Verb(
        name="queue.pause",
        summary="Start no further job; what runs goes on.",
        request=requests.Nothing,
        call=calls.pause,
        doors=ALL,
        osc="/ace/queue/pause",
        local=True,
        group="queue",
        answer="Nothing.",
    ),
    Verb(
        name="queue.resume",
        summary="Start jobs again.",
        request=requests.Nothing,
        call=calls.resume,
        doors=ALL,
        osc="/ace/queue/resume",
        local=True,
        group="queue",
        answer="Nothing.",
    ),
    Verb(
        name="queue.clear",
        summary="Cancel every job that waits.",
        request=requests.Nothing,
        call=calls.clear,
        doors=ALL,
        osc="/ace/queue/clear",
        columns=("cancelled",),
        local=True,
        group="queue",
        answer="How many were cancelled.",
    ),
    Verb(
        name="upload.begin",
        summary="Announce a file, or find out how much of it has arrived.",
        request=requests.UploadBegin,
        call=transfer.begin_upload,
        doors=RPC,
        group="files",
        answer="Id of the upload, how many bytes have arrived (go on there), whether it is complete.",
    ),
    Verb(
        name="upload.chunk",
        summary="Send the next piece of a file.",
        request=requests.UploadChunk,
        call=transfer.write_chunk,
        doors=RPC,
        group="files",
        answer="How many bytes have arrived; with the last one the sum is checked and the upload complete.",
    ),
    Verb(
        name="upload.status",
        summary="How much of a file has arrived; a complete one can be named as `upload` in a request.",
        request=requests.UploadId,
        call=transfer.upload_status,
        doors=RPC,
        group="files",
        answer="Id, size, how many bytes have arrived, whether it is complete.",
    ),
    Verb(
        name="upload.drop",
        summary="Throw an upload away.",
        request=requests.UploadId,
        call=transfer.drop_upload,
        doors=RPC,
        group="files",
        answer="Nothing.",
    ),
    Verb(
        name="download.begin",
        summary="Name, size and sum of a result file.",
        request=requests.DownloadBegin,
        call=transfer.begin_download,
        doors=RPC,
        group="files",
        answer="Name, size in bytes, SHA-256 (empty where none was stored).",
    ),
    Verb(
        name="download.chunk",
        summary="A piece of a result file.",
        request=requests.DownloadChunk,
        call=transfer.read_chunk,
        doors=RPC,
        group="files",
        answer="The bytes, their offset, and whether the file ends there.",
    ),
    Verb(
        name="performance",
        summary="Sound card, capture, MIDI, mapping and tempo: what there is and what is missing.",
        request=requests.Nothing,
        call=playing.performance_status,
        doors=ALL,
        osc="/ace/performance",
        group="playing",
        answer="State of sound, capture, MIDI, mapping and tempo.",
    ),
    Verb(
        name="slot.load",
        summary="Put an audio file into a slot.",
        request=playing.LoadSlot,
        call=playing.load_slot,
        doors=ALL,
        osc="/ace/slot/load",
        positional=("slot", "path", "loop_length", "crossfade", "choke", "gain"),
        group="playing",
        answer="The slot.",
    ),
    Verb(
        name="slot.fill",
        summary="Ask for a part ahead of time; its variants wait in the slot.",
        request=playing.FillSlot,
        call=playing.fill_slot,
        doors=WIRED,
        speed="job",
        group="playing",
        answer="Id, seq and place in the queue.",
    ),
    Verb(
        name="slot.launch",
        summary="Start a slot on the next beat, bar or bars.",
        request=playing.LaunchSlot,
        call=playing.launch_slot,
        doors=ALL,
        osc="/ace/slot/launch",
        positional=("slot", "quantise"),
        columns=("slot", "in", "late"),
        group="playing",
        answer="In how many seconds it is heard.",
    ),
    Verb(
        name="slot.stop",
        summary="Stop a slot, or all.",
        request=playing.StopSlot,
        call=playing.stop_slot,
        doors=ALL,
        osc="/ace/slot/stop",
        positional=("slot", "quantise"),
        columns=("slot", "in"),
        group="playing",
        answer="In how many seconds it ends.",
    ),
    Verb(
        name="slot.gain",
        summary="Change a slot's gain at once.",
        request=playing.SlotGain,
        call=playing.gain_slot,
        doors=ALL,
        osc="/ace/slot/gain",
        positional=("slot", "gain"),
        columns=("slot", "gain"),
        group="playing",
        answer="Slot and gain.",
    ),
    Verb(
        name="slot.variant",
        summary="Choose the variant that the next launch plays.",
        request=playing.SlotVariant,
        call=playing.choose_variant,
        doors=ALL,
        osc="/ace/slot/variant",
        positional=("slot", "variant"),
        columns=("slot", "chosen", "state"),
        group="playing",
        answer="The slot.",
    ),
    Verb(
        name="slot.list",
        summary="The slots that hold or await something.",
        request=requests.Nothing,
        call=playing.list_slots,
        doors=ALL,
        osc="/ace/slot/list",
        columns=("slot", "state", "chosen", "playing"),
        group="playing",
        answer="A row for each such slot.",
    ),
    Verb(
        name="capture.take",
        summary="Keep the last bars of the input as a file that begins and ends on bar lines.",
        request=playing.TakeBars,
        call=playing.take_bars,
        doors=ALL,
        osc="/ace/capture/take",
        positional=("bars", "name"),
        columns=("path", "frames", "rate", "bpm", "bars"),
        group="playing",
        answer="Path, length, rate and tempo of the file.",
    ),
    Verb(
        name="tempo.get",
        summary="The ruling tempo and song position.",
        request=requests.Nothing,
        call=playing.get_tempo,
        doors=ALL,
        osc="/ace/tempo",
        columns=("bpm", "beat", "metre", "source"),
        group="playing",
        answer="Tempo, position, metre, where it comes from.",
    ),
    Verb(
        name="tempo.host",
        summary="Follow the host: its tempo, and where its song stands now.",
        request=playing.HostTempo,
        call=playing.set_tempo,
        doors=ALL,
        osc="/ace/tempo/host",
        positional=("bpm", "beat", "metre", "running"),
        columns=("bpm", "beat", "metre", "source"),
        group="playing",
        answer="The ruling tempo.",
    ),
    Verb(
        name="tempo.free",
        summary="Follow the host no longer.",
        request=requests.Nothing,
        call=playing.forget_tempo,
        doors=ALL,
        osc="/ace/tempo/free",
        columns=("bpm", "beat", "metre", "source"),
        group="playing",
        answer="The ruling tempo.",
    ),
    Verb(
        name="tempo.tap",
        summary="A tap on the beat.",
        request=requests.Nothing,
        call=playing.tap_tempo,
        doors=ALL,
        osc="/ace/tempo/tap",
        columns=("bpm", "beat", "metre", "source"),
        group="playing",
        answer="The ruling tempo.",
    ),
    Verb(
        name="midi.learn",
        summary="Wait for the next hit and say how a mapping names it.",
        request=playing.Learn,
        call=playing.learn_hit,
        doors=RPC,
        group="playing",
        answer="Kind, channel, number, port, and lines for the mapping file.",
    ),
    Verb(
        name="notify",
        summary="Register for the events of all jobs and the answers to this machine, for the time of a lease.",
        request=requests.Notify,
        doors=OSC,
        osc="/ace/notify",
        positional=("on", "port", "lease"),
        group="osc",
        answer="/ace/notify on client level lease.",
    ),
    Verb(
        name="sync",
        summary="Hear when every earlier request is stored.",
        request=requests.Sync,
        doors=OSC,
        osc="/ace/sync",
        positional=("n",),
        group="osc",
        answer="/ace/synced n.",
    ),
    Verb(
        name="dump",
        summary="See every message that comes in, as text.",
        request=requests.Dump,
        doors=OSC,
        osc="/ace/dump",
        positional=("on",),
        group="osc",
        local=True,
        answer="/ace/dump from text, for 30 s.",
    ),
]

VERBS: dict[str, Verb] = {verb.name: verb for verb in _VERBS}
"""Verbs by RPC method."""

ADDRESSES: dict[str, Verb] = {verb.osc: verb for verb in _VERBS if verb.osc}
"""Verbs by OSC address."""

OPERATION_ADDRESS = "/ace/op/"
"""Prefix of an operation's address; a parameter of its draft stands behind it."""


def describe_verbs() -> list[dict[str, Any]]:
    """All verbs as maps, for clients and pages."""
    return [
        {
            "name": verb.name,
            "summary": verb.summary,
            "osc": verb.osc,
            "doors": sorted(verb.doors),
            "fields": [msgspec.to_builtins(info) for info in verb.parameters],
            "example": msgspec.to_builtins(verb.example),
            "answer": verb.answer,
            "fast": verb.speed == "fast",
            "since": verb.since,
        }
        for verb in _VERBS
    ]


def operation_example(operation: Operation) -> dict[str, Any]:
    """Parameters that show an operation at work: what it must have, and every field with an example."""
    fields = describe(operation.schema)
    shown = {info.name: info.example for info in fields if info.example is not None}
    return {**{info.name: info.default for info in fields if info.required}, **shown}


def unit(info: FieldInfo) -> str:
    """What a field is counted in: its unit, else what kind of value it is."""
    if info.unit:
        return info.unit
    if info.type in ("int", "float"):
        return "number"
    return {"str": "text", "bool": "yes or no", "bytes": "bytes"}.get(
        info.type, "list" if info.type[:4] == "list" else "map"
    )
