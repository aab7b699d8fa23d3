"""The names of adapter tensors: which layer of the model one belongs to, and what it is there. No torch.

Tools spell the same layer in many ways: with the original's names or diffusers', behind prefixes of their own, with dots or (kohya,
LyCORIS) underscores throughout. All spellings of a model's layers fall into one table, made from the model itself, so nothing has
to be guessed from underscores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from acestep.checkpoints.mapping import COMPONENTS, to_original

PREFIXES = (
    "base_model_model_",
    "model_diffusion_model_",
    "diffusion_model_",
    "lora_unet_",
    "lora_transformer_",
    "lycoris_",
    "transformer_",
    "decoder_",
    "module_",
    "net_",
)
"""What tools put in front of a layer's path, dots written as underscores; several may follow each other."""

WHOLE_MODEL = "model_"
"""Stands in front of a component where the whole model was wrapped; straight before ``layers`` it is a language model's."""

INSIDE_MODEL = ("decoder_", "encoder_", "tokenizer_", "detokenizer_", "transformer_", "condition_encoder_")

COMPILED = "_orig_mod"
"""What torch.compile adds to every path inside a compiled module."""

TEXT_PREFIXES = ("lora_te", "text_encoder", "text_encoders", "cond_stage_model", "model.layers.", "model.embed_tokens")
"""How adapters of a text encoder or a language model begin, which this model family leaves as they are."""

SPELT = {
    "lora_A": "down",
    "lora_B": "up",
    "lora_down": "down",
    "lora_up": "up",
    "lora.down": "down",
    "lora.up": "up",
    "lora_magnitude_vector": "magnitude",
    "dora_scale": "magnitude",
    "alpha": "alpha",
    "scalar": "scalar",
    "diff": "diff",
    **{f"lokr_w{i}{half}": f"lokr_w{i}{half}" for i in (1, 2) for half in ("", "_a", "_b")},
    **{f"hada_w{i}_{half}": f"hada_w{i}_{half}" for i in (1, 2) for half in "ab"},
}
"""Spelling of a tensor's part in an adapter -> the part."""

UNSUPPORTED = {
    "oft_": "OFT",
    "boft_": "BOFT",
    "ia3_": "IA3",
    "vera_": "VeRA",
    "lora_mid": "a Tucker decomposition",
    "lokr_t2": "a Tucker decomposition",
    "hada_t": "a Tucker decomposition",
    "trainable_tokens_": "trainable tokens",
    "lora_embedding_": "a LoRA of an embedding",
}
"""How parts of methods begin that are not merged -> the method's name."""

_PARTS = "|".join(sorted(map(re.escape, SPELT), key=len, reverse=True))
_TENSOR = re.compile(rf"(?P<path>.+?)\.(?P<part>{_PARTS})(?:\.(?P<adapter>(?!bias$)[^.]+?))??(?:\.weight)?")
"""A tensor's name; PEFT may put the adapter's own name behind the part."""


def parse_key(key: str) -> tuple[str, str, str] | None:
    """The layer's path as it is spelt, the part, and the adapter's own name (mostly empty); None for what is no such tensor."""
    found = _TENSOR.fullmatch(key)
    return None if found is None else (found["path"], SPELT[found["part"]], found["adapter"] or "")


def unsupported_method(keys: Iterable[str]) -> str:
    """The method that tensors of these names belong to, when it is one that cannot be merged; else empty."""
    parts = [part for key in keys for part in key.split(".")[1:]]
    return next((name for part in parts for start, name in UNSUPPORTED.items() if part.startswith(start)), "")


def spellings(layers: Iterable[str]) -> dict[str, str]:
    """Spelling (underscores for dots) -> layer, for layers named ``component/module`` in diffusers' names."""
    found: dict[str, str] = {}
    bare: dict[str, str] = {}
    own_prefix = {component: prefix for prefix, component in COMPONENTS.items()}
    for layer in layers:
        component, _, module = layer.partition("/")
        original = to_original(component, f"{module}.weight").removesuffix(".weight")
        short = original.removeprefix(own_prefix[component])
        for name in (original, f"{component}.{module}", f"{own_prefix[component]}{module}"):
            found[_plain(name)] = layer
        if component in ("transformer", "condition_encoder"):
            for name in (short, module):  # the DiT's own layers come first where two components name one alike
                key = _plain(name)
                if component == "transformer":
                    bare[key] = layer
                else:
                    bare.setdefault(key, layer)
    return {**bare, **found}


def find_layer(path: str, table: Mapping[str, str]) -> str | None:
    """The layer that a spelt path means; None for one that the model lacks."""
    name = _plain(path)
    while name not in table:
        prefix = next((start for start in PREFIXES if name.startswith(start)), "")
        if not prefix and name.removeprefix(WHOLE_MODEL).startswith(INSIDE_MODEL):
            prefix = WHOLE_MODEL if name.startswith(WHOLE_MODEL) else ""
        if not prefix:
            return None
        name = name.removeprefix(prefix)
    return table[name]


def is_text_encoder(path: str) -> bool:
    """Whether a path names a layer of a text encoder or a language model."""
    name = path.removeprefix("base_model.model.")
    return name.startswith(TEXT_PREFIXES)


def _plain(path: str) -> str:
    return path.replace(f".{COMPILED}", "").removeprefix(f"{COMPILED}.").replace(".", "_")
