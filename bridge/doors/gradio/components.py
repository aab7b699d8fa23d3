"""What Gradio's clients read before they call: the page's components and endpoints, and what each takes and gives. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

VERSION = "6.0.0"
"""Gradio's version whose protocol this is."""

PREFIX = "/gradio_api"

TEXT, NUMBER, FLAG, AUDIO, FILES, JSON = "text", "number", "flag", "audio", "files", "json"

_FILE = {"type": "object", "title": "FileData"}

_KINDS: dict[str, tuple[str, dict[str, Any], str]] = {
    TEXT: ("textbox", {"type": "string"}, "str"),
    NUMBER: ("number", {"type": "number"}, "float"),
    FLAG: ("checkbox", {"type": "boolean"}, "bool"),
    AUDIO: ("audio", _FILE, "filepath"),
    FILES: ("file", {"type": "array", "items": _FILE}, "list[filepath]"),
    JSON: ("json", {}, "Any"),
}
"""Kind of a value -> Gradio's component, JSON Schema, Python type."""


@dataclass(frozen=True)
class Parameter:
    """A value that an endpoint takes or gives."""

    name: str
    label: str
    kind: str
    default: Any = None

    def to_component(self, number: int) -> dict[str, Any]:
        """As ``/config`` lists it."""
        return {"id": number, "type": _KINDS[self.kind][0], "props": {"label": self.label, "name": self.name}}

    def to_info(self) -> dict[str, Any]:
        """As ``/info`` describes it."""
        component, schema, python = _KINDS[self.kind]
        return {
            "label": self.label,
            "parameter_name": self.name,
            "parameter_has_default": True,
            "parameter_default": self.default,
            "type": schema,
            "python_type": {"type": python, "description": ""},
            "component": component.capitalize(),
            "example_input": self.default,
        }


@dataclass(frozen=True)
class Signature:
    """An endpoint: its name without the slash, what it takes, what it gives."""

    name: str
    takes: Sequence[Parameter]
    gives: Sequence[Parameter]


def config(signatures: Sequence[Signature], root: str) -> dict[str, Any]:
    """The answer of ``/config``."""
    components: list[dict[str, Any]] = []

    def listed(parameters: Sequence[Parameter]) -> list[int]:
        first = len(components) + 1
        components.extend(one.to_component(first + at) for at, one in enumerate(parameters))
        return list(range(first, first + len(parameters)))

    dependencies = [
        {
            "id": number,
            "api_name": one.name,
            "targets": [[None, "click"]],
            "inputs": listed(one.takes),
            "outputs": listed(one.gives),
            "backend_fn": True,
            "js": None,
            "queue": True,
            "batch": False,
            "cancels": [],
            "types": {"generator": False, "cancel": False},
            "api_visibility": "public",
            "show_api": True,
        }
        for number, one in enumerate(signatures)
    ]
    return {
        "version": VERSION,
        "api_prefix": PREFIX,
        "mode": "blocks",
        "app_id": 1,
        "dev_mode": False,
        "title": "ACE-Step",
        "space_id": None,
        "is_space": False,
        "is_colab": False,
        "protocol": "sse_v3",
        "root": root,
        "components": components,
        "dependencies": dependencies,
        "layout": {"id": 0, "children": []},
        "connect_heartbeat": False,
        "enable_queue": True,
        "max_file_size": None,
        "username": None,
        "auth_required": False,
        "theme_hash": "",
    }


def info(signatures: Sequence[Signature]) -> dict[str, Any]:
    """The answer of ``/gradio_api/info``."""
    named = {
        f"/{one.name}": {
            "parameters": [parameter.to_info() for parameter in one.takes],
            "returns": [
                {key: value for key, value in given.to_info().items() if not key.startswith(("parameter_", "example"))}
                for given in one.gives
            ],
            "show_api": True,
            "api_visibility": "public",
        }
        for one in signatures
    }
    return {"named_endpoints": named, "unnamed_endpoints": {}}
