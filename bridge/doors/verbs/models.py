"""Verbs about models."""

from __future__ import annotations

from acestep.api.rights import Right
from bridge.doors import calls, requests
from bridge.doors.verb import ALL, Verb

VERBS = (
    Verb(
        name="models.list",
        summary="Checkpoints that are here or can be downloaded.",
        slow=True,
        request=requests.Nothing,
        right=Right.ANYBODY,
        call=calls.models,
        doors=ALL,
        osc="/ace/models",
        columns=("name", "variant", "present", "default", "trained"),
        answer="A row for each checkpoint.",
        command="models list",
    ),
    Verb(
        name="models.unload",
        summary="Free the memory of a model, or of all.",
        request=requests.Model,
        call=calls.unload,
        doors=ALL,
        osc="/ace/models/unload",
        positional=("model",),
        right=Right.OWNER,
        answer="Nothing.",
        command="models unload",
    ),
)
