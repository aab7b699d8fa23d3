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


WRAPPERS = ("model.diffusion_model.", "diffusion_model.", "net.", "module.", "_orig_mod.")
"""What trainers, compilers and other programs put in front of the original names, in any order and number."""

CONVOLUTIONS = (("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v"))
"""Newer torch's names of a weight-normalised convolution's two halves -> those of the published codec."""

RESIDUAL = ("snake1", "conv1", "snake2", "conv2")
"""What the four layers of a residual unit are in diffusers' names."""


def plain_name(name: str) -> str:
    """An original tensor's name without what was put around it."""
    name = name.replace("._orig_mod.", ".")
    while wrapper := next((wrapper for wrapper in WRAPPERS if name.startswith(wrapper)), ""):
        name = name.removeprefix(wrapper)
    return name


def codec_name(name: str) -> str:
    """A codec tensor's name in stable-audio-tools' numbering -> diffusers'; one that is diffusers' already stays.

    Encoder: a convolution, blocks (three residual units, snake, strided convolution), snake, convolution; decoder: a convolution,
    blocks (snake, transposed convolution, three residual units), snake, convolution.
    """
    for new, old in CONVOLUTIONS:
        name = name.replace(new, old)
    pieces = name.split(".")
    if len(pieces) < 4 or pieces[0] not in ("encoder", "decoder") or pieces[1] != "layers":
        return name
    side, number, rest = pieces[0], int(pieces[2]) if pieces[2].isdigit() else -1, pieces[3:]
    if rest[0] == "layers" and len(rest) >= 3 and rest[1].isdigit() and number > 0:
        return f"{side}.block.{number - 1}.{_block_layer(side, int(rest[1]), rest[2:])}"
    outer = "snake1" if rest[-1] in ("alpha", "beta") else "conv1" if number == 0 else "conv2"
    return f"{side}.{outer}.{rest[-1]}"


def _block_layer(side: str, number: int, rest: list[str]) -> str:
    """Layer ``number`` of a block in diffusers' names."""
    first = 0 if side == "encoder" else 2
    if rest[0] == "layers" and len(rest) == 3 and rest[1].isdigit() and int(rest[1]) < len(RESIDUAL):
        return f"res_unit{number - first + 1}.{RESIDUAL[int(rest[1])]}.{rest[2]}"
    convolution = "conv1" if side == "encoder" else "conv_t1"
    return f"{'snake1' if rest[0] in ('alpha', 'beta') else convolution}.{rest[0]}"
