"""The instruction sentences of the model's tasks, word for word as the weights were trained on them."""

from __future__ import annotations

from collections.abc import Sequence

TEXT2MUSIC = "Fill the audio semantic mask based on the given conditions:"
COVER = "Generate audio semantic tokens based on the given conditions:"
REPAINT = "Repaint the mask area based on the given conditions:"


def extract(track: str) -> str:
    """Extract one track; without a name the model chooses."""
    return f"Extract the {track.upper()} track from the audio:" if track else "Extract the track from the audio:"


def lego(track: str) -> str:
    """Add one track to what is heard."""
    if not track:
        return "Generate the track based on the audio context:"
    return f"Generate the {track.upper()} track based on the audio context:"


def complete(tracks: Sequence[str]) -> str:
    """Complete a track with the named classes."""
    if not tracks:
        return "Complete the input track:"
    return f"Complete the input track with {' | '.join(track.upper() for track in tracks)}:"
