"""Synthetic multitrack songs: composed, arranged and rendered by this package alone, deterministic by seed.

Reading order: `tracks` (what may sound), `styles` (how it is played), `compose` (a seed becomes notes), `captions`
(and words), `bank` (one recording per note), `render` (notes become stems), `midi` (notes become a file).
"""

from acestep.training.songs.compose import compose
from acestep.training.songs.score import Note, Part, Song
from acestep.training.songs.seeds import SPLITS, song_seed

__all__ = ["SPLITS", "Note", "Part", "Song", "compose", "song_seed"]
