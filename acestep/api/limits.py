"""The numbers that bound a render, each with its reason."""

from __future__ import annotations

CODEC_RATE = 48_000
"""Sample rate in Hz of the model's codec (Oobleck, 48 kHz stereo)."""

HOP = 1920
"""Codec samples per latent frame."""

FRAMES_PER_SECOND = CODEC_RATE // HOP
"""Latent frames a second: 25."""

LATENT_CHANNELS = 64
"""Channels of a latent frame."""

MIN_DURATION = 10.0
"""Shortest window in seconds the model was trained on; shorter asks are padded and trimmed."""

MAX_DURATION = 600.0
"""Longest generation in seconds: the shipped silence latent ends there (15,000 frames)."""

MIN_FRAMES = 128
"""Shortest latent the model's own code ever runs (5.12 s)."""

CONTEXT_SECONDS = 10.0
"""Audio a side that a windowed edit reads besides its region: the reach of the sliding attention (10.24 s)."""

MAX_CONTEXT_SECONDS = 120.0
"""More context than this costs memory and teaches the model nothing new."""

CROSSFADE_MS = 50.0
"""Default splice crossfade outside each region edge (the model authors' conservative value)."""

MAX_CROSSFADE_MS = 5_000.0
"""A crossfade beyond this is no crossfade but an edit of its own."""

MAX_VARIANTS = 8
"""Results per request; the model's own batch limit."""

MAX_STAGES = 16
"""Stages per job; nobody chains more, and it bounds what one request can cost."""

MAX_STEPS = 200
"""Denoising steps; the model's registry allows no more."""

MAX_CAPTION = 4_096
"""Characters. The text encoder truncates at 256 tokens, far below."""

MAX_LYRICS = 32_768
"""Characters. The lyric encoder truncates at 2,048 tokens."""

MAX_PATH = 4_095
"""Characters of a path (PATH_MAX on Linux without the NUL). No other text has this limit, so it also marks a field as a path."""

MAX_SEED = 2**32 - 1
"""Seeds are unsigned 32-bit numbers, as in the model's own interface."""

BPM_RANGE = (30.0, 300.0)
"""Beats per minute the model was trained on."""

RATES = (8_000, 192_000)
"""Sample rates in Hz accepted for sources and results."""

MAX_SOURCE_SECONDS = 6 * 3600.0
"""Longest source file: a long concert recording. Windowed edits cost the same at any length."""

MAX_CHANNELS = 2
"""The codec is stereo; more channels are refused rather than mixed behind the user's back."""
