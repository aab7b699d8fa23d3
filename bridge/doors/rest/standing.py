"""What earlier calls have set for the tasks that follow, over whichever of ACE-Step's own interfaces they came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bridge.doors.rest import facts
from bridge.doors.rest.adapters import Adapters
from bridge.doors.rest.translate import Standing

if TYPE_CHECKING:
    from bridge.core.interface import Core
    from bridge.doors.http.site import HttpCaller

FRESH_SECONDS = 2.0
"""How long a look at the list of models is believed."""


class Choices:
    """The model and the adapters that a front end has chosen. One for the whole site (`bridge.doors.http.site.Site.choices`)."""

    def __init__(self) -> None:
        self.model = ""
        """What `/v1/init` has named; empty: the daemon's default."""
        self.adapters = Adapters()
        self._looked = float("-inf")
        self._rows: list[dict[str, Any]] = []

    def models(self, core: Core) -> list[dict[str, Any]]:
        """Rows of all models, at most `FRESH_SECONDS` old."""
        if time.monotonic() - self._looked > FRESH_SECONDS:
            self._rows, self._looked = core.models(), time.monotonic()
        return self._rows

    async def ready(self, core: Core) -> None:
        """See once which models there are; a daemon that has just been started does not know them all yet."""
        if self._looked == float("-inf"):
            await self.look(core)

    async def look(self, core: Core) -> list[dict[str, Any]]:
        """Rows of all models, from a new look at the disk."""
        await core.look()
        self._rows, self._looked = core.models(), time.monotonic()
        return self._rows

    def standing(self, core: Core, caller: HttpCaller) -> Standing:
        """What a request of this caller meets."""
        rows = self.models(core)
        return Standing(
            local=caller.local,
            models=facts.names_of(rows),
            model=self.model,
            planner=bool(facts.usable_language_models(rows)),
            planners=frozenset(facts.language_models(rows)),
            adapters=self.adapters.wanted,
        )
