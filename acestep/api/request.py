"""What a job asks for: the render request, and its flat forms.

A render is one shared `Conditioning`, a chain of stages, a `Source` and an `Output`. It is canonical: samples
instead of seconds, explicit seeds, resolved names. So the request is also the recipe that travels with its result.
"""

from typing import Annotated, Any, Literal

import msgspec

from acestep.api import limits, music
from acestep.api.conditioning import Conditioning
from acestep.api.formats import FORMAT_SUMMARY, FormatName
from acestep.api.schema import Request, Written, param
from acestep.api.source import Source

FORMAT = "acestep-bridge/render"
VERSION = 2
"""2: stages name their sources. 1, whose stages counted their inputs from 0, is still read."""


Role = Literal["patch", "span", "whole", "part", "stem", "residual", "latent"]
"""What a result file is: a *patch* is the region with its crossfade handles, a *span* any asked bounds around it, *whole* the
complete source with the edit in it, *part* newly made audio, *stem* an extracted track, *residual* source minus stem."""

FileRole = Literal[Role, "copy", "plot", "log"]
"""A result may also hold a *copy*: one of the others in a lossy format, beside the exact file; and a training's *plot* and *log*,
which are not sound."""


class Output(Request):
    """Which files to return, and how they are written."""

    returns: Annotated[list[Role], param("Files to return; none: the operation's default.", group="output")] | None = (
        None
    )
    variants: Annotated[int, param("Number of results with different seeds.", ge=1, le=limits.MAX_VARIANTS)] = 1
    length: (
        Annotated[int, param("Exact length of a new part, at `rate`.", unit="samples", ge=1, group="output")]
        | Written
        | None
    ) = None
    rate: (
        Annotated[
            int,
            param(
                "Sample rate of new parts; none: the source's, else 48000.",
                unit="Hz",
                ge=limits.RATES[0],
                le=limits.RATES[1],
                group="output",
            ),
        ]
        | None
    ) = None
    channels: (
        Annotated[Literal[1, 2], param("Channels of new parts; none: the source's, else 2.", group="output")] | None
    ) = None
    format: Annotated[FormatName, param(FORMAT_SUMMARY, group="output")] = "wav24"
    folder: Annotated[
        str,
        param(
            "Folder for copies of the results, inside the allowed roots; empty: library only.",
            max_length=limits.MAX_PATH,
            group="output",
        ),
    ] = ""
    name: Annotated[
        str, param("Name of the files, without track, number and ending.", max_length=80, group="output")
    ] = ""
    span_start: Annotated[int, param("First sample of a span.", unit="samples", group="output")] | Written | None = None
    span_end: (
        Annotated[int, param("Sample after the last of a span.", unit="samples", group="output")] | Written | None
    ) = None
    level: Annotated[
        Literal["leave", "peak", "lufs"],
        param("Level of new parts: leave it as it is, or bring it to a peak or a loudness (BS.1770).", group="output"),
    ] = "leave"
    level_target: (
        Annotated[
            float,
            param(
                "The peak in dBFS or the loudness in LUFS; none: -1 or -14.",
                unit="dB",
                ge=-60.0,
                le=0.0,
                group="output",
            ),
        ]
        | None
    ) = None
    check: Annotated[
        Literal["off", "note", "retry", "conform"],
        param(
            "Measure tempo, beat, key and level of new parts. note: tell me what differs from the request; "
            "retry: try other seeds, at most twice; conform: resample to the exact tempo if it is within 0.5 %; "
            "off: do not measure.",
            group="output",
        ),
    ] = "note"
    width: Annotated[
        Literal["auto", "model"],
        param(
            "Stereo width for nano, whose output is nearly mono. auto: like the music around it, or like its "
            "source; model: unchanged.",
            group="output",
        ),
    ] = "auto"
    keep: (
        Annotated[
            int,
            param(
                "How many of the variants to keep: those that measure best (tempo, beat, key, level). The others "
                "are discarded. None: all.",
                ge=1,
                le=limits.MAX_VARIANTS,
                group="output",
                example=2,
            ),
        ]
        | None
    ) = None
    auto_score: Annotated[
        bool,
        param(
            "Score every take from 0 to 1: how close its tempo, beat, key and level are to the request.", group="output"
        ),
    ] = False
    score_scale: Annotated[
        float,
        param("How strict the scores are: below 0.5 stricter, above 0.5 milder.", ge=0.01, le=10.0, group="output"),
    ] = 0.5
    auto_timing: Annotated[
        bool,
        param("Also find when each line of the lyrics is sung, and return the times with the result.", group="output"),
    ] = False
    crossfade: Annotated[
        float,
        param(
            "Length of the crossfade at each edge of the region.",
            unit="ms",
            ge=0.0,
            le=limits.MAX_CROSSFADE_MS,
            group="output",
        ),
    ] = limits.CROSSFADE_MS
    crossfade_side: Annotated[
        Literal["outside", "inside"],
        param(
            "Where the crossfade is: outside the region, which is then all new, or inside, so that nothing outside changes.",
            group="output",
        ),
    ] = "outside"

    @property
    def frames(self) -> int | None:
        """The length in samples of an admitted request, in which nothing is written in bars any more."""
        assert not isinstance(self.length, str)
        return self.length

    @property
    def span(self) -> tuple[int | None, int | None]:
        """First sample of a span and the one after its last, likewise in numbers."""
        assert not isinstance(self.span_start, str) and not isinstance(self.span_end, str)
        return self.span_start, self.span_end


