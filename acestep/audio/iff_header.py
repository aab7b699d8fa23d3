"""Headers of WAV and AIFF files: where the sound lies and in which form. Reads what recorders, pipes and crashes leave behind.

Sizes that were never filled in (0, 0xFFFFFFFF and the like) mean the end of the file; odd chunks may lack their padding byte.
Codings that are not read are refused by name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Generator
from typing import BinaryIO

import msgspec

from acestep.api.errors import CorruptAudio, NotAudio
from acestep.audio.layout import FLOAT_SUBTYPES, INTEGER_SUBTYPES, Layout, never_completed

MAX_CHUNKS = 1_000
"""Chunks that are walked over; real files have a dozen."""

MAX_IXML = 1 << 20
"""Bytes of an iXML chunk that is looked into."""

PLACEHOLDER = 0x7F000000
"""Sizes from here on are what programs write that do not know the size yet, unless there is so much."""

GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format tag in the sub-format of WAVE_FORMAT_EXTENSIBLE for the standard tags."""

AMBISONIC = bytes.fromhex("00002107d3118644")

WAV_CODINGS = {
    **dict.fromkeys((0x0160, 0x0161, 0x0162, 0x0163), "Windows Media Audio"),
    **dict.fromkeys((0x674F, 0x6750, 0x6751, 0x676F, 0x6770, 0x6771), "Ogg Vorbis"),
    **dict.fromkeys((0x00FF, 0x1600, 0x1610), "AAC"),
    **dict.fromkeys((0x0092, 0x2000), "AC-3"),
    **dict.fromkeys((0x0045, 0x0064), "G.726 ADPCM"),
    0x0002: "Microsoft ADPCM",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0010: "OKI ADPCM",
    0x0011: "IMA ADPCM",
    0x0016: "G.723 ADPCM",
    0x0031: "GSM 6.10",
    0x0040: "G.721 ADPCM",
    0x0050: "MPEG layer II",
    0x0055: "MP3",
    0x0065: "G.722 ADPCM",
    0x2001: "DTS",
    0xF1AC: "FLAC",
}
"""Format tags by name, from the list of the Windows multimedia headers."""

AIFC_CODINGS = {
    **dict.fromkeys((b"ulaw", b"ULAW"), "mu-law"),
    **dict.fromkeys((b"alaw", b"ALAW"), "A-law"),
    b"ima4": "IMA ADPCM",
    b"MAC3": "MACE 3:1",
    b"MAC6": "MACE 6:1",
    b"GSM ": "GSM 6.10",
    b"G722": "G.722",
    b"G726": "G.726",
    b"QDM2": "QDesign Music 2",
    b"QDMC": "QDesign Music",
    b"Qclp": "Qualcomm PureVoice",
    b".mp3": "MP3",
    b"ADP4": "Intel ADPCM",
    b"dvi4": "DVI ADPCM",
    b"DWVW": "delta with variable word width",
    b"SDX2": "SDX2",
}

AIFC_INTEGERS: dict[bytes, tuple[int, bool]] = {
    b"NONE": (0, True), b"twos": (0, True), b"sowt": (0, False), b"in24": (24, True), b"in32": (32, True), b"42ni": (24, False),
    b"23ni": (32, False), b"ni24": (24, False), b"ni32": (32, False),
}  # fmt: skip
"""Codings of plain integers: their bits (0: as the header says) and whether the high byte comes first."""

AIFC_FLOATS = {b"fl32": 32, b"FL32": 32, b"fl64": 64, b"FL64": 64}

IXML_POSITIONS = (
    (b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO", b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI"),
    (b"BWF_TIME_REFERENCE_LOW", b"BWF_TIME_REFERENCE_HIGH"),
)
"""Tags of an iXML text that say where the file begins: low and high half. The second pair is the broadcast extension once more."""

KNOWN_CHUNKS = frozenset(
    word.encode().ljust(4)
    for word in (
        "data fmt fact LIST bext iXML axml JUNK junk PAD cue smpl inst acid id3 ID3 PEAK cart minf elm1 regn umid chna ds64 "
        "COMM SSND MARK INST NAME AUTH ANNO APPL FVER CHAN COMT MIDI"
    ).split()
)
"""Chunks that are recognised where a padding byte should stand."""


