"""Every method of the bridge, by subject: what all doors dispatch by, `describe` lists and the reference pages are made from.

A method is one function under the decorator `bridge.doors.method.method`, with what it takes right above it. A new one appears
at every door, in `describe`, on the command line and on the pages with nothing else edited. The operations of the registry stand
beside them: each is a method ``op.<operation>`` and an address ``/ace/op/<operation>`` without an entry here.
"""

from __future__ import annotations

from bridge.doors.method import Method, methods_of
from bridge.doors.methods import (
    autogen,
    capture,
    daemon,
    export,
    files,
    handovers,
    history,
    inspection,
    jobs,
    listening,
    models,
    presets,
    slots,
    sounds,
    tempo,
)

SUBJECTS = (
    daemon,
    inspection,
    models,
    jobs,
    autogen,
    history,
    export,
    handovers,
    presets,
    sounds,
    files,
    slots,
    capture,
    tempo,
    listening,
)
"""In the order of the pages."""

METHODS: dict[str, Method] = {one.name: one for subject in SUBJECTS for one in methods_of(subject)}
"""Methods by name."""

ADDRESSES: dict[str, Method] = {one.osc: one for one in METHODS.values() if one.osc}
"""Methods by OSC address."""
