"""The requests of the planner's operations: what may be asked, refused at the door where it cannot be."""

from typing import Annotated, Any

import msgspec

from acestep.api import limits, music
from acestep.api.conditioning import Conditioning
from acestep.api.errors import BadRequest, UnknownName
from acestep.api.formats import FORMAT_SUMMARY, FormatName
from acestep.api.planning import PlannerSettings, check_codes, refuse_control_text
from acestep.api.registry import flat_schema
from acestep.api.schema import Request, merge_schemas, param
from acestep.api.sentences import quoted
from acestep.api.source import SelectionFields
from acestep.api.thinking import check_brought_thought
from plugins.stages.generate import Generate


class SeedFields(Request):
    """Seeds of what is drawn."""

    seed: Annotated[
        int, param("Seed of the first result; -1: random.", ge=-1, le=limits.MAX_SEED, group="sampling")
    ] = -1
    seeds: Annotated[list[int], param("One seed per result; missing ones are random.", group="sampling")] | None = None
    variants: Annotated[
        int, param("Number of results with different seeds.", ge=1, le=limits.MAX_VARIANTS, group="sampling")
    ] = 1


class CodesField(Request):
    """A piece as codes."""

    audio_codes: (
        Annotated[list[int], param("Semantic codes at 5 Hz (0 to 63999), instead of audio.", group="audio")] | None
    ) = None


class ModelField(Request):
    """Which checkpoint turns audio into codes and back."""

    checkpoint: Annotated[
        str,
        param("Model whose codec and tokenizer to use; empty: the default model.", choices="models", group="model"),
    ] = ""


NOT_PLANNED = frozenset(
    {"reference", "audio_codes", "codes", "codes_strength", "guide", "thinking", "samples", "cot_text", "query"}
    | {name for name in Conditioning.__struct_fields__ if name.startswith("planner_")}
)
"""Fields of a render's conditioning that a planner's own request does not have, or names differently."""

TEXT_SETTINGS = frozenset(
    "codes codes_temperature cfg_scale negative_prompt use_metas use_caption use_language parallel batch_chunk".split()
)
"""Settings of codes and guidance, which uses that only write text do not have."""

SCORED = ("caption", "lyrics", "genres", "bpm", "duration", "key", "time_signature", "language")
"""What of a request is held against a piece."""

NOTHING_TO_SCORE = (None, "", "unknown")

PromptFields = merge_schemas("PromptFields", [Conditioning], drop=NOT_PLANNED)
MetaFields = merge_schemas("MetaFields", [Conditioning], drop=NOT_PLANNED | {"caption", "lyrics"})
TextSettings = merge_schemas("TextSettings", [PlannerSettings], drop=TEXT_SETTINGS)


def _set(request: Request, **values: Any) -> None:
    """Spell fields of a request canonically while it is being made."""
    for name, value in values.items():
        msgspec.structs.force_setattr(request, name, value)


def _check_music(request: Any) -> None:
    """Key, metre and language as the model spells them; control tokens in texts are refused."""
    _set(request, key=music.key_name(request.key), time_signature=music.model_metre_name(request.time_signature))
    if request.language not in music.LANGUAGES:
        raise UnknownName(
            f"there is no language {quoted(request.language)}",
            field="language",
            limits={"choices": list(music.LANGUAGES)},
        )
    for name in ("caption", "lyrics", "genres", "query", "negative_prompt"):
        refuse_control_text(getattr(request, name, ""), name)
    if isinstance(request.duration, (int, float)) and request.duration <= 0:
        raise BadRequest(
            "a piece is longer than nothing", field="duration", limits={"max": limits.MAX_DURATION, "unit": "s"}
        )


def _check_seeds(request: Any) -> None:
    for seed in request.seeds or ():
        if not -1 <= seed <= limits.MAX_SEED:
            raise BadRequest(
                "seeds are 0 to 4294967295, -1 for random", field="seeds", limits={"min": -1, "max": limits.MAX_SEED}
            )


def _check_piece(request: Any, *, needed: bool = True) -> None:
    """Exactly one of audio and codes, and codes inside the codebook."""
    audio = bool(request.source or request.upload)
    if request.audio_codes is not None:
        check_codes(request.audio_codes)
    if audio and request.audio_codes is not None:
        raise BadRequest("give audio or audio_codes, not both", field="audio_codes")
    if needed and not audio and request.audio_codes is None:
        raise BadRequest("name an audio file, an upload or audio_codes", field="source")


AudioFields = merge_schemas("AudioFields", [SelectionFields], drop=frozenset({"source_latent", "context", "regions"}))


class PlanRequest(merge_schemas("PlanFields", [PromptFields, SeedFields, PlannerSettings])):  # type: ignore[misc]
    """A prompt to expand."""

    cot_text: Annotated[
        str,
        param(
            "The planner's reasoning, as returned by `plan`: then only the codes are written.",
            max_length=limits.MAX_LYRICS,
            group="planner",
        ),
    ] = ""

    def __post_init__(self) -> None:
        """Check what types and ranges cannot say. Raises `BadRequest` or `UnknownName`."""
        _check_music(self)
        _check_seeds(self)
        if self.cot_text:
            check_brought_thought(self.cot_text, codes=self.codes, length=self.duration is not None)
        elif self.codes and not self.use_metas and self.duration is None:
            raise BadRequest("codes need a length: give a duration, or leave use_metas on", field="duration")


