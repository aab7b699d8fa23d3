"""What clients are told of the operations, kept ready: all of it together takes a fifth of a second to make."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from acestep.api.ability import able_operations
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.variants import ModelInfo
from bridge.core import reports
from bridge.core.device_limits import KnownDevices
from bridge.core.models import Models
from bridge.core.reports import Circumstances


class Descriptions:
    """Operations as maps, by name."""

    def __init__(self, registry: Registry, models: Models, devices: KnownDevices) -> None:
        self._registry = registry
        self._models = models
        self._devices = devices
        self._rows: dict[str, dict[str, Any]] = {}
        self._models_then: tuple[str, ...] = ()
        self._changes = 0

    def rows(self, operations: list[Operation]) -> list[dict[str, Any]]:
        """The descriptions of some operations; one that is not ready is made at once."""
        return [self._rows.get(operation.name) or self._make(operation) for operation in operations]

    def for_model(self, operations: list[Operation], model: ModelInfo) -> list[dict[str, Any]]:
        """The same as one model has them, those left out that it cannot do."""
        able, here = able_operations(operations, model, self._registry.families), self._here(model)
        return [reports.describe_operation(one, here) for one in able]

    def _make(self, operation: Operation) -> dict[str, Any]:
        row = reports.describe_operation(operation, self._here())
        self._rows[operation.name] = row
        return row

    def refresh(self) -> None:
        """Make all of them where models have come or gone. Takes its time; call it in a thread."""
        models = tuple(self._models.known())
        if models == self._models_then:
            return
        changes, here = self._changes, self._here()
        operations = list(self._registry.operations.values())
        rows = {one.name: reports.describe_operation(one, here) for one in operations}
        if changes == self._changes:  # what was forgotten while these were made is not in them
            self._rows, self._models_then = rows, models

    def told(self, info: Mapping[str, Any]) -> None:
        """A worker has told what it runs on: its limits stand in every description from now on."""
        if self._devices.told(info):
            self.forget()
            asyncio.get_running_loop().run_in_executor(None, self._devices.keep)

    def _here(self, model: ModelInfo | None = None) -> Circumstances:
        return Circumstances(self._registry, list(self._models.known()), model, self._devices.narrowest)

    def forget(self) -> None:
        """Make each of them again when it is asked for next."""
        self._changes += 1
        self._rows, self._models_then = {}, ()
