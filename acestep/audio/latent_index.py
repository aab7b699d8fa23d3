"""Finds the stored latent of a sound that lies elsewhere: a copy in a song's folder, an upload. No torch."""

from __future__ import annotations

import os
from pathlib import Path

from acestep.api.errors import BadLatent
from acestep.audio.latent_header import SUFFIX, read_latent_facts
from acestep.audio.write import digest


class LatentIndex:
    """The sounds of a library's stored latents, by size in bytes. The folder of each result is read once, when it is new."""

    def __init__(self, library: Path) -> None:
        self._library = library
        self._seen: set[tuple[str, int]] = set()
        self._sounds: dict[int, list[tuple[str, Path]]] = {}

    def latents_of(self, sound: Path) -> list[Path]:
        """The latents of results that hold a file of this content; those that are gone are left out."""
        self._read_new_results()
        known = self._sounds.get(sound.stat().st_size, [])
        content = digest(sound) if known else ""
        return [latent for sha256, latent in known if sha256 == content and latent.is_file()]

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
            for companion in facts.audio:
                self._sounds.setdefault(companion.bytes, []).append((companion.sha256, latent))
