"""What a job asks for: the render request, and its flat forms.

A render is one shared `Conditioning`, a chain of stages, a `Source` and an `Output` wish. It is canonical: samples
instead of seconds, explicit seeds, resolved names. So the request is also the recipe that travels with its result.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from acestep.api import limits, music, planning
from acestep.api.formats import FORMAT_SUMMARY, FormatName
from acestep.api.schema import Request, param
from acestep.api.tempo_map import TempoPoint

FORMAT = "acestep-bridge/render"
VERSION = 2
"""2: stages name their sources. 1, whose stages counted their inputs from 0, is still read."""


Written = Annotated[str, msgspec.Meta(max_length=40)]
"""A position or a length as musicians write it (`acestep.api.positions`), in a field of samples or seconds. Admission makes it a
number, so canonical requests hold none."""


class Conditioning(Request):
    """The musical wish that all stages share."""

    caption: Annotated[
        str,
        param(
            "What it should sound like: genre, mood, instruments.",
            max_length=limits.MAX_CAPTION,
            example="warm lofi house, rhodes, brushed drums",
        ),
    ] = ""
    global_caption: Annotated[
        str,
        param(
            "The whole song, where `caption` describes one part of it. Only read by models that were tuned on stems.",
            max_length=limits.MAX_CAPTION,
            group="advanced",
        ),
    ] = ""
    lyrics: Annotated[
        str,
        param(
            "Lyrics with [Verse]-style tags; empty for instrumental music.",
            max_length=limits.MAX_LYRICS,
            group="lyrics",
        ),
    ] = ""
    language: Annotated[str, param("Language code of the lyrics.", choices="languages", group="lyrics")] = "unknown"
    instrumental: Annotated[bool, param("Ask for music without vocals even if lyrics are given.", group="lyrics")] = (
        False
    )
    bpm: (
        Annotated[
            float,
            param(
                "Tempo. Fractions are allowed: the model sees the rounded value, new parts are conformed.",
                unit="bpm",
                ge=limits.BPM_RANGE[0],
                le=limits.BPM_RANGE[1],
                group="music",
                example=120.0,
            ),
        ]
        | None
    ) = None
    key: Annotated[str, param("Key such as 'F# minor'.", choices="keys", group="music", example="A minor")] = ""
    time_signature: Annotated[
        str,
        param(
            "Metre such as 4/4, 6/8 or 12/8 (4 and 6 mean 4/4 and 6/8). The model sees the nearest of 2/4, 3/4, 4/4 and 6/8.",
            choices="metres",
            group="music",
        ),
    ] = ""
    duration: (
        Annotated[
            float,
            param(
                "Length of the part, or of the region from `start` on, in seconds or as '8bars'; a length in samples wins.",
                unit="s",
                ge=0.0,
                le=limits.MAX_DURATION,
                group="music",
            ),
        ]
        | Written
        | None
    ) = None
    bar_offset: (
        Annotated[
            int,
            param(
                "Where bar 1 begins on the source's timeline: the length of a pick-up, negative for a piece cut out of a song.",
                unit="samples",
                group="music",
                example=14400,
            ),
        ]
        | Written
        | None
    ) = None
    tempo_map: (
        Annotated[
            list[TempoPoint],
            param(
                "Tempo map of the song, instead of bar_offset: points of sample, bpm (quarters), metre and bar.",
                group="music",
                example=[{"sample": 0, "bpm": 96.5, "metre": "4/4", "bar": 1}],
            ),
        ]
        | None
    ) = None
    reference: Annotated[
        str,
        param("Audio file whose timbre the result should take on.", max_length=limits.MAX_PATH, group="audio"),
    ] = ""
    audio_codes: (
        Annotated[list[int], param("Semantic codes at 5 Hz (0 to 63999), as the planner makes them.", group="audio")]
        | None
    ) = None
    codes: (
        Annotated[
            list[list[int]],
            param("Semantic codes per variant, as `plan` gives them; one sequence serves all variants.", group="audio"),
        ]
        | None
    ) = None
    codes_strength: Annotated[
        float,
        param(
            "Share of the steps that follow the codes; the later ones run on words alone.",
            ge=0.0,
            le=1.0,
            group="audio",
        ),
    ] = 1.0
    guide: Annotated[
        str,
        param(
            "Rhythm and harmony to follow: 'auto', 'beat', a chord line such as 'Am F C G', the path of a MIDI file, or 'none'.",
            max_length=limits.MAX_PATH,
            group="music",
            example="Am F C G",
        ),
    ] = ""
    guide_from: Annotated[
        Literal["song", "region"],
        param(
            "Where a guide's chords or clip begin: with bar 1 of the song, or with the region's first bar.",
            group="music",
        ),
    ] = "song"
    thinking: Annotated[bool, param("Let the planner fill in what is not given (generate only).", group="planner")] = (
        False
    )
    planner_model: planning.PlannerName = "auto"
    planner_backend: planning.BackendName = "auto"
    planner_codes: planning.WithCodes = True
    planner_metas: planning.WithMetas = True
    planner_caption: planning.WithCaption = True
    planner_language: planning.WithLanguage = True
    planner_temperature: planning.Temperature = 0.85
    planner_metadata_temperature: planning.MetadataTemperature | None = None
    planner_codes_temperature: planning.CodesTemperature | None = None
    planner_cfg_scale: planning.CfgScale = 2.0
    planner_negative_prompt: planning.NegativePrompt = ""
    planner_top_k: planning.TopK = 0
    planner_top_p: planning.TopP = 0.9
    planner_repetition_penalty: planning.RepetitionPenalty = 1.0
    planner_parallel: planning.Parallel = True
    planner_batch_chunk: planning.BatchChunk | None = None
    planner_debug: planning.DebugLog = False
    cot_text: Annotated[
        str,
        param(
            "A thought of the planner, as `plan` gives it: taken up instead of thinking again.",
            max_length=limits.MAX_LYRICS,
            group="planner",
        ),
    ] = ""
    genres: Annotated[
        str,
        param(
            "Genres, separated by commas; the planner alone reads them.", max_length=limits.MAX_CAPTION, group="planner"
        ),
    ] = ""
    samples: (
        Annotated[
            list[dict[str, Any]],
            param(
                "All samples of an answer of `compose`, `format` or `understand`; its first one is used.",
                group="internal",
            ),
        ]
        | None
    ) = None


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
        "Audio a side that is read besides the region.",
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
    start: Annotated[int, param("First sample of the region; negative reaches before the file.", unit="samples")] = 0
    length: Annotated[int, param("Length of the region; none: to the end.", unit="samples", ge=1)] | None = None
    context: Context = limits.CONTEXT_SECONDS
    fingerprint: Annotated[
        str, param("Size, time and hash of the read window; set by the daemon.", group="internal")
    ] = ""

    @property
    def place(self) -> tuple[str, str, str]:
        """Which file is meant: path, upload, latent; one of them, or none for a stage's result."""
        return self.path, self.upload, self.latent


