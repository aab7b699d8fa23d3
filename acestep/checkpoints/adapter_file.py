"""Adapter files as they lie on disk: which layers they change, how, and how strongly. Headers only, no torch.

Where an adapter's strength is written depends on the tool: beside the file in PEFT's ``adapter_config.json``, in the file's header
(diffusers, LyCORIS), or in tensors of the file itself (kohya, ComfyUI). All are read, also when the file inside a PEFT folder is
named directly.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadCheckpoint, ModelMissing, ModelUnsuited
from acestep.checkpoints.adapter_names import find_layer, is_text_encoder, parse_key, spellings, unsupported_method
from acestep.checkpoints.adapter_strength import ADAPTER_FILES, StrengthSettings
from acestep.checkpoints.files import PICKLES, expected_size, read_header, tensor_table

ADAPTER_FILE = ADAPTER_FILES[0]
INNER_FOLDERS = ("", "adapter", "final/adapter", "final", "best/adapter", "checkpoints/best/adapter")
"""Where a folder keeps its adapter: itself, a training checkpoint, a training run."""

ADAPTER_PICKLES = (*PICKLES, "adapter_model.bin", "pytorch_lora_weights.bin", "lora.pt", "lora.ckpt")

KINDS = {"down": "LoRA", "up": "LoRA", "lokr": "LoKr", "hada": "LoHa", "diff": "full difference"}
"""Beginning of a part's name -> the method it belongs to."""

SCALARS = {"F64": ("<d", 8), "F32": ("<f", 4), "F16": ("<e", 2), "BF16": ("<f", 2), "I64": ("<q", 8), "I32": ("<i", 4)}
"""Types of one-number tensors: how they are unpacked, and their bytes. (A bfloat16 is the upper half of a float32.)"""

OTHER_FAMILIES = {
    "ACE-Step v1": ("speaker_embedder", "lyric_encoder.encoders.", "transformer_blocks."),
    "ACE-Step 1.5": ("self_attn.q_proj", "self_attn.o_proj", "cross_attn.q_proj", "cross_attn.o_proj"),
}
"""Family -> pieces of layers' paths that only its models have, for adapters that fit no layer of the model at hand."""

SHOWN = 4
"""Names that a sentence lists; the rest is counted."""


class Tensors(msgspec.Struct, frozen=True):
    """The header of an adapter's file, read once."""

    file: Path
    table: dict[str, tuple[tuple[int, ...], str, int]]
    start: int
    """Where the tensors' bytes begin."""

    @classmethod
    def read(cls, file: Path) -> Tensors:
        """Raises `BadCheckpoint`, also for a file that was cut short."""
        if file.stat().st_size != expected_size(file):
            raise BadCheckpoint(f"{file} is cut short or damaged", field="lora")
        return cls(file, tensor_table(file), 8 + len(read_header(file)))

    def scalar(self, name: str) -> float:
        """The value of a one-number tensor. Raises `BadCheckpoint`."""
        shape, dtype, end = self.table[name]
        if dtype not in SCALARS or math.prod(shape) != 1:
            raise BadCheckpoint(f"{name} in {self.file} is not a number", field="lora")
        code, width = SCALARS[dtype]
        with self.file.open("rb") as data:
            data.seek(self.start + end - width)
            raw = data.read(width)
        value = float(struct.unpack(code, b"\0\0" + raw if dtype == "BF16" else raw)[0])
        if not math.isfinite(value):
            raise BadCheckpoint(f"{name} in {self.file} is not a finite number", field="lora")
        return value


class WeightChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter does to one layer: ``scaling`` times a product of tensors, whose names are in ``parts``.

    ``rank`` is 0 where there is none (a LoKr of two whole factors, a full difference).
    """

    path: str
    kind: str
    parts: dict[str, str]
    rank: int
    scaling: float
    shape: tuple[int, ...]
    """Rows and columns of the change, and the kernel of a convolution."""


class AdapterFile(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter before it is held against a model."""

    path: Path
    file: Path
    changes: tuple[WeightChange, ...]
    strays: tuple[str, ...] = ()
    """Tensors that belong to no change that could be merged."""
    alpha_from: str = ""
    """Where the strength is written: ``file``, ``header``, ``config``; empty: nowhere, so alpha equals the rank."""

    def facts(self) -> dict[str, Any]:
        """As those of a `Fitted` one, as far as they are known without a model: nothing is matched yet."""
        return {**_facts(self.changes, self), "matched": None, "tensors": _tensors(self.changes) + len(self.strays)}


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter held against a model: what changes, by layer, and what finds no place."""

    source: AdapterFile
    changes: dict[str, WeightChange]
    strays: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """For clients: kind, rank, the factor alpha / rank, and how many of the tensors found their layers."""
        changes = list(self.changes.values())
        matched = _tensors(changes)
        return {
            **_facts(changes, self.source),
            "matched": matched,
            "tensors": matched + len(self.strays),
            "unmatched": list(self.strays[:SHOWN]),
        }


def _facts(changes: Sequence[WeightChange], source: AdapterFile) -> dict[str, Any]:
    ranks = Counter(change.rank for change in changes)
    scalings = Counter(round(change.scaling, 6) for change in changes)
    return {
        "kind": " and ".join(sorted({change.kind for change in changes})),
        "rank": ranks.most_common(1)[0][0],
        "scaling": scalings.most_common(1)[0][0],
        "uniform": len(ranks) == 1 and len(scalings) == 1,
        "layers": len(changes),
        "alpha_from": source.alpha_from,
        "unmatched": list(source.strays[:SHOWN]),
    }


def _tensors(changes: Iterable[WeightChange]) -> int:
    return sum(len(change.parts) for change in changes)


def read_adapter_file(path: Path) -> AdapterFile:
    """The adapter at ``path``: a folder, a training checkpoint that contains one, or a safetensors file.

    Raises `ModelMissing`, `BadCheckpoint`.
    """
    file = find_file(path)
    tensors, settings = Tensors.read(file), StrengthSettings.read(file)
    grouped, strays, names = _group(tensors.table)
    if len(names) > 1:
        raise BadCheckpoint(f"{file} holds several adapters ({', '.join(sorted(names))}); export one", field="lora")
    if not grouped or unsupported_method(strays):
        raise BadCheckpoint(_no_adapter(file, strays or list(tensors.table)), field="lora")
    changes = [_change(tensors, spelt, parts, settings) for spelt, parts in grouped.items()]
    if settings.dora and not any("magnitude" in change.parts for change in changes):
        raise BadCheckpoint(
            f"{file} is a DoRA by its config, but its magnitudes are not in the file; export it again", field="lora"
        )
    return AdapterFile(
        path=path, file=file, changes=tuple(changes), strays=tuple(strays), alpha_from=_alpha_source(changes, settings)
    )


def find_file(path: Path) -> Path:
    """The safetensors file of an adapter. Raises `ModelMissing`, and `BadCheckpoint` for pickles."""
    if path.is_file() and path.suffix == ".safetensors":
        return path
    for folder in adapter_places(path):
        for name in ADAPTER_FILES:
            if (folder / name).is_file():
                return folder / name
    pickled = [folder / name for folder in adapter_places(path) for name in ADAPTER_PICKLES]
    if path.suffix in (".bin", ".pt", ".ckpt", ".pth") or any(file.is_file() for file in pickled):
        raise BadCheckpoint(
            f"{path} holds a pickled adapter, which can run code; only safetensors are opened", field="lora"
        )
    loose = sorted(path.glob("*.safetensors")) if path.is_dir() else []
    if len(loose) == 1:
        return loose[0]
    if loose:
        raise BadCheckpoint(f"{path} holds several adapters; name one of its files", field="lora")
    raise ModelMissing(f"{path} holds no {ADAPTER_FILE}", field="lora")


def adapter_places(path: Path) -> tuple[Path, ...]:
    """Where inside a folder an adapter may lie: itself, a training checkpoint's, a training run's last and best ones."""
    return tuple(path / inner for inner in INNER_FOLDERS)


def _group(keys: Iterable[str]) -> tuple[dict[str, dict[str, str]], list[str], set[str]]:
    """Path as spelt -> part -> tensor name; what belongs to none; the adapters' own names."""
    grouped: dict[str, dict[str, str]] = {}
    strays: list[str] = []
    names: set[str] = set()
    for key in keys:
        parsed = parse_key(key)
        if parsed is None:
            strays.append(key)
            continue
        spelt, part, name = parsed
        grouped.setdefault(spelt, {})
        names.add(name) if part != "alpha" else None
        if part in grouped[spelt]:
            names.update((name, f"{name or 'unnamed'} again"))
        grouped[spelt][part] = key
    for spelt in [spelt for spelt, parts in grouped.items() if set(parts) <= {"alpha", "scalar", "magnitude"}]:
        strays.extend(grouped.pop(spelt).values())
    return grouped, strays, names


