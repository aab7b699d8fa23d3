"""The request that a command sends: read from a file, checked before a daemon is started, its files sent where they are needed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from acestep.admission import parse
from acestep.admission.paths import UPLOADED
from acestep.admission.render import RenderAdmission
from acestep.api.conditioning import NO_GUIDE, Conditioning
from acestep.api.errors import AceError, BadRequest, NotFound
from acestep.api.limits import MAX_PATH
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.render_request import RenderRequest
from acestep.api.result import RECIPE_FORMAT
from acestep.api.schema import convert, describe
from acestep.api.source import AudioFacts, Source
from acestep.api.variants import ModelInfo
from acestep.audio import sniff
from acestep.conditioning.guide_text import names_file, parse_guide
from bridge.cli.contact import Contact
from bridge.cli.show import tell


def read_request(place: str) -> dict[str, Any]:
    """A request from a JSON file or standard input, in any Unicode encoding, with a byte order mark or without.

    Raises `BadRequest`.
    """
    name = "standard input" if place == "-" else place
    try:
        data = sys.stdin.buffer.read() if place == "-" else Path(place).expanduser().read_bytes()
        found = json.loads(data)
    except OSError as failure:
        raise BadRequest(f"{name} cannot be read as a request: {failure.strerror}", field="request") from None
    except (ValueError, RecursionError) as failure:
        raise BadRequest(f"{name} is not a request: it is not valid JSON ({failure})", field="request") from None
    if not isinstance(found, dict):
        raise BadRequest(f"{name} is not a request: it is not a JSON object", field="request")
    return found


def unwrap_recipe(request: dict[str, Any], operation: str, registry: Registry) -> tuple[Operation, dict[str, Any]]:
    """What a request file asks of a command: itself, or, if it is a recipe or a whole chain, the operation it was made by.

    A recipe is complete, so it is run as it is, by whichever command it is given to.
    """
    if request.get("format") == RECIPE_FORMAT and isinstance(request.get("request"), dict):
        return registry.operation(str(request.get("operation") or "render")), parse.unwrapped(request)
    if "stages" in request and registry.operation(operation).schema is not RenderRequest:
        return registry.operation("render"), request
    return registry.operation(operation), request


def check_request(registry: Registry, operation: Operation, params: dict[str, Any]) -> None:
    """See what can be seen without a daemon, so that none is started for a request that it would refuse. Raises `AceError`."""
    if not operation.renders:
        convert(params, operation.schema)
        return
    read = parse.parse(registry, operation, dict(params))
    if operation.stage and registry.stage(operation.stage).source == "required" and read.source is None:
        raise BadRequest(f"{operation.name} needs a source", field="source")
    _check_guides(read)
    with suppress(_OnlyTheDaemonKnows):
        RenderAdmission(registry, _WithoutDaemon(), read).run()


def _check_guides(read: parse.ParsedRender) -> None:
    """See that every guide can be read: a chord line, or a MIDI file of this machine. Raises `BadRequest`."""
    conditioning = read.conditioning
    for guide in [conditioning.guide, *(stage.params.guide or "" for stage in read.stages)]:
        plain = guide.strip()
        if plain.lower() in ("", "auto", NO_GUIDE) or plain.startswith(UPLOADED):
            continue
        if names_file(plain):
            plain = str(Path(plain).expanduser())
        parse_guide(plain, conditioning.time_signature or "4", bpm=conditioning.bpm or 120.0)


class _OnlyTheDaemonKnows(Exception):
    """The check has come to a question about models or stored results."""


class _WithoutDaemon:
    """What a command knows of the machine by itself: the files that it names."""

    def probe(self, source: Source) -> AudioFacts:
        if not os.path.isabs(source.path):
            raise _OnlyTheDaemonKnows
        return sniff.probe(Path(source.path))

    def model(self, name: str) -> ModelInfo:
        raise _OnlyTheDaemonKnows


def path_fields(registry: Registry, operation: Operation) -> frozenset[str]:
    """Names of the fields, flat or nested, that take a file."""
    schemas: list[type] = [operation.schema, Conditioning, *(registry.stage(name).Params for name in registry.stages)]
    found = {
        info.name
        for schema in schemas
        for info in describe(schema)
        if info.type == "str" and info.max_length == MAX_PATH and info.group != "output" and info.names is None
    }
    return frozenset(found | {"source", "path"})


class Sent:
    """The files that were sent to a daemon on another machine, and their own names for what it says of them."""

    def __init__(self, contact: Contact, fields: Collection[str]) -> None:
        self._contact = contact
        self._fields = fields
        self._files: dict[str, str] = {}

    def request(self, params: dict[str, Any]) -> dict[str, Any]:
        """The request with every file of this machine sent and named by its upload. Raises `NotFound` about its field."""
        return {key: value for name, given in params.items() for key, value in self._sent(name, given).items()}

    def _sent(self, name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return {name: self.request(value)}
        if isinstance(value, list):
            return {name: [self.request(item) if isinstance(item, dict) else item for item in value]}
        if name not in self._fields or not isinstance(value, str) or not os.path.isabs(value):
            return {name: value}
        upload = self._upload(value, name)
        return {"upload": upload} if name in ("source", "path") else {name: f"upload:{upload}"}

    def _upload(self, path: str, field: str) -> str:
        tell(f"uploading {path} ...")
        try:
            upload = self._contact.client.upload(path)
        except NotFound as error:
            error.field = "source" if field == "path" else field
            raise
        self._files[upload] = path
        return upload

    def named(self, error: AceError) -> AceError:
        """An error in the words of this machine: its files, its fields."""
        for upload, path in self._files.items():
            for stored in (f"{upload}.audio", f"upload:{upload}", upload):
                error.message = error.message.replace(stored, Path(path).name)
        error.args = (error.message,)
        error.field = "source" if error.field == "upload" else error.field
        return error
