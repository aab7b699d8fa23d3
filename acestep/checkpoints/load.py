"""Opens a checkpoint: strictly, mapped in memory, safetensors only, and without running anything that is in it.

Every tensor a network has must be in the files with its shape, and the files must hold nothing else. Parts that several models
share (codec, text encoder) are loaded once: pass the same ``shared`` mapping to every call.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from acestep.api.errors import BadCheckpoint
from acestep.api.limits import LATENT_CHANNELS
from acestep.api.variants import ModelInfo
from acestep.checkpoints.architecture import build_codec, build_component, build_text_encoder, materialise_buffers
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.info import read_info
from acestep.checkpoints.layout import Parts, locate, weight_files
from acestep.checkpoints.manifest import verify_manifest
from acestep.checkpoints.mapping import to_diffusers
from acestep.networks.condition import ConditionEncoder
from acestep.networks.dit import Dit
from acestep.networks.tokenizer import AudioDetokenizer, AudioTokenizer

SHOWN = 6
"""How many tensor names an error lists; the rest is counted."""

Check = Callable[[], None]
"""Called at every shard and every few tensors; raises to stop (cancel)."""


@dataclass
class Model:
    """An opened checkpoint. ``silence`` is the silence latent, float32 [1, 15000, 64] on the CPU; ``codec`` maps waveforms
    [B, 2, N] to latents [B, 64, T] and back; ``text_encoder`` is a Qwen3 model with its ``text_tokenizer``."""

    info: ModelInfo
    digest: str
    transformer: Dit
    condition_encoder: ConditionEncoder
    audio_tokenizer: AudioTokenizer
    audio_detokenizer: AudioDetokenizer
    codec: nn.Module
    text_encoder: nn.Module
    text_tokenizer: PreTrainedTokenizerBase
    silence: Tensor
    text_digest: str
    codec_digest: str
    device: torch.device
    dtype: torch.dtype
    adapters: list[Any] = field(default_factory=list)
    """LoRA adapters merged into the transformer, in order (`acestep.checkpoints.lora`)."""

    @property
    def null_condition(self) -> Tensor:
        """The unconditional condition [1, 1, H_enc]; the same at every position, so one position is enough."""
        return self.condition_encoder.null_condition_emb

    def networks(self) -> dict[str, nn.Module]:
        """The six networks by part name, for offloading and accounting."""
        return {
            "transformer": self.transformer,
            "condition_encoder": self.condition_encoder,
            "audio_tokenizer": self.audio_tokenizer,
            "audio_detokenizer": self.audio_detokenizer,
            "codec": self.codec,
            "text_encoder": self.text_encoder,
        }


def open_checkpoint(
    path: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    check: Check = lambda: None,
    shared: MutableMapping[tuple[str, ...], Any] | None = None,
) -> Model:
    """The checkpoint at ``path`` (a DiT folder, a bundle with one, or a diffusers root), ready to run.

    Raises `ModelMissing` for missing or incomplete files and `BadCheckpoint` for missing, extra or wrongly shaped tensors, pickles
    and unknown classes; both name what is wrong.
    """
    info, parts, target = read_info(Path(path)), locate(Path(path)), Target(torch.device(device), dtype, check)
    verify_manifest(parts.transformer.parent)
    pool = {} if shared is None else shared
    codec_digest, codec = _shared(pool, target, parts.vae, lambda: load_codec(parts.vae, target))
    text_digest, text = _shared(pool, target, parts.text_encoder, lambda: load_text_encoder(parts.text_encoder, target))
    key = ("text_tokenizer", str(parts.text_tokenizer))
    if (words := pool.get(key)) is None:
        words = pool[key] = load_text_tokenizer(parts.text_tokenizer)
    networks = load_networks(parts, target)
    return Model(
        info=info,
        digest=weights_digest([file for folder in parts.folders() for file in weight_files(folder)]),
        **networks,
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
    """Where weights go: device, dtype, and the callable that may stop the loading."""

    device: torch.device
    dtype: torch.dtype
    check: Check


def _shared(
    pool: MutableMapping[tuple[str, ...], Any], target: Target, folder: Path, load: Callable[[], nn.Module]
) -> tuple[str, nn.Module]:
    """A part out of the pool, by the digest of its weights, or freshly loaded."""
    digest = weights_digest(weight_files(folder))
    key = (digest, str(target.device), str(target.dtype))
    found = pool.get(key)
    if found is None:
        found = pool[key] = load()
    return digest, found


def load_networks(parts: Parts, target: Target) -> dict[str, nn.Module]:
    """The four ACE-Step networks by part name."""
    names = ("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer")
    networks = {name: build_component(name, parts) for name in names}
    if parts.diffusers:
        for name, network in networks.items():
            tensors = (
                (key, tensor) for key, tensor in read_tensors(getattr(parts, name), target) if key != "silence_latent"
            )
            fill(network, tensors, target, name)
        return networks
    wanted = {f"{name}/{key}": (network, key) for name, network in networks.items() for key in network.state_dict()}
    place = Placement(wanted)
    for original, tensor in read_tensors(parts.transformer, target):
        mapped = to_diffusers(original)
        place.put(original if mapped is None else f"{mapped[0]}/{mapped[1]}", tensor, target)
    place.finish(parts.transformer.name)
    for network in networks.values():
        materialise_buffers(network, target.device)
    return networks


def load_codec(folder: Path, target: Target) -> nn.Module:
    """The codec of a ``vae`` folder."""
    return fill(build_codec(folder), read_tensors(folder, target), target, folder.name)


def load_text_encoder(folder: Path, target: Target) -> nn.Module:
    """The text encoder; a causal-LM export's ``model.`` prefix and tied head are taken for what they are."""
    tensors = (
        (name.removeprefix("model."), tensor)
        for name, tensor in read_tensors(folder, target)
        if name != "lm_head.weight"
    )
    return fill(build_text_encoder(folder), tensors, target, folder.name)


