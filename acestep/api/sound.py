"""Named sounds: reference, adapter, seed, words ... kept under a name, and taken by any operation that makes sound.

A sound is data, like a preset, but holds no chain: its values lie under those that a request gives itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from acestep.api.conditioning import Conditioning
from acestep.api.errors import BadPreset, BadRequest
from acestep.api.request import CHAIN_FIELDS, StageParams
from acestep.api.schema import Request, convert, describe, inside, merge_schemas, param
from acestep.api.sentences import quoted
from acestep.api.text import read_text

FORMAT = "acestep-bridge/sound"
VERSION = 1
SUFFIX = ".sound.json"
MAX_BYTES = 256 * 1024
"""A sound is a page of text."""

OF_ONE_RUN = frozenset(
    "duration bar_offset tempo_map guide_from audio_codes codes cot_text samples query checkpoint_step resume preview "
    "timesteps".split()
)
"""Fields that say how long or where one run was, not how it sounds."""

OF_A_JOB = ("caption", "global_caption", "reference", "genres", "model", "lora", "seed")
"""What of a job is kept when it is saved as a sound."""

SoundValues = merge_schemas("SoundValues", [Conditioning, StageParams], drop=OF_ONE_RUN)
"""What a sound may say."""

SHARED = frozenset(SoundValues.__struct_fields__) & frozenset(Conditioning.__struct_fields__)
"""Those of its fields that all stages of a job share; the others are parameters of each stage."""


SoundName = Annotated[
    str,
    param(
        "One of your saved sounds. Its reference, adapter, seed and caption are used unless you set them here.",
        max_length=40,
        choices="sounds",
        group="sound",
    ),
]


class SoundField(Request):
    """How a request names a sound."""

    sound: SoundName = ""


class Sound(Request, kw_only=True):
    """Values under a name."""

    name: Annotated[str, param("Name of the sound.", max_length=40)]
    title: Annotated[str, param("Name for people.", max_length=80)] = ""
    values: Annotated[dict[str, Any], param("The fields that it sets, as in a request.")]
    format: Annotated[str, param("Format name of the file.")] = FORMAT
    version: Annotated[int, param("Version of that format.", unit="level")] = VERSION


def check_sound(sound: Sound) -> Sound:
    """The sound, if its values are some. Raises `BadRequest` that names the field inside ``values``, `BadPreset`."""
    if sound.format != FORMAT or sound.version > VERSION:
        raise BadPreset(
            f"{sound.name} is a file of {quoted(sound.format)} version {sound.version}; this version reads {FORMAT} up to "
            f"{VERSION}",
            field="format" if sound.format != FORMAT else "version",
            limits={"max": VERSION},
        )
    if not sound.values:
        raise BadRequest("a sound needs at least one value: a reference, a lora, a seed, a caption ...", field="values")
    inside("values", lambda: convert(sound.values, SoundValues))
    return sound


def read_sound(path: Path) -> Sound:
    """A sound from its file. Raises `BadPreset` that says what is wrong with it."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadPreset(f"{path.name} is too large for a sound", limits={"max": MAX_BYTES})
        return check_sound(convert(msgspec.json.decode(read_text(path)), Sound))
    except OSError as failure:
        raise BadPreset(f"{path.name} cannot be read: {failure.strerror}") from None
    except (UnicodeDecodeError, RecursionError, msgspec.MsgspecError):
        raise BadPreset(f"{path.name} is not a sound: it is not valid JSON") from None
    except BadRequest as failure:
        raise BadPreset(f"{path.name} is not a sound: {failure.message}", field=failure.field) from None


def sound_of(name: str, request: Mapping[str, Any]) -> Sound:
    """The sound of a finished render: its words and reference, and the model, adapters and seed of its first stage.

    Raises `BadRequest` for a request that is not a render, or that says none of it.
    """
    stages = request.get("stages")
    if not stages:
        raise BadRequest("only jobs that make sound have a sound to keep", field="job")
    usual = {info.name: info.default for info in describe(SoundValues)}
    said = {**(request.get("conditioning") or {}), **{key: stages[0].get(key) for key in ("model", "lora", "seed")}}
    values = {key: said[key] for key in OF_A_JOB if said.get(key) not in (None, usual[key])}
    return check_sound(Sound(name=name, values=values))


def values_under(sound: Sound, given: Mapping[str, Any], takes: frozenset[str]) -> dict[str, Any]:
    """What a sound adds to fields that are ``given``: its values of the fields that ``takes`` names and that are not there yet.

    Seeds are one thing: neither ``seed`` nor ``seeds`` is added beside the other.
    """
    taken = {"seed", "seeds"} if {"seed", "seeds"} & given.keys() else set()
    return {
        name: value for name, value in sound.values.items() if name in takes and name not in given and name not in taken
    }


STAGE_FIELDS = frozenset(SoundValues.__struct_fields__) & frozenset(StageParams.__struct_fields__) - CHAIN_FIELDS
"""Fields of a sound that are parameters of a stage."""
