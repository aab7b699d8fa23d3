"""Which of a set's jobs belong together: those of one key press, and the variants that wait to be chosen from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .kinds import Facts


def press_of(jobs: Iterable[Facts], job: Facts) -> list[Facts]:
    """The jobs of the key press that a job belongs to."""
    return [known for known in jobs if known.get("press", known["id"]) == job.get("press", job["id"])]


def variants(held: list[Facts]) -> list[tuple[Facts, list[Facts]]]:
    """The variants that wait, each as ``(job, landings)``: the newest job first, as the audition page shows them."""
    found = []
    for job in reversed(held):
        for variant in sorted({landing["variant"] for landing in job["landings"]}):
            found.append((job, [landing for landing in job["landings"] if landing["variant"] == variant]))
    return found


def asked_about(pending: dict[str, Facts], values: list[Any]) -> Facts | None:
    """The job that a refused question was about, where the daemon does not know it: its sentence names the job in quotes.

    Of a job that is to be made again (`instead`), that is the old one.
    """
    if values[1:2] != ["unknown_job"]:
        return None
    named = {id: job.get("instead", {}).get("job", id) for id, job in pending.items()}
    return next((pending[id] for id, name in named.items() if f"'{name}'" in str(values[-1])), None)