class StageParams(Request):
    """Parameters that every stage type shares; a type's own schema derives from this.

    ``auto`` (or none) takes the model variant's own value; the value used is written into the recipe.
    """

    model: Annotated[str, param("Model to use; empty: the default model.", choices="models", group="model")] = ""
    steps: (
        Annotated[
            int, param("Denoising steps; none: the model's default.", ge=1, le=limits.MAX_STEPS, group="sampling")
        ]
        | None
    ) = None
    sampler: Annotated[
        str, param("Sampler that solves the flow from noise to music.", choices="samplers", group="sampling")
    ] = "auto"
    schedule: Annotated[str, param("Spacing of the timesteps.", choices="schedules", group="sampling")] = "auto"
    shift: (
        Annotated[float, param("Timestep shift; none: the model's default.", ge=0.1, le=20.0, group="sampling")] | None
    ) = None
    timesteps: Annotated[list[float], param("Explicit timesteps from 1 towards 0.", group="sampling")] | None = None
    guidance: Annotated[str, param("Guidance method.", choices="guidance", group="guidance")] = "auto"
    guidance_scale: (
        Annotated[
            float, param("Guidance strength; 1 is off; none: the model's default.", ge=1.0, le=30.0, group="guidance")
        ]
        | None
    ) = None
    guidance_start: (
        Annotated[
            float,
            param(
                "Lowest timestep at which guidance acts; none: the model's default.", ge=0.0, le=1.0, group="guidance"
            ),
        ]
        | None
    ) = None
    guidance_end: Annotated[
        float, param("Highest timestep at which guidance acts.", ge=0.0, le=1.0, group="guidance")
    ] = 1.0
    seed: Annotated[
        int, param("Seed of the first result; -1: random.", ge=-1, le=limits.MAX_SEED, group="sampling")
    ] = -1
    seeds: Annotated[list[int], param("One seed per result; missing ones are random.", group="sampling")] | None = None
    variation: Annotated[
        float,
        param(
            "How far to depart from the take of this seed: 0 is the same take, 1 a different one.",
            ge=0.0,
            le=1.0,
            group="sampling",
        ),
    ] = 0.0
    variation_seed: Annotated[int, param("Seed of the variation.", ge=0, le=limits.MAX_SEED, group="sampling")] = 0
    condition_strength: Annotated[
        float,
        param(
            "Share of the steps that follow this task; later steps run as plain text-to-music.",
            ge=0.0,
            le=1.0,
            group="advanced",
        ),
    ] = 1.0
    velocity_limit: Annotated[
        float,
        param(
            "Limit for the norm of the velocity, relative to that of the latent; 0 is off.",
            ge=0.0,
            le=10.0,
            group="advanced",
        ),
    ] = 0.0
    velocity_average: Annotated[
        float, param("Weight of the previous velocity in a running mean; 0 is off.", ge=0.0, le=0.95, group="advanced")
    ] = 0.0
    latent_shift: Annotated[
        float,
        param("Added to the finished latents, after `latent_rescale`; 0 is off.", ge=-2.0, le=2.0, group="advanced"),
    ] = 0.0
    latent_rescale: Annotated[
        float, param("Factor for the finished latents; 1 is off.", ge=0.0, le=4.0, group="advanced")
    ] = 1.0
    correction_low: Annotated[
        float,
        param(
            "Wavelet correction of slow movements after each step: 0 is off, 0.05 is usual. Only for turbo; sft turns into noise.",
            ge=0.0,
            le=1.0,
            group="advanced",
        ),
    ] = 0.0
    correction_high: Annotated[
        float,
        param("The same for fast movements: 0 is off, 0.02 is usual.", ge=0.0, le=1.0, group="advanced"),
    ] = 0.0
    drums: Annotated[
        Literal["auto", "model", "out"],
        param(
            "Drums that the embedded model plays of its own accord: auto takes them out where the words ask for none; model leaves "
            "what it plays; out takes them out whatever the words say.",
            group="music",
        ),
    ] = "auto"
    preview: Annotated[bool, param("Decode this stage too when it is not the last.", group="output")] = False
    checkpoint_step: Annotated[int, param("Step after which the state is stored.", ge=1, group="advanced")] | None = (
        None
    )
    lora: Annotated[
        list[str],
        param(
            "LoRA adapters to use, each 'name' or 'name=scale'.", max_length=8, group="model", example=["velvet=0.8"]
        ),
    ] = []
    options: Annotated[
        list[str],
        param(
            "Parameters that only the family of this model has, each 'name=value'. `models info` lists them.",
            max_length=32,
            group="model",
            example=["omega=10"],
        ),
    ] = []
    quality: Annotated[
        str,
        param(
            "One of the model's own sets of defaults, such as 'fast' or 'quality'; empty: its usual defaults.",
            max_length=40,
            group="model",
        ),
    ] = ""
    batch: Annotated[
        bool,
        param("Run the variants together: faster on a GPU, and equal to single runs up to rounding.", group="sampling"),
    ] = False
    resume: Annotated[
        str,
        param(
            "Id of a stored step of the same stage to continue from (see checkpoint_step).",
            max_length=128,
            group="advanced",
        ),
    ] = ""
    memory: Annotated[
        Literal["keep", "offload", "unload"], param("What happens to the model after the stage.", group="model")
    ] = "keep"
    guide: Annotated[str, param("Guide for this stage only.", max_length=limits.MAX_PATH, group="chain")] | None = None
    caption: (
        Annotated[str, param("Caption for this stage only.", max_length=limits.MAX_CAPTION, group="chain")] | None
    ) = None
    lyrics: Annotated[str, param("Lyrics for this stage only.", max_length=limits.MAX_LYRICS, group="chain")] | None = (
        None
    )


