"""What the verbs of the bridge take: one small schema each, with the units and examples that the reference pages show."""

from __future__ import annotations

from typing import Annotated, Literal

from acestep.api.schema import Request, param
from bridge.doors import limits

JobName = Annotated[str, param("Id of the job.", max_length=64, example="take-1")]
UploadName = Annotated[str, param("Id of the upload.", max_length=64, example="up-0123456789abcdef")]
Sha256 = Annotated[
    str,
    param(
        "SHA-256 of the whole file in hexadecimal.",
        max_length=64,
        example="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ),
]
Index = Annotated[int, param("Index of the file in the result.", unit="files", ge=0, example=0)]


class Nothing(Request):
    """No parameters."""


class Hello(Request):
    """Who is there, and what it wants of the connection."""

    token: Annotated[str, param("The daemon's token, where one is set.", max_length=256, example="")] = ""
    client: Annotated[str, param("Name for logs and job lists.", max_length=64, example="my-script")] = ""
    protocol: Annotated[int, param("Protocol level the client was written for.", unit="level", ge=1, example=1)] = (
        limits.PROTOCOL
    )
    events: Annotated[bool, param("Whether submitted jobs send their events without being asked.", example=True)] = True
    heartbeat: Annotated[
        bool, param("Whether both sides prove every few seconds that they are alive.", example=False)
    ] = False


class Ping(Request):
    """A number that comes back."""

    n: Annotated[int, param("Any number; the answer repeats it.", unit="count", example=1)] = 0


class Describe(Request):
    """Which operation to describe."""

    operation: Annotated[str, param("Operation; empty: all.", max_length=64, example="repaint")] = ""


class Model(Request):
    """Which model."""

    model: Annotated[str, param("Model; empty: all.", max_length=256, example="")] = ""


class Feature(Request):
    """Which experimental feature, and whether it is shown."""

    name: Annotated[str, param("Feature flag.", max_length=64, example="new-thing")]
    on: Annotated[bool, param("Whether what it hides is shown.", example=True)] = True


class JobId(Request):
    """Which job."""

    id: JobName


class Rerun(Request):
    """Which job to run once more, and whether as another take."""

    job: JobName
    vary: Annotated[bool, param("Whether with new seeds; else the same samples come back.", example=False)] = False
    id: Annotated[str, param("Id of the new job; empty: the daemon makes one.", example="take-2")] = ""
    priority: Annotated[int, param("Higher runs earlier.", unit="level", ge=-10, le=10, example=0)] = 0


class Export(Request):
    """Which job to write as a project, and in which form."""

    id: JobName
    format: Annotated[
        Literal["dawproject"], param("Form of the project: DAWproject 1.0 (.dawproject).", example="dawproject")
    ] = "dawproject"


class Wait(Request):
    """Which job, and the last event already seen."""

    id: JobName
    after: Annotated[int, param("Events with a larger seq are returned.", unit="seq", ge=-1, example=-1)] = -1
    timeout: Annotated[
        float, param("Longest time to wait.", unit="s", ge=0.0, le=limits.WAIT_SECONDS, example=30.0)
    ] = 30.0


class ListJobs(Request):
    """Which jobs, newest first."""

    states: Annotated[
        list[str],
        param("States to show (queued, running, done ...); empty: all.", max_length=16, example=["done"]),
    ] = []
    search: Annotated[str, param("Text in id, operation or caption.", max_length=256, example="")] = ""
    limit: Annotated[int, param("Most jobs to return.", unit="jobs", ge=1, le=limits.LIST_JOBS, example=20)] = 100
    before: Annotated[str, param("Only jobs older than this one (for the next page).", max_length=64, example="")] = ""


class Subscribe(Request):
    """Whose events to send, and from where on."""

    ids: Annotated[list[str], param("Jobs; empty: all.", max_length=limits.SUBSCRIPTIONS, example=["take-1"])] = []
    after: Annotated[
        dict[str, int],
        param(
            "Last seq seen, by job: what came since is sent again.",
            max_length=limits.SUBSCRIPTIONS,
            example={"take-1": 3},
        ),
    ] = {}


class Unsubscribe(Request):
    """Whose events are no longer wanted."""

    ids: Annotated[list[str], param("Jobs; empty: all.", max_length=limits.SUBSCRIPTIONS, example=["take-1"])] = []


class UploadBegin(Request):
    """A file that is about to be sent. Beginning again with the same facts resumes."""

    name: Annotated[str, param("File name, for its ending and for people.", max_length=255, example="song.wav")]
    size: Annotated[int, param("Size of the file.", unit="bytes", ge=1, example=1048576)]
    sha256: Sha256


class UploadId(Request):
    """Which upload."""

    id: UploadName


class UploadChunk(Request):
    """A piece of the file, directly behind what has arrived."""

    id: UploadName
    offset: Annotated[int, param("Position of the piece in the file.", unit="bytes", ge=0, example=0)]
    data: Annotated[
        bytes, param(f"At most {limits.CHUNK} bytes.", unit="bytes", max_length=limits.CHUNK, example="(bytes)")
    ]


class DownloadBegin(Request):
    """Which file of which result."""

    id: JobName
    index: Index = 0


class DownloadChunk(Request):
    """A piece of a result file."""

    id: JobName
    index: Index = 0
    offset: Annotated[int, param("Where the piece begins.", unit="bytes", ge=0, example=0)] = 0
    length: Annotated[int, param("Most bytes to return.", unit="bytes", ge=1, le=limits.CHUNK, example=262144)] = (
        limits.CHUNK
    )


class Notify(Request):
    """Whether, where and how long a listener wants the events of all jobs."""

    on: Annotated[bool, param("1 to register or renew, 0 to leave.", example=1)] = True
    port: Annotated[int, param("UDP port to send to; 0: the sender's.", unit="port", ge=0, le=65535, example=9001)] = 0
    lease: Annotated[
        float,
        param("Time after which it must be renewed.", unit="s", ge=1.0, le=limits.OSC_MAX_LEASE_SECONDS, example=30),
    ] = limits.OSC_LEASE_SECONDS


class Sync(Request):
    """A number that comes back when all earlier requests are stored."""

    n: Annotated[int, param("Any number; the answer repeats it.", unit="count", example=1)] = 0


class Dump(Request):
    """Whether incoming messages are shown to the sender."""

    on: Annotated[bool, param("1 to see every incoming message for 30 s, 0 to stop.", example=1)] = True
