"""The adapter calls (``/v1/lora/...``). The original loads adapters into the model; here they are set for the tasks that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from acestep.api.errors import BadRequest, UnknownName
from acestep.api.sentences import quoted


@dataclass
class Adapters:
    """The adapters that were loaded over this interface, by the name that the client gave."""

    names: dict[str, str] = field(default_factory=dict)
    """The client's name -> the adapter's own."""
    scales: dict[str, float] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    """The client's name -> `lora` or `lokr`, where that is known."""
    active: str = ""
    used: bool = False

    def load(self, path: str, name: str, known: Mapping[str, str]) -> str:
        """Use an adapter of this machine from now on, named by its folder or its own name; its own name. ``known``: the kind of
        each. Raises `UnknownName`.
        """
        choices = sorted(known)
        place = PurePath(path.replace("\\", "/"))
        found = next((one for one in (path, place.name, place.stem, place.parent.name) if one and one in choices), "")
        if not found:
            raise UnknownName(
                f"there is no adapter {quoted(path)} among those of this machine; put it into the folder loras of the home",
                field="lora_path",
                limits={"choices": choices},
            )
        self.active = name or found
        self.names[self.active], self.used = found, True
        self.kinds[self.active] = "lokr" if "lokr" in known[found].lower() else "lora"
        self.scales.setdefault(self.active, 1.0)
        return found

    def unload(self) -> None:
        """Use none any more."""
        self.names.clear()
        self.kinds.clear()
        self.scales.clear()
        self.active, self.used = "", False

    def scale(self, scale: float, name: str) -> str:
        """Set the strength of one, or of the one loaded last; its name. Raises `BadRequest` where none is loaded."""
        chosen = name or self.active
        if chosen not in self.names:
            which = f"no adapter {quoted(chosen)}" if self.names else "no adapter"
            raise BadRequest(f"{which} is loaded", field="adapter_name")
        self.scales[chosen] = scale
        return chosen

    @property
    def wanted(self) -> tuple[str, ...]:
        """What tasks name as ``lora``."""
        if not self.used:
            return ()
        return tuple(f"{own}={self.scales[name]:g}" for name, own in self.names.items())

    def status(self) -> dict[str, Any]:
        """The original's view of it."""
        return {
            "lora_loaded": bool(self.names),
            "use_lora": self.used,
            "lora_scale": self.scales.get(self.active, 1.0),
            "adapter_type": self.kinds.get(self.active),
            "scales": dict(self.scales),
            "active_adapter": self.active or None,
            "adapters": list(self.names),
            "synthetic_default_mode": False,
        }
