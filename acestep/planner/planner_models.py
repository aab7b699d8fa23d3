"""Which language models are on this machine, what each needs, and which one to take. No torch."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, ModelMissing, ModelUnsuited, OutOfMemory
from acestep.api.planning import CODE_FAMILY, CODES, PLANNER_SIZES, knows_codes_of
from acestep.api.variants import ModelInfo
from acestep.checkpoints.borrowing import has_tokens
from acestep.checkpoints.files import PICKLES, WEIGHT_NAMES, weight_files
from acestep.checkpoints.hub_cache import folder_name
from acestep.checkpoints.inferred import read_config
from acestep.checkpoints.places import loose_files, places
from acestep.checkpoints.weights import LANGUAGE, read_contents
from acestep.planner.layout import FIRST_SPECIAL, QWEN_TOKENS

PREFIX = "acestep-5Hz-lm-"
"""How the published folders begin: ``acestep-5Hz-lm-1.7B``."""

TEMPLATE = "chat_template.jinja"
"""The published folders have their chat template in a file of its own, and nowhere else."""

WEIGHTS = (*WEIGHT_NAMES, *(f"{name}.index.json" for name in WEIGHT_NAMES), *PICKLES)
"""Names of weight files in a language model's folder, those that are refused among them."""

SHORT_PREFIX = "lm-"
"""How the list of models begins their names."""

TINY = "tiny"
"""Name of the random model that is made on first use; it is never chosen by itself."""

GiB = 2**30

SIZE_BY_MEMORY = ((24, "4B"), (12, "1.7B"), (6, "0.6B"))
"""Memory of the device in GiB from which a size is taken by itself; below the last one no planner runs by itself."""

DURATION_BY_MEMORY = ((24, 600), (6, 480), (0, 240))
"""Memory in GiB -> longest piece in seconds that is planned; the model authors' tiers with the planner on."""

REPOSITORIES = {
    "0.6B": "ACE-Step/acestep-5Hz-lm-0.6B",
    "1.7B": "ACE-Step/Ace-Step1.5",
    "4B": "ACE-Step/acestep-5Hz-lm-4B",
}
"""Where each size is published."""


class PlannerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A language model on this disk."""

    name: str
    path: str
    size_bytes: int
    """Bytes of its weights as stored (two per parameter in the published ones)."""
    cache_bytes: int
    """Bytes of keys and values per token and sequence, two bytes a number."""
    trained: bool = True
    tokenizer: str = ""
    """Where its tokenizer lies, for a single weight file that has none beside it."""

    def need(self, number_bytes: int, tokens: int = 2 * 4096) -> int:
        """Bytes of memory to run it with numbers of this size and this many tokens in the cache."""
        return (self.size_bytes + self.cache_bytes * tokens) * number_bytes // 2 + GiB // 4


def planner_folders(home: str | Path | None, extra: Iterable[str | Path] = ()) -> list[Path]:
    """Folders that are searched: the given ones, the home's own, and those that ACE-Step's own variables name."""
    found = [Path(folder) for folder in extra]
    if home:
        found += [Path(home) / "checkpoints", Path(home) / "models"]
    if own := os.environ.get("ACESTEP_CHECKPOINTS_DIR"):
        found.append(Path(own))
    if root := os.environ.get("ACESTEP_PROJECT_ROOT"):
        found.append(Path(root) / "checkpoints")
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def find_planners(folders: Iterable[Path]) -> list[PlannerInfo]:
    """Every complete language model below the folders (two levels deep; of a hub's cache its snapshots), each name once, the first
    place wins."""
    places_given = list(folders)
    found: dict[str, PlannerInfo] = {}
    for folder in places(places_given):
        info = read_planner(folder)
        if info is not None:
            found.setdefault(info.name, info)
    for file in language_files(places_given):
        if tokenizer := _lent_tokenizer(file, places_given):
            info = read_planner_file(file, tokenizer)
            found.setdefault(info.name, info)
    return list(found.values())


def language_files(folders: Iterable[Path]) -> list[Path]:
    """Single weight files (ComfyUI's, GGUF) with a 5 Hz language model in them, readable and with a vocabulary of codes."""
    return [file for file in loose_files(places(folders)) if LANGUAGE in parts_of(file)]


def parts_of(file: Path) -> Mapping[str, Any]:
    """The parts in a weight file; none where it cannot be read."""
    try:
        return read_contents(file).parts
    except AceError:
        return {}


def read_planner_file(file: Path, tokenizer: Path) -> PlannerInfo:
    """Facts of the language model in a single file. Raises `BadCheckpoint`."""
    config = read_config(file, LANGUAGE)
    heads = int(config.get("num_key_value_heads", 8)) * int(config.get("head_dim", 128))
    return PlannerInfo(
        name=file.stem.removeprefix(PREFIX),
        path=str(file),
        size_bytes=2 * sum(math.prod(stored.shape) for stored in read_contents(file).parts[LANGUAGE].values()),
        cache_bytes=2 * 2 * int(config.get("num_hidden_layers", 28)) * heads,
        trained=config.get("model_version") != TINY,
        tokenizer=str(tokenizer),
    )


def _lent_tokenizer(file: Path, folders: Iterable[Path]) -> Path | None:
    """The file itself where it carries tokens, else the folder of an installed language model's tokenizer: all have the same."""
    if has_tokens(file):
        return file
    near = (place for place in places((file.parent, *folders)) if folder_name(place).startswith(PREFIX))
    return next((place for place in near if (place / "tokenizer.json").is_file() and _has_template(place)), None)


def planner_problems(folders: Iterable[Path]) -> dict[str, str]:
    """Path -> sentence for every folder that is a language model by its config and cannot be used, and how to mend it."""
    given = list(folders)
    found = {str(folder): planner_problem(folder) for folder in places(given)}
    for file in language_files(given):
        if "transformer" not in parts_of(file) and _lent_tokenizer(file, given) is None:
            found[str(file)] = (
                f"{file.name} is a language model without its tokenizer; `acestep-bridge models download companions` "
                "fetches it (70 MB)"
            )
    return {path: sentence for path, sentence in found.items() if sentence}


def planner_problem(folder: Path) -> str:
    """What the language model in a folder lacks, with the way to mend it; empty where nothing is missing or none is there."""
    if _config(folder) is None:
        return ""
    lacks, name = _lacks(folder), folder_name(folder)
    if not lacks:
        return _damage(folder)
    size = size_of(name)
    mend = f"`acestep-bridge models download lm-{size}` brings it" if size else "download it again"
    return f"{name} lacks {lacks}; {mend}"


def read_planner(folder: Path) -> PlannerInfo | None:
    """Facts of the language model in a folder; None if there is none, or not all of it."""
    config = _config(folder)
    if config is None or _lacks(folder) or _damage(folder):
        return None
    heads = int(config.get("num_key_value_heads", 8)) * int(config.get("head_dim", 128))
    return PlannerInfo(
        name=folder_name(folder).removeprefix(PREFIX),
        path=str(folder),
        size_bytes=sum(file.stat().st_size for file in weight_files(folder)),
        cache_bytes=2 * 2 * int(config.get("num_hidden_layers", 28)) * heads,
        trained=config.get("model_version") != TINY,
    )


def _config(folder: Path) -> dict[str, Any] | None:
    """The config of a 5 Hz language model: a Qwen3 with a token for every code; None for anything else."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        if config["model_type"] != "qwen3" or int(config["vocab_size"]) < FIRST_SPECIAL + len(QWEN_TOKENS) + CODES:
            return None
    except (OSError, ValueError, AttributeError, TypeError, LookupError, RecursionError):
        return None
    return dict(config)


def _lacks(folder: Path) -> str:
    """Which part of a language model is not there."""
    if not (folder / "tokenizer.json").is_file():
        return "tokenizer.json"
    if not _has_template(folder):
        return TEMPLATE
    return "" if any((folder / name).exists() for name in WEIGHTS) else "its weights"


def _damage(folder: Path) -> str:
    """Why the weights of a language model cannot be read: missing, cut short, pickled, a link out of a cache; empty if they can."""
    try:
        weight_files(folder)
    except AceError as failure:
        return failure.message
    return ""


def _has_template(folder: Path) -> bool:
    """Whether a chat template is there: as a file, or (in older folders) as an entry of the tokenizer's config."""
    if (folder / TEMPLATE).is_file():
        return True
    try:
        return b'"chat_template"' in (folder / "tokenizer_config.json").read_bytes()
    except OSError:
        return False


def named_planner(model: str) -> str:
    """The language model that a request names, by its bare name (``lm-0.6B`` and the published folder are ``0.6B``).

    For ``auto`` that of ``ACESTEP_LM_MODEL_PATH`` (a folder's name or path).
    """
    if model == "auto":
        model = Path(os.environ.get("ACESTEP_LM_MODEL_PATH", "").strip() or "auto").name
    return model.removeprefix(PREFIX).removeprefix(SHORT_PREFIX)


def choose_planner(wanted: str, found: Iterable[PlannerInfo], memory: int, number_bytes: int) -> PlannerInfo:
    """The language model to run in ``memory`` bytes with numbers of ``number_bytes``.

    ``auto`` takes the size that the memory tier recommends, or the next smaller one that is there; a named one is taken if it fits.
    Raises `ModelMissing` or `OutOfMemory`.
    """
    known = {info.name: info for info in found}
    require_present(wanted, known.values())
    if wanted != "auto":
        return _named(wanted, known, memory, number_bytes)
    published = [known[size] for size in PLANNER_SIZES if size in known]
    others = [info for info in known.values() if info.trained and info.name not in PLANNER_SIZES]
    allowed = _allowed_sizes(memory * 2 // number_bytes)
    fitting = [info for info in published if info.name in allowed and info.need(number_bytes) <= memory]
    fitting = fitting or [info for info in others if info.need(number_bytes) <= memory]
    if not fitting:
        smallest = min([*published, *others], key=lambda info: info.size_bytes)
        raise _too_large(smallest, memory, number_bytes)
    return max(fitting, key=lambda info: info.size_bytes)


def none_to_choose(wanted: str, found: Iterable[PlannerInfo]) -> bool:
    """Whether nobody names a language model and none is here, so that what plans without one takes over."""
    return named_planner(wanted) == "auto" and not any(info.trained for info in found)


def require_present(wanted: str, found: Collection[PlannerInfo]) -> None:
    """See that the language model that is wanted is among those found; `TINY` can be made on the spot. Raises `ModelMissing`."""
    names = [info.name for info in found]
    name = wanted.removeprefix(PREFIX)
    if name == TINY or name in names:
        return
    if name == "auto":
        if any(info.trained for info in found):
            return
        raise ModelMissing(
            "this needs a language model, and none is installed; planning caption and metadata works without one. "
            f"`acestep-bridge models download lm-{PLANNER_SIZES[0]}` fetches the smallest",
            field="model",
            limits={"choices": [*PLANNER_SIZES, TINY]},
        )
    fetch = f"; `acestep-bridge models download lm-{name}` fetches it" if name in PLANNER_SIZES else ""
    if not fetch and not names:
        fetch = f"; `acestep-bridge models download lm-{PLANNER_SIZES[0]}` fetches the smallest"
    here = f"here are: {', '.join(sorted(names))}" if names else "there is none here"
    raise ModelMissing(
        f"the language model {wanted!r} is not on this machine; {here}{fetch}",
        field="model",
        limits={"choices": sorted(names)},
    )


def _named(wanted: str, known: Mapping[str, PlannerInfo], memory: int, number_bytes: int) -> PlannerInfo:
    info = known[wanted.removeprefix(PREFIX)]
    if info.need(number_bytes) > memory:
        raise _too_large(info, memory, number_bytes)
    return info


def _allowed_sizes(memory: int) -> tuple[str, ...]:
    """Sizes for a device with this many bytes (for two-byte numbers): the recommended one and all smaller."""
    for least, size in SIZE_BY_MEMORY:
        if memory >= least * GiB:
            return PLANNER_SIZES[: PLANNER_SIZES.index(size) + 1]
    return ()


def _too_large(info: PlannerInfo, memory: int, number_bytes: int) -> OutOfMemory:
    need = info.need(number_bytes)
    return OutOfMemory(
        f"the language model {info.name} needs {need / GiB:.1f} GiB and this device has {memory / GiB:.1f}; "
        "generating without 'thinking' works",
        field="model",
        limits={"need_bytes": need, "memory_bytes": memory},
    )


def require_known_codes(model: ModelInfo) -> None:
    """See that the planner can read codes that a checkpoint makes. Raises `ModelUnsuited` for one with a codebook of its own."""
    if not knows_codes_of(model.latent_family):
        raise ModelUnsuited(
            f"the language model does not know the codes of {model.name}; name a checkpoint of ACE-Step 1.5",
            field="checkpoint",
            limits={"family": CODE_FAMILY},
        )


def longest_plan(memory: int) -> int:
    """Seconds of the longest piece that is planned on a device with this many bytes."""
    return next(seconds for least, seconds in DURATION_BY_MEMORY if memory >= least * GiB)


def size_of(name: str) -> str:
    """The published size that a folder's name tells, or an empty string."""
    match = re.search(r"(?i)(?<![\d.])(0\.6|1\.7|4)b", name)
    return f"{match.group(1)}B" if match else ""


def settings_of(backend: Any) -> dict[str, Any]:
    """The settings map of a worker's backend, empty for one that has none."""
    settings = getattr(backend, "settings", None)
    return dict(settings) if isinstance(settings, Mapping) else {}