def load_text_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The text encoder's tokenizer, padding on the right (the encoder gets no mask). Raises `BadCheckpoint`."""
    try:
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, padding_side="right"
        )
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise BadCheckpoint(f"the tokenizer in {folder} cannot be read: {failure}", field="model") from failure


def load_silence(parts: Parts) -> Tensor:
    """The silence latent, float32 [1, 15000, 64]. Raises `BadCheckpoint` when it is no such tensor or all zero.

    (A converted checkpoint without it holds zeros, and zeros sound like a drone.)
    """
    if parts.silence is None:
        found = [t for name, t in read_tensors(parts.condition_encoder, Target(torch.device("cpu"), torch.float32, _pass))
                 if name == "silence_latent"]  # fmt: skip
        if not found:
            raise BadCheckpoint(
                f"{parts.condition_encoder} has no silence latent; convert the model again", field="model"
            )
        silence = found[0]
    else:
        silence = _read_plain_tensor(parts.silence).transpose(1, 2)
    if silence.ndim != 3 or silence.shape[0] != 1 or silence.shape[2] != LATENT_CHANNELS:
        raise BadCheckpoint(f"the silence latent has shape {list(silence.shape)}, not [1, frames, {LATENT_CHANNELS}]")
    silence = silence.float().contiguous()
    if not torch.isfinite(silence).all() or not silence.any():
        raise BadCheckpoint(
            "the silence latent is all zero or not finite: the model would drone; convert or download it again"
        )
    return silence


def _pass() -> None:
    return None


def _read_plain_tensor(path: Path) -> Tensor:
    """The one pickled file of the published layout: a bare tensor, read by the restricted unpickler."""
    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as failure:
        raise BadCheckpoint(f"{path} is no plain tensor: {str(failure).splitlines()[0]}", field="model") from failure
    if not isinstance(tensor, Tensor) or tensor.ndim != 3:
        raise BadCheckpoint(f"{path} holds no tensor [1, {LATENT_CHANNELS}, frames]", field="model")
    return tensor


def read_tensors(folder: Path, target: Target) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a component, mapped in memory. Raises `BadCheckpoint` and what ``target.check`` raises."""
    for path in weight_files(folder):
        target.check()
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                for index, name in enumerate(file.keys()):
                    if index % 16 == 0:
                        target.check()
                    yield name, file.get_tensor(name)
        except SafetensorError as failure:
            raise BadCheckpoint(f"{path} is damaged: {failure}", field="model") from failure


class Placement:
    """Puts tensors where a table says they belong, and tells what was missing, left over or of the wrong shape."""

    def __init__(self, wanted: dict[str, tuple[nn.Module, str]]) -> None:
        self._wanted = wanted
        self._seen: set[str] = set()
        self._extra: list[str] = []
        self._shapes: list[str] = []

    def put(self, key: str, tensor: Tensor, target: Target) -> None:
        """Assign one tensor in the target's dtype (integers keep theirs) and on its device."""
        place = self._wanted.get(key)
        if place is None:
            self._extra.append(key)
            return
        self._seen.add(key)
        owner, name = _owner(*place)
        old = getattr(owner, name)
        if old.shape != tensor.shape:
            self._shapes.append(f"{key} {list(tensor.shape)} instead of {list(old.shape)}")
            return
        tensor = tensor.to(target.device, target.dtype if tensor.is_floating_point() else None)
        if isinstance(old, nn.Parameter):
            owner._parameters[name] = nn.Parameter(tensor, requires_grad=False)
        else:
            owner._buffers[name] = tensor

    def finish(self, where: str) -> None:
        """Raise `BadCheckpoint` unless everything found its place."""
        missing = [key for key in self._wanted if key not in self._seen]
        problems = [("missing", missing), ("extra", self._extra), ("wrongly shaped", self._shapes)]
        found = [f"{len(names)} {kind} ({_some(names)})" for kind, names in problems if names]
        if found:
            raise BadCheckpoint(f"{where} does not fit its config: tensors " + "; ".join(found), field="model",
                                limits={kind: names[:SHOWN] for kind, names in problems if names})  # fmt: skip


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
