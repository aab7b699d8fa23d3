"""Opens a checkpoint: strictly, mapped in memory, without running anything that is in it.

Every tensor a network has must be in the files with its shape, and the files must hold nothing else. Parts that several models
share (codec, text encoder) are loaded once: pass the same ``shared`` mapping to every call.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

from acestep.api.errors import BadCheckpoint
from acestep.api.limits import LATENT_CHANNELS
from acestep.api.variants import ModelInfo
from acestep.checkpoints.architecture import build_codec, build_component, build_text_encoder, materialise_buffers
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.info import part_paths, read_info
from acestep.checkpoints.layout import Parts
from acestep.checkpoints.manifest import verify_manifest
from acestep.checkpoints.tensors import read_tensor, read_tensors
from acestep.checkpoints.text_tokenizer import Words, load_text_tokenizer
from acestep.checkpoints.weights import CODEC, NETWORKS, SILENCE, TEXT, extra_names, tensor_index
from acestep.networks.condition import ConditionEncoder
from acestep.networks.dit import Dit
from acestep.networks.layers import Embedding, Linear
from acestep.networks.text_encoder import TextEncoder
from acestep.networks.tokenizer import AudioDetokenizer, AudioTokenizer

SHOWN = 6
"""How many tensor names an error lists; the rest is counted."""

WORK = {
    "words": ("text_encoder", "condition_encoder", "audio_tokenizer", "audio_detokenizer"),
    "denoise": ("transformer", "condition_encoder"),
    "listen": ("text_encoder", "condition_encoder", "transformer"),
    "codec": ("codec",),
}
"""Kinds of work and the networks they need."""

OFFLOADABLE = ("text_encoder", "codec")
"""Networks that leave the device first."""

Check = Callable[[], None]
"""Called at every shard and every few tensors; raises to stop (cancel)."""


@dataclass
class Model:
    """An opened checkpoint. ``silence`` is the silence latent, float32 [1, 15000, 64] on the CPU; ``codec`` maps waveforms
    [B, 2, N] to latents [B, 64, T] and back; ``text_encoder`` a Qwen3 without a head, with its ``text_tokenizer``."""

    info: ModelInfo
    digest: str
    transformer: Dit
    condition_encoder: ConditionEncoder
    audio_tokenizer: AudioTokenizer | None
    audio_detokenizer: AudioDetokenizer | None
    codec: nn.Module
    text_encoder: TextEncoder
    text_tokenizer: Words
    silence: Tensor
    text_digest: str
    codec_digest: str
    device: torch.device
    dtype: torch.dtype
    adapters: list[Any] = field(default_factory=list)
    """LoRA adapters merged into the transformer, in order (`acestep.checkpoints.lora`)."""

    @property
    def work(self) -> Mapping[str, tuple[str, ...]]:
        """Kinds of work and the networks they need."""
        return WORK

    @property
    def offloadable(self) -> tuple[str, ...]:
        """What leaves the device after its work where memory is short."""
        return OFFLOADABLE

    @property
    def null_condition(self) -> Tensor:
        """The unconditional condition [1, 1, H_enc]; the same at every position, so one position is enough."""
        return self.condition_encoder.null_condition_emb

    def networks(self) -> dict[str, nn.Module]:
        """The networks by part name, for offloading and accounting: six, or four where the checkpoint knows no semantic codes."""
        found = {
            "transformer": self.transformer,
            "condition_encoder": self.condition_encoder,
            "audio_tokenizer": self.audio_tokenizer,
            "audio_detokenizer": self.audio_detokenizer,
            "codec": self.codec,
            "text_encoder": self.text_encoder,
        }
        return {name: network for name, network in found.items() if network is not None}


def open_checkpoint(
    path: Path | str,
    *,
    near: Iterable[Path] = (),
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    keep: bool = True,
    check: Check = lambda: None,
    shared: MutableMapping[tuple[str, ...], Any] | None = None,
) -> Model:
    """The checkpoint at ``path`` (any place that `locate` knows), ready to run; ``near``: folders to borrow missing parts from.

    Raises `ModelMissing` for missing or incomplete files and `BadCheckpoint` for missing, extra or wrongly shaped tensors, pickles
    and unknown classes; both name what is wrong.
    """
    info = read_info(Path(path), near)
    parts, target = part_paths(info), Target(torch.device(device), dtype, check, keep)
    verify_manifest(parts.transformer.parent)
    pool = {} if shared is None else shared
    whole = replace(target, dtype=torch.float32) if keep and target.device.type == "cpu" else target
    codec_digest, codec = _shared(pool, whole, CODEC, parts.vae, lambda: load_codec(parts.vae, whole))
    text_digest, text = _shared(
        pool, target, TEXT, parts.text_encoder, lambda: load_text_encoder(parts.text_encoder, target)
    )
    key = ("text_tokenizer", str(parts.text_tokenizer))
    if (words := pool.get(key)) is None:
        words = pool[key] = load_text_tokenizer(parts.text_tokenizer)
    networks = load_networks(parts, target)
    files = dict.fromkeys(file for folder in parts.folders() for file in weight_files(folder))
    return Model(
        info=info,
        digest=weights_digest(files),
        **networks,  # by the names of its fields
        codec=codec,
        text_encoder=text,
        text_tokenizer=words,
        silence=load_silence(parts),
        text_digest=text_digest,
        codec_digest=codec_digest,
        device=target.device,
        dtype=dtype,
    )


@dataclass(frozen=True)
class Target:
    """Where weights go: device, dtype, and the callable that may stop the loading; ``keep``: see `dtype_for`."""

    device: torch.device
    dtype: torch.dtype
    check: Check
    keep: bool = True

    def dtype_for(self, owner: nn.Module, name: str, tensor: Tensor) -> torch.dtype | None:
        """The number format of one tensor in memory; None leaves it as it is stored. A CPU that computes in float32 leaves large
        bfloat16 matrices in their file: `Linear` widens them while it works."""
        widens = self.keep and self.device.type == "cpu" and self.dtype is torch.float32
        kept = widens and tensor.dtype is torch.bfloat16
        if not tensor.is_floating_point() or (kept and name == "weight" and isinstance(owner, (Linear, Embedding))):
            return None
        return self.dtype


def _shared(
    pool: MutableMapping[tuple[str, ...], Any], target: Target, part: str, place: Path, load: Callable[[], nn.Module]
) -> tuple[str, Any]:
    """A part out of the pool, by the digest of its weights, or freshly loaded. (One file may hold several parts.)"""
    digest = weights_digest(weight_files(place))
    key = (digest, part, str(target.device), str(target.dtype))
    found = pool.get(key)
    if found is None:
        found = pool[key] = load()
    return digest, found


def load_networks(parts: Parts, target: Target) -> dict[str, Any]:
    """The four ACE-Step networks by part name; None for those that the checkpoint does not have."""
    places = {name: getattr(parts, name) for name in NETWORKS}
    networks = {name: None if place is None else build_component(name, parts) for name, place in places.items()}
    there = {name: network for name, network in networks.items() if network is not None}
    fit = Placement(
        {f"{name}/{key}": (network, key) for name, network in there.items() for key in network.state_dict()}
    )
    for name in there:
        index = {key: stored for key, stored in tensor_index(places[name], name).items() if key != SILENCE}
        for key, tensor in read_tensors(index, target.check):
            fit.put(f"{name}/{key}", tensor, target)
    root = parts.transformer.parent if parts.diffusers else parts.transformer
    fit.finish(root.name, extra_names(parts.transformer, "transformer"))
    for network in there.values():
        materialise_buffers(network, target.device)
    return networks


def load_codec(place: Path, target: Target) -> nn.Module:
    """The codec of a ``vae`` folder or of a file, its weights multiplied out. On a CPU in float32: bfloat16 would be no faster."""
    codec = fill(build_codec(place), read_tensors(tensor_index(place, CODEC), target.check), target, place.name)
    return _without_weight_norm(codec)


def _without_weight_norm(network: nn.Module) -> nn.Module:
    """Weights that are stored as length and direction, multiplied out once instead of at every tile: the same numbers."""
    for module in network.modules():
        if any(isinstance(hook, WeightNorm) for hook in module._forward_pre_hooks.values()):
            with torch.no_grad():
                remove_weight_norm(module)
            module.weight.requires_grad_(False)
    return network


def load_text_encoder(place: Path, target: Target) -> TextEncoder:
    """The text encoder; a causal-LM export's ``model.`` prefix and tied head are taken for what they are."""
    encoder = build_text_encoder(place)
    fill(encoder, read_tensors(tensor_index(place, TEXT), target.check), target, place.name)
    return encoder