def _no_adapter(file: Path, keys: list[str]) -> str:
    method = unsupported_method(keys)
    if method:
        return f"{file} is an adapter with {method}, which cannot be merged; LoRA, DoRA, LoKr and LoHa can"
    return f"{file} holds no adapter: its tensors ({_some(keys)}) are those of something else"


def _change(tensors: Tensors, spelt: str, parts: dict[str, str], settings: StrengthSettings) -> WeightChange:
    """What the tensors of one layer amount to. Raises `BadCheckpoint`."""
    shapes = {part: tensors.table[key][0] for part, key in parts.items()}
    kind = next((name for start, name in KINDS.items() if any(part.startswith(start) for part in parts)), "")
    measured = _MEASURES[kind](shapes)
    if measured is None:
        raise BadCheckpoint(f"{tensors.file}: the factors of {spelt} do not fit together", field="lora")
    rank, shape = measured
    if not _lengths_fit(shapes.get("magnitude"), shape) or math.prod(shapes.get("scalar", ())) != 1:
        raise BadCheckpoint(f"{tensors.file}: the lengths of {spelt} do not fit its factors", field="lora")
    scaling = _scaling(tensors, parts, settings, (spelt, rank))
    if "magnitude" in parts:
        kind = "DoRA" if kind == "LoRA" else f"{kind} with DoRA"
    return WeightChange(path=spelt, kind=kind, parts=parts, rank=rank, scaling=scaling, shape=shape)


def _lengths_fit(magnitude: tuple[int, ...] | None, shape: tuple[int, ...]) -> bool:
    """Whether a DoRA's lengths are one for each row, or (in one row) one for each column."""
    if magnitude is None or math.prod(magnitude) == shape[0]:
        return True
    return len(magnitude) >= 2 and magnitude[0] == 1 and math.prod(magnitude) == shape[1]


def _scaling(tensors: Tensors, parts: Mapping[str, str], settings: StrengthSettings, layer: tuple[str, int]) -> float:
    """alpha / rank of one layer (path as spelt, rank that its factors show); the file's own alpha stands above the config's."""
    spelt, rank = layer
    if "diff" in parts:
        return 1.0
    if rank == 0 and not settings.peft_lokr:
        return 1.0  # two whole factors of a LoKr: LyCORIS sets alpha to the rank, whatever the file says
    rank = rank or settings.rank()
    alpha = settings.alpha(spelt)
    if "alpha" in parts:
        alpha = tensors.scalar(parts["alpha"]) or rank  # kohya and LyCORIS: 0 stands for the rank
    if alpha is None or not rank:
        return 1.0
    return alpha / (math.sqrt(rank) if settings.rooted and "alpha" not in parts else rank)


def _lora(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, tuple[int, ...]] | None:
    down, up = shapes.get("down"), shapes.get("up")
    if not down or not up or len(down) < 2 or len(up) < 2 or up[1] != down[0] or math.prod(up[2:]) != 1:
        return None
    return down[0], (up[0], *down[1:])


