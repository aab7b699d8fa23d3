"""Operations on stored latents: list, inspect, decode, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from acestep.api import Operation, Request, hookimpl, limits, param

STORE = "acestep.audio.latent_store"


class ListLatents(Request):
    """Request of ``latents``."""

    search: Annotated[str, param("Part of an id, model or caption.", max_length=200, group="store")] = ""
    limit: Annotated[int, param("Rows at most.", ge=1, le=1000, group="store")] = 100


class NameLatent(Request):
    """Request of ``latent`` and ``latent-delete``."""

    latent: Annotated[
        str, param("Id of a stored latent.", max_length=128, group="store", example="take-7/take.safetensors")
    ]


class DecodeLatent(Request):
    """Request of ``decode``."""

    latent: Annotated[
        str, param("Id of a stored latent.", max_length=128, group="store", example="take-7/take.safetensors")
    ]
    model: Annotated[str, param("Checkpoint whose codec is used; empty: the default one.", choices="models")] = ""
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
    format: Annotated[Literal["wav24", "wav32f", "flac24", "flac16"], param("File format.", group="output")] = "wav24"


OPERATIONS = (
    Operation(
        name="latents",
        summary="List the stored latents.",
        schema=ListLatents,
        result=dict,
        runs="daemon",
        target=f"{STORE}:run_list",
        group="store",
    ),
    Operation(
        name="latent",
        summary="Describe a stored latent.",
        schema=NameLatent,
        result=dict,
        runs="daemon",
        target=f"{STORE}:run_inspect",
        group="store",
    ),
    Operation(
        name="latent-delete",
        summary="Remove a stored latent; the sound of its job stays.",
        schema=NameLatent,
        result=dict,
        runs="daemon",
        target=f"{STORE}:run_delete",
        group="store",
    ),
    Operation(
        name="decode",
        summary="Turn a stored latent into sound.",
        schema=DecodeLatent,
        target="acestep.engine.decode:run",
        group="store",
    ),
)


@hookimpl
def register_operations(register: Callable[[Operation], None]) -> None:
    """All of them."""
    for operation in OPERATIONS:
        register(operation)