class SourceWish(Region):
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
        str, param("Size, time and hash of the read window; set by the daemon.", group="internal")
    ] = ""


Role = Literal["patch", "span", "whole", "part", "stem", "residual", "latent"]
"""What a result file is: a *patch* is the region with its crossfade handles, a *span* any asked bounds around it, *whole* the
complete source with the edit in it, *part* newly made audio, *stem* an extracted track, *residual* source minus stem."""

FileRole = Literal[Role, "copy"]
"""A result may also hold a *copy*: one of the others in a lossy format, beside the exact file."""


class Output(Request):
    """Which files to return, and how they are written."""

    returns: (
        Annotated[list[Role], param("Files to return; none: what the operation returns by itself.", group="output")]
        | None
    ) = None
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
    name: Annotated[str, param("Stem of the file names.", max_length=80, group="output")] = ""
    span_start: Annotated[int, param("First sample of a span.", unit="samples", group="output")] | Written | None = None
    span_end: (
        Annotated[int, param("Sample after the last of a span.", unit="samples", group="output")] | Written | None
    ) = None
    level: Annotated[
        Literal["leave", "peak", "lufs"],
        param("Level of new parts: as the model made them, at a peak, or at a loudness (BS.1770).", group="output"),
    ] = "leave"
    level_target: (
        Annotated[
            float,
            param(
                "The peak in dBFS or loudness in LUFS; none: -1 or -14.", unit="dB", ge=-60.0, le=0.0, group="output"
            ),
        ]
        | None
    ) = None
    check: Annotated[
        Literal["off", "note", "retry", "conform"],
        param(
            "Listen to new parts (tempo, beat, key, level) and tell what is not as asked; retry: make it again with other seeds, "
            "at most twice; conform: also play it at the asked tempo where it is within 0.5 %.",
            group="output",
        ),
    ] = "note"
    crossfade: Annotated[
        float,
        param("Splice crossfade at each region edge.", unit="ms", ge=0.0, le=limits.MAX_CROSSFADE_MS, group="output"),
    ] = limits.CROSSFADE_MS
    crossfade_side: Annotated[
        Literal["outside", "inside"],
        param(
            "Where the crossfade lies: outside the region, which is all new, or inside, so that nothing outside changes.",
            group="output",
        ),
    ] = "outside"


