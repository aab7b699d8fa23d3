"""The language model's tokenizer, read in seconds.

The published files list 65,535 audio tokens a second time as "additional special tokens", and transformers looks every one of
them up in that growing list: minutes of work that change no id, for ``tokenizer.json`` alone says everything. So that file is
read as it is, and of the others only what it cannot hold: which tokens end and pad a text, and the chat template.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints.files import read_json
from acestep.checkpoints.text_tokenizer import qwen_words
from acestep.planner.layout import AUDIO_TOKENS
from acestep.planner.planner_models import TEMPLATE, planner_problem

FILE = "tokenizer.json"
CONFIG = "tokenizer_config.json"

NAMED = ("bos_token", "eos_token", "pad_token", "unk_token")
"""Tokens with a role, as ``tokenizer_config.json`` names them."""

LONGEST_TEMPLATE = 2**20
"""Bytes; the published one has four thousand."""


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a language model's folder, or of a GGUF file with its tokens, without remote code.

    Raises `BadCheckpoint`, also for a folder without a chat template.
    """
    if folder.is_file():
        return _from_tokens(folder)
    try:
        words = Tokenizer.from_file(str(folder / FILE))
    except Exception as failure:  # the library raises nothing narrower
        raise BadCheckpoint(f"{folder} holds no readable {FILE}", field="model") from failure
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    template = read_template(folder, config)
    if not template:
        sentence = planner_problem(folder) or f"{folder.name} lacks {TEMPLATE}; download it again"
        raise BadCheckpoint(sentence, field="model")
    named = {role: _text(config.get(role)) for role in NAMED}
    unknown = [token for token in named.values() if token and words.token_to_id(token) is None]
    if unknown:
        raise BadCheckpoint(f"{folder / CONFIG} names tokens that {FILE} lacks: {', '.join(unknown)}", field="model")
    return PreTrainedTokenizerFast(
        tokenizer_object=words, clean_up_tokenization_spaces=False, chat_template=template, **named
    )


CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}
{{- '<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
{%- endif -%}
"""
"""What Qwen3's own template comes to for plain turns without tools."""


def _from_tokens(file: Path) -> PreTrainedTokenizerFast:
    """Out of a GGUF file: its plain vocabulary, Qwen3's added tokens, and the audio tokens at the ids behind them."""
    audio = [AddedToken(f"<|audio_code_{code}|>", normalized=False, special=True) for code in range(AUDIO_TOKENS)]
    return PreTrainedTokenizerFast(
        tokenizer_object=qwen_words(file, audio),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def read_template(folder: Path, config: Mapping[str, Any]) -> str:
    """The chat template: a file of its own, or the older entry of the config; empty without either. Raises `BadCheckpoint`."""
    path = folder / TEMPLATE
    try:
        if path.is_file():
            if path.stat().st_size > LONGEST_TEMPLATE:
                raise BadCheckpoint(f"{path} is too large for a chat template", field="model")
            return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise BadCheckpoint(f"{path} cannot be read: {failure}", field="model") from failure
    own = config.get("chat_template")
    if isinstance(own, list):  # several under names; the plain one is called so
        own = next((one.get("template") for one in own if isinstance(one, dict) and one.get("name") == "default"), "")
    return own if isinstance(own, str) else ""


def _text(token: Any) -> str | None:
    """A token as a config spells it: a string, or a map of its properties."""
    token = token.get("content") if isinstance(token, Mapping) else token
    return token if isinstance(token, str) and token else None
