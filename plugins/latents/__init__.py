"""Operations on stored latents: list, inspect, pin, decode, delete."""

from collections.abc import Callable
from typing import Annotated

from acestep.api import Operation, Request, hookimpl, limits, param
from acestep.api.formats import FORMAT_SUMMARY, FormatName


class ListLatents(Request):
    """Request of ``latents``."""

    search: Annotated[str, param("Part of an id, model or caption.", max_length=200, group="store")] = ""
    limit: Annotated[int, param("How many rows at most.", ge=1, le=1000, group="store")] = 100


class NameLatent(Request):
    """Request of ``latent`` and ``latent-delete``; the others say more."""

    latent: Annotated[
        str, param("Id of a stored latent.", max_length=128, group="store", example="take-7/take.safetensors")
    ]


class PinLatent(NameLatent):
    """Request of ``latent-pin``."""

    pinned: Annotated[bool, param("Whether to keep it when old latents are deleted.", group="store")] = True


class DecodeLatent(NameLatent):
    """Request of ``decode``."""

    model: Annotated[str, param("Model whose codec to use; empty: the one that made the latent.", choices="models")] = (
        ""
    )
    rate: (
        Annotated[
            int,
            param(
                "Sample rate; none: the latent's own.",
                unit="Hz",
                ge=limits.RATES[0],
                le=limits.RATES[1],
                group="output",
            ),
        ]
        | None
    ) = None
    format: Annotated[FormatName, param(FORMAT_SUMMARY, group="output")] = "wav24"


def _of_the_store(name: str, summary: str, schema: type[Request], code: str) -> Operation:
    """An operation that the daemon does itself."""
    target = f"acestep.latents.operations:{code}"
    return Operation(
        name=name, summary=summary, schema=schema, result=dict, runs="daemon", target=target, group="library"
    )


OPERATIONS = (
    _of_the_store("latents", "List the stored latents.", ListLatents, "run_list"),
    _of_the_store("latent", "Describe a stored latent.", NameLatent, "run_inspect"),
    _of_the_store("latent-pin", "Keep a stored latent when old ones make room, or no longer.", PinLatent, "run_pin"),
    _of_the_store("latent-delete", "Remove a stored latent; the sound of its job stays.", NameLatent, "run_delete"),
    Operation(
        name="decode",
        summary="Turn a stored latent into sound.",
        schema=DecodeLatent,
        target="acestep.latents.decode:run",
        group="library",
    ),
)


@hookimpl
def register_operations(register: Callable[[Operation], None]) -> None:
    """All of them."""
    for operation in OPERATIONS:
        register(operation)
