"""Commands that only ask: status, plug-ins, descriptions, settings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge.cli.contact import open_contact
from bridge.cli.exits import Exit
from bridge.cli.show import clock, show_json, show_pairs, show_table, size

if TYPE_CHECKING:
    from acestep.api.variants import ModelInfo


def status(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""
    parser.description = "Show what the daemon is doing: queue, worker, device, models, doors, warnings."
    parser.set_defaults(run=_status)


def _status(options: argparse.Namespace) -> int:
    contact = open_contact(options)
    answer = contact.call("status")
    contact.close()
    if options.json:
        show_json(answer)
    else:
        show_pairs(flat(answer))
    return Exit.OK


def flat(value: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Nested maps as dotted names; times and sizes in people's units."""
    pairs: list[tuple[str, Any]] = []
    for key, inner in value.items():
        name = f"{before}{key}"
        if isinstance(inner, Mapping):
            pairs += flat(inner, f"{name}.")
        elif key in ("uptime", "eta", "seconds"):
            pairs.append((name, clock(inner)))
        elif key.endswith("bytes") and isinstance(inner, (int, float)):
            pairs.append((name, size(inner)))
        else:
            pairs.append((name, inner))
    return pairs


def plugins(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""
    parser.description = "List plug-ins and what they offer. If one did not load, the reason is shown."
    parser.set_defaults(run=_plugins)


def _plugins(options: argparse.Namespace) -> int:
    import msgspec

    from bridge.cli.plugins import load_registry

    found = [msgspec.to_builtins(report) for report in load_registry().plugins]
    if options.json:
        show_json(found)
    else:
        rows = [(one["name"], one["state"], one["origin"], one["reason"] or ", ".join(one["offers"])) for one in found]
        show_table(rows, ("plug-in", "state", "from", "offers"))
    return Exit.FAILED if any(one["state"] == "load_error" for one in found) else Exit.OK


def describe(parser: argparse.ArgumentParser) -> None:
    """Optionally one operation."""
    parser.description = (
        "Show the fields of an operation with type, unit, range and default. Without a name, list all operations."
    )
    parser.add_argument("operation", nargs="?", default="", metavar="OPERATION")
    parser.add_argument(
        "--model", default="", metavar="NAME", help="show the fields for this model, with its ranges and defaults"
    )
    parser.set_defaults(run=_describe)


def _named_model(options: argparse.Namespace) -> ModelInfo:
    """The model that a command names. Raises `ModelMissing`."""
    from bridge.core.models import Models
    from bridge.paths import Paths
    from bridge.settings import resolve

    settings = resolve({"home": getattr(options, "home", None) or None}).settings
    return Models.of(settings, Paths.of(settings)).get(options.model)


def _describe(options: argparse.Namespace) -> int:
    import msgspec

    from acestep.api import schema
    from acestep.api.ability import able_operations, fields_for, require_able
    from acestep.api.hints import with_hints
    from bridge.cli.plugins import known_device, load_registry

    registry, device = load_registry(), known_device()
    model = _named_model(options) if options.model else None
    names = [options.operation] if options.operation else sorted(registry.visible())
    if model is not None and options.operation:
        require_able(registry.operation(options.operation), model, registry.families)
    if model is not None:
        names = [one.name for one in able_operations(map(registry.operation, names), model, registry.families)]
    found: list[dict[str, Any]] = []
    for name in names:
        operation = registry.operation(name)
        described = schema.describe(operation.schema)
        known = described if model is None else fields_for(model, described)
        fields = [msgspec.to_builtins(info) for info in with_hints(known, model, device)]
        for field in fields:
            if (table := field.get("choices_from")) and field.get("choices") is None:
                field["choices"] = list(registry.choices(table))
        found.append({"name": name, "summary": operation.summary, "runs": operation.runs, "fields": fields})
    if options.json:
        show_json(found)
    elif options.operation:
        print(found[0]["summary"])
        rows = [_field_row(field) for field in found[0]["fields"]]
        show_table(rows, ("field", "type", "unit", "range", "default", "summary"))
    else:
        show_table([(one["name"], one["runs"], one["summary"]) for one in found], ("operation", "runs in", "summary"))
    return Exit.OK


def _field_row(field: Mapping[str, Any]) -> tuple[Any, ...]:
    low, high = field.get("min"), field.get("max")
    bounds = (
        ""
        if low is None and high is None
        else f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
    )
    if field.get("choices"):
        bounds = "|".join(map(str, field["choices"][:12])) + ("|..." if len(field["choices"]) > 12 else "")
    return (
        field["name"],
        field["type"],
        field.get("unit"),
        bounds,
        field.get("default"),
        " ".join(filter(None, (field.get("summary"), field.get("hint")))),
    )


def config(parser: argparse.ArgumentParser) -> None:
    """``show`` and ``path``."""
    parser.description = (
        "Show settings with their values, and where each comes from (flag, environment, config file, default)."
    )
    parser.add_argument("action", nargs="?", choices=("show", "path"), default="show")
    parser.add_argument("--all", action="store_true", help="also show settings that have their default")
    parser.add_argument("--config", metavar="FILE", help="another config file")
    parser.set_defaults(run=_config)


def _config(options: argparse.Namespace) -> int:
    from pathlib import Path

    from bridge.settings import CONFIG_NAME, home_folder, resolve

    if options.action == "path":
        print(home_folder(options.home) / CONFIG_NAME)
        return Exit.OK
    resolved = resolve({"home": options.home or None}, config=Path(options.config) if options.config else None)
    rows = resolved.rows()
    if options.json:
        show_json({"config": str(resolved.config or ""), "settings": rows})
        return Exit.OK
    shown = [row for row in rows if options.all or row["origin"] != "default"]
    if resolved.config:
        print(f"config file: {resolved.config}")
    if shown:
        show_table(
            [(row["name"], row["value"], row["unit"], row["origin"], row["summary"]) for row in shown],
            ("setting", "value", "unit", "from", "summary"),
        )
    else:
        print("every setting has its default (`config show --all` lists them)")
    return Exit.OK
