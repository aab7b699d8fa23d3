"""The limits of this machine's devices as the workers told them, kept in a file: help and forms show them before a worker runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import OutputUnwritable
from acestep.api.hints import DeviceLimits, narrowest
from bridge.core.kept_files import write_atomically

log = logging.getLogger(__name__)

FORMAT = "acestep-bridge/device-limits"


class KeptLimits(msgspec.Struct, frozen=True):
    """The file."""

    devices: list[DeviceLimits]
    format: str = FORMAT
    version: int = 1


class KnownDevices:
    """Devices by name, as they told last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limits = {one.device: one for one in read_limits(path)}

    @property
    def narrowest(self) -> DeviceLimits | None:
        """Of the device that takes least; none where nothing is bounded, or no worker has told yet."""
        return narrowest(self._limits.values())

    def told(self, info: Mapping[str, Any]) -> bool:
        """Remember what a worker tells of itself; whether that is new. A device that is not here any more is forgotten."""
        here = {str(info.get("device")), *map(str, info.get("devices") or ())}
        before, limits = self._limits, DeviceLimits.of(info)
        self._limits = {name: one for name, one in before.items() if name in here and name != info.get("device")}
        if limits is not None:
            self._limits[limits.device] = limits
        return self._limits != before

    def keep(self) -> None:
        """Write the file. Blocks on the disk."""
        try:
            write_atomically(self._path, msgspec.json.format(msgspec.json.encode(KeptLimits([*self._limits.values()]))))
        except OutputUnwritable as failure:  # without the file only help before the next start lacks the limits
            log.warning("the limits of the devices could not be kept: %s", failure.message)


def read_limits(path: Path) -> list[DeviceLimits]:
    """What was kept; nothing where there is no such file, or it is not one of ours."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=KeptLimits)
    except (OSError, msgspec.MsgspecError):
        return []
    return kept.devices if (kept.format, kept.version) == (FORMAT, 1) else []