def _lokr(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, tuple[int, ...]] | None:
    sizes, ranks = [], []
    for factor in ("lokr_w1", "lokr_w2"):
        whole, first, second = (shapes.get(f"{factor}{half}") for half in ("", "_a", "_b"))
        if whole is None and first and second and len(first) == len(second) == 2 and first[1] == second[0]:
            whole = (first[0], second[1])
            ranks.append(first[1])
        if whole is None or len(whole) < 2:
            return None
        sizes.append(whole)
    one, two = sizes
    return max(ranks, default=0), (one[0] * two[0], one[1] * two[1], *two[2:])


def _loha(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, tuple[int, ...]] | None:
    pairs = [(shapes.get(f"hada_w{i}_a"), shapes.get(f"hada_w{i}_b")) for i in (1, 2)]
    if any(not a or not b or len(a) != 2 or len(b) != 2 or a[1] != b[0] for a, b in pairs):
        return None
    (a, b), (other_a, other_b) = pairs
    return (b[0], (a[0], b[1])) if (a[0], b[1]) == (other_a[0], other_b[1]) else None  # type: ignore[index]


def _diff(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, tuple[int, ...]] | None:
    return 0, shapes["diff"]


_MEASURES = {"LoRA": _lora, "LoKr": _lokr, "LoHa": _loha, "full difference": _diff}
"""Kind -> rank and size of the change from the shapes of its tensors; None where they do not fit together."""


def _alpha_source(changes: list[WeightChange], settings: StrengthSettings) -> str:
    if any("alpha" in change.parts for change in changes):
        return "file"
    return settings.origin if settings.alpha(changes[0].path) is not None else ""


def fit(adapter: AdapterFile, layers: Mapping[str, tuple[int, ...]]) -> Fitted:
    """Hold an adapter against a model's layers (``component/module`` -> shape of the weight).

    Raises `ModelUnsuited` when it was made for another size of model, `BadCheckpoint` when none of it belongs to such a model.
    """
    table = spellings(layers)
    changes: dict[str, WeightChange] = {}
    strays, wrong = list(adapter.strays), []
    for change in adapter.changes:
        layer = find_layer(change.path, table)
        if layer is None:
            strays.extend(change.parts.values())
        elif layer in changes:
            raise BadCheckpoint(f"{adapter.file} names the layer {layer} twice, in two spellings", field="lora")
        elif not _same_size(change.shape, layers[layer]):
            wrong.append(f"{layer} is {list(layers[layer])} in this model and {list(change.shape)} in the adapter")
        else:
            changes[layer] = change
    if wrong:
        raise ModelUnsuited(f"the adapter was made for a model of another size: {_some(wrong, '; ')}", field="lora")
    if not changes:
        raise BadCheckpoint(_nothing_fits(adapter), field="lora")
    return Fitted(source=adapter, changes=changes, strays=tuple(strays))


def _same_size(change: tuple[int, ...], layer: tuple[int, ...]) -> bool:
    """Equal shapes, kernels of one apart; a convolution's change may come with its kernel flattened into the columns."""
    strip = [tuple(size for index, size in enumerate(shape) if index < 2 or size != 1) for shape in (change, layer)]
    return strip[0] == strip[1] or (len(change) == 2 and change == (layer[0], math.prod(layer[1:])))


def _nothing_fits(adapter: AdapterFile) -> str:
    paths = [change.path for change in adapter.changes]
    if all(is_text_encoder(path) for path in paths):
        return f"{adapter.file} changes a text encoder or language model ({_some(paths)}); only the music model's own layers can be"
    family = next(
        (name for name, pieces in OTHER_FAMILIES.items() if any(piece in path for path in paths for piece in pieces)),
        "",
    )
    made = f"it was made for {family}" if family else "it was made for another model"
    return f"{adapter.file} changes layers that this model does not have ({_some(paths)}): {made}"


def _some(names: list[str], between: str = ", ") -> str:
    rest = len(names) - SHOWN
    return between.join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
