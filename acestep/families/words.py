"""How the words of a request reach models that know descriptions and no fields: what several families share. No torch."""

from __future__ import annotations

from acestep.api.conditioning import Conditioning
from acestep.api.variants import ModelInfo


def prompt_text(caption: str, conditioning: Conditioning) -> str:
    """The description, with tempo and key as the words or tags that such models were trained on, unless it names them itself."""
    words = [caption.strip().rstrip(".,")]
    if conditioning.bpm is not None and "bpm" not in caption.lower():
        words.append(f"{round(conditioning.bpm)} bpm")
    if conditioning.key and conditioning.key.lower() not in caption.lower():
        words.append(conditioning.key)
    return ", ".join(filter(None, words))


def metre_notes(conditioning: Conditioning, info: ModelInfo) -> list[str]:
    """What a model that knows no metre makes of one."""
    metre = conditioning.time_signature
    return [f"{info.name} knows no metre: time_signature {metre} is only written into files"] if metre else []
