"""The instruction sentences of the model's tasks, to the letter as the weights were trained on them.

One table for the stage types, the prompts and our own training: were they to differ by a word, training would teach
sentences that nobody asks with.
"""

from __future__ import annotations

TEXT_TO_MUSIC = "Fill the audio semantic mask based on the given conditions:"
"""Plain generation; also what the second part of a run uses when its condition is switched."""

_SENTENCES = {
    "text2music": TEXT_TO_MUSIC,
    "cover": "Generate audio semantic tokens based on the given conditions:",
    "repaint": "Repaint the mask area based on the given conditions:",
    "extract": "Extract the track from the audio:",
    "lego": "Generate the track based on the audio context:",
    "complete": "Complete the input track:",
}

_WITH_TRACKS = {
    "extract": "Extract the {} track from the audio:",
    "lego": "Generate the {} track based on the audio context:",
    "complete": "Complete the input track with {}:",
}


def instruction(task: str, *tracks: str) -> str:
    """The sentence of a task, with the track classes that it names; without any, the model chooses."""
    names = [track.upper() for track in tracks if track]
    if names and task in _WITH_TRACKS:
        return _WITH_TRACKS[task].format(" | ".join(names))
    return _SENTENCES[task]
