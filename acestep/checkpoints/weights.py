"""The tensors of a checkpoint's parts, wherever they lie: in a component's folder, or in one file of another program. No torch.

Folders hold one part under the published names or diffusers'. Files of other programs hold one part or several: ComfyUI's
all-in-one file all of them under prefixes, its split files and the GGUF files of acestep.cpp one each. Whatever the place,
`tensor_index` gives the names that the networks here know, and where each tensor is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints import gguf_header
from acestep.checkpoints.files import GGUF, tensor_table, weight_files
from acestep.checkpoints.mapping import codec_name, plain_name, to_diffusers

NETWORKS = ("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer")
"""The four networks that the published layout keeps in one file."""

CODEC, TEXT, LANGUAGE, SILENCE = "vae", "text_encoder", "language_model", "silence_latent"
"""The other parts; the silence latent is a part of its own where a file carries it along."""

LANGUAGE_VOCABULARY = 200_000
"""Rows of an embedding from which a Qwen3 is the planner (217,204) and not the text encoder (151,669)."""

TEXT_PREFIXES = ("text_encoders.", "cond_stage_model.")
CODEC_PREFIXES = ("vae.", "first_stage_model.")
"""How ComfyUI's all-in-one files mark the parts that are not the transformer."""

ACCESSORIES = ("logit_scale", "text_projection", "spiece_model", "tekken_model", "scaled_fp8")
"""Entries of ComfyUI's that are not weights of the network."""

SCALES = (".scale_weight", ".weight_scale")
"""How the factor of a weight in scaled fp8 is called, in place of ``.weight``."""

INPUT_SCALES = (".scale_input", ".input_scale", ".comfy_quant")
"""What goes with such weights and only matters to arithmetic in fp8."""

BLOCK_SCALE = ".weight_scale_2"
"""Second factor of formats with four-bit blocks, which are not opened."""

FAMILIES = (
    ("an adapter, not a model", ("lora_", "lokr_", "hada_")),
    ("ACE-Step v1", ("speaker_embedder.", "genre_embedder.", "lyric_embs.", "lyric_proj.")),
    ("MusicGen", ("enc_to_dec_proj.", "condition_provider.", "audio_encoder.")),
    ("Stable Audio", ("pretransform.", "conditioner.conditioners.")),
    ("Stable Diffusion", ("input_blocks.", "down_blocks.")),
    ("Flux", ("double_blocks.",)),
)
"""Families that are told apart by a piece of a tensor's name; the rest is called unknown."""


