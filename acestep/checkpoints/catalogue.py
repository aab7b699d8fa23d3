"""Which files make up each published model, and where they are published. No torch, no network."""

from __future__ import annotations

from pathlib import Path

import msgspec

from acestep.api.errors import UnknownName
from acestep.api.variants import VARIANTS
from acestep.checkpoints.info import PREFIX
from acestep.checkpoints.layout import SILENCE, TEXT_ENCODER, VAE
from acestep.planner import library

MAIN_BUNDLE = "ACE-Step/Ace-Step1.5"
"""The only repository with codec and text encoder; every installation needs those two from it."""

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


SHARED = (
    Package(repository=MAIN_BUNDLE, inner=VAE, target=VAE, patterns=("config.json", *WEIGHTS)),
    Package(
        repository=MAIN_BUNDLE, inner=TEXT_ENCODER, target=TEXT_ENCODER, patterns=("config.json", *WEIGHTS, *TOKENIZER)
    ),
)
"""Parts that all models use."""


LANGUAGE = "lm-"
"""How the short names of language models begin: ``lm-1.7B``."""


def language_model(name: str) -> str:
    """The planner's own name of a language model that is called by its short or its published name; empty for anything else."""
    for prefix in (LANGUAGE, library.PREFIX):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return ""


def packages(name: str) -> list[Package]:
    """What has to be on disk for a model, the shared parts included. Raises `UnknownName` with the published ones."""
    size = language_model(name)
    if size in library.REPOSITORIES:
        return [_language_package(size)]
    plain = name.removeprefix(PREFIX)
    variant = VARIANTS.get(plain)
    if variant is None or not variant.repository:
        raise UnknownName(f"there is no published model {name!r}", field="model", limits={"choices": published()})
    inner = PREFIX + plain if variant.repository == MAIN_BUNDLE else ""
    own = Package(repository=variant.repository, inner=inner, target=PREFIX + plain, patterns=(*CONFIGS, *WEIGHTS))
    return [own, *SHARED]


def _language_package(size: str) -> Package:
    repository, folder = library.REPOSITORIES[size], f"{library.PREFIX}{size}"
    inner = folder if repository == MAIN_BUNDLE else ""
    patterns = ("config.json", "generation_config.json", *WEIGHTS, *TOKENIZER)
    return Package(repository=repository, inner=inner, target=folder, patterns=patterns)


def published() -> list[str]:
    """Short names of the models that can be downloaded, language models last."""
    own = [name for name, variant in VARIANTS.items() if variant.repository]
    return [*own, *(f"{LANGUAGE}{size}" for size in library.REPOSITORIES)]


def target_folder(root: Path, package: Package) -> Path:
    """Where a package's files go."""
    return root / package.target
