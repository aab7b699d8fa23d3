"""The musical settings that all stages of a job share."""

from typing import Annotated, Any, Literal

from acestep.api import limits, planning
from acestep.api.schema import Request, Written, param
from acestep.api.tempo_map import TempoPoint

AUTO_GUIDE, PULSE_GUIDE = "auto", "pulse"
"""The beat with the key's chords, and what becomes of it where the words ask for no drums: those chords, struck on every beat."""

KIT_GUIDES = ("beat", "four", "breaks", "half", "swing")
"""Rhythms of a guide that are played by a kit."""

NO_GUIDE = "none"
"""Asks for no guide, also of a model that has one of its own."""


SENTENCE = frozenset({"query"})
"""Fields that only operations which take one sentence show."""


class Conditioning(Request):
    """The musical settings that all stages share."""

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
            "Description of the whole song, if `caption` describes only a part of it. Only models tuned on stems read it.",
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
                "Tempo. Fractions are allowed: the model gets the rounded value, and new parts are resampled to match.",
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
            "Metre such as 4/4, 6/8 or 12/8 (4 and 6 mean 4/4 and 6/8). The model gets the nearest of 2/4, 3/4, 4/4 and 6/8.",
            choices="metres",
            group="music",
        ),
    ] = ""
    duration: (
        Annotated[
            float,
            param(
                "Length of the new part, or of the region from `start`, in seconds or as '8bars'. `length` in "
                "samples overrides it.",
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
                "Where bar 1 begins in the source: the length of a pick-up, or negative for a piece cut out of a song.",
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
        param("Audio file whose timbre the result should have.", max_length=limits.MAX_PATH, group="audio"),
    ] = ""
    audio_codes: (
        Annotated[list[int], param("Semantic codes at 5 Hz (0 to 63999), as the planner writes them.", group="audio")]
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
            "Share of the steps that follow the codes; later steps follow only caption and lyrics.",
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
            "Where the chords or the clip of a guide begin: at bar 1 of the song, or at the first bar of the region.",
            group="music",
        ),
    ] = "song"
    query: Annotated[
        str,
        param(
            "One sentence from which the planner makes caption, lyrics, tempo, key and length. Fields you set are kept.",
            max_length=limits.MAX_CAPTION,
            example="dark techno at 130 in F minor, two minutes",
        ),
    ] = ""
    thinking: Annotated[bool, param("Let the planner fill in missing fields (generate only).", group="planner")] = False
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
            "The planner's reasoning, as returned by `plan`: used instead of planning again.",
            max_length=limits.MAX_LYRICS,
            group="planner",
        ),
    ] = ""
    genres: Annotated[
        str,
        param(
            "Genres, separated by commas. Only the planner reads them.", max_length=limits.MAX_CAPTION, group="planner"
        ),
    ] = ""
    samples: (
        Annotated[
            list[dict[str, Any]],
            param(
                "The samples returned by `compose`, `format` or `understand`. The first one is used.",
                group="internal",
            ),
        ]
        | None
    ) = None

    @property
    def seconds(self) -> float | None:
        """The duration of an admitted request, in which nothing is written in bars any more."""
        assert not isinstance(self.duration, str)
        return self.duration
