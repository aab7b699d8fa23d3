"""Which files make up each published model, and where they are published. No torch, no network."""

from __future__ import annotations

from pathlib import Path

import msgspec

from acestep.api.errors import BadRequest, UnknownName
from acestep.api.family import NO_FAMILIES, Download, Families
from acestep.api.variants import VARIANTS
from acestep.checkpoints.info import PREFIX
from acestep.checkpoints.layout import SILENCE, TEXT_ENCODER, VAE
from acestep.checkpoints.published import (
    KNOWN,
    MAIN_BUNDLE,
    REVISIONS,
    STORED_FLOAT32,
    bytes_of,
    license_of,
    weights_of,
)
from acestep.planner import planner_models

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
CONFIGS = ("config.json", SILENCE)
TOKENIZER = (
    "tokenizer*.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
"""What is fetched of a folder; never Python files or pickles, which are not needed."""


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """Files of one repository for one part: those in its folder ``inner`` ("": its root) that match ``patterns`` go to
    ``target`` below the checkpoint folder."""

    repository: str
    inner: str
    target: str
    patterns: tuple[str, ...]
    revision: str = ""
    """Commit, tag or branch; empty: the newest."""
    weights: bool = True
    """Whether there are weights among them; a tokenizer alone has none."""
    told: Download | None = None
    """What its family says of it; None: it stands in the tables of `acestep.checkpoints.published`."""

    @property
    def size(self) -> int:
        """Bytes of its files, as far as they are known before the hub is asked; 0: unknown."""
        return self.told.size_bytes if self.told else bytes_of(self.target)

    @property
    def license(self) -> str:
        """Licence of what it holds."""
        return self.told.license if self.told else license_of(self.target)

    @property
    def remark(self) -> str:
        """What has to be known before it is fetched, in a sentence."""
        return self.told.remark if self.told else ""

    @property
    def memory(self) -> int:
        """Bytes of its weights in bfloat16."""
        return self.told.memory_bytes if self.told else weights_of(self.target) - _spared(self)


SHARED = (
    Package(repository=MAIN_BUNDLE, inner=VAE, target=VAE, patterns=("config.json", *WEIGHTS)),
    Package(
        repository=MAIN_BUNDLE, inner=TEXT_ENCODER, target=TEXT_ENCODER, patterns=("config.json", *WEIGHTS, *TOKENIZER)
    ),
)
"""Parts that all models use."""


COMPANIONS = "companions"
"""Name of the small parts that ComfyUI's files leave out, and of the folder they go to."""

BY_NAME = {
    "shared": SHARED,
    COMPANIONS: (
        Package(repository=MAIN_BUNDLE, inner=f"{PREFIX}turbo", target=COMPANIONS, patterns=(SILENCE,), weights=False),
        Package(
            repository=MAIN_BUNDLE,
            inner=TEXT_ENCODER,
            target=f"{COMPANIONS}/{TEXT_ENCODER}",
            patterns=TOKENIZER,
            weights=False,
        ),
        Package(
            repository=MAIN_BUNDLE,
            inner=f"{planner_models.PREFIX}1.7B",
            target=f"{COMPANIONS}/{planner_models.PREFIX}tokenizer",
            patterns=TOKENIZER,
            weights=False,
        ),
    ),
}
"""What can be downloaded and is no model: parts that others lend."""


LANGUAGE = "lm-"
"""How the short names of language models begin: ``lm-1.7B``."""


def language_model(name: str) -> str:
    """The planner's own name of a language model that is called by its short or its published name; empty for anything else."""
    for prefix in (LANGUAGE, planner_models.PREFIX):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return ""


def packages(name: str, families: Families = NO_FAMILIES) -> list[Package]:
    """What has to be on disk for a model, the shared parts included. Raises `UnknownName` with the published ones."""
    for spec in families.values():
        if name in (own := spec.described().published()):
            return [_told(download) for download in own[name]]
    if name in BY_NAME:
        return list(BY_NAME[name])
    size = language_model(name)
    if size in planner_models.REPOSITORIES:
        return [_language_package(size)]
    plain = name.removeprefix(PREFIX)
    variant = VARIANTS.get(plain)
    if variant is None or not variant.repository:
        choices = published(families)
        raise UnknownName(f"there is no published model {name!r}", field="model", limits={"choices": choices})
    inner = PREFIX + plain if variant.repository == MAIN_BUNDLE else ""
    files = (*CONFIGS, *WEIGHTS)
    return [Package(repository=variant.repository, inner=inner, target=PREFIX + plain, patterns=files), *SHARED]


def _language_package(size: str) -> Package:
    repository, folder = planner_models.REPOSITORIES[size], f"{planner_models.PREFIX}{size}"
    inner = folder if repository == MAIN_BUNDLE else ""
    patterns = ("config.json", "generation_config.json", *WEIGHTS, *TOKENIZER)
    return Package(repository=repository, inner=inner, target=folder, patterns=patterns)


def _told(download: Download) -> Package:
    """What a family wants to have fetched."""
    return Package(
        repository=download.repository,
        inner=download.inner,
        target=download.target,
        patterns=download.patterns,
        told=download,
    )


def published(families: Families = NO_FAMILIES) -> list[str]:
    """Short names of the models that can be downloaded, language models last."""
    own = [name for name, variant in VARIANTS.items() if variant.repository]
    others = [name for spec in families.values() for name in spec.described().published()]
    return [*own, *others, *(f"{LANGUAGE}{size}" for size in planner_models.REPOSITORIES)]


def pinned(wanted: list[Package], revision: str) -> list[Package]:
    """The packages at a revision of the model's own repository; what comes from elsewhere stays the newest.

    ``known`` stands for the revisions that are known to work, of every repository. Raises `BadRequest` where none is known.
    """
    if not revision:
        return wanted
    own = wanted[0].repository
    if revision == KNOWN:
        told = {part.repository: part.told.known_revision for part in wanted if part.told and part.told.known_revision}
        if own in told:
            return [msgspec.structs.replace(part, revision=told.get(part.repository, "")) for part in wanted]
        if own not in REVISIONS:
            limits = {"choices": sorted(REVISIONS)}
            raise BadRequest(f"no revision of {own} is known; name one of its commits", field="revision", limits=limits)
        return [msgspec.structs.replace(part, revision=REVISIONS.get(part.repository, "")) for part in wanted]
    return [msgspec.structs.replace(part, revision=revision if part.repository == own else "") for part in wanted]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs before it is there, in bytes: to fetch, on disk as published or as bfloat16, and in memory."""

    fetch: int
    disk: int
    disk_bfloat16: int
    memory_bfloat16: int

    @property
    def memory_float32(self) -> int:
        """Bytes of memory in the format that a processor takes unless it is told otherwise."""
        return 2 * self.memory_bfloat16


def cost_of(name: str, root: Path, families: Families = NO_FAMILIES) -> Cost:
    """What is still to be fetched of a published model into ``root``, and what it will take there. Raises `UnknownName`."""
    wanted = packages(name, families)
    missing = [part for part in wanted if not _is_here(root, part)]
    size, halved = sum(part.size for part in missing), sum(_spared(part) for part in missing)
    memory = sum(part.memory for part in wanted)
    return Cost(fetch=size, disk=size, disk_bfloat16=size - halved, memory_bfloat16=memory)


def _is_here(root: Path, part: Package) -> bool:
    single = part.told is not None and part.told.url
    return (root / part.target / (part.patterns[0] if single else "config.json")).is_file()


def _spared(part: Package) -> int:
    """Bytes that a part takes less as bfloat16 than as it is published."""
    return weights_of(part.target) // 2 if part.target in STORED_FLOAT32 else 0
