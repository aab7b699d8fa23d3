"""The devices of this machine as the settings name them: each gets a worker of its own. No library is asked here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from acestep.api.errors import BadRequest

AUTO = "auto"
NAME = re.compile(r"[a-z][a-z0-9_]{0,15}(:[0-9]{1,3})?")
"""A kind of device, and which one of its kind."""

MOST = 32
"""Workers of one daemon."""


class Device(msgspec.Struct, frozen=True):
    """One device: its name for clients, what its worker is told, and whether the worker may take another one in its place."""

    name: str = AUTO
    option: str = AUTO
    insist: bool = False
    also: tuple[str, ...] = ()
    """What else a job may call it: what a node of a cluster is for."""
    far: bool = False
    """Whether it is on another machine, which does not have this one's folders."""

    @property
    def kind(self) -> str:
        """``cuda`` of ``cuda:1``."""
        return self.name.partition(":")[0]

    @property
    def known_name(self) -> str:
        """Its name; empty until somebody has told which device it is."""
        return "" if self.name == AUTO else self.name

    def is_meant_by(self, asked: str) -> bool:
        """Whether a job that asks for a device (empty: any) may run here: by its name, its kind, or what it
        is for."""
        return asked in ("", AUTO, self.name, self.kind, *self.also)


def named_devices(devices: Sequence[str], device: str = AUTO) -> list[Device]:
    """The devices of the settings ``devices`` and ``device``, in order, each with a name of its own.

    ``auto`` is one entry whose worker finds out what there is. Raises `BadRequest`.
    """
    listed = [name for name in devices if name]
    if listed in ([], [AUTO]):
        return [Device(_checked(device, "device"), device)]
    if device != AUTO:
        raise BadRequest(
            "set devices or device, not both: devices is the list of all, device names a single one", field="device"
        )
    if AUTO in listed:
        raise BadRequest("devices: auto means every device, so it stands alone", field="devices")
    names = _numbered([_checked(name, "devices") for name in listed])
    return [Device(name, option, insist=True) for name, option in zip(names, listed, strict=True)]


def names_device(devices: Sequence[str], device: str) -> bool:
    """Whether somebody has named a device of this machine."""
    return device != AUTO or any(devices)


def check_name(asked: str, field: str = "device") -> None:
    """Refuse what cannot be the name of a device. Raises `BadRequest`."""
    if asked:
        _checked(asked, field)


def _checked(name: str, field: str) -> str:
    if not NAME.fullmatch(name):
        raise BadRequest(
            f"{field}: {name!r} is not a device; write a kind such as cpu, cuda or mps, or one of its kind such as cuda:1",
            field=field,
            limits={"pattern": NAME.pattern},
        )
    return name


def _numbered(names: list[str]) -> list[str]:
    """``cpu, cpu`` as ``cpu:0, cpu:1``: on the processor several workers can share one device, on others it is a slip."""
    again = [name for name, count in Counter(names).items() if count > 1]
    for name in again:
        if name.partition(":")[0] != "cpu":
            raise BadRequest(f"devices: {name} stands there twice, and a device has one worker", field="devices")
        if ":" in name:
            raise BadRequest(f"devices: {name} stands there twice; number them cpu:0, cpu:1 ...", field="devices")
    taken, numbered = set(names), []
    for name in names:
        if name in again:
            free = next(f"{name}:{index}" for index in range(2 * MOST) if f"{name}:{index}" not in taken)
            taken.add(free)
            numbered.append(free)
        else:
            numbered.append(name)
    return numbered