def load_silence(parts: Parts) -> Tensor:
    """The silence latent, float32 [1, 15000, 64]. Raises `BadCheckpoint` when it is no such tensor or all zero.

    (A converted checkpoint without it holds zeros, and zeros sound like a drone.)
    """
    place = parts.condition_encoder if parts.silence is None else parts.silence
    silence = _read_plain_tensor(place).transpose(1, 2) if place.suffix == ".pt" else _stored_silence(place)
    if silence.ndim != 3 or silence.shape[0] != 1 or silence.shape[2] != LATENT_CHANNELS:
        raise BadCheckpoint(f"the silence latent has shape {list(silence.shape)}, not [1, frames, {LATENT_CHANNELS}]")
    silence = silence.float().contiguous()
    if not torch.isfinite(silence).all() or not silence.any():
        raise BadCheckpoint(
            "the silence latent is all zero or not finite: the model would drone; convert or download it again"
        )
    return silence


def _stored_silence(place: Path) -> Tensor:
    """The silence latent [1, frames, 64] out of a weight file or a diffusers condition encoder. Raises `BadCheckpoint`."""
    part = SILENCE if place.is_file() else "condition_encoder"
    stored = tensor_index(place, part).get(SILENCE)
    if stored is None:
        raise BadCheckpoint(f"{place} has no silence latent; convert the model again", field="model")
    silence = read_tensor(stored)
    return silence[None] if silence.ndim == 2 else silence


