"""What opening a model needs in memory, from the headers of its files, and how much there is. No torch.

A tensor that is stored as it is computed with stays mapped to its file and needs no memory of its own on a CPU; converted ones do.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from acestep.api.errors import OutOfMemory
from acestep.checkpoints.files import SAFETENSORS
from acestep.checkpoints.layout import Parts
from acestep.checkpoints.weights import CODEC, TEXT, tensor_index
from acestep.runtime.tiers import PART_GB, RESERVE_GB, Offload, simulated_memory

GB = 1e9

NUMBER_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

STORED_AS = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}

DEQUANTISED = "dequantised"
"""Type of numbers that are computed while a file is read (GGUF), so that none of them stay in it."""

OWN = ("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer")

WORKSPACE = 0.1
"""Share of a model's weights that is added for what it computes with, up to `RESERVE_GB`."""

SKIP = "ACESTEP_SKIP_VRAM_PREFLIGHT"
"""Environment variable that turns the checks off."""

MOST = 0.9

Numbers = Mapping[str, Mapping[str, int]]
"""Part -> stored type -> how many numbers."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What a model meets: the number format it is opened in, and bytes that are free in ordinary memory and on a device (None:
    nobody can tell, or there is none)."""

    dtype: str
    ram: int | None
    device: int | None = None
    offload: Offload = Offload.NONE
    int8: bool = False
    widens: bool = False
    """Whether bfloat16 matrices stay in their files while a CPU computes in float32."""


def stored_numbers(parts: Parts) -> dict[str, dict[str, int]]:
    """How many numbers of which type each network of a checkpoint has. Reads headers. Raises `ModelMissing`, `BadCheckpoint`."""
    found: dict[str, dict[str, int]] = {}
    places = {name: (name, getattr(parts, name)) for name in OWN}
    places |= {"codec": (CODEC, parts.vae), "text_encoder": (TEXT, parts.text_encoder)}
    for name, (part, place) in places.items():
        counts = found.setdefault(name, {})
        for stored in () if place is None else tensor_index(place, part).values():
            kind = stored.dtype if stored.file.suffix == SAFETENSORS else DEQUANTISED
            counts[kind] = counts.get(kind, 0) + math.prod(stored.shape)
    return found


def resident_bytes(numbers: Numbers, dtype: str, *, widens: bool = False) -> int:
    """Bytes of ordinary memory that opened weights take: those that are converted; the others stay in their files."""
    return sum(
        count * NUMBER_BYTES[dtype]
        for part, counts in numbers.items()
        for stored, count in counts.items()
        if not _stays(part, stored, dtype, widens)
    )


def mapped_bytes(numbers: Numbers, dtype: str, *, widens: bool = False) -> int:
    """Bytes of the weights that are used as they lie in their files."""
    return sum(
        count * NUMBER_BYTES[STORED_AS[stored]]
        for part, counts in numbers.items()
        for stored, count in counts.items()
        if _stays(part, stored, dtype, widens)
    )


def held_bytes(numbers: Numbers, room: Room) -> tuple[int, int]:
    """Bytes of ordinary memory that opened weights take, and of those that stay in their files. A CPU's codec is always float32."""
    rest = {part: counts for part, counts in numbers.items() if part != "codec"}
    codec = {"codec": numbers.get("codec", {})}
    codec_dtype = "float32" if room.device is None else room.dtype
    resident = resident_bytes(rest, room.dtype, widens=room.widens) + resident_bytes(codec, codec_dtype)
    mapped = mapped_bytes(rest, room.dtype, widens=room.widens) + mapped_bytes(codec, codec_dtype)
    return resident, mapped


def _mapped_of(part: str, numbers: Numbers, room: Room) -> int:
    return mapped_bytes({part: numbers.get(part, {})}, room.dtype, widens=room.widens)


def _stays(part: str, stored: str, dtype: str, widens: bool) -> bool:
    """Whether numbers of a part are computed with as they are stored. (Codecs are convolutions, which nothing widens.)"""
    return STORED_AS.get(stored) == dtype or (widens and stored == "BF16" and part != "codec")


def stored_in_bfloat16(numbers: Numbers) -> bool:
    """Whether the large network's numbers are bfloat16 in their files, all but a few."""
    counts = numbers.get("transformer", {})
    return counts.get("BF16", 0) > MOST * sum(counts.values())


def packed_bytes(numbers: Numbers) -> int:
    """Bytes of the large network in 8 bits."""
    return sum(numbers.get("transformer", {}).values())


def whole_bytes(numbers: Numbers, dtype: str) -> int:
    """Bytes of all weights in one number format."""
    return sum(count * NUMBER_BYTES[dtype] for part in numbers.values() for count in part.values())


def device_bytes(numbers: Numbers, room: Room) -> int:
    """The most that lies on a device at once, by the offload policy, without what is computed there."""
    size = {part: sum(counts.values()) * NUMBER_BYTES[room.dtype] for part, counts in numbers.items()}
    if room.int8 and "transformer" in size:
        size["transformer"] //= NUMBER_BYTES[room.dtype]
    own, text, codec = sum(size.get(part, 0) for part in OWN), size.get("text_encoder", 0), size.get("codec", 0)
    if room.offload is Offload.NONE:
        return own + text + codec
    if room.offload is Offload.PARTS:
        return own + max(text, codec)
    denoise = size.get("transformer", 0) + size.get("condition_encoder", 0)
    return max(denoise, own - size.get("transformer", 0) + text, codec)