def walk(file: BinaryIO, size: int, order: str) -> Generator[tuple[bytes, int, int], int | None, None]:
    """Chunks of a RIFF or IFF file: id, place of the body, length as it is written. The file stands at the body.

    Send the true length to the generator where it is another.
    """
    position = 12
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            return
        kind, length = struct.unpack(f"{order}4sI", header)
        length = (yield kind, position + 8, length) or length
        position = _next(file, position + 8 + length, length)
        if position > size:
            return


def _next(file: BinaryIO, end: int, length: int) -> int:
    """Where the chunk behind a body begins: behind a padding byte after an odd length, which some programs leave out."""
    if not length & 1:
        return end
    file.seek(end)
    head = file.read(5)
    if head[:4] in KNOWN_CHUNKS or (_is_id(head[:4]) and not _is_id(head[1:5])):
        return end
    return end + 1


def _is_id(text: bytes) -> bool:
    return len(text) == 4 and all(32 <= byte < 127 for byte in text)


def parse_wav(file: BinaryIO, size: int, name: str, *, wide: bool) -> Layout:
    """The layout of a WAV (``wide``: RF64 or BW64) file of ``size`` bytes. Raises `CorruptAudio`, `NotAudio`."""
    file.seek(4)
    (riff,) = struct.unpack("<I", _body(file, 4, name))
    large = None
    form, place = b"", _Place()
    layout: Layout | None = None
    chunks = walk(file, size, "<")
    entry = next(chunks, None)
    while entry is not None:
        kind, begin, length = entry
        true = None
        if kind == b"ds64" and wide:
            whole, large = struct.unpack("<QQ", _body(file, 16, name))
            riff = 0 if whole == 0 else min(whole, 0xFFFFFFFE)
        elif kind == b"fmt ":
            form = _body(file, min(length, 40), name)
        elif kind == b"data" and layout is None:
            if not form:
                raise CorruptAudio(f"{name} has no format before its sound", field="source")
            claimed = large if wide and length == 0xFFFFFFFF and large is not None else length
            unfilled = riff >= PLACEHOLDER or riff + 8 <= begin or (claimed == 0 and not _chunk_follows(file, size))
            file.seek(begin)
            true, unknown = _sound_bytes(claimed, size - begin, unfilled=unfilled)
            layout = _wav_layout(form, file, true, "RF64" if wide else "WAV", name, unknown=unknown)
        else:
            place.look(kind, length, file)
        try:
            entry = chunks.send(true)
        except StopIteration:
            entry = None
    if layout is None:
        raise CorruptAudio(f"{name} contains no audio", field="source")
    return _placed(layout, place)


def _chunk_follows(file: BinaryIO, size: int) -> bool:
    """Whether a chunk, or the end of the file, is where the file stands: behind a sound that really holds nothing."""
    head = file.read(8)
    if len(head) < 8:
        return True
    return _is_id(head[:4]) and file.tell() + int.from_bytes(head[4:], "little") <= size


def _sound_bytes(claimed: int, there: int, *, unfilled: bool) -> tuple[int, bool]:
    """Bytes of the sound, and whether the header does not say so: a size that nobody filled in reaches to the end of the file.

    ``unfilled`` tells the file's own size likewise: a copy that broke off has the right one and is not taken for such.
    """
    if claimed >= PLACEHOLDER and claimed > there:
        return there, True
    if claimed == 0 and there > 0 and unfilled:
        return there, True
    if claimed > there and unfilled:
        return there, True
    return claimed, False