class Query(Request):
    """One sentence."""

    query: Annotated[
        str,
        param(
            "What the piece should be, in your own words; empty: a surprise.",
            max_length=limits.MAX_CAPTION,
            example="a melancholic synth ballad about leaving the city at night",
        ),
    ] = ""


class ComposeRequest(merge_schemas("ComposeFields", [Query, MetaFields, SeedFields, TextSettings])):  # type: ignore[misc]
    """A sentence to make a sample of."""

    def __post_init__(self) -> None:
        """Check what types and ranges cannot say. Raises `BadRequest` or `UnknownName`."""
        _check_music(self)
        _check_seeds(self)


SENTENCED = frozenset({"thinking", "audio_codes", "codes", "codes_strength", "cot_text", "samples"})
"""Fields of `generate` that have no sense where one sentence is planned."""

SongRequest = merge_schemas("SongRequest", [Query, flat_schema(Generate())], drop=SENTENCED)
"""A sentence to make a song of, with everything that `generate` takes besides."""


class FormatRequest(merge_schemas("FormatFields", [PromptFields, SeedFields, TextSettings])):  # type: ignore[misc]
    """Caption and lyrics to improve."""

    def __post_init__(self) -> None:
        """Check what types and ranges cannot say. Raises `BadRequest` or `UnknownName`."""
        _check_music(self)
        _check_seeds(self)


class UnderstandRequest(
    merge_schemas("UnderstandFields", [AudioFields, CodesField, ModelField, SeedFields, TextSettings])  # type: ignore[misc]
):
    """Audio or codes to describe."""

    temperature: Annotated[
        float, param("Sampling temperature; 0 always takes the likeliest token.", ge=0.0, le=2.0, group="planner")
    ] = 0.3

    def __post_init__(self) -> None:
        """Check what types and ranges cannot say. Raises `BadRequest`."""
        _check_piece(self)
        _check_seeds(self)


class CodesRequest(merge_schemas("CodesFields", [AudioFields, CodesField, ModelField])):  # type: ignore[misc]
    """Audio to turn into codes, or codes to turn into audio."""

    format: Annotated[FormatName, param(FORMAT_SUMMARY, group="output")] = "wav24"

    def __post_init__(self) -> None:
        """Check what types and ranges cannot say. Raises `BadRequest`."""
        _check_piece(self)


class ScoreRequest(merge_schemas("ScoreFields", [PromptFields, AudioFields, CodesField, ModelField])):  # type: ignore[misc]
    """Words to hold against a piece."""

    genres: Annotated[str, param("Genres, separated by commas.", max_length=limits.MAX_CAPTION)] = ""
    model: Annotated[
        str,
        param("Language model: a size (0.6B, 1.7B, 4B), a folder's name, or auto for this machine.", group="planner"),
    ] = "auto"
    alignment: Annotated[
        bool, param("Also measure how well the lyrics match the audio (needs audio).", group="planner")
    ] = False

    def __post_init__(self) -> None:
        """Check what types and ranges cannot say. Raises `BadRequest` or `UnknownName`."""
        _check_music(self)
        _check_piece(self)
        if all(getattr(self, name) in NOTHING_TO_SCORE for name in SCORED):
            raise BadRequest("there is nothing to score: give a caption, lyrics or metadata", field="caption")
        if self.alignment and not (self.source or self.upload):
            raise BadRequest("an alignment score needs audio", field="alignment")
        if self.alignment and not self.lyrics:
            raise BadRequest("an alignment score needs lyrics", field="lyrics")


class TimingRequest(merge_schemas("TimingFields", [PromptFields, AudioFields, ModelField])):  # type: ignore[misc]
    """Sung audio and its lyrics."""

    lyrics: Annotated[
        str,
        param(
            "The lyrics that are sung, with [Verse]-style tags.",
            max_length=limits.MAX_LYRICS,
            group="lyrics",
            example="[Verse] Streetlights hum along",
        ),
    ] = ""
    seed: Annotated[
        int, param("Seed for the noise used in the measurement.", ge=0, le=limits.MAX_SEED, group="sampling")
    ] = 42

    def __post_init__(self) -> None:
        """Check what types and ranges cannot say. Raises `BadRequest` or `UnknownName`."""
        _check_music(self)
        if not (self.source or self.upload):
            raise BadRequest("name an audio file or an upload", field="source")
        if not self.lyrics.strip():
            raise BadRequest("timing needs lyrics", field="lyrics")


class ExampleRequest(Request):
    """Which example to show."""

    words: Annotated[str, param("Words to look for; empty: a random example.", max_length=200)] = ""
    seed: Annotated[
        int, param("Seed of the random choice; -1: random.", ge=-1, le=limits.MAX_SEED, group="sampling")
    ] = -1
