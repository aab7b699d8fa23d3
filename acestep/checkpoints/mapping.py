"""Tensor names of the original checkpoints <-> those of diffusers' modules, as one table read in both directions."""

from __future__ import annotations

COMPONENTS = {
    "decoder.": "transformer",
    "encoder.": "condition_encoder",
    "tokenizer.": "audio_tokenizer",
    "detokenizer.": "audio_detokenizer",
}
"""Prefix of an original name -> component of the diffusers layout; the prefix itself is dropped."""

VERBATIM = {"null_condition_emb": "condition_encoder"}
"""Original names without a prefix -> the component that owns them."""

RENAMES = (
    (".q_proj.", ".to_q."),
    (".k_proj.", ".to_k."),
    (".v_proj.", ".to_v."),
    (".o_proj.", ".to_out.0."),
    (".q_norm.", ".norm_q."),
    (".k_norm.", ".norm_k."),
)
"""Parts of the names of attention weights, in all components."""

TRANSFORMER_RENAMES = (("proj_in.1.", "proj_in_conv."), ("proj_out.1.", "proj_out_conv."))
"""Leading parts of the DiT's patch layers."""


def to_diffusers(name: str) -> tuple[str, str] | None:
    """Component and name of an original tensor in diffusers' modules; None for a name that belongs to none of them."""
    if name in VERBATIM:
        return VERBATIM[name], name
    for prefix, component in COMPONENTS.items():
        if name.startswith(prefix):
            return component, rename(name.removeprefix(prefix), component)
    return None


def rename(name: str, component: str = "transformer") -> str:
    """An original name without its component prefix -> diffusers' name."""
    for old, new in RENAMES:
        name = name.replace(old, new)
    if component == "transformer":
        for old, new in TRANSFORMER_RENAMES:
            name = new + name.removeprefix(old) if name.startswith(old) else name
    return name


def to_original(component: str, name: str) -> str:
    """The original checkpoint's name of a diffusers tensor. Raises `KeyError` for an unknown component."""
    if name in VERBATIM:
        return name
    if component == "transformer":
        for old, new in TRANSFORMER_RENAMES:
            name = old + name.removeprefix(new) if name.startswith(new) else name
    for old, new in RENAMES:
        name = name.replace(new, old)
    return {owner: prefix for prefix, owner in COMPONENTS.items()}[component] + name