CHAIN_FIELDS = frozenset({"caption", "lyrics", "guide"})
"""Stage parameters that only make sense in a job of several stages; the flat form of one stage leaves them out."""


class Stage(msgspec.Struct, frozen=True):
    """One link of the chain: a stage type's name, its typed parameters, and what makes it part of a chain."""

    type: str
    params: StageParams
    source: Source | None = None
    """What it works on; none: the stage before it, and for the first the job's source."""
    returns: tuple[Role, ...] | None = None
    """Files it returns besides those of the last stage."""

    def to_data(self) -> dict[str, Any]:
        """The stage as the plain map of a request."""
        data = {"type": self.type, **msgspec.to_builtins(self.params)}
        if self.source is not None:
            data["source"] = msgspec.to_builtins(self.source)
        return data if self.returns is None else {**data, "returns": list(self.returns)}


class Render(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The canonical request of a render job, typed.

    Admission makes it of a client's map in any form, `to_recipe` gives a map of it, and `acestep.admission.recipe` reads that back
    exactly.
    """

    stages: tuple[Stage, ...]
    conditioning: Conditioning = Conditioning()
    source: Source | None = None
    output: Output = Output()
    weights: dict[str, str] = {}
    """Digests of what the result was made with, by name of the model or ``lora/name``; empty in a request that is none's recipe."""
    made_with: str = ""
    """Name of the sound whose values it has."""
    made_on: str = ""
    """Device and number type that the result was made on; empty likewise."""
    precision: dict[str, str] = {}
    """How each model computed (`acestep.api.precision`), by its name; empty likewise."""

    def to_recipe(self) -> dict[str, Any]:
        """The request as the plain map that is stored beside the result."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "conditioning": msgspec.to_builtins(self.conditioning),
            "stages": [stage.to_data() for stage in self.stages],
            "source": None if self.source is None else msgspec.to_builtins(self.source),
            "output": msgspec.to_builtins(self.output),
            **({"weights": dict(self.weights)} if self.weights else {}),
            **({"made_with": self.made_with} if self.made_with else {}),
            **({"made_on": self.made_on} if self.made_on else {}),
            **({"precision": dict(self.precision)} if self.precision else {}),
        }


RUNTIME_CHOICES = {
    "languages": list(music.LANGUAGES),
    "keys": list(music.KEYS),
    "metres": list(music.METRES),
    "tracks": list(music.TRACKS),
}
"""Fixed tables that fields refer to with ``choices=``; the registry adds samplers, schedules, guidance and models."""
