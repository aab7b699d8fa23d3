"""What a request field is called in a form: a musician's words, the same in every host. One table."""

from __future__ import annotations

from typing import Any

LABELS = {
    "bpm": "Tempo (bpm)",
    "caption": "Description",
    "cot_text": "The planner's reasoning",
    "duration": "Length (s)",
    "guidance": "Guidance method",
    "guidance_end": "Guidance until (1: the whole way)",
    "guidance_scale": "Guidance strength",
    "guidance_start": "Guidance from (0: the beginning)",
    "guide": "Chords, rhythm or MIDI file to follow",
    "language": "Language of the lyrics",
    "lora": "LoRA adapters",
    "loras": "LoRA adapters",
    "metre": "Metre",
    "model": "Model",
    "models": "Models for the stages",
    "planner_cfg_scale": "Planner: guidance strength",
    "reference": "Audio file for the sound",
    "seed": "Seed: leave empty for a new one",
    "seeds": "Seeds for the variants",
    "shift": "Schedule shift",
    "strength": "Strength",
    "t_start": "How much may change (1: everything)",
    "time_signature": "Metre",
    "thinking": "Let the planner think first",
    "timesteps": "Explicit timesteps",
    "track": "Instrument",
    "tracks": "Instruments",
    "variants": "Variants",
}
"""Field -> label, where the name alone would not do."""


RANDOM = (None, -1)
"""Defaults of a seed that stand for a new one each time."""


def label_of(name: str, unit: str | None = None, default: Any = None) -> str:
    """The label of a field; its name in plain words, with its unit, where the table has none.

    Where a seed has a default of its own, as a training has, an empty field is that seed and no new one.
    """
    if name == "seed" and default not in RANDOM:
        return f"Seed: {default} when left empty"
    if name in LABELS:
        return LABELS[name]
    words = name.replace("_", " ")
    plain = words[:1].upper() + words[1:]
    return f"{plain} ({unit})" if unit and unit.lower() != words.lower() else plain