def _wav_layout(form: bytes, file: BinaryIO, length: int, container: str, name: str, *, unknown: bool) -> Layout:
    if len(form) < 16:
        raise CorruptAudio(f"{name} has a damaged format chunk", field="source")
    tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", form[:16])
    data = file.tell()
    if tag == 0xFFFE:
        if len(form) < 40:
            raise CorruptAudio(f"{name} has a damaged format chunk", field="source")
        (tag,) = struct.unpack("<H", form[24:26])
        if form[26:34] == AMBISONIC:
            raise _not_read(name, "Ambisonic B-format")
        if form[26:40] != GUID_TAIL:
            raise _not_read(name, f"the private format {form[24:40].hex()}")
    if tag not in (1, 3):
        raise _not_read(name, WAV_CODINGS.get(tag, f"the WAV coding {tag:#06x}"))
    if channels == 0 or align % channels or not 0 < align // channels <= 8:
        raise CorruptAudio(f"{name} has a damaged format chunk", field="source")
    subtype = _subtype(tag, bits, align // channels)
    if subtype is None and (tag, bits, align // channels) == (1, 24, 4) and _left_justified(file, channels):
        subtype = "PCM_32"
    if subtype is None:
        kind = "float" if tag == 3 else "integer"
        raise _not_read(name, f"{bits}-bit {kind} samples in {align // channels} bytes each")
    frames = length // align
    notes = (never_completed(name, frames),) if unknown else ()
    return Layout(
        container=container,
        subtype=subtype,
        rate=rate,
        channels=channels,
        frames=frames,
        data=data,
        open_ended=unknown,
        notes=notes,
    )


def _subtype(tag: int, bits: int, size: int) -> str | None:
    """The form of samples of ``bits`` in ``size`` bytes; integers that do not fill their bytes stand at the high end."""
    if tag == 3:
        return FLOAT_SUBTYPES.get(bits) if bits == size * 8 else None
    if not 1 <= bits <= 32 or size != -(-bits // 8):
        return None
    return "PCM_U8" if size == 1 else INTEGER_SUBTYPES[size * 8]


def _left_justified(file: BinaryIO, channels: int) -> bool:
    """Whether 24-bit samples in four bytes stand at the high end, as the rule is: then every lowest byte is 0."""
    sample = file.read(4 * channels * 4096)
    return bool(sample) and not any(sample[::4])


def _not_read(name: str, coding: str) -> NotAudio:
    return NotAudio(
        f"{name} holds {coding}, which is not read here; convert it to plain PCM first",
        field="source",
        limits={"choices": ["8, 16, 24, 32 bit", "32 and 64 bit float"]},
    )


def parse_aiff(file: BinaryIO, size: int, name: str, *, compressed: bool) -> Layout:
    """The layout of an AIFF (``compressed``: AIFC) file of ``size`` bytes. Raises `CorruptAudio`, `NotAudio`."""
    file.seek(4)
    (whole,) = struct.unpack(">I", _body(file, 4, name))
    common, place = b"", _Place()
    sound: tuple[int, int, bool] | None = None
    chunks = walk(file, size, ">")
    entry = next(chunks, None)
    while entry is not None:
        kind, begin, length = entry
        true = None
        if kind == b"COMM":
            common = _body(file, min(length, 22), name)
        elif kind == b"SSND" and sound is None:
            (offset,) = struct.unpack(">I4x", _body(file, 8, name))
            there = size - begin
            unfilled = whole >= PLACEHOLDER or whole + 8 <= begin
            true, unknown = (there, True) if length <= 8 < there else _sound_bytes(length, there, unfilled=unfilled)
            sound = (begin + 8 + offset, true - 8 - offset, unknown)
        else:
            place.look(kind, length, file)
        try:
            entry = chunks.send(true)
        except StopIteration:
            entry = None
    if not common or sound is None:
        raise CorruptAudio(f"{name} contains no audio", field="source")
    return _placed(_aiff_layout(common, sound, "AIFC" if compressed else "AIFF", name), place)


def _aiff_layout(common: bytes, sound: tuple[int, int, bool], container: str, name: str) -> Layout:
    if len(common) < (22 if container == "AIFC" else 18):
        raise CorruptAudio(f"{name} has a damaged common chunk", field="source")
    channels, frames, bits = struct.unpack(">HIH", common[:8])
    coding = common[18:22] if container == "AIFC" else b"NONE"
    subtype, big_endian = _aiff_form(coding, bits, name)
    layout = Layout(
        container=container,
        subtype=subtype,
        rate=_extended(common[8:18]),
        channels=channels,
        frames=frames,
        data=sound[0],
        big_endian=big_endian,
    )
    most = sound[1] // layout.frame_bytes if channels else 0
    if (sound[2] and not 0 < frames <= most) or frames >= PLACEHOLDER or (frames == 0 and most > 0):
        notes = (never_completed(name, most),)
        return msgspec.structs.replace(layout, frames=most, open_ended=True, notes=notes)
    if channels and frames > most:
        raise CorruptAudio(
            f"{name} claims {frames} samples and holds at most {max(most, 0)}: it is truncated", field="source"
        )
    return layout


def _aiff_form(coding: bytes, bits: int, name: str) -> tuple[str, bool]:
    """Subtype and byte order of a coding."""
    if coding in AIFC_FLOATS:
        return FLOAT_SUBTYPES[AIFC_FLOATS[coding]], True
    if coding == b"raw ":
        if bits <= 8:
            return "PCM_U8", True
        raise _not_read(name, f"{bits}-bit offset binary samples")
    if coding not in AIFC_INTEGERS:
        shown = coding.decode("latin-1") if _is_id(coding) else coding.hex()
        raise _not_read(name, AIFC_CODINGS.get(coding, f"the AIFC coding {shown!r}"))
    fixed, big_endian = AIFC_INTEGERS[coding]
    size = -(-(fixed or bits) // 8)
    if not 1 <= size <= 4:
        raise _not_read(name, f"{bits}-bit samples")
    return INTEGER_SUBTYPES[size * 8], big_endian


def _extended(data: bytes) -> int:
    """The 80-bit floating point number in which AIFF writes its rate, as an integer; 0 when it is none."""
    exponent, mantissa = struct.unpack(">HQ", data)
    shift = 16383 + 63 - (exponent & 0x7FFF)
    return mantissa >> shift if 0 <= shift < 64 and not exponent & 0x8000 else 0


class _Place:
    """Where a file says that it begins, from the chunks that say so."""

    def __init__(self) -> None:
        self.bext: int | None = None
        self.ixml: tuple[int, int] | None = None
        """Samples, and the rate they are counted at (0: the file's)."""

    def look(self, kind: bytes, length: int, file: BinaryIO) -> None:
        """Look into a chunk; the file stands at its body."""
        if kind == b"bext" and length >= 346 and self.bext is None:
            self.bext = time_reference(file.read(346))
        elif kind == b"iXML" and length <= MAX_IXML and self.ixml is None:
            self.ixml = ixml_position(file.read(length))


def time_reference(bext: bytes) -> int | None:
    """Samples since midnight in the body of a broadcast extension (EBU Tech 3285); None where it is cut short."""
    return int.from_bytes(bext[338:346], "little") if len(bext) >= 346 else None


def ixml_position(text: bytes) -> tuple[int, int] | None:
    """Samples since midnight and their rate (0: the file's) in an iXML text. Words are searched, so that no XML can do harm."""
    tags = re.findall(rb"<(TIMESTAMP_[A-Z_]+|BWF_TIME_REFERENCE_[A-Z]+)>\s*(\d{1,12})\s*</", text)
    found = {tag: int(value) for tag, value in tags}
    for low, high in IXML_POSITIONS:
        position = (found.get(high, 0) << 32) + found.get(low, 0)
        if position:
            return position, found.get(b"TIMESTAMP_SAMPLE_RATE", 0) if low.startswith(b"TIMESTAMP") else 0
    return None


def _placed(layout: Layout, place: _Place) -> Layout:
    return placed(layout, place.bext, place.ixml)


def placed(layout: Layout, bext: int | None, ixml: tuple[int, int] | None) -> Layout:
    """The layout with the file's place on its timeline; a broadcast extension wins over iXML."""
    position = bext or 0
    if not position and ixml is not None:
        samples, rate = ixml
        position = samples if rate in (0, layout.rate) else samples * layout.rate // rate
    if not 0 < position < 1 << 62:
        return layout
    return msgspec.structs.replace(layout, position=position)


def _body(file: BinaryIO, length: int, name: str) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise CorruptAudio(f"{name} ends in the middle of its header", field="source")
    return data
