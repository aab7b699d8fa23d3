"""Methods about results that people come back to: search, star, note, delete, take back."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.history import MOST_JOBS, HistoryQuery
from bridge.doors.method import method
from bridge.doors.method_context import MethodContext
from bridge.doors.methods.jobs import JobName

JobNames = Annotated[list[str], param("Ids of the jobs.", max_length=MOST_JOBS, example=["take-1"])]


class SearchHistory(Request):
    """Which results to show, newest first."""

    search: Annotated[str, param("Text in id, operation, caption or note.", max_length=256, example="lofi")] = ""
    operation: Annotated[str, param("Only results of this operation; empty: all.", max_length=64, example="")] = ""
    starred: Annotated[bool, param("Only results that have a star.", example=False)] = False
    deleted: Annotated[bool, param("Show deleted results that can still be restored.", example=False)] = False
    limit: Annotated[int, param("How many results to return at most.", unit="jobs", ge=1, le=1000, example=50)] = 50
    before: Annotated[
        str, param("Only results older than this job (for the next page).", max_length=64, example="")
    ] = ""


@method(
    "history.list",
    right=Right.OWNER,
    slow=True,
    answer="`rows` with files, star and note of each result, `total`, whether there are `more`, and whether a search has more hits "
    "than `total`: they are not counted beyond 1000 (`uncounted`).",
)
async def list_results(context: MethodContext, request: SearchHistory) -> dict[str, Any]:
    """Results, newest first, with their files, stars and notes."""
    return await context.core.history.rows(HistoryQuery(**msgspec.structs.asdict(request)))


class Mark(Request):
    """What to note on a job."""

    id: JobName
    star: (
        Annotated[
            bool, param("Whether it has a star. Results with a star are never deleted automatically.", example=True)
        ]
        | None
    ) = None
    note: Annotated[str, param("Note; empty: none.", max_length=2000, example="the good chorus")] | None = None


@method("history.mark", right=Right.OWNER, answer="The new star and note.")
async def mark(context: MethodContext, request: Mark) -> dict[str, Any]:
    """Give a result a star or a note."""
    return await context.core.history.mark(request.id, request.star, request.note)


class WhichResults(Request):
    """Which results."""

    ids: JobNames


@method("history.delete", right=Right.OWNER, answer="The ids.")
async def delete(context: MethodContext, request: WhichResults) -> dict[str, Any]:
    """Throw results away; for a day they can be taken back."""
    await context.core.history.delete(_some(request.ids))
    return {"ids": request.ids}


@method("history.restore", right=Right.OWNER, answer="The ids.")
async def restore(context: MethodContext, request: WhichResults) -> dict[str, Any]:
    """Take deleted results back."""
    await context.core.history.restore(_some(request.ids))
    return {"ids": request.ids}


def _some(ids: list[str]) -> list[str]:
    if not ids:
        raise BadRequest("name at least one job", field="ids")
    return ids