def _read_plain_tensor(path: Path) -> Tensor:
    """The one pickled file of the published layout: a bare tensor, read by the restricted unpickler."""
    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as failure:
        raise BadCheckpoint(f"{path} is not a plain tensor: {str(failure).splitlines()[0]}", field="model") from failure
    if not isinstance(tensor, Tensor) or tensor.ndim != 3:
        raise BadCheckpoint(f"{path} holds no tensor [1, {LATENT_CHANNELS}, frames]", field="model")
    return tensor


class Placement:
    """Puts tensors where a table says they belong, and tells what was missing, left over or of the wrong shape."""

    def __init__(self, wanted: dict[str, tuple[nn.Module, str]]) -> None:
        self._wanted = wanted
        self._seen: set[str] = set()
        self._extra: list[str] = []
        self._shapes: list[str] = []
        self._types: list[str] = []

    def put(self, key: str, tensor: Tensor, target: Target) -> None:
        """Assign one tensor in the target's dtype (integers keep theirs) and on its device."""
        place = self._wanted.get(key)
        if place is None:
            self._extra.append(key)
            return
        self._seen.add(key)
        owner, name = _owner(*place)
        old = getattr(owner, name)
        if squeezed(old.shape) != squeezed(tensor.shape):
            self._shapes.append(f"{key} {list(tensor.shape)} instead of {list(old.shape)}")
            return
        if old.is_floating_point() and not tensor.is_floating_point():
            self._types.append(f"{key} {str(tensor.dtype).removeprefix('torch.')}")
            return
        tensor = tensor.reshape(old.shape)
        tensor = tensor.to(target.device, target.dtype_for(owner, name, tensor))
        if isinstance(old, nn.Parameter):
            owner._parameters[name] = nn.Parameter(tensor, requires_grad=False)
        else:
            owner._buffers[name] = tensor

    def finish(self, where: str, strange: Iterable[str] = ()) -> None:
        """Raise `BadCheckpoint` unless everything found its place; ``strange``: names that belong to no network at all."""
        missing = [key for key in self._wanted if key not in self._seen]
        problems = [("missing", missing), ("extra", [*self._extra, *strange]), ("wrongly shaped", self._shapes),
                    ("of a type that is not a floating-point number", self._types)]  # fmt: skip
        if any(names for _, names in problems):
            raise _unfit(where, problems)


def _unfit(where: str, problems: list[tuple[str, list[str]]]) -> BadCheckpoint:
    found = [f"{len(names)} {kind} ({_some(names)})" for kind, names in problems if names]
    return BadCheckpoint(f"{where} does not fit its config: tensors " + "; ".join(found), field="model",
                         limits={kind: names[:SHOWN] for kind, names in problems if names})  # fmt: skip


def squeezed(shape: Iterable[int]) -> tuple[int, ...]:
    """A shape without its ones: some programs drop them, which changes no number."""
    return tuple(size for size in shape if size != 1)


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")


def fill(module: nn.Module, tensors: Iterator[tuple[str, Tensor]], target: Target, where: str) -> nn.Module:
    """Give a weightless module its tensors, all of them and no others. Raises `BadCheckpoint`."""
    place = Placement({key: (module, key) for key in module.state_dict()})
    for name, tensor in tensors:
        place.put(name, tensor, target)
    place.finish(where)
    materialise_buffers(module, target.device)
    return module