class StageParams(Request):
    """Parameters that every stage type shares; a type's own schema derives from this.

    ``auto`` (or none) takes the model variant's own value; the value used is written into the recipe.
    """

    model: Annotated[str, param("Checkpoint to use; empty: the default one.", choices="models", group="model")] = ""
    steps: (
        Annotated[int, param("Denoising steps; none: the variant's.", ge=1, le=limits.MAX_STEPS, group="sampling")]
        | None
    ) = None
    sampler: Annotated[str, param("Solver.", choices="samplers", group="sampling")] = "auto"
    schedule: Annotated[str, param("Spacing of the timesteps.", choices="schedules", group="sampling")] = "auto"
    shift: Annotated[float, param("Timestep shift; none: the variant's.", ge=0.1, le=20.0, group="sampling")] | None = (
        None
    )
    timesteps: Annotated[list[float], param("Explicit timesteps from 1 towards 0.", group="sampling")] | None = None
    guidance: Annotated[str, param("Guidance method.", choices="guidance", group="guidance")] = "auto"
    guidance_scale: (
        Annotated[float, param("Guidance strength; 1 is off; none: the variant's.", ge=1.0, le=30.0, group="guidance")]
        | None
    ) = None
    guidance_start: (
        Annotated[
            float,
            param("Lowest timestep at which guidance acts; none: the variant's.", ge=0.0, le=1.0, group="guidance"),
        ]
        | None
    ) = None
    guidance_end: Annotated[
        float, param("Highest timestep at which guidance acts.", ge=0.0, le=1.0, group="guidance")
    ] = 1.0
    seed: Annotated[
        int, param("Seed of the first result; -1: random.", ge=-1, le=limits.MAX_SEED, group="sampling")
    ] = -1
    seeds: Annotated[list[int], param("A seed per result; missing ones are random.", group="sampling")] | None = None
    variation: Annotated[
        float,
        param(
            "How far to stray from the seed's own take: 0 the same, 1 another one.", ge=0.0, le=1.0, group="sampling"
        ),
    ] = 0.0
    variation_seed: Annotated[int, param("Seed of the variation.", ge=0, le=limits.MAX_SEED, group="sampling")] = 0
    condition_strength: Annotated[
        float,
        param(
            "Share of the steps that follow this task; the later ones run as plain text to music.",
            ge=0.0,
            le=1.0,
            group="advanced",
        ),
    ] = 1.0
    velocity_limit: Annotated[
        float,
        param("Limit of the velocity's norm relative to the latent's; 0 is off.", ge=0.0, le=10.0, group="advanced"),
    ] = 0.0
    velocity_average: Annotated[
        float, param("Weight of the previous velocity in a running mean; 0 is off.", ge=0.0, le=0.95, group="advanced")
    ] = 0.0
    latent_shift: Annotated[
        float,
        param("Added to the finished latents, after `latent_rescale`; 0 is off.", ge=-2.0, le=2.0, group="advanced"),
    ] = 0.0
    latent_rescale: Annotated[
        float, param("Factor of the finished latents; 1 is off.", ge=0.0, le=4.0, group="advanced")
    ] = 1.0
    correction_low: Annotated[
        float,
        param(
            "Wavelet correction of slow movements after each step: 0 is off, 0.05 usual. For turbo only: sft turns to noise.",
            ge=0.0,
            le=1.0,
            group="advanced",
        ),
    ] = 0.0
    correction_high: Annotated[
        float,
        param("The same of fast movements: 0 is off, 0.02 usual.", ge=0.0, le=1.0, group="advanced"),
    ] = 0.0
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
    batch: Annotated[
        bool,
        param("Run the variants together: faster on a GPU, equal to single runs to rounding only.", group="sampling"),
    ] = False
    resume: Annotated[
        str,
        param(
            "Id of a stored step of the same stage to go on from (see checkpoint_step).",
            max_length=128,
            group="advanced",
        ),
    ] = ""
    memory: Annotated[
        Literal["keep", "offload", "unload"], param("What happens to the model after the stage.", group="model")
    ] = "keep"
    guide: Annotated[str, param("Guide of this stage alone.", max_length=limits.MAX_PATH, group="chain")] | None = None
    caption: (
        Annotated[str, param("Caption of this stage alone.", max_length=limits.MAX_CAPTION, group="chain")] | None
    ) = None
    lyrics: Annotated[str, param("Lyrics of this stage alone.", max_length=limits.MAX_LYRICS, group="chain")] | None = (
        None
    )


