"""Finds stored latents by the size of their sounds: a copy in a song's folder or an upload is of the same size. No torch."""

from __future__ import annotations

import os
from pathlib import Path

from acestep.api.errors import BadLatent
from acestep.audio.latent_header import SUFFIX, read_latent_facts


class LatentIndex:
    """A library's stored latents by the sizes of their sounds. The folder of each result is read once, when it is new."""

    def __init__(self, library: Path) -> None:
        self._library = library
        self._seen: set[tuple[str, int]] = set()
        self._latents: dict[int, list[Path]] = {}

    def with_sound_of(self, size: int) -> list[Path]:
        """The latents of results that hold a file of so many bytes; those that are gone are left out."""
        self._read_new_results()
        return [latent for latent in self._latents.get(size, []) if latent.is_file()]

    def _read_new_results(self) -> None:
        if not self._library.is_dir():
            return
        with os.scandir(self._library) as entries:
            found = {(entry.name, entry.inode()) for entry in entries if entry.is_dir()}
        for name, _ in sorted(found - self._seen):
            self._read(self._library / name)
        self._seen = found

    def _read(self, folder: Path) -> None:
        for latent in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                facts = read_latent_facts(latent)
            except BadLatent:
                continue
            for size in {companion.bytes for companion in facts.audio}:
                self._latents.setdefault(size, []).append(latent)
