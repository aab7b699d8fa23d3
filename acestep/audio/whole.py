"""The whole source with the edit in it: same container, same depth, same header; only region and crossfade differ.

An uncompressed file that keeps its length is copied byte by byte and only the bytes of the edit are replaced, so every header
chunk survives. FLAC, files that grow and files whose header was never completed are written again from the source's own samples,
with all their tags, pictures and markers. A lossy source would change everywhere if it were coded a second time, so its whole is a
32-bit float WAV of what its decoder gives.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from acestep.api.errors import NumericFailure
from acestep.audio import far, pcm
from acestep.audio.flac_header import id3_tag
from acestep.audio.flac_tags import carry_tags
from acestep.audio.iff_rewrite import MAX_RIFF, Change, append_chunk, rewrite
from acestep.audio.ogg_tags import id3_of_ogg
from acestep.audio.read import native_blocks
from acestep.audio.splice import Splice
from acestep.audio.write import Written, digest, storage_errors, sync

STRINGS = ("title", "artist", "album", "comment", "copyright", "date", "genre", "license", "software", "tracknumber")


def write_whole(path: Path, splice: Splice) -> Written:
    """Write the source with the new region; a region beyond the file makes it longer (and its time 0 moves to the region).

    Raises `DiskFull`, `OutputUnwritable`, `CorruptAudio`, `NumericFailure`.
    """
    mixed = splice.mixed()
    if not np.isfinite(mixed).all():
        raise NumericFailure("the model produced samples that are not finite numbers")
    native, clipped = pcm.quantise(mixed, splice.layout.subtype)
    inside = splice.first >= 0 and splice.last <= splice.layout.frames
    with storage_errors(path):
        if inside and splice.layout.data and not splice.layout.open_ended:
            _patch_copy(path, splice, native)
        else:
            _write_anew(path, splice, native)
        sync(path)
        return Written(clipped, digest(path))


def _patch_copy(path: Path, splice: Splice, native: pcm.Samples) -> None:
    layout = splice.layout
    far.fetch(splice.path)
    shutil.copyfile(splice.path, path)
    path.chmod(0o644)
    with path.open("rb+") as file:
        file.seek(layout.data + splice.first * layout.frame_bytes)
        file.write(pcm.encode(native, layout.subtype, big_endian=layout.big_endian))


def _write_anew(path: Path, splice: Splice, native: pcm.Samples) -> None:
    layout = splice.layout
    change = Change(max(layout.frames, splice.last) - min(splice.first, 0), max(-splice.first, 0))
    if layout.data:
        rewrite(path, (splice.path, layout), change, _pieces(splice, native))
        return
    container = layout.container
    if layout.lossy:
        container = "WAV" if layout.frames * layout.frame_bytes < MAX_RIFF else "RF64"
    with soundfile.SoundFile(path, "w", layout.rate, layout.channels, layout.subtype, format=container) as file:
        if layout.lossy:
            _copy_strings(splice.path, file)
        for block in _pieces(splice, native):
            _write_block(file, block, layout.bits if not layout.floating else 0)
    if container == "FLAC":
        carry_tags(splice.path, path, change)
    elif layout.lossy:
        _keep_tags(splice.path, layout.container, path)


def _keep_tags(source: Path, container: str, target: Path) -> None:
    """Put what a lossy file says of itself (pictures, tempo, gain) into the WAV that stands for it, in the chunk for ID3 tags."""
    if container == "MP3":
        with source.open("rb") as file:
            tag = id3_tag(file)
    else:
        tag = id3_of_ogg(source)
    if tag and target.stat().st_size + len(tag) < MAX_RIFF:
        append_chunk(target, b"id3 ", tag)


def _copy_strings(source: Path, target: soundfile.SoundFile) -> None:
    with soundfile.SoundFile(source) as file:
        for name in STRINGS:
            text = getattr(file, name)
            if text:
                setattr(target, name, text)


def _pieces(splice: Splice, native: pcm.Samples) -> Iterator[pcm.Samples]:
    """The new file's samples in order, in the source's own form."""
    frames = splice.layout.frames
    yield from native_blocks(splice.path, splice.layout, 0, min(max(splice.first, 0), frames))
    yield native
    yield from native_blocks(splice.path, splice.layout, min(max(splice.last, 0), frames), frames)


def _write_block(file: soundfile.SoundFile, block: pcm.Samples, bits: int) -> None:
    interleaved = np.ascontiguousarray(block.T)
    file.write(interleaved.astype(np.int32, copy=False) << (32 - bits) if bits else interleaved)