CHAIN_FIELDS = frozenset({"caption", "lyrics", "guide"})
"""Stage parameters that only make sense in a job of several stages; the flat form of one stage leaves them out."""


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
            "Several regions instead of one, each with start and end as above: edited one after another in one job.",
            max_length=limits.MAX_STAGES,
            group="source",
            example=[{"start_seconds": 8.0, "end_seconds": 12.0}],
        ),
    ] = []
    context: Context = limits.CONTEXT_SECONDS


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


class Render(msgspec.Struct, frozen=True, kw_only=True):
    """The canonical request of a render job, typed.

    `acestep.api.registry.Registry.render` builds it from a client's map (or a flat form) and `to_recipe` gives the
    map back; both directions are exact.
    """

    stages: tuple[Stage, ...]
    conditioning: Conditioning = Conditioning()
    source: Source | None = None
    output: Output = Output()
    weights: dict[str, str] = {}
    """Digests of what the result was made with, by name of the model or ``lora/name``; empty in a request that is none's recipe."""
    made_on: str = ""
    """Device and number type that the result was made on; empty likewise."""

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
            **({"made_on": self.made_on} if self.made_on else {}),
        }


def samples(seconds: float, rate: int) -> int:
    """The one rule that turns seconds into samples: ``floor(seconds * rate + 0.5)``."""
    return int((seconds * rate + 0.5) // 1)


RUNTIME_CHOICES = {
    "languages": list(music.LANGUAGES),
    "keys": list(music.KEYS),
    "metres": list(music.METRES),
    "tracks": list(music.TRACKS),
}
"""Fixed tables that fields refer to with ``choices=``; the registry adds samplers, schedules, guidance and models."""