def check_room(name: str, numbers: Numbers, room: Room) -> None:
    """Refuse what will not fit before it is read, with the figures. Raises `OutOfMemory`."""
    if checks_skipped():
        return
    need, _ = held_bytes(numbers, room)
    if room.int8 and room.device is None:
        need += packed_bytes(numbers)
    need += int(min(RESERVE_GB * GB, WORKSPACE * need))
    if room.ram is not None and need > room.ram:
        raise _refusal(name, (need, room.ram), f"memory as {room.dtype}", _smaller(numbers, room))
    if room.device is None:
        return
    weights = device_bytes(numbers, room)
    most = weights + int(min((PART_GB["context"] + RESERVE_GB) * GB, WORKSPACE * weights))
    if most > room.device:
        raise _refusal(name, (most, room.device), f"device memory as {room.dtype}", _lighter(numbers, room))


def checks_skipped() -> bool:
    """Whether the user wants no check of free memory."""
    return os.environ.get(SKIP, "").strip().lower() in ("1", "true", "yes")


SHORT = 1.25
"""Times that a model's weights must fit into free memory before a CPU that may choose leaves them whole."""


def is_short(numbers: Numbers, room: Room) -> bool:
    """Whether a CPU's memory is so short that weights of 8 bits are the better choice."""
    if room.device is not None or room.ram is None:
        return False
    return SHORT * sum(held_bytes(numbers, room)) > room.ram


def mapped_too_large(numbers: Numbers, room: Room) -> str:
    """A sentence for a model that a CPU computes with out of its files, and that does not fit into memory; else empty."""
    if room.device is not None or room.ram is None:
        return ""
    resident, mapped = held_bytes(numbers, room)
    if room.int8:  # its bytes are written once, and the files not read again
        resident, mapped = resident + packed_bytes(numbers), mapped - _mapped_of("transformer", numbers, room)
    if mapped == 0 or mapped + resident <= room.ram:
        return ""
    return (
        f"the weights ({mapped / GB:.1f} GB) do not fit into the free memory ({room.ram / GB:.1f} GB), so they are read from the "
        "disk again at every step; a smaller model, or weights stored as bfloat16, would be much faster"
    )


def _refusal(name: str, bytes_: tuple[int, int], where: str, way_out: str) -> OutOfMemory:
    need, free = bytes_
    return OutOfMemory(
        f"{name} needs about {need / GB:.1f} GB of {where} and {free / GB:.1f} GB are free; {way_out}",
        field="model",
        limits={"need_bytes": need, "free_bytes": free},
    )


def _smaller(numbers: Numbers, room: Room) -> str:
    whole = whole_bytes(numbers, "bfloat16")
    if room.dtype == "float32" and resident_bytes(numbers, "bfloat16") < resident_bytes(numbers, "float32"):
        return f"close other programs, or set dtype to bfloat16 ({whole / GB:.1f} GB, most of it mapped from the files)"
    return "close other programs, or take a smaller model"


def _lighter(numbers: Numbers, room: Room) -> str:
    ways = []
    if room.offload is not Offload.ALL:
        least = device_bytes(numbers, msgspec.structs.replace(room, offload=Offload.ALL))
        ways.append(f"set offload to all ({least / GB:.1f} GB)")
    if not room.int8:
        least = device_bytes(numbers, msgspec.structs.replace(room, offload=Offload.ALL, int8=True))
        ways.append(f"set int8 to on and offload to all ({least / GB:.1f} GB)")
    return ", ".join([*ways, "unload other models, or take a smaller model"])


def free_ram() -> int | None:
    """Bytes that the system can still give this process, within its container's bounds; None where nobody can tell."""
    found = [free for free in (_system_free(), *_container_free(), *_simulated_free()) if free is not None]
    return min(found, default=None)


def _simulated_free() -> Iterator[int]:
    """What is left of a simulated size (``MAX_CPU_RAM``): pages of files, which the system may take at any time, do not count."""
    bound = simulated_memory("cpu", math.inf)
    if bound < math.inf:
        yield max(0, int(bound * 2**30) - own_memory())


def own_memory(table: Path = Path("/proc/self/status")) -> int:
    """Bytes of memory that this process holds beside the pages of files; 0 where the system does not tell."""
    try:
        row = next(line for line in table.read_text().splitlines() if line.startswith("RssAnon:"))
    except (OSError, StopIteration):
        return 0
    return int(row.split()[1]) * 1024


def _system_free() -> int | None:
    if sys.platform == "win32":
        return _windows_free()
    try:
        with open("/proc/meminfo", encoding="ascii") as table:
            for line in table:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _windows_free() -> int | None:
    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong), ("total", ctypes.c_ulonglong),
                    ("available", ctypes.c_ulonglong), *((f"other{i}", ctypes.c_ulonglong) for i in range(5))]  # fmt: skip

    status = Status(length=ctypes.sizeof(Status))
    try:
        known = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    return int(status.available) if known else None


CGROUPS = Path("/sys/fs/cgroup")


def _container_free(root: Path = CGROUPS, table: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """What is left of each memory bound (cgroup v2) that holds for this process; file cache counts as free."""
    try:
        own = next(line.partition("::")[2].strip() for line in table.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return
    place = root / own.lstrip("/")
    for folder in (place, *place.parents):
        if not folder.is_relative_to(root):
            return
        try:
            bound = int((folder / "memory.max").read_text())
            used = int((folder / "memory.current").read_text())
            rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue  # no bound here ("max"), or no such controller
        yield max(0, bound - used + int(rows.get("inactive_file", 0)))
