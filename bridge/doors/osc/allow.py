"""Who may speak: loopback always, other addresses only when they are listed."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable

from acestep.api.errors import BadRequest


class AllowList:
    """Addresses and networks (``192.168.1.7``, ``10.0.0.0/8``, ``fe80::/10``) that may send. Raises `BadRequest` on others."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        try:
            self._networks = [ipaddress.ip_network(entry, strict=False) for entry in entries]
        except ValueError as failure:
            raise BadRequest(f"osc_allow: {failure}", field="osc_allow") from None
        self.admits = functools.lru_cache(maxsize=1024)(self._admits)

    def _admits(self, host: str) -> bool:
        address = _address(host)
        if address is None:
            return False
        return address.is_loopback or any(address in network for network in self._networks)

    @staticmethod
    def is_local(host: str) -> bool:
        """Whether a host is this machine's loopback."""
        address = _address(host)
        return address is not None and address.is_loopback


@functools.lru_cache(maxsize=1024)
def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
