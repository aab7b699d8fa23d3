"""What admission gives: a request that can be run."""

from __future__ import annotations

from typing import Any

import msgspec

from acestep.admission.chain import StageInput
from acestep.api.plan import Plan
from acestep.api.request import Render


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A request in its canonical form; of a render also, for each stage, a Plan and what it works on."""

    request: msgspec.Struct
    """A `Render`, or the request of an operation that is none."""
    plans: tuple[Plan, ...] = ()
    inputs: tuple[StageInput, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def render(self) -> Render:
        """The request of a render."""
        assert isinstance(self.request, Render)
        return self.request

    def to_data(self) -> dict[str, Any]:
        """The request as the plain map that is stored, and that the worker gets."""
        if isinstance(self.request, Render):
            return self.request.to_recipe()
        return dict(msgspec.to_builtins(self.request))
