"""The OSCQuery tree: every OSC address with type, range, unit and description, made from the methods and the registry.

Follows the OSCQuery proposal: nodes as JSON, one attribute on request, HOST_INFO for the ports. Pure.
"""

from __future__ import annotations

from typing import Any

from bridge.core.interface import Core
from bridge.doors.method import Method
from bridge.doors.methods import ADDRESSES
from bridge.doors.operation_methods import OPERATION_ADDRESS
from bridge.doors.osc.answers import ANSWERS
from bridge.doors.osc.grammar import envelope

READ, WRITE, BOTH = 1, 2, 3

ATTRIBUTES = frozenset(
    "FULL_PATH CONTENTS TYPE ACCESS VALUE RANGE DESCRIPTION UNIT TAGS CRITICAL EXTENDED_TYPE HOST_INFO".split()
)

_TAGS = {"int": "i", "float": "f", "bool": "T"}


def tree(core: Core) -> dict[str, Any]:
    """The whole tree."""
    root = _container("/", "ACE-Step operations, jobs and status.")
    for address, method in ADDRESSES.items():
        _insert(root, address, _method(method, core))
    for address, (tags, meaning) in ANSWERS.items():
        _insert(root, address, {"TYPE": tags, "ACCESS": READ, "DESCRIPTION": meaning})
    for operation in core.describe():
        base = OPERATION_ADDRESS + operation["name"]
        _insert(root, base, {"TYPE": "i", "ACCESS": WRITE, "DESCRIPTION": operation.get("summary", "")})
        for field in [*operation.get("fields", []), *envelope()]:
            _insert(root, f"{base}/{field['name']}", parameter(field))
    return root


def _container(path: str, description: str = "") -> dict[str, Any]:
    node: dict[str, Any] = {"FULL_PATH": path, "ACCESS": 0, "CONTENTS": {}}
    return {**node, "DESCRIPTION": description} if description else node


def _insert(root: dict[str, Any], address: str, facts: dict[str, Any]) -> None:
    node, path = root, ""
    for word in address.strip("/").split("/"):
        path += "/" + word
        node = node.setdefault("CONTENTS", {}).setdefault(word, _container(path))
    children = node.get("CONTENTS")
    node.update(facts)
    if not children:
        node.pop("CONTENTS", None)


def _method(method: Method, core: Core) -> dict[str, Any]:
    fields = {info.name: info for info in method.parameters}
    given = [fields[name] for name in method.positional]
    node: dict[str, Any] = {
        "ACCESS": WRITE,
        "DESCRIPTION": method.summary,
        "TYPE": "".join(_tag(i.type) for i in given),
    }
    if given:
        node |= {"UNIT": [info.unit or "" for info in given]}
        node |= {"RANGE": [_range({"min": i.min, "max": i.max, "choices": i.choices}) for i in given]}
    if method.name == "version":
        facts = core.version()
        node |= {"ACCESS": READ, "TYPE": "ssi", "VALUE": [facts["program"], facts["version"], facts["protocol"]]}
    elif method.name == "status":
        node |= {"ACCESS": READ, "TYPE": "s", "VALUE": [core.status().get("state", "ok")]}
    return node


def parameter(field: dict[str, Any]) -> dict[str, Any]:
    """The node of one parameter of a draft; VALUE is its default."""
    kind = field["type"]
    node: dict[str, Any] = {
        "TYPE": _tag(kind),
        "ACCESS": BOTH if field.get("default") is not None else WRITE,
        "DESCRIPTION": field.get("summary", ""),
        "RANGE": [_range(field)],
        "TAGS": [field.get("group", "main")],
    }
    if field.get("unit"):
        node["UNIT"] = [field["unit"]]
    default = field.get("default")
    if default is not None:
        node["VALUE"] = [_value(default)]
    if kind == "bool":
        node["TYPE"] = "T" if default else "F"
    if kind not in ("int", "float", "bool", "str"):
        node["EXTENDED_TYPE"] = ["comma-separated list" if kind[:4] == "list" and kind != "list[map]" else "JSON"]
    return node


def _tag(kind: str) -> str:
    return _TAGS.get(kind, "s")


def _value(default: Any) -> Any:
    return ",".join(map(str, default)) if isinstance(default, list) else "" if isinstance(default, dict) else default


def _range(field: dict[str, Any]) -> dict[str, Any] | None:
    if field.get("choices"):
        return {"VALS": field["choices"]}
    found = {"MIN": field.get("min"), "MAX": field.get("max")}
    return {key: value for key, value in found.items() if value is not None} or None


def node_at(root: dict[str, Any], path: str) -> dict[str, Any] | None:
    """The node of an address, or None."""
    node = root
    for word in filter(None, path.split("/")):
        found = node.get("CONTENTS", {}).get(word)
        if found is None:
            return None
        node = found
    return node


def host_info(status: dict[str, Any]) -> dict[str, Any]:
    """Where the OSC door is, and which attributes are offered. Without OSC_IP it is the address this was asked at."""
    osc = (status.get("doors") or {}).get("osc") or {}
    offered = sorted(ATTRIBUTES - {"HOST_INFO", "CONTENTS", "FULL_PATH", "CRITICAL"})
    host = {} if osc.get("host") in (None, "0.0.0.0", "::") else {"OSC_IP": osc["host"]}
    return {
        "NAME": "acestep-bridge",
        **host,
        "OSC_PORT": osc.get("udp", 0),
        "OSC_TRANSPORT": "UDP",
        "EXTENSIONS": {name: True for name in offered} | {"CRITICAL": False, "CLIPMODE": False, "LISTEN": False},
    }