class StoredTensor(msgspec.Struct, frozen=True):
    """One tensor on the disk: its file, its name and shape in it, its type in the file's own word, and (scaled fp8) the name of the
    tensor it has to be multiplied with."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: str = ""


class Contents(msgspec.Struct, frozen=True):
    """What the weight files of one place hold: part -> name in our networks -> tensor."""

    parts: dict[str, dict[str, StoredTensor]]
    extra: tuple[str, ...] = ()
    """Names that belong to no part, in a place whose other tensors do."""
    family: str = ""
    """What it is instead, where none of its tensors are ours."""


def tensor_index(place: Path, part: str) -> dict[str, StoredTensor]:
    """The tensors of ``part`` at ``place`` under our names. Raises `BadCheckpoint` where there are none, `ModelMissing`."""
    found = read_contents(place, part if place.is_dir() else "")
    if part not in found.parts:
        held = f"it holds {', '.join(found.parts)}" if found.parts else f"it is {found.family}"
        raise BadCheckpoint(f"{place} has no {part.replace('_', ' ')}: {held}", field="model")
    return found.parts[part]


def extra_names(place: Path, part: str) -> tuple[str, ...]:
    """Names at ``place`` that belong to no part. Raises as `read_contents` does."""
    return read_contents(place, part if place.is_dir() else "").extra


def is_published(place: Path) -> bool:
    """Whether the networks at ``place`` lie in one file, under the original names. Raises as `read_contents` does."""
    return len(read_contents(place, "transformer" if place.is_dir() else "").parts.keys() & set(NETWORKS)) > 1


def read_contents(place: Path, part: str = "") -> Contents:
    """What lies at ``place``: a weight file, or a folder, of which ``part`` says what it is meant to be.

    Raises `BadCheckpoint` and `ModelMissing` for files that are damaged, incomplete or pickled.
    """
    files = weight_files(place)
    facts = [file.stat() for file in files]
    stamps = tuple((file, fact.st_size, fact.st_mtime_ns) for file, fact in zip(files, facts, strict=True))
    return _sorted(stamps, part)


@lru_cache(maxsize=256)
def _sorted(stamps: tuple[tuple[Path, int, int], ...], part: str) -> Contents:
    """The work of `read_contents`, done again only when a file has changed."""
    tensors: dict[str, StoredTensor] = {}
    for file, _, _ in stamps:
        for name, (shape, dtype, _) in tensor_table(file).items():
            if name in tensors:
                raise BadCheckpoint(f"{file} holds {name}, which another shard holds too", field="model")
            tensors[name] = StoredTensor(file, name, shape, dtype)
    sorter = _Sorter(with_scales(tensors), part)
    return sorter.contents(stamps[0][0])


def with_scales(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """The weights alone, each with the name of its factor. Raises `BadCheckpoint` for formats that are not opened."""
    if found := next((name for name in tensors if name.endswith(BLOCK_SCALE)), ""):
        raise BadCheckpoint(
            f"{tensors[found].file} has weights in four-bit blocks ({found}), which cannot be opened; use the bf16 or fp8 file",
            field="model",
        )
    scales = {name: name.removesuffix(end) + ".weight" for name in tensors for end in SCALES if name.endswith(end)}
    factors = {weight: name for name, weight in scales.items()}
    return {
        name: msgspec.structs.replace(stored, scale=factors.get(name, ""))
        for name, stored in tensors.items()
        if name not in scales and not name.endswith(INPUT_SCALES) and name.rpartition(".")[2] not in ACCESSORIES
    }


class _Sorter:
    """Sorts names into parts: by prefix, then by what the names without one look like."""

    def __init__(self, tensors: Mapping[str, StoredTensor], part: str) -> None:
        self._tensors = tensors
        self._part = part
        self._parts: dict[str, dict[str, StoredTensor]] = {}
        self._extra: list[str] = []

    def contents(self, file: Path) -> Contents:
        """The result; ``file`` is named in errors."""
        bare: dict[str, StoredTensor] = {}
        texts: dict[str, dict[str, StoredTensor]] = {}
        for name, stored in self._tensors.items():
            if prefix := next((prefix for prefix in TEXT_PREFIXES if name.startswith(prefix)), ""):
                key, _, rest = name.removeprefix(prefix).partition(".")
                texts.setdefault(key, {})[rest.removeprefix("transformer.")] = stored
            elif prefix := next((prefix for prefix in CODEC_PREFIXES if name.startswith(prefix)), ""):
                self._put(CODEC, codec_name(name.removeprefix(prefix)), stored)
            elif plain_name(name) == SILENCE and not self._part:
                self._put(SILENCE, SILENCE, stored)
            else:
                plain = plain_name(name)
                if plain in bare:
                    raise BadCheckpoint(f"{file} holds {plain} twice, as {bare[plain].name} and {name}", field="model")
                bare[plain] = stored
        for tensors in texts.values():
            self._put_text(tensors)
        known = self._put_bare(bare) if bare else True
        if self._parts and (known or self._part):
            return Contents(self._parts, tuple(self._extra))
        return Contents({}, family=_family(file, self._tensors))

    def _put(self, part: str, name: str, stored: StoredTensor) -> None:
        self._parts.setdefault(part, {})[name] = stored

    def _put_bare(self, bare: dict[str, StoredTensor]) -> bool:
        """Names without a part's prefix; False where they are nothing of ours."""
        if any(name.startswith(("decoder.proj_in.", "decoder.time_embed.", "tokenizer.quantizer.")) for name in bare):
            for name, stored in bare.items():
                mapped = to_diffusers(name)
                if mapped is None:
                    self._extra.append(name)
                else:
                    self._put(*mapped, stored)
        elif self._part == CODEC or (not self._part and _is_codec(bare)):
            for name, stored in bare.items():
                self._put(CODEC, codec_name(name), stored)
        elif self._part in NETWORKS:
            for name, stored in bare.items():
                self._put(self._part, name, stored)
        elif self._part in (TEXT, LANGUAGE) or _is_text(bare):
            self._put_text(bare)
        else:
            return False
        return True

    def _put_text(self, tensors: dict[str, StoredTensor]) -> None:
        """A Qwen3, whose vocabulary tells the planner from the text encoder; the planner's names keep their prefix."""
        plain = {name.removeprefix("model."): stored for name, stored in tensors.items()}
        rows = plain["embed_tokens.weight"].shape[0] if "embed_tokens.weight" in plain else 0
        part = self._part or (LANGUAGE if rows >= LANGUAGE_VOCABULARY else TEXT)
        for name, stored in plain.items():
            if part == TEXT:
                if name != "lm_head.weight":  # of a causal-LM export, tied to the embeddings
                    self._put(part, name, stored)
            else:
                self._put(part, name if name.startswith("lm_head.") else f"model.{name}", stored)


def _is_codec(names: Mapping[str, StoredTensor]) -> bool:
    plain = {codec_name(name) for name in names}
    return {"decoder.conv1.weight_g", "decoder.block.0.conv_t1.weight_v"} <= plain


def _is_text(names: Mapping[str, StoredTensor]) -> bool:
    plain = {name.removeprefix("model.") for name in names}
    return {"embed_tokens.weight", "layers.0.self_attn.q_norm.weight"} <= plain


def _family(file: Path, names: Mapping[str, StoredTensor]) -> str:
    """In a few words, what a file is that holds nothing of ours."""
    for family, pieces in FAMILIES:
        if any(piece in name for name in names for piece in pieces):
            return family if family.startswith("an ") else f"of another model family ({family})"
    if file.suffix.lower() == GGUF:
        architecture = gguf_header.read_head(file).architecture
        return f"a GGUF file of another architecture ({architecture or 'none named'})"
    shown = ", ".join(sorted(names)[:3]) or "no tensors"
    return f"of an unknown model family ({shown})"
