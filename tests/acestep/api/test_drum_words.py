"""Which descriptions ask for drums."""

from __future__ import annotations

import pytest

from acestep.api.drum_words import wants_drums


@pytest.mark.parametrize(
    "caption",
    [
        "solo piano ballad", "Solo jazz piano", "string quartet, slow and sad", "a cappella choir", "ambient pads",
        "piano and strings", "acoustic guitar and flute, tender", "harp lullaby", "church organ",
        "classical piano nocturne", "rock guitar and bass, no drums", "techno without any percussion",
        "house, drumless", "drum-free funk", "beatless electronica", "pop song with no vocals or drums",
        "hip hop with no bass, drums or percussion", "metal minus the drums", "no beat, just synth",
        "funk without a beat", "Klavier, ohne Schlagzeug", "guitarra sin batería", "rock sans batterie",
        "senza batteria, pop", "ドラムなしのロック", "没有鼓的摇滚", "saxophone alone", "only a piano", "fingerpicked guitar",
        "warm synth", "orchestral strings",
    ],
)  # fmt: skip
def test_nobody_asked_for_drums(caption):
    """They are excluded, or the music has none by its nature, or instruments are named and drums are not."""
    assert not wants_drums(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "", "rock with drums, bass and guitar", "upbeat song", "house", "lofi hip hop, rhodes", "jazz piano trio",
        "slow ballad", "rock ballad with piano and strings", "instrumental rock, no vocals, heavy drums",
        "no vocals and with drums", "piano and brushed drums", "guitar solo over a hard rock riff", "ambient techno",
        "string quartet and a drum machine", "ドラムとピアノ", "Klavier und Schlagzeug", "gospel choir",
        "percussion ensemble", "drum solo", "a piano with a slow beat", "no bass, piano and drums", "solo drums",
    ],
)  # fmt: skip
def test_drums_belong_to_it(caption):
    """They are named, or the style lives by them, or nothing is known."""
    assert wants_drums(caption)
