"""The audio that a job works on: where it lies, which region of it, how the flat forms name both, and what its header says."""

from typing import Annotated

import msgspec

from acestep.api import limits
from acestep.api.schema import Request, Written, param


class Region(Request):
    """Where on a sound; one of each pair is enough. Everything that takes a region takes these words."""

    start: (
        Annotated[int, param("First sample of the region.", unit="samples", group="source", example=384000)]
        | Written
        | None
    ) = None
    end: (
        Annotated[int, param("Sample after the last of the region.", unit="samples", group="source", example=768000)]
        | Written
        | None
    ) = None
    start_seconds: (
        Annotated[float, param("Start of the region, instead of samples.", unit="s", group="source")] | None
    ) = None
    end_seconds: Annotated[float, param("End of the region, instead of samples.", unit="s", group="source")] | None = (
        None
    )


StageNumber = (
    Annotated[int, param("An earlier stage, counted from 1, instead of audio.", ge=1, le=limits.MAX_STAGES)] | None
)

Context = Annotated[
    float,
    param(
        "How much audio to read on each side of the region.",
        unit="s",
        ge=0.0,
        le=limits.MAX_CONTEXT_SECONDS,
        group="advanced",
    ),
]


class Source(Request):
    """Audio that is worked on, and the region of it, in samples at its own rate."""

    path: Annotated[str, param("Local audio file.", max_length=limits.MAX_PATH)] = ""
    upload: Annotated[str, param("Id of an uploaded file, instead of a path.", max_length=64)] = ""
    latent: Annotated[str, param("Id of a stored latent, instead of audio.", max_length=128)] = ""
    stage: StageNumber = None
    start: (
        Annotated[
            int,
            param(
                "First sample of the region; negative reaches before the file. None: no region (the stage's latent is used).",
                unit="samples",
            ),
        ]
        | None
    ) = 0
    length: Annotated[int, param("Length of the region; none: to the end.", unit="samples", ge=1)] | None = None
    context: Context = limits.CONTEXT_SECONDS
    fingerprint: Annotated[
        str, param("Size, time and hash of the audio that was read; set by the daemon.", group="internal")
    ] = ""

    @property
    def place(self) -> tuple[str, str, str]:
        """Which file is meant: path, upload, latent; one of them, or none for a stage's result."""
        return self.path, self.upload, self.latent


class SourceRequest(Region):
    """A source as a client names it: at most one place, and a region. Without a place it is the job's own source."""

    path: Annotated[str, param("Local audio file.", max_length=limits.MAX_PATH)] = ""
    upload: Annotated[str, param("Id of an uploaded file, instead of a path.", max_length=64)] = ""
    latent: Annotated[str, param("Id of a stored latent, instead of audio.", max_length=128)] = ""
    stage: StageNumber = None
    length: (
        Annotated[int, param("Length of the region, instead of its end.", unit="samples", ge=1)] | Written | None
    ) = None
    context: Context | None = None
    fingerprint: Annotated[
        str, param("Size, time and hash of the audio that was read; set by the daemon.", group="internal")
    ] = ""


class SelectionFields(Region):
    """How the flat form of an operation names its source and region, or several regions."""

    source: Annotated[
        str, param("Audio file to work on.", max_length=limits.MAX_PATH, group="source", example="/home/me/song.wav")
    ] = ""
    upload: Annotated[str, param("Id of an uploaded file, instead of a path.", max_length=64, group="source")] = ""
    source_latent: Annotated[str, param("Id of a stored latent, instead of audio.", max_length=128, group="source")] = (
        ""
    )
    regions: Annotated[
        list[Region],
        param(
            "Several regions instead of one, each with start and end as above. They are edited one after another in one job.",
            max_length=limits.MAX_STAGES,
            group="source",
            example=[{"start_seconds": 8.0, "end_seconds": 12.0}],
        ),
    ] = []
    context: Context = limits.CONTEXT_SECONDS


class AudioFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file's header says."""

    rate: int
    channels: int
    frames: int
    format: str = ""
    subtype: str = ""
    """Of a stored latent (format ``latent``): the family of codecs that it belongs to."""
    fingerprint: str = ""
    position: int = 0
    """Where the file says that it begins on its own timeline, in samples."""
    notes: tuple[str, ...] = ()
    """Sentences for the user about the file."""
