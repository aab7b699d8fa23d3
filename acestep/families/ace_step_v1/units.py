"""Seconds, samples and frames of ACE-Step v1, and what it was made for. No torch."""

from __future__ import annotations

RATE = 44_100
"""Sample rate in Hz of the codec, stereo."""

FRAME = 4096
"""Samples per latent frame: 8 mel frames of 512."""

CHANNELS, ROWS = 8, 16
"""A latent frame is 8 channels of 16 rows."""

MIN_SECONDS, MAX_SECONDS = 5.0, 240.0
"""Shortest piece that its users are offered, and the longest the model was trained on."""

MAX_FRAMES = 2583
"""Frames of `MAX_SECONDS`."""


def frames_within(seconds: float) -> int:
    """Whole frames that fit into a time, the original's rule. The sound is then up to a frame (93 ms) shorter than that."""
    return int(seconds * RATE / FRAME)


def frames_covering(samples: int) -> int:
    """Frames that hold so many samples at 44.1 kHz; the codec fills up the last with silence."""
    return -(-samples // FRAME)
