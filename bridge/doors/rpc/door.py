"""The RPC door."""

from __future__ import annotations

from bridge.doors.listeners import ConnectionDoor
from bridge.doors.rpc.connection import RpcConnection


class RpcDoor(ConnectionDoor):
    """Listens for MessagePack-RPC."""

    connection = RpcConnection
