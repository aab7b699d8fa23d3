"""Who may speak: loopback always, other addresses only when they are listed; and as whom."""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Iterable

from acestep.api.errors import BadRequest
from acestep.api.rights import Right
from bridge.core.access import OWNER, Access

MARK = "owner"
"""What stands behind an address (``192.168.1.20=owner``) that is the owner's own, such as a tablet."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AllowList:
    """Addresses and networks (``192.168.1.7``, ``10.0.0.0/8``, ``fe80::/10``) that may send; those with ``=owner`` behind them
    may do what this machine may. Raises `BadRequest` on others.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._networks: list[Network] = []
        self._owners: list[Network] = []
        for entry in entries:
            network, owner = _parse(entry)
            (self._owners if owner else self._networks).append(network)
        self.admits = functools.lru_cache(maxsize=1024)(self._admits)
        self.access = functools.lru_cache(maxsize=1024)(self._access)

    def _admits(self, host: str) -> bool:
        address = _address(host)
        if address is None:
            return False
        return address.is_loopback or any(address in network for network in (*self._networks, *self._owners))

    def _access(self, host: str) -> Access:
        """What a host may do that may speak."""
        address = _address(host)
        if address is not None and (address.is_loopback or any(address in network for network in self._owners)):
            return OWNER
        return Access(Right.ANYBODY, f"osc:{host}")


def _parse(entry: str) -> tuple[Network, bool]:
    """``ADDRESS[/BITS][=owner]`` -> the network, and whether it is the owner's."""
    text, marked, mark = entry.partition("=")
    if marked and mark.strip() != MARK:
        raise BadRequest(f"osc_allow: {entry!r} may end in ={MARK} and in nothing else", field="osc_allow")
    try:
        return ipaddress.ip_network(text.strip(), strict=False), bool(marked)
    except ValueError as failure:
        raise BadRequest(f"osc_allow: {failure}", field="osc_allow") from None


@functools.lru_cache(maxsize=1024)
def is_of_this_machine(host: str) -> bool:
    """Whether an address is one of this machine's own: only those can be bound."""
    address = _address(host)
    if address is None:
        return False
    try:
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return address.is_loopback
    return True


@functools.lru_cache(maxsize=1024)
def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
