"""What an adapter's config, or the header of its file, says of its strength. No torch."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints.files import read_header, read_json

ADAPTER_FILES = ("adapter_model.safetensors", "lokr_weights.safetensors", "pytorch_lora_weights.safetensors")
"""Names of adapters inside a folder: PEFT's, the LoKr trainer's, diffusers'."""

ADAPTER_CONFIG = "adapter_config.json"

KOHYA_ALPHA = "ss_network_alpha"
"""kohya's entry of a header; it counts where the tensors that say the same are missing."""

REBASED = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin a PEFT training that change the base weights too: such an adapter is only right on those."""


class StrengthSettings(msgspec.Struct, kw_only=True):
    """What an adapter's config or header says of its strength. ``origin``: ``config``, ``header`` or empty."""

    data: dict[str, Any]
    origin: str

    @classmethod
    def read(cls, file: Path) -> StrengthSettings:
        config = file.parent / ADAPTER_CONFIG
        beside = config.is_file() and (file.name in ADAPTER_FILES or len(list(file.parent.glob("*.safetensors"))) == 1)
        data, origin = (read_json(config), "config") if beside else (_header_settings(file), "header")
        start = str(data.get("init_lora_weights", "")).lower()
        if start.startswith(REBASED):
            raise BadCheckpoint(
                f"this adapter was trained with init_lora_weights={start!r}, which changes the base weights too; "
                "convert it with PEFT (path_initial_model_for_weight_conversion)",
                field="lora",
            )
        return cls(data=data, origin=origin if data else "")

    @property
    def dora(self) -> bool:
        return bool(self.data.get("use_dora"))

    @property
    def rooted(self) -> bool:
        return bool(self.data.get("use_rslora"))

    @property
    def peft_lokr(self) -> bool:
        return str(self.data.get("peft_type", "")).upper() == "LOKR"

    def alpha(self, spelt: str) -> float | None:
        """The alpha of a layer by PEFT's rule; None: nothing is said.

        The first of ``alpha_pattern`` that the end of its path matches stands above the general one. Raises `BadCheckpoint`.
        """
        path, entry = spelt.removeprefix("base_model.model."), "alpha_pattern"
        try:
            for pattern, alpha in (self.data.get(entry) or {}).items():
                if re.match(rf"(.*\.)?({pattern})$", path):
                    return _number(alpha)
            for entry in ("lora_alpha", "alpha", "linear_alpha"):
                if self.data.get(entry) is not None:
                    return _number(self.data[entry])
        except (re.error, AttributeError, TypeError, ValueError) as failure:
            raise BadCheckpoint(f"the adapter's {entry} cannot be read: {failure}", field="lora") from failure
        return None

    def rank(self) -> int:
        """The rank that a config names, for factors that show none; 0: it names none."""
        value = self.data.get("r", self.data.get("linear_dim", 0))
        return value if isinstance(value, int) and value > 0 else 0


def _header_settings(file: Path) -> dict[str, Any]:
    """Settings that diffusers (``lora_adapter_metadata``) or LyCORIS trainers (``lokr_config``) write into the file's header."""
    metadata = json.loads(read_header(file)).get("__metadata__") or {}
    found: dict[str, Any] = {}
    for entry in ("lora_adapter_metadata", "lokr_config", "adapter_config"):
        try:
            data = json.loads(metadata[entry])
            found.update({str(name).rpartition("transformer.")[2]: value for name, value in data.items()})
        except KeyError:
            continue
        except (ValueError, AttributeError, TypeError, RecursionError) as failure:
            raise BadCheckpoint(f"the entry {entry} in the header of {file} cannot be read", field="lora") from failure
    if re.fullmatch(r"\d+(\.\d*)?", metadata.get(KOHYA_ALPHA, "")):
        found.setdefault("lora_alpha", metadata[KOHYA_ALPHA])
    return found


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number
